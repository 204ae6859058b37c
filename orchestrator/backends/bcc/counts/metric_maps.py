"""Cells of all metrics, from one pass over the ledger and the maps of metrics.

Maps of metrics that have to be of one moment are read one right after the other, and only then
parsed, which takes five times as long; every other map is parsed when it has been read. Each event
that changes a cell also counts in the ledger, so that two equal readings of the ledger around the
maps prove that no event was counted in between. A program counts in the ledger before it changes
the cell: of an event that a CPU is at just then, the cell may be without it.
"""

from collections.abc import Collection, Mapping, Sequence

from orchestrator.backends.bcc.counts.reading import (
    Entries,
    LedgerReader,
    MetricFeed,
    MetricReader,
    Rows,
    sum_word,
)
from orchestrator.backends.bcc.design import layout
from orchestrator.backends.bcc.handles.maps import Map
from orchestrator.backends.protocol import MetricsReading
from orchestrator.cells.cell import Cell
from orchestrator.compile.program import MetricSpec

__all__ = ["MetricMaps"]


class MetricMaps:
    """The metrics of a session; `feeds`: by metric, what feeds it."""

    def __init__(
        self,
        map_layout: layout.MapLayout,
        maps: Mapping[int, Map],
        ledger: LedgerReader,
        feeds: Mapping[int, Sequence[MetricFeed]],
    ) -> None:
        self._layout, self._maps, self._ledger, self._feeds = map_layout, maps, ledger, feeds

    def read(self, together: Collection[int]) -> MetricsReading:
        """All cells, and how many events the metrics `together` counted while they were read."""
        metrics = self._layout.program.metrics
        rows = self._ledger.read_rows()
        read_first = {
            placeholder: list(self._maps[placeholder].items())
            for spec in metrics
            for placeholder in (_maps_of(spec) if spec.index in together else ())
        }
        apart = self._count_events_since(rows, together)
        cells = {spec.index: self._make_cells(spec, rows, read_first) for spec in metrics}
        return MetricsReading(cells=cells, events_apart=apart)

    def clear(self) -> None:
        """Delete all cells; those in the ledger are not here."""
        for spec in self._layout.program.metrics:
            for placeholder in _maps_of(spec):
                self._maps[placeholder].clear()

    def _make_cells(
        self, spec: MetricSpec, rows: Sequence[Rows], read_first: Mapping[int, Entries]
    ) -> list[Cell]:
        entries: dict[int, Entries] = {
            placeholder: self._maps[placeholder].items()
            for placeholder in _maps_of(spec)
            if placeholder not in read_first
        }
        return MetricReader(
            self._layout, spec, {**read_first, **entries}, self._feeds[spec.index]
        ).make_cells(rows)

    def _count_events_since(self, before: Sequence[Rows], together: Collection[int]) -> int:
        """The most events that one of these metrics counted since the ledger was `before`. Metrics
        in a single element of the ledger, which is read as a whole, are of one moment."""
        if not together or self._is_one_element(together):
            return 0
        after = self._ledger.read_rows()
        return max(
            self._events(after, metric) - self._events(before, metric) for metric in together
        )

    def _events(self, rows: Sequence[Rows], metric: int) -> int:
        words = [
            (feed.element, word)
            for feed in self._feeds[metric]
            for word in (feed.counted, self._layout.metric_word(feed.number, "map_full"))
        ]
        return sum(sum_word(rows[element], word) for element, word in words)

    def _is_one_element(self, metrics: Collection[int]) -> bool:
        specs = [spec for spec in self._layout.program.metrics if spec.index in metrics]
        elements = {feed.element for metric in metrics for feed in self._feeds[metric]}
        return len(elements) == 1 and not any(_maps_of(spec) for spec in specs)


def _maps_of(spec: MetricSpec) -> list[int]:
    """The placeholders of a metric's maps; its other numbers are in the ledger."""
    keyed = [layout.keyed_map(spec)] if spec.key else []
    return keyed + ([layout.dense_map(spec)] if spec.kind == "histogram" else [])
