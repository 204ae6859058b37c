"""Cells of all metrics, from one pass over the ledger and the maps of metrics.

The maps are read one right after the other, and only then parsed, which takes ten times as long.
Every event that changes a cell also counts in the ledger, so that two equal readings of the ledger
around the maps prove that no event was counted in between. A program counts first and changes the
cell then: an event that a CPU is at just then may be in the ledger and not yet in a cell.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

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
        entries = self._read_maps(spec for spec in metrics if spec.index in together)
        apart = self._count_events_since(rows, together)
        entries |= self._read_maps(spec for spec in metrics if spec.index not in together)
        cells = {
            spec.index: MetricReader(
                self._layout, spec, entries, self._feeds[spec.index]
            ).make_cells(rows)
            for spec in metrics
        }
        return MetricsReading(cells=cells, events_apart=apart)

    def _read_maps(self, metrics: Iterable[MetricSpec]) -> dict[int, Entries]:
        return {
            placeholder: list(self._maps[placeholder].items())
            for spec in metrics
            for placeholder in _maps_of(spec)
        }

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
