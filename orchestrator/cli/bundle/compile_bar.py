"""How many programs are compiled, in one line that a terminal redraws."""

from typing import TextIO

__all__ = ["CompileBar"]

_CLEAR = "\r\x1b[K"


class CompileBar:
    """The bar of one build. Does nothing where `stream` (None: closed) is no terminal."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream if stream is not None and stream.isatty() else None

    def update(self, done: int, total: int) -> None:
        """Show that `done` of `total` programs are compiled."""
        self._write(f"{_CLEAR}{done} of {total} programs compiled")

    def hide(self) -> None:
        """Take the line off the terminal."""
        self._write(_CLEAR)

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except OSError:  # the terminal is gone: the build goes on without a bar
            self._stream = None
