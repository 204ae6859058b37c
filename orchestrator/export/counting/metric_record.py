"""One metric.reported record: checked, and its cells as numbers that can be added."""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from orchestrator.cells.buckets import RELATIVE_ERROR
from orchestrator.export.names import OTHER, check_name, check_plan_name, label_keys
from orchestrator.export.snapshot import SeriesLabels
from orchestrator.fleet.histograms import find_layout
from orchestrator.fleet.sums import KINDS, CellNumbers, MetricName, find_reader

__all__ = ["ExportedMetric", "MetricRecord", "parse_metric_record"]

_UNITS = ("", "ns", "bytes")


class ExportedMetric(NamedTuple):
    """Which metric it is: records that differ in any of these are not added. `layout`: the buckets
    of a histogram; else empty."""

    plan: str
    probe: str
    metric: str
    kind: str
    unit: str
    layout: str


class MetricRecord(NamedTuple):
    """A record. `is_total`: its cells are of the run so far, not of a window. `cells`: labels of
    the key, and numbers; not all are different."""

    metric: ExportedMetric
    run_id: str
    is_total: bool
    cells: list[tuple[SeriesLabels, CellNumbers]]
    cells_omitted: int


def parse_metric_record(record: Mapping[str, Any]) -> MetricRecord:
    """Raises KeyError, TypeError, AttributeError or ValueError for what is none."""
    metric = _identify(record)
    run_id, is_total, omitted = record["run_id"], record["total"], record["cells_omitted"]
    if not (isinstance(run_id, str) and isinstance(is_total, bool) and type(omitted) is int):
        raise ValueError("run_id, total or cells_omitted is of another type")
    if not 0 <= omitted < 1 << 64:
        raise ValueError(f"{omitted!r:.60} is no count")
    cells = list(_read_cells(record["cells"], metric))
    return MetricRecord(metric, run_id, is_total, cells, omitted)


def _identify(record: Mapping[str, Any]) -> ExportedMetric:
    kind, unit = record["kind"], record["unit"]
    if kind not in (*KINDS, "histogram") or unit not in _UNITS:
        raise ValueError(f"{kind!r:.40} in {unit!r:.40} is no kind of metric")
    return ExportedMetric(
        plan=check_plan_name(record["plan"]),
        probe=check_name(record["probe"]),
        metric=check_name(record["metric"]),
        kind=kind,
        unit=unit,
        layout=_find_layout_name(record) if kind == "histogram" else "",
    )


def _find_layout_name(record: Mapping[str, Any]) -> str:
    """As the record says; in the log of an earlier version, as follows from its cells."""
    name = record.get("layout")
    if name is None and all(cell["relative_error"] == RELATIVE_ERROR for cell in record["cells"]):
        return "log(16)"
    layout = find_layout(name) if isinstance(name, str) else None
    if layout is None or layout.buckets is None:
        raise ValueError(f"{name!r:.60} is no layout of a histogram")
    return str(name)


def _read_cells(
    cells: list[Mapping[str, Any]], metric: ExportedMetric
) -> Iterator[tuple[SeriesLabels, CellNumbers]]:
    read = find_reader(
        MetricName(
            probe=metric.probe,
            metric=metric.metric,
            kind=metric.kind,
            unit=metric.unit,
            display_unit="",
            layout=metric.layout,
        )
    )
    for cell in cells:
        if "exact" in cell:
            raise ValueError("it is a cell of a merge")
        yield (OTHER,) if cell["other"] else label_keys(cell["key"]), read(cell)
