"""The live view: the state and the metrics of a run, redrawn in place once a second.

It overwrites its own lines, on a terminal's standard error, and disappears when the run is over:
the summary replaces it. Imports rich (23 ms).
"""

import time
from collections.abc import Callable, Iterator, Sequence
from typing import Protocol, TextIO

from rich.console import Console, ConsoleDimensions, Group, RenderableType
from rich.live import Live
from rich.text import Text

from orchestrator.accounting.count import Count
from orchestrator.compile.program import Program
from orchestrator.output.log import LogRecord
from orchestrator.output.terminal.addresses import (
    AddressKeys,
    list_address_keys,
    show_addresses,
)
from orchestrator.output.terminal.human_units import collect_units
from orchestrator.output.terminal.progress import format_progress, measure_terminal
from orchestrator.output.terminal.tables import Drawing, draw_figures, format_warnings

__all__ = ["LiveView"]

_PERIOD = 1.0
_FIGURE_CELLS = 5  # of each figure that is computed by key


class MetricsSoFar(Protocol):
    """What was counted so far, as records of the log."""

    @property
    def metrics(self) -> Sequence[LogRecord]: ...
    @property
    def derived(self) -> LogRecord | None: ...
    @property
    def warnings(self) -> Sequence[LogRecord]: ...
    @property
    def outstanding(self) -> Sequence[LogRecord]: ...


class LiveView:
    """The view of one run. `duration_s`: its duration, None if unlimited; `stream`: standard error,
    a terminal."""

    def __init__(self, duration_s: float | None, stream: TextIO) -> None:
        self._duration = duration_s
        self._stream = stream
        self._console = Console(file=stream, highlight=False, markup=False, emoji=False)
        self._look: Callable[[], MetricsSoFar] | None = None
        self._addresses: AddressKeys = {}
        self._live: Live | None = None
        self._drawn_at = float("-inf")
        self._gone = False

    def announce(self, text: str) -> None:
        """Show what takes a while before the first `update`."""
        self._show(Text(text, no_wrap=True))

    def follow(self, look: Callable[[], MetricsSoFar], program: Program) -> None:
        """From now on read the metrics of `program` with `look`."""
        self._look, self._addresses = look, list_address_keys(program)

    def update(self, elapsed_s: float, events: int, lost: Count) -> None:
        """Draw the state, at most once a second: seconds since the start, records delivered,
        records lost, and the metrics as of now."""
        now = time.monotonic()
        if self._gone or now - self._drawn_at < _PERIOD:
            return
        self._drawn_at = now
        head = Text(format_progress(elapsed_s, self._duration, events, lost), no_wrap=True)
        self._show(head, self._parts)

    def _show(
        self, head: Text, parts: Callable[[], Iterator[RenderableType]] = lambda: iter(())
    ) -> None:
        if self._gone:
            return
        try:
            self._console.size = ConsoleDimensions(*measure_terminal(self._stream))
            self._draw(Group(head, *parts()))
        except (OSError, ValueError):  # the terminal is gone: the run goes on without a view
            self._gone, self._live = True, None

    def hide(self) -> None:
        """Remove the view from the terminal; the next `update` draws it again."""
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
        so_far = self._look()
        units = collect_units(
            so_far.metrics, so_far.derived["display_units"] if so_far.derived else {}
        )
        warnings = [show_addresses(warning, self._addresses) for warning in so_far.warnings]
        yield from format_warnings(warnings, units)
        if so_far.derived is not None:
            yield from draw_figures(so_far.derived, most=_FIGURE_CELLS)
        parts = max(1, len(so_far.metrics) + len(so_far.outstanding))
        room = max(3, (self._console.height - 6) // parts - 6)
        drawing = Drawing(self._console, cells=min(20, room), blocks=1, rows=min(24, room))
        for metric in so_far.metrics:
            yield from drawing.draw_metric(show_addresses(metric, self._addresses), warnings)
        for held in so_far.outstanding:
            yield from drawing.draw_outstanding(show_addresses(held, self._addresses))
