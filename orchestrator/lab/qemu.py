"""QEMU on this host: its command, and whether it is installed."""

import shutil

from orchestrator.lab.errors import LabError

__all__ = ["QEMU", "list_starting_words", "require_qemu"]

QEMU = "qemu-system-x86_64"


def list_starting_words() -> tuple[str, ...]:
    """The words that start it, before its options: the kernel ends it when this process dies, for
    whatever reason."""
    return ("setpriv", "--pdeathsig", "KILL", "--", QEMU)


def require_qemu() -> None:
    """Raise LabError for what is not installed, with the package that has it."""
    for tool, package in ((QEMU, "qemu-system-x86"), ("setpriv", "util-linux")):
        if shutil.which(tool) is None:
            raise LabError(f"`{tool}` is not installed: install the package {package}")
