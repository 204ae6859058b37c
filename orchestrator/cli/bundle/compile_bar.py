"""How many programs are compiled, in one line that a terminal redraws."""

from typing import TextIO

from orchestrator.output.terminal.progress import TerminalLine

__all__ = ["CompileBar"]


class CompileBar:
    """The bar of one build. Does nothing where `stream` (None: closed) is no terminal."""

    def __init__(self, stream: TextIO | None) -> None:
        self._line = TerminalLine(stream)

    def update(self, done: int, total: int) -> None:
        """Show that `done` of `total` programs are compiled."""
        self._line.draw(f"{done} of {total} programs compiled")

    def hide(self) -> None:
        """Take the line off the terminal."""
        self._line.hide()
