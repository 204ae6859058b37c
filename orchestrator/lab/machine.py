"""The deterministic machine: one boot, one program, the same figures each time.

QEMU emulates one CPU whose clock counts instructions (2 ns each) and never waits for the host's.
All files are in the first file system, random numbers come from a seed, the clock starts at a fixed
date, addresses are not randomized, and there is no device that answers in the host's time. Then
everything that happens from the boot to the result depends on the image, the kernel, the seed and
QEMU's version alone.
"""

import os
from collections.abc import Callable

from orchestrator.kernel.abi.memory_file import hold_in_memory
from orchestrator.lab.machine_command import MachineSettings, make_command, require_host
from orchestrator.lab.machine_process import MachineProcess, Patience
from orchestrator.output.framed_bytes import find_framed
from orchestrator.values import dataclass

__all__ = [
    "MachineRun",
    "list_result_options",
    "read_run",
    "run_machine",
]

_MOST_RESULT_BYTES = 256 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineRun:
    """A run that gave a result. Times in seconds of this host: until the program started (0 where
    it had been stored later than that), and in all."""

    result: bytes
    console: str
    boot_seconds: float
    wall_seconds: float


def run_machine(
    settings: MachineSettings,
    archive: bytes,
    timeout_s: float,
    is_cancelled: Callable[[], bool] = lambda: False,
) -> MachineRun:
    """Boot once; returns what the program gave back. QEMU never outlives the call.

    Raises GuestLost when the machine gave no result within `timeout_s` seconds of this host,
    MachineCancelled within a second of `is_cancelled`, LabError when it cannot be started.
    """
    require_host(settings, archive)
    with hold_in_memory(archive, "image") as image, hold_in_memory(b"", "result") as result:
        process = MachineProcess(
            command=[
                *make_command(settings),
                *("-initrd", f"/dev/fd/{image}", *list_result_options(result)),
            ],
            inherited=(image, result),
            patience=Patience(timeout_s=timeout_s, is_cancelled=is_cancelled),
        )
        with process:
            process.run_to_end()
        return read_run(process, result)


def list_result_options(result: int) -> tuple[str, ...]:
    """QEMU's options for the two serial lines: the console, and the result."""
    line = f"file,id=result,path=/dev/fd/{result}"
    return ("-chardev", line, "-serial", "stdio", "-serial", "chardev:result")


def read_run(process: MachineProcess, result: int) -> MachineRun:
    """What a program has given back whose machine has ended. Raises GuestLost for nothing."""
    given = os.pread(result, _MOST_RESULT_BYTES, 0)
    found = find_framed(given)
    if found is None or process.boot_seconds is None:
        raise process.explain_loss(given)
    return MachineRun(
        result=found,
        console=process.console,
        boot_seconds=process.boot_seconds,
        wall_seconds=process.wall_seconds,
    )
