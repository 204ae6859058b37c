"""A snapshot in Prometheus's text formats, by prometheus_client."""

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby

from prometheus_client import Metric, generate_latest
from prometheus_client.registry import Collector
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
    if family.kind == "histogram":
        _add_histograms(metric, family, per_octave)
        return metric
    name = f"{family.name}_total" if family.kind == "counter" else family.name
    for sample in family.samples:
        assert not isinstance(sample.value, HistogramCounts)
        metric.add_sample(name, dict(sample.labels), sample.value / family.per_unit)
    return metric


def _add_histograms(metric: Metric, family: Family, per_octave: int) -> None:
    for buckets, histograms in _group_by_layout(family.samples):
        stops = choose_stops(buckets, (one for _, one in histograms), per_octave)
        edges = [_edge_text(buckets.upper_edge(stop) / family.per_unit) for stop in stops]
        for labels, histogram in histograms:
            sums = [*zip(edges, add_up(histogram, stops), strict=True), ("+Inf", histogram.count)]
            for edge, count in sums:
                metric.add_sample(f"{family.name}_bucket", {**dict(labels), "le": edge}, count)
            metric.add_sample(f"{family.name}_count", dict(labels), histogram.count)
            if (total := histogram.estimated_sum) is not None:
                metric.add_sample(f"{family.name}_sum", dict(labels), total / family.per_unit)


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
