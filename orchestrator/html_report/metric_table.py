"""The cells of a metric as rows of a table, for people and for charts."""

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.html_report.cell_text import OTHER, key_column
from orchestrator.html_report.markup import clean_value
from orchestrator.output.terminal.human_units import choose_unit
from orchestrator.values import dataclass

__all__ = ["MetricTable", "TableColumn", "describe_kind", "make_table", "metric_title"]

_PERCENTILES = ("p50", "p90", "p99", "p99.9")
_ADDITIVE = ("count", "sum")


@dataclass(frozen=True, slots=True, kw_only=True)
class TableColumn:
    """A column. `unit`: of its numbers, as `format_amount` takes it; None: a key. `form`: `share`
    (of a whole), `change` (a difference), `ratio`, or "" for the numbers themselves."""

    name: str
    unit: str | None = None
    form: str = ""

    def as_json(self) -> dict[str, Any]:
        """For the page's script."""
        form = "key" if self.unit is None else self.form or "number"
        return {"name": clean_value(self.name), "form": form, "unit": clean_value(self.unit or "")}


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricTable:
    """A row for each cell, in their order; `sort`: the column that they are ordered by."""

    columns: Sequence[TableColumn]
    rows: Sequence[Sequence[Any]]
    sort: int


def metric_title(metric: Mapping[str, Any]) -> str:
    """PROBE.METRIC."""
    return f"{metric['probe']}.{metric['metric']}"


def describe_kind(metric: Mapping[str, Any]) -> str:
    """Its kind, and whether its numbers are estimates."""
    sampled = metric.get("sample", 1)
    kind = str(metric["kind"])
    if sampled > 1:
        return f"{kind}, estimated from 1 in {sampled:,}"
    return f"{kind}, estimated" if metric.get("estimated") else kind


def make_table(metric: Mapping[str, Any]) -> MetricTable:
    """All cells of a metric, in its order."""
    cells = metric["cells"]
    keys = list(dict.fromkeys(name for cell in cells for name in cell["key"]))
    values = _value_columns(metric)
    columns = [TableColumn(name=name) for name in keys] + [column for column, _ in values]
    rows = [
        [*_key_cells(cell, keys), *(clean_value(read(cell)) for _, read in values)]
        for cell in cells
    ]
    return MetricTable(columns=columns, rows=rows, sort=len(keys))


def _key_cells(cell: Mapping[str, Any], keys: Sequence[str]) -> list[Any]:
    if cell["other"]:
        return [OTHER, *[""] * (len(keys) - 1)][: len(keys)]
    return [clean_value(key_column(cell["key"].get(key, ""))) for key in keys]


def _value_columns(metric: Mapping[str, Any]) -> list[tuple[TableColumn, Any]]:
    """The columns of values, each with what reads it from a cell."""
    unit = choose_unit(metric)
    match metric["kind"]:
        case "histogram":
            return _histogram_columns(metric, unit)
        case "count":
            return [_field("value", "count", ""), *_share_column(metric)]
        case "sum":
            return [
                _field("value", "sum", unit),
                *_share_column(metric),
                _field("count", "values", ""),
            ]
        case "avg":
            return [
                _field("value", "average", unit),
                _field("sum", "sum", unit),
                _field("count", "values", ""),
            ]
    return [_field("value", str(metric["kind"]), unit)]


def _field(name: str, title: str, unit: str) -> tuple[TableColumn, Any]:
    return TableColumn(name=title, unit=unit), lambda cell: cell.get(name)


def _histogram_columns(metric: Mapping[str, Any], unit: str) -> list[tuple[TableColumn, Any]]:
    outside = [
        _field(name, f"{name} all buckets", "")
        for name in ("below", "above")
        if any(cell[name] for cell in metric["cells"])
    ]
    percentiles = [
        (TableColumn(name=name, unit=unit), lambda cell, name=name: cell["percentiles"].get(name))
        for name in _PERCENTILES
    ]
    return [_field("count", "count", ""), *percentiles, *outside]


def _share_column(metric: Mapping[str, Any]) -> list[tuple[TableColumn, Any]]:
    """Each cell's part of the total, where that means something."""
    values = [cell["value"] for cell in metric["cells"]]
    if metric["kind"] not in _ADDITIVE or len(values) < 2:
        return []
    if any(value is None or value < 0 for value in values) or not sum(values):
        return []
    total = sum(values)
    column = TableColumn(name="share", unit="", form="share")
    return [(column, lambda cell: round(cell["value"] / total, 5))]
