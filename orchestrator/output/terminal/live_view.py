"""The live view: how a run goes and what its metrics say, redrawn in place once a second.

It draws over its own lines, on a terminal's standard error, and is gone when the run is over: the
summary takes its place. Imports rich (23 ms).
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TextIO

from rich.console import Console, ConsoleDimensions, Group, RenderableType
from rich.live import Live
from rich.text import Text

from orchestrator.accounting.count import Count
from orchestrator.output.terminal.human_units import units_of
from orchestrator.output.terminal.progress import line_of, size_of
from orchestrator.output.terminal.tables import Drawing, derived_table, warning_lines

__all__ = ["LiveView"]

_PERIOD = 1.0


class Looked(Protocol):
    """What was counted so far, as records."""

    @property
    def metrics(self) -> Sequence[Mapping[str, Any]]: ...
    @property
    def derived(self) -> Mapping[str, Any] | None: ...
    @property
    def warnings(self) -> Sequence[Mapping[str, Any]]: ...
    @property
    def outstanding(self) -> Sequence[Mapping[str, Any]]: ...


class LiveView:
    """The view of one run. `duration_s`: how long it will take, None if unlimited; `stream`:
    standard error, a terminal."""

    def __init__(self, duration_s: float | None, stream: TextIO) -> None:
        self._duration = duration_s
        self._stream = stream
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self._look: Callable[[], Looked] | None = None
        self._live: Live | None = None
        self._drawn_at = float("-inf")
        self._gone = False

    def follow(self, look: Callable[[], Looked]) -> None:
        """Where the metrics can be read from now on."""
        self._look = look

    def update(self, elapsed_s: float, events: int, lost: Count) -> None:
        """Draw the state, at most once a second: seconds since the start, records delivered,
        records lost, and the metrics as of now."""
        now = time.monotonic()
        if self._gone or now - self._drawn_at < _PERIOD:
            return
        self._drawn_at = now
        head = Text(line_of(elapsed_s, self._duration, events, lost), no_wrap=True)
        try:
            self._console.size = ConsoleDimensions(*size_of(self._stream))
            self._draw(Group(head, *self._parts()))
        except (OSError, ValueError):  # the terminal is gone: the run goes on without a view
            self._gone, self._live = True, None

    def hide(self) -> None:
        """Take the view off the terminal; the next `update` draws it again."""
        live, self._live = self._live, None
        self._drawn_at = float("-inf")
        if live is not None:
            try:
                live.stop()
            except (OSError, ValueError):
                self._gone = True

    def _draw(self, content: RenderableType) -> None:
        if self._live is None:
            self._live = Live(
                console=self._console,
                auto_refresh=False,  # no thread: the run's loop draws
                transient=True,
                redirect_stdout=False,
                redirect_stderr=False,
                vertical_overflow="crop",
            )
            self._live.start()
            self._console.show_cursor(True)  # or a killed run would leave it hidden
        self._live.update(content, refresh=True)

    def _parts(self) -> Iterator[RenderableType]:
        if self._look is None:
            return
        looked = self._look()
        units = units_of(looked.metrics, looked.derived["display_units"] if looked.derived else {})
        yield from warning_lines(looked.warnings, units)
        if looked.derived is not None:
            yield derived_table(looked.derived)
        parts = max(1, len(looked.metrics) + len(looked.outstanding))
        room = max(3, (self._console.height - 6) // parts - 6)
        drawing = Drawing(self._console, cells=min(20, room), blocks=1, rows=min(24, room))
        for metric in looked.metrics:
            yield from drawing.metric(metric, looked.warnings)
        for held in looked.outstanding:
            yield from drawing.outstanding(held)
