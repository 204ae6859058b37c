"""What a session has counted: cells of metrics, open spans, counters and stacks."""

from collections.abc import Callable, Collection, Mapping, Sequence

from orchestrator.backends.bcc.counts.counting import Accounts
from orchestrator.backends.bcc.counts.metric_maps import MetricMaps
from orchestrator.backends.bcc.counts.reading import LedgerReader, parse_open_spans
from orchestrator.backends.bcc.counts.stacks import StackReader
from orchestrator.backends.bcc.design import layout
from orchestrator.backends.bcc.handles.attachment import AttachedSide
from orchestrator.backends.bcc.handles.maps import Map
from orchestrator.backends.protocol import Counts, MetricsReading, OpenSpans, StackCounts
from orchestrator.cells.cell import Cell
from orchestrator.compile.program import NoteProgram, SpanProgram
from orchestrator.symbols.frames import Stack

__all__ = ["SessionCounters"]


class SessionCounters:
    """Everything as it is now; after `finish`, as it was then, since the maps go. `is_armed` says
    whether events may still come."""

    def __init__(
        self, map_layout: layout.MapLayout, maps: Mapping[int, Map], is_armed: Callable[[], bool]
    ) -> None:
        self.layout, self._maps, self._is_armed = map_layout, maps, is_armed
        self._stacks: StackReader | None = None
        if map_layout.stack_depth:
            self._stacks = StackReader(
                maps[layout.STACKS], maps[layout.STACK_COUNTS], map_layout.program.hooks
            )
        reader = LedgerReader(map_layout, maps[layout.LEDGER])
        self.accounts = Accounts(
            map_layout, reader, self._count_open, self._count_stacks, self._count_kept
        )
        self._metric_maps = MetricMaps(map_layout, maps, reader, self.accounts.feeds)
        self._final_metrics: Mapping[int, Sequence[Cell]] | None = None
        self._final_open: dict[int, OpenSpans] = {}

    def metrics(self) -> Mapping[int, Sequence[Cell]]:
        """All cells by metric index."""
        return self.metrics_together(()).cells

    def metrics_together(self, together: Collection[int]) -> MetricsReading:
        """All cells, and how many events the metrics `together` counted while they were read."""
        if self._final_metrics is not None:
            return MetricsReading(cells=self._final_metrics)
        return self._metric_maps.read(together)

    def open_spans(self, span: int) -> OpenSpans:
        """The open spans of one kind."""
        if (final := self._final_open.get(span)) is not None:
            return final
        program = self.layout.program.spans[span]
        return parse_open_spans(program, self._maps[layout.span_map(program)].values())

    def counts(self, sides: Sequence[AttachedSide]) -> Counts:
        """All counters. `sides` are those that are attached."""
        return self.accounts.counts(sides)

    def new_stacks(self, numbers: Collection[int] | None) -> Sequence[Stack]:
        """Stacks with these numbers, or all, that were not returned before; none after
        `finish`."""
        if self._stacks is None or self._final_metrics is not None:
            return ()
        return self._stacks.read_new(numbers)

    def finish(self, sides: Sequence[AttachedSide]) -> None:
        """Read for the last time what is lost with the maps and the attached `sides`."""
        if self._final_metrics is None:
            self._final_metrics = self.metrics()
            spans = self.layout.program.spans
            self._final_open = {span.index: self.open_spans(span.index) for span in spans}
            self.accounts.finish(sides)

    def clear(self) -> None:
        """Forget cells, open spans, notes and accounts; the ledger's words are the session's to
        write."""
        self._metric_maps.clear()
        for span in self.layout.program.spans:
            self._maps[layout.span_map(span)].clear()
        for note in self.layout.program.notes:
            self._maps[layout.note_map(note)].clear()
        for probe in self.layout.program.probes:
            if probe.once is not None:
                self._maps[layout.once_map(probe.index)].clear()
        self.accounts.forget()

    def _count_open(self, span: SpanProgram) -> int | None:
        """How many elements the map holds, which checks the accounts once nothing is recorded any
        more; None before that, since a million of them would be counted at each look."""
        return None if self._is_armed() else _count_elements(self._maps[layout.span_map(span)])

    def _count_kept(self, note: NoteProgram) -> int | None:
        """How many keys a note has, in the same way."""
        return None if self._is_armed() else _count_elements(self._maps[layout.note_map(note)])

    def _count_stacks(self) -> StackCounts | None:
        return None if self._stacks is None else self._stacks.counts()


def _count_elements(entries: Map) -> int:
    return len(entries.values()) // entries.value_bytes
