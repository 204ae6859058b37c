"""The command that runs a deterministic machine, and what this host needs for it."""

import functools
import os
import re
import subprocess
from pathlib import Path

from orchestrator.lab import qemu
from orchestrator.lab.errors import LabError
from orchestrator.lab.qemu import list_starting_words, require_qemu
from orchestrator.values import dataclass

__all__ = ["CLOCK_SHIFT", "MachineSettings", "make_command", "read_qemu_version", "require_host"]

#: A power of two: nanoseconds of the machine's clock for each instruction.
CLOCK_SHIFT = 1
_CMDLINE = (
    "console=ttyS0 quiet panic=-1 oops=panic nokaslr norandmaps mitigations=off tsc=reliable "
    "no_timer_check random.trust_cpu=on"
)
_IMAGE_SHARE = 3  # of memory: the archive, its files, and as much for the rest
_MIB = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineSettings:
    """What is booted: the uncompressed kernel, the memory in bytes, the seed of its random numbers.
    `cpu`: QEMU's name of the emulated CPU's model."""

    vmlinux: Path
    memory: int = 1 << 30
    seed: int = 1
    cpu: str = "max"


@functools.cache
def read_qemu_version() -> str:
    """The version of QEMU, such as `7.2.22`. Raises LabError where it is not installed."""
    require_qemu()
    text = subprocess.run(
        [qemu.QEMU, "--version"], capture_output=True, text=True, check=False
    ).stdout
    found = re.search(r"version (\d[\w.]*)", text)
    if found is None:
        raise LabError(f"`{qemu.QEMU} --version` does not say its version: {text.strip()!r}")
    return found[1]


def require_host(settings: MachineSettings, archive: bytes) -> None:
    """Raise LabError where this host cannot run the machine, or the files do not fit into it."""
    if os.uname().machine != "x86_64":
        raise LabError(
            f"this host is {os.uname().machine}, the machine an x86_64 one that runs this host's "
            "programs: the two must be the same"
        )
    require_qemu()
    if len(archive) * _IMAGE_SHARE > settings.memory:
        raise LabError(
            f"the machine's files have {len(archive) / _MIB:,.0f} MiB, and it has "
            f"{settings.memory / _MIB:,.0f} MiB of memory: give it at least "
            f"{len(archive) * _IMAGE_SHARE / _MIB:,.0f} MiB"
        )


def make_command(settings: MachineSettings) -> list[str]:
    """The command without its files and lines."""
    return [
        *list_starting_words(),
        *("-nodefaults", "-no-user-config", "-display", "none", "-no-reboot", "-M", "pc"),
        *("-cpu", settings.cpu, "-smp", "1", "-accel", "tcg,thread=single"),
        *("-icount", f"shift={CLOCK_SHIFT},sleep=off", "-seed", str(settings.seed)),
        *("-rtc", "base=2026-01-01T00:00:00,clock=vm"),
        *("-m", f"{settings.memory // _MIB}M", "-kernel", str(settings.vmlinux)),
        *("-append", _CMDLINE),
    ]
