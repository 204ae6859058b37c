"""Several runs at once, of one plan and on both backends, alongside others who trace the same event
with the kernel's own means: everybody counts every call, and no one's switches are touched."""

import ctypes
import os
import platform
import signal
import struct
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from orchestrator.kernel.abi import perf
from tests.live.cli.test_run import ATTACH, FACTS, a_plan, left_by, probeplan, rest
from tests.support.product import Ran, check_accounts
from tests.support.requirements import needs_a_kernel

pytestmark = needs_a_kernel
N = 400
TRACING = Path("/sys/kernel/tracing")
EVENT = "events/syscalls/sys_enter_getppid"
GLOBAL = (
    "tracing_on", "current_tracer", "set_event", "set_event_pid", "set_event_notrace_pid",
    "trace_clock", "buffer_size_kb", "options/overwrite", "options/event-fork",
    f"{EVENT}/enable", f"{EVENT}/filter", f"{EVENT}/trigger",
)  # fmt: skip


class Workload:
    """Makes N calls each time that it is reported to."""

    CODE = (
        "import os, sys\nfor _ in sys.stdin:\n"
        f"    for _ in range({N}): os.getppid()\n    print(flush=True)"
    )

    def __init__(self) -> None:
        pipe = subprocess.PIPE
        words = [sys.executable, "-c", self.CODE]
        self.process = subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True)
        self.pid = self.process.pid

    def call(self) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "\n"

    def close(self) -> None:
        self.process.communicate()


@contextmanager
def perf_counter(pid: int) -> Iterator[int]:
    """As `perf stat -e syscalls:sys_enter_getppid -p PID`; the descriptor reads the count."""
    tracepoint = FACTS.tracepoint("syscalls", "sys_enter_getppid")
    assert tracepoint is not None
    attributes = struct.pack("=IIQ", perf.TYPE_TRACEPOINT, 112, tracepoint.id or 0)
    buffer = ctypes.create_string_buffer(attributes, 112)
    libc = ctypes.CDLL(None, use_errno=True)
    number = perf.SYSCALL[platform.machine()]
    fd: int = libc.syscall(number, buffer, pid, -1, -1, ctypes.c_ulong(8))
    assert fd >= 0, os.strerror(ctypes.get_errno())
    yield fd
    os.close(fd)


@contextmanager
def tracefs_user(pid: int) -> Iterator[Path]:
    """Someone's own instance, made by hand, with the same event on for that process."""
    instance = TRACING / "instances" / f"neighbour-{os.getpid()}"
    instance.mkdir()
    try:
        (instance / "set_event_pid").write_text(str(pid))
        (instance / EVENT / "enable").write_text("1")
        yield instance
        (instance / EVENT / "enable").write_text("0")
    finally:
        instance.rmdir()


def switches(of: Path = TRACING) -> dict[str, str]:
    return {name: (of / name).read_text() for name in GLOBAL if (of / name).exists()}


def seen_in(instance: Path) -> int:
    return (instance / "trace").read_text().count("sys_getppid(")


def test_everybody_counts_every_call(tmp_path: Path) -> None:
    """Twice bcc and twice tracefs with one plan, a perf counter and a tracefs user: what one sees
    is not what another misses, and after two of the runs are gone the others go on."""
    plan = a_plan(tmp_path, ATTACH["tracepoint"])
    with ExitStack() as stack:
        workload = Workload()
        stack.callback(workload.close)
        before = switches()
        counter = stack.enter_context(perf_counter(workload.pid))
        instance = stack.enter_context(tracefs_user(workload.pid))
        theirs = switches(instance)
        target = ("--target", f"pid={workload.pid}", "--no-progress", "--limit", "at_cap=mute")
        runs = [
            probeplan("run", plan, *target, "--backend", backend)
            for backend in ("bcc", "tracefs", "bcc", "tracefs")
        ]
        heads = [run.stdout.readline() for run in runs if run.stdout]  # they are armed
        workload.call()
        ended = [finished(run, head) for run, head in zip(runs[:2], heads[:2], strict=True)]
        workload.call()
        ended += [finished(run, head) for run, head in zip(runs[2:], heads[2:], strict=True)]
        assert [len(ran.data("call")) for ran in ended] == [N, N, 2 * N, 2 * N]
        assert [ran.value("call", "calls") for ran in ended] == [N, N, 2 * N, 2 * N]
        assert int.from_bytes(os.read(counter, 8), "little") == 2 * N
        assert seen_in(instance) == 2 * N
        assert switches(instance) == theirs
        assert switches() == before


def finished(run: "subprocess.Popen[bytes]", head: bytes) -> Ran:
    run.send_signal(signal.SIGINT)
    ran = Ran.of(head + rest(run))
    assert run.returncode == 130
    check_accounts(ran)
    assert left_by(ran.finished["run_id"]) == []
    return ran
