"""What a session has counted: cells of metrics, open spans, counters and stacks."""

from collections.abc import Callable, Collection, Mapping, Sequence

from orchestrator.backends.bcc.attach.hooks import Placed
from orchestrator.backends.bcc.counts.counting import Accounts
from orchestrator.backends.bcc.counts.reading import LedgerReader, MetricReader, open_spans_of
from orchestrator.backends.bcc.counts.stacks import StackReader
from orchestrator.backends.bcc.design import layout
from orchestrator.backends.bcc.design.maps import Map
from orchestrator.backends.protocol import Counts, OpenSpans, StackCounts
from orchestrator.cells.cell import Cell
from orchestrator.compile.program import SpanProgram
from orchestrator.symbols.frames import Stack

__all__ = ["Tally"]


class Tally:
    """All of it as of now; after `finish`, as of then, since the maps go. `armed` tells whether
    events still come."""

    def __init__(
        self, lay: layout.Layout, maps: Mapping[int, Map], armed: Callable[[], bool]
    ) -> None:
        self._layout, self._maps, self._armed = lay, maps, armed
        self._stacks: StackReader | None = None
        if lay.stack_depth:
            self._stacks = StackReader(maps[layout.STACKS], maps[layout.STACK_COUNTS])
        reader = LedgerReader(lay, maps[layout.LEDGER])
        self.accounts = Accounts(lay, reader, self._open_spans, self._stack_counts)
        self._metrics: Mapping[int, Sequence[Cell]] | None = None
        self._opened: dict[int, OpenSpans] = {}

    def metrics(self) -> Mapping[int, Sequence[Cell]]:
        """All cells by metric index."""
        if self._metrics is not None:
            return self._metrics
        lay, rows, fed = self._layout, self.accounts.reader.rows(), self.accounts.feeds
        return {
            spec.index: MetricReader(lay, spec, self._maps, fed[spec.index]).cells(rows)
            for spec in lay.program.metrics
        }

    def open_spans(self, span: int) -> OpenSpans:
        """The open spans of one kind."""
        if (found := self._opened.get(span)) is not None:
            return found
        one = self._layout.program.spans[span]
        return open_spans_of(one, self._maps[layout.span_map(one)].values())

    def counts(self, placed: Sequence[Placed]) -> Counts:
        """All counters."""
        return self.accounts.counts(placed)

    def new_stacks(self, numbers: Collection[int] | None) -> Sequence[Stack]:
        """Stacks with these numbers, or all, that were not asked for before; none any more after
        `finish`."""
        if self._stacks is None or self._metrics is not None:
            return ()
        return self._stacks.new(numbers)

    def finish(self, placed: Sequence[Placed]) -> None:
        """Look for the last time at what goes away with the maps and the hooks."""
        if self._metrics is None:
            self._metrics = self.metrics()
            spans = self._layout.program.spans
            self._opened = {one.index: self.open_spans(one.index) for one in spans}
            self.accounts.finish(placed)

    def _open_spans(self, span: SpanProgram) -> int | None:
        """What the map holds, which proves the accounts once they stand still; before that, a
        million of them would be counted at each look."""
        if self._armed():
            return None
        opened = self._maps[layout.span_map(span)]
        return len(opened.values()) // opened.value_bytes

    def _stack_counts(self) -> StackCounts | None:
        return None if self._stacks is None else self._stacks.counts()
