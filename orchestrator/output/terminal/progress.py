"""Progress on standard error, on a terminal only.

It is one line that is redrawn in place, such as the bar of a run. Where the log is written to the
same terminal, `hide` removes the line first, so that neither overwrites the other.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO, TypeVar

from orchestrator.accounting.count import Count, is_known

__all__ = ["Progress", "TerminalLine", "format_progress", "hidden_at_end", "measure_terminal"]

_CLEAR = "\r\x1b[K"
_PERIOD = 0.1
_BAR = 24


class _Drawn(Protocol):
    def hide(self) -> None: ...


BarT = TypeVar("BarT", bound=_Drawn)


@contextmanager
def hidden_at_end(bar: BarT) -> Iterator[BarT]:
    """Yields the bar (or live view), and hides it after the block."""
    try:
        yield bar
    finally:
        bar.hide()


class TerminalLine:
    """A line that is redrawn in place. Does nothing where `stream` (None: closed) is no terminal,
    nor once the terminal is gone: its `stream` is None then."""

    def __init__(self, stream: TextIO | None) -> None:
        self.stream = stream if stream is not None and _is_terminal(stream) else None
        self.is_visible = False

    def draw(self, text: str) -> None:
        """Show `text`, as much of it as there are columns, in the place of what was drawn."""
        if self.stream is not None:
            self.is_visible = True
            self._write(self.stream, _CLEAR + text[: measure_terminal(self.stream)[0] - 1])

    def hide(self) -> None:
        """Take the line off the terminal; the next `draw` draws it again."""
        if self.stream is not None and self.is_visible:
            self.is_visible = False
            self._write(self.stream, _CLEAR)

    def _write(self, stream: TextIO, text: str) -> None:
        try:
            stream.write(text)
            stream.flush()
        except (OSError, ValueError):  # the terminal is gone: the command goes on without a line
            self.stream = None


class Progress:
    """The bar of one run. `duration_s`: its duration, None if unlimited; `stream`: standard error.
    Does nothing where that is no terminal."""

    def __init__(self, duration_s: float | None, stream: TextIO) -> None:
        self._duration = duration_s
        self._line = TerminalLine(stream)
        self._drawn_at = float("-inf")

    def update(self, elapsed_s: float, events: int, lost: Count) -> None:
        """Show the state: seconds since the start, records delivered, and records lost.
        Draws at most ten times a second."""
        now = time.monotonic()
        if self._line.stream is None or (self._line.is_visible and now - self._drawn_at < _PERIOD):
            return
        self._drawn_at = now
        self._line.draw(format_progress(elapsed_s, self._duration, events, lost))

    def announce(self, text: str) -> None:
        """Show what takes a while before the first `update`."""
        self._line.draw(text)

    def follow(self, look: object, program: object) -> None:
        """Where the metrics can be read: this is only a bar."""

    def hide(self) -> None:
        """Take the bar off the terminal; the next `update` draws it again."""
        self._line.hide()


def format_progress(elapsed: float, duration: float | None, events: int, lost: Count) -> str:
    """The bar: seconds since the start and in all (None: unlimited), records, and those lost."""
    rate = events / elapsed if elapsed > 0 else 0.0
    if duration:
        done = int(min(1.0, elapsed / duration) * _BAR)
        head = f"[{'#' * done}{'.' * (_BAR - done)}] {elapsed:.1f}/{duration:g} s"
    else:
        head = f"{elapsed:.1f} s"
    losses = f"{lost:,}" if is_known(lost) else lost
    return f"{head}  {events:,} events  {rate:,.0f}/s  {losses} lost"


def _is_terminal(stream: TextIO) -> bool:
    try:
        return stream.isatty()
    except ValueError:  # it is closed
        return False


def measure_terminal(stream: TextIO) -> tuple[int, int]:
    """(columns, lines) to draw in: COLUMNS and LINES, or else the terminal's size, or else 80 by
    24."""
    try:
        size: tuple[int, int] = os.get_terminal_size(stream.fileno())
    except (OSError, ValueError):
        size = (0, 0)
    return _read_variable("COLUMNS") or size[0] or 80, _read_variable("LINES") or size[1] or 24


def _read_variable(name: str) -> int:
    """The number in an environment variable; 0 if there is none."""
    text = os.environ.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else 0
