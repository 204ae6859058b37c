"""QEMU on this host: its commands by architecture, and whether they are installed."""

import shutil
from collections.abc import Mapping

from orchestrator.lab.errors import LabError
from orchestrator.values import dataclass

__all__ = ["EMULATORS", "QEMU", "Emulator", "list_starting_words", "require_qemu"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Emulator:
    """QEMU for one architecture: the package that has it, the options of the board and the CPU, and
    the serial line as the kernel names it. `debian`: Debian's word for the architecture."""

    package: str
    board: tuple[str, ...]
    console: str
    debian: str


#: By `uname -m`.
EMULATORS: Mapping[str, Emulator] = {
    "x86_64": Emulator(
        package="qemu-system-x86",
        board=("-M", "pc", "-cpu", "max"),
        console="ttyS0",
        debian="amd64",
    ),
    # Signing pointers by the architected algorithm takes most of the time of an emulated system.
    "aarch64": Emulator(
        package="qemu-system-arm",
        board=("-M", "virt", "-cpu", "max,pauth-impdef=on"),
        console="ttyAMA0",
        debian="arm64",
    ),
}
QEMU = "qemu-system-x86_64"


def list_starting_words(arch: str = "x86_64") -> tuple[str, ...]:
    """The words that start it, before its options: the kernel ends it when this process dies, for
    whatever reason."""
    return ("setpriv", "--pdeathsig", "KILL", "--", _name_program(arch))


def require_qemu(arch: str = "x86_64") -> None:
    """Raise LabError for what is not installed, with the package that has it."""
    needed = {_name_program(arch): EMULATORS[arch].package, "setpriv": "util-linux"}
    for tool, package in needed.items():
        if shutil.which(tool) is None:
            raise LabError(f"`{tool}` is not installed: install the package {package}")


def _name_program(arch: str) -> str:
    return QEMU if arch == "x86_64" else f"qemu-system-{arch}"
