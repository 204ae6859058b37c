"""What a virtual machine prints, and why one ended without a result. Pure."""

import re

__all__ = ["describe_loss", "read_console"]


def read_console(printed: bytes | bytearray) -> str:
    """The text of a serial console."""
    return printed.decode(errors="replace").replace("\r", "")


def describe_loss(  # noqa: PLR0913  # what is known of the machine, each by its name
    console: str,
    *,
    stage: str,
    is_late: bool,
    timeout_s: float,
    wall_seconds: float,
    said: str = "",
) -> str:
    """Why a machine gave no result. `stage`: how far it had got; `is_late`: it was ended after
    `timeout_s`; `said`: what its own programs said of it, if they did."""
    if is_late:
        return f"no end within {timeout_s:g} s ({stage})"
    if panic := re.search(r"Kernel panic - not syncing: (.*)", console):
        return f"the kernel panicked {stage}: {panic[1]}"
    return said or f"the machine stopped {stage} after {wall_seconds:.1f} s"
