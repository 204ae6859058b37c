"""A system call that does next to nothing and that hardly anybody makes: what a probe costs is
measured by it."""

import ctypes
import platform
import time

__all__ = ["CALL", "LIBRARY", "call_symbol", "measure_call_ns"]

#: It only looks at its argument.
CALL = "sched_get_priority_min"
LIBRARY = "libc.so.6"
_CALLS, _BLOCKS = 100, 30
_PAUSE_S = 0.0005
_ENTRY = {"x86_64": "__x64_sys_", "aarch64": "__arm64_sys_", "riscv64": "__riscv_sys_"}


def call_symbol() -> str:
    """The kernel's function for it (arch/*/include/asm/syscall_wrapper.h)."""
    return _ENTRY.get(platform.machine(), "") + CALL


def measure_call_ns() -> float:
    """Of the quickest block: what interrupts one is no part of the price. They are spread over some
    time, since a neighbour that slows this CPU does so for longer than a block."""
    call = getattr(ctypes.CDLL(None), CALL)
    found = []
    for _ in range(_BLOCKS):
        start = time.perf_counter_ns()
        for _ in range(_CALLS):
            call(0)
        found.append((time.perf_counter_ns() - start) / _CALLS)
        time.sleep(_PAUSE_S)
    return min(found)
