"""A progress bar on standard error, on a terminal only.

It is one line that is redrawn in place. Where the log is written to the same terminal, `hide`
removes the line first, so that neither overwrites the other.
"""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol, TextIO, TypeVar

from orchestrator.accounting.count import Count, is_known

__all__ = ["Progress", "format_progress", "hidden_at_end", "measure_terminal"]

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


class Progress:
    """The bar of one run. `duration_s`: its duration, None if unlimited; `stream`: standard error.
    Does nothing where that is no terminal."""

    def __init__(self, duration_s: float | None, stream: TextIO) -> None:
        self._duration = duration_s
        self._stream: TextIO | None = stream if _is_terminal(stream) else None
        self._drawn_at = float("-inf")
        self._visible = False

    def update(self, elapsed_s: float, events: int, lost: Count) -> None:
        """Show the state: seconds since the start, records delivered, and records lost.
        Draws at most ten times a second."""
        now = time.monotonic()
        if self._stream is None or (self._visible and now - self._drawn_at < _PERIOD):
            return
        self._drawn_at = now
        line = format_progress(elapsed_s, self._duration, events, lost)
        self._write(_CLEAR + line[: measure_terminal(self._stream)[0] - 1])
        self._visible = True

    def follow(self, look: object) -> None:
        """Where the metrics can be read: this is only a bar."""

    def hide(self) -> None:
        """Take the bar off the terminal; the next `update` draws it again."""
        if self._visible:
            self._visible = False
            self._write(_CLEAR)

    def _write(self, text: str) -> None:
        if self._stream is None:
            return
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # the terminal is gone: the run goes on without a bar
            self._stream = None


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
