"""A snapshot in Prometheus's text formats, by prometheus_client."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import cast

from prometheus_client import Metric, generate_latest
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample as Shown
from prometheus_client.utils import floatToGoString

from orchestrator.cells.buckets import Buckets
from orchestrator.export.prometheus.ladder import add_up, choose_stops
from orchestrator.export.snapshot import Family, HistogramCounts, Sample, SeriesLabels, Snapshot

__all__ = ["SnapshotCollector", "render_text"]

_Histogram = tuple[SeriesLabels, HistogramCounts]


class SnapshotCollector(Collector):
    """Gives prometheus_client the snapshot that `take` returns, one family after the other."""

    def __init__(self, take: Callable[[], Snapshot], per_octave: int) -> None:
        self._take, self._per_octave = take, per_octave

    def collect(self) -> Iterator[Metric]:
        """All families, as they are when this is called."""
        for family in self._take().families:
            yield make_metric(family, self._per_octave)


def render_text(snapshot: Snapshot, per_octave: int) -> bytes:
    """The text format without timestamps, as files for node_exporter have it."""
    return generate_latest(SnapshotCollector(lambda: snapshot, per_octave))


def make_metric(family: Family, per_octave: int) -> Metric:
    """One family in base units. Histograms have `le` at `per_octave` edges in each octave."""
    metric = Metric(family.name, family.help, family.kind)
    metric.samples = cast("list[Shown]", _ShownSamples(family, per_octave))
    return metric


class _ShownSamples:
    """The samples of a family, made one after the other whenever they are read: those of histograms
    are many, and writing them as text needs one at a time."""

    def __init__(self, family: Family, per_octave: int) -> None:
        self._family, self._per_octave = family, per_octave

    def __iter__(self) -> Iterator[Shown]:
        family = self._family
        if family.kind == "histogram":
            yield from _show_histograms(family, self._per_octave)
            return
        name = f"{family.name}_total" if family.kind == "counter" else family.name
        for sample in family.samples:
            assert not isinstance(sample.value, HistogramCounts)
            yield Shown(name, dict(sample.labels), sample.value / family.per_unit)


def _show_histograms(family: Family, per_octave: int) -> Iterator[Shown]:
    for buckets, histograms in _group_by_layout(family.samples):
        stops = choose_stops(buckets, (one for _, one in histograms), per_octave)
        edges = [_edge_text(buckets.upper_edge(stop) / family.per_unit) for stop in stops]
        for labels, histogram in histograms:
            names, count = dict(labels), histogram.count
            sums = zip((*edges, "+Inf"), (*add_up(histogram, stops), count), strict=True)
            for edge, up_to_edge in sums:
                yield Shown(f"{family.name}_bucket", {**names, "le": edge}, up_to_edge)
            yield Shown(f"{family.name}_count", names, count)
            if (total := histogram.estimated_sum) is not None:
                yield Shown(f"{family.name}_sum", names, total / family.per_unit)


def _edge_text(edge: float) -> str:
    text: str = floatToGoString(edge)  # type: ignore[no-untyped-call]
    return text


def _group_by_layout(samples: Sequence[Sample]) -> Iterator[tuple[Buckets, list[_Histogram]]]:
    """Histograms of one layout together: their edges are the same."""
    found = [(labels, one) for labels, one in samples if isinstance(one, HistogramCounts)]
    found.sort(key=lambda pair: _layout_of(pair[1]))
    for _, group in groupby(found, key=lambda pair: _layout_of(pair[1])):
        same = list(group)
        yield same[0][1].buckets, same


def _layout_of(histogram: HistogramCounts) -> tuple[str, int, int, int]:
    buckets = histogram.buckets
    return buckets.kind, buckets.low, buckets.high, buckets.step
