"""A system call that does almost nothing and is rarely used. The price of a probe is measured on
it."""

import ctypes
import os
import time

__all__ = ["CALL", "LIBRARY", "call_symbol", "measure_call_ns"]

#: It only compares its argument (SYSCALL_DEFINE1(sched_get_priority_min), kernel/sched).
CALL = "sched_get_priority_min"
LIBRARY = "libc.so.6"
_CALLS, _BLOCKS = 100, 30
_PAUSE_S = 0.0005
_ENTRY = {"x86_64": "__x64_sys_", "aarch64": "__arm64_sys_", "riscv64": "__riscv_sys_"}


def call_symbol() -> str:
    """The kernel function of the call (arch/*/include/asm/syscall_wrapper.h)."""
    return _ENTRY.get(os.uname().machine, "") + CALL


def measure_call_ns() -> float:
    """ns per call in the fastest of several blocks of calls, since interruptions are no part of the
    price. The blocks are spread over 15 ms, because other load slows this CPU for longer than one
    block."""
    call = getattr(ctypes.CDLL(None), CALL)
    block_ns = []
    for _ in range(_BLOCKS):
        start = time.perf_counter_ns()
        for _ in range(_CALLS):
            call(0)
        block_ns.append((time.perf_counter_ns() - start) / _CALLS)
        time.sleep(_PAUSE_S)
    return min(block_ns)
