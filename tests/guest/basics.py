"""Cases about the guest itself, and cases that misbehave on purpose."""

import ctypes
import os
import socket
import time
from pathlib import Path
from typing import Any

from tests.guest import Unsupported

TRACING = Path("/sys/kernel/tracing")


def describe() -> dict[str, Any]:
    """What a job finds in its guest."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
    mounts = Path("/proc/mounts").read_text().splitlines()
    types = {line.split()[1]: line.split()[2] for line in mounts}
    return {
        "release": os.uname().release,
        "cpus": os.cpu_count(),
        "kprobe_events": (TRACING / "kprobe_events").exists(),
        "root_writable": os.access("/etc/passwd", os.W_OK),
        "share": os.environ["PROBEPLAN_SHARE"],
        "home": os.environ["HOME"],
        "mounts": types,
    }


def count_getppid(calls: int) -> int:
    """How often a kprobe on the getppid system call fires while we make that many calls."""
    probe = os.open(TRACING / "kprobe_events", os.O_WRONLY | os.O_APPEND)
    os.write(probe, b"p:lab/getppid __x64_sys_getppid\n")
    enable = TRACING / "events/lab/getppid/enable"
    enable.write_text("1")
    for _ in range(calls):
        os.getppid()
    enable.write_text("0")
    profile = (TRACING / "kprobe_profile").read_text().split()
    os.write(probe, b"-:lab/getppid\n")
    os.close(probe)
    return int(profile[1])


def loaded(module: str) -> bool:
    """Whether a module is in the kernel."""
    modules = Path("/proc/modules").read_text().splitlines()
    return any(line.split()[0] == module for line in modules)


def read_shared(name: str) -> str:
    """The text of a file in the share."""
    return (Path(os.environ["PROBEPLAN_SHARE"]) / name).read_text()


def echo(value: Any) -> Any:
    """What came in."""
    return value


def fail(text: str) -> None:
    """Raises."""
    raise ValueError(text)


def lack(feature: str) -> None:
    """Says that this kernel lacks a feature."""
    raise Unsupported(feature)


def crash_kernel() -> None:
    """Panics the kernel (Documentation/admin-guide/sysrq.rst)."""
    Path("/proc/sysrq-trigger").write_text("c")
    time.sleep(60)


def crash_process() -> None:
    """Ends the driver by a segmentation fault."""
    ctypes.string_at(0)
