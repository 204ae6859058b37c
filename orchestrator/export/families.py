"""The accumulated cells of metrics, and the gauges of plans, as families of series."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache
from itertools import chain, count

from orchestrator.cells.buckets import Buckets
from orchestrator.export.counting.accumulation import MetricAccumulation
from orchestrator.export.counting.latest_gauges import PlanGauge
from orchestrator.export.counting.metric_record import ExportedMetric
from orchestrator.export.names import join_labels, name_family
from orchestrator.export.own_families import OWN_FAMILIES
from orchestrator.export.snapshot import Family, FamilyKind, HistogramCounts, Sample, SeriesLabels
from orchestrator.fleet.histograms import find_layout
from orchestrator.fleet.sums import CellSum
from orchestrator.values import dataclass

__all__ = ["list_plan_families"]

_Value = Callable[[CellSum], int | HistogramCounts | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class _FamilyPart:
    """One family that a metric has. `part`: as in name_family; `value` of a cell, None: none."""

    kind: FamilyKind
    help: str
    value: _Value
    part: str = ""
    has_unit: bool = True


_SUM_OF_AVERAGE = _FamilyPart(
    kind="counter", help="the values' sum", value=lambda cell: cell.sum, part="sum"
)
_PARTS: Mapping[str, tuple[_FamilyPart, ...]] = {
    "count": (
        _FamilyPart(kind="counter", help="events", value=lambda cell: cell.events, has_unit=False),
    ),
    "sum": (_FamilyPart(kind="counter", help="the values' sum", value=lambda cell: cell.sum),),
    "avg": (
        _SUM_OF_AVERAGE,
        _FamilyPart(
            kind="counter",
            help="values",
            value=lambda cell: cell.events,
            part="count",
            has_unit=False,
        ),
    ),
    "min": (
        _FamilyPart(
            kind="gauge",
            help="the least value in the latest run",
            value=lambda cell: cell.min,
            part="min",
        ),
    ),
    "max": (
        _FamilyPart(
            kind="gauge",
            help="the largest value in the latest run",
            value=lambda cell: cell.max,
            part="max",
        ),
    ),
}


def list_plan_families(
    metrics: Iterable[MetricAccumulation], gauges: Iterable[PlanGauge]
) -> Iterator[Family]:
    """All of them, by name. Metrics of the same name share a family, with the labels `plan` and
    `probe`, if they have the same kind and are of different probes; else the name of the later one
    is longer. So it is with gauges of plans, which have no probe."""
    families: dict[str, Family] = {}
    samples: dict[str, list[Sample]] = {}
    taken: set[tuple[str, str, str]] = set()
    for metric in metrics:
        for part in _parts_of(metric):
            identity = metric.metric
            wanted = _make_family(identity, part)
            name = _claim_name(families, taken, wanted, (identity.plan, identity.probe))
            samples.setdefault(name, []).extend(_samples(metric, part))
    for gauge in gauges:
        name = _claim_name(families, taken, _make_gauge_family(gauge), (gauge.plan, ""))
        samples.setdefault(name, []).extend(_gauge_samples(gauge))
    for name in sorted(families):
        yield replace(families[name], samples=tuple(samples[name]))


def _parts_of(metric: MetricAccumulation) -> Iterator[_FamilyPart]:
    if metric.metric.kind == "histogram":
        layout = metric.metric.layout
        yield _FamilyPart(
            kind="histogram", help="values", value=lambda cell: _histogram(cell, layout)
        )
        return
    for part in _PARTS[metric.metric.kind]:
        if metric.shrinks and "sum" in part.help:
            yield _FamilyPart(kind="gauge", help=part.help, value=part.value, part="net")
        else:
            yield part


def _make_family(metric: ExportedMetric, part: _FamilyPart) -> Family:
    name, unit, per_unit = name_family(
        metric.metric, metric.unit, part=part.part, has_unit=part.has_unit
    )
    # The same for all plans: files for node_exporter must not differ in it.
    text = f"Metric {metric.metric} of plans: {part.help}."
    return Family(name=name, kind=part.kind, help=text, unit=unit, per_unit=per_unit)


def _make_gauge_family(gauge: PlanGauge) -> Family:
    name, unit, per_unit = gauge.family
    return Family(name=name, kind="gauge", help=gauge.help, unit=unit, per_unit=per_unit)


def _gauge_samples(gauge: PlanGauge) -> Iterator[Sample]:
    for labels, value in gauge.values.items():
        yield Sample(join_labels(labels, (("plan", gauge.plan),)), value)


def _claim_name(
    families: dict[str, Family],
    taken: set[tuple[str, str, str]],
    wanted: Family,
    owner: tuple[str, str],
) -> str:
    """The name of a family of this kind, new or not, in which `owner`, a plan's probe, has no
    series yet."""
    longer = (f"{wanted.name}_{number}" for number in count(2))
    for name in chain((wanted.name, f"{wanted.name}_{wanted.kind}"), longer):
        there = families.get(name)
        place = (name, *owner)
        if name in OWN_FAMILIES or place in taken or (there and there.kind != wanted.kind):
            continue
        if there is None:
            families[name] = replace(wanted, name=name)
        taken.add(place)
        break
    return name


def _samples(metric: MetricAccumulation, part: _FamilyPart) -> Iterator[Sample]:
    whose: SeriesLabels = (("plan", metric.metric.plan), ("probe", metric.metric.probe))
    for labels, cell in metric.cells.items():
        value = part.value(cell)
        if value is not None:
            yield Sample(join_labels(labels, whose), value)


def _histogram(cell: CellSum, layout: str) -> HistogramCounts:
    buckets, indexes = _index_edges(layout)
    counts = {indexes[edge]: cell.buckets[edge] for edge in sorted(cell.buckets)}
    return HistogramCounts(buckets=buckets, counts=counts, below=cell.below, above=cell.above)


@lru_cache(maxsize=256)
def _index_edges(layout: str) -> tuple[Buckets, "_Indexes"]:
    found = find_layout(layout)
    assert found is not None, "checked when the record was read"
    assert found.buckets is not None, "the same"
    return found.buckets, _Indexes(found.buckets)


class _Indexes(dict[int, int]):
    """Upper edges to indexes, each computed once."""

    def __init__(self, buckets: Buckets) -> None:
        super().__init__()
        self._buckets = buckets

    def __missing__(self, edge: int) -> int:
        index = self[edge] = self._buckets.index(edge)
        return index
