"""Stock Debian kernels booted under QEMU's software emulation: fetch, boot, run a job.

For tests and rehearsals that need kprobes, other kernel versions, or a kernel that may crash.
"""

from orchestrator.lab.errors import GuestLost, LabError
from orchestrator.lab.guest import GuestResult, run_in_guest
from orchestrator.lab.kernels import KERNELS, Kernel, fetch

__all__ = ["KERNELS", "GuestLost", "GuestResult", "Kernel", "LabError", "fetch", "run_in_guest"]
