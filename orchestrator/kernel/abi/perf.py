"""perf_event_open(2), as used to attach programs, and the host's CPUs.

Layout: include/uapi/linux/perf_event.h, struct perf_event_attr, PERF_ATTR_SIZE_VER5 (112 bytes).
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import struct
from functools import cache
from pathlib import Path

from orchestrator.kernel.tree import cpu_list

SYSCALL = {"x86_64": 298, "aarch64": 241, "riscv64": 241, "s390x": 331, "ppc64le": 319}
TYPE_SOFTWARE, SOFTWARE_DUMMY = 1, 9
TYPE_TRACEPOINT = 2
TYPE_HARDWARE, HARDWARE_CYCLES = 0, 0
FLAG_FD_CLOEXEC = 8
DISABLED, INHERIT = 1, 2  # the first bits after read_format
IOC_ENABLE = 0x2400  # _IO('$', 0)
IOC_SET_BPF = 0x40042408  # _IOW('$', 8, __u32)
ATTRIBUTE_BYTES = 112
#: EACCES of perf_event_open in spite of CAP_PERFMON (perf_event_paranoid above 2 is a patch of
#: theirs: "if (perf_paranoid_any() && !capable(CAP_SYS_ADMIN)) return -EACCES"; seen on 6.1, 6.12).
CLOSED = (
    "perf events are closed to this user: with kernel.perf_event_paranoid above 2 the kernels of "
    "Debian and Ubuntu open them to CAP_SYS_ADMIN alone; sysctl kernel.perf_event_paranoid=2 lets "
    "CAP_PERFMON do"
)
DEVICES = Path("/sys/bus/event_source/devices")

_libc = ctypes.CDLL(None, use_errno=True)


def open_event(kind: int, config: int, *, config1: int = 0, config2: int = 0) -> int:
    """Open a perf event for all processes on the first online CPU and return its descriptor.

    One CPU is enough to carry a program: the kernel runs it wherever the event fires
    (kernel/events/core.c, perf_event_set_bpf_prog: it is attached to the event's class). CPU 0 may
    be offline.

    The event is opened disabled and stays so: the program runs all the same (perf_trace_* and
    kprobe_perf_func check the program before the list of enabled events), while perf's own
    bookkeeping does not. Enabled, it made a call on that CPU 420 ns longer instead of 190
    (measured).
    """
    attributes = struct.pack(
        "=IIQQQQQIIQQ", kind, ATTRIBUTE_BYTES, config, 1, 0, 0, DISABLED, 1, 0, config1, config2
    )
    return _perf_event_open(attributes, -1, online_cpus()[0])


def open_task_event(event_id: int, thread: int, *, inherit: bool = True) -> int:
    """Open a tracepoint event for one thread, on all CPUs, and return its descriptor. `inherit`:
    threads and processes that the thread starts later have it too, and theirs.

    At a probe in user code the kernel then writes the breakpoint into the thread's process alone,
    and other processes that have mapped the file run as without it (kernel/trace/trace_uprobe.c,
    uprobe_perf_filter). It stays when the process executes another program, and goes with the last
    of the process's threads that has the event. Disabled, as in `open_event`. OSError, ESRCH:
    there is no such thread.
    """
    attributes = struct.pack(
        "=IIQQQQQ",
        *(TYPE_TRACEPOINT, ATTRIBUTE_BYTES, event_id, 1, 0, 0),
        DISABLED | (INHERIT if inherit else 0),
    )
    return _perf_event_open(attributes, thread, -1)


def _perf_event_open(attributes: bytes, pid: int, cpu: int) -> int:
    buffer = ctypes.create_string_buffer(attributes.ljust(ATTRIBUTE_BYTES, b"\0"), ATTRIBUTE_BYTES)
    number = SYSCALL.get(os.uname().machine)
    if number is None:
        raise OSError(errno.ENOSYS, f"perf_event_open has no known number on {os.uname().machine}")
    fd: int = _libc.syscall(number, buffer, pid, cpu, -1, ctypes.c_ulong(FLAG_FD_CLOEXEC))
    if fd < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
    return fd


def set_program(event_fd: int, prog_fd: int) -> None:
    """Attach a program to an open event; it fires from now on until the descriptor is closed."""
    fcntl.ioctl(event_fd, IOC_SET_BPF, prog_fd)


def pmu_type(name: str, devices: Path = DEVICES) -> int:
    """The type number of a PMU ("kprobe", "uprobe"). FileNotFoundError when there is none."""
    return int((devices / name / "type").read_text())


def online_cpus() -> tuple[int, ...]:
    """CPUs that are online now; they may change."""
    return cpu_list(Path("/sys/devices/system/cpu/online").read_text())


@cache
def possible_cpus() -> int:
    """How many values a per-CPU map holds for a key: possible CPUs, online or not."""
    return cpu_list(Path("/sys/devices/system/cpu/possible").read_text())[-1] + 1
