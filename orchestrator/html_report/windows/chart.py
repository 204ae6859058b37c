"""Windows for charts: a heat map where there are several keys or buckets, a line where there is
one number a window."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orchestrator.html_report.histogram_data import layout_of, lower_edge
from orchestrator.html_report.markup import clean_value
from orchestrator.html_report.windows.series import WindowAmounts, WindowSeries
from orchestrator.output.terminal.human_units import choose_unit, format_amount

__all__ = ["MOST_ROWS", "Chart", "chart_line", "chart_windows", "list_points"]
__all__ += ["make_bucket_rows"]

#: Rows of a heat map, at most.
MOST_ROWS = 40

Chart = dict[str, Any]
RowOf = Callable[[Any], Any]


def chart_windows(metric: Mapping[str, Any], series: WindowSeries) -> Chart | None:
    """The chart of a metric's windows; None where there are fewer than two, or they are of another
    kind of metric than the result's."""
    if len(series.columns) < 2 or series.kind != metric["kind"]:
        return None
    unit = choose_unit(metric)
    if series.is_histogram:
        return _chart_buckets(metric, series, unit)
    keys = series.keys_by_weight()
    if len(keys) == 1:
        return chart_line(series, unit if metric["kind"] != "count" else "")
    shown = keys[:MOST_ROWS]
    return {
        **_describe(series, unit if metric["kind"] != "count" else ""),
        "form": "heat",
        "rows": [clean_value(str(key)) for key in reversed(shown)],
        "points": list_points(_amounts(series), list(reversed(shown)), lambda key: key),
        "rowsOmitted": len(keys) - len(shown),
    }


def chart_line(series: WindowSeries, unit: str) -> Chart | None:
    """One number a window; None where there are fewer than two."""
    if len(series.columns) < 2:
        return None
    values = [next(iter(column.amounts.values()), None) for column in series.columns]
    numbers = [None if value is None else value.number for value in values]
    return {**_describe(series, unit), "form": "line", "values": numbers}


def _describe(series: WindowSeries, unit: str) -> Chart:
    return {
        "unit": clean_value(unit),
        "starts": [clean_value(column.start) for column in series.columns],
        "perColumn": series.per_column,
        "cellsOmitted": series.cells_omitted,
        "rowsOmitted": 0,
    }


def _chart_buckets(metric: Mapping[str, Any], series: WindowSeries, unit: str) -> Chart:
    windows = _amounts(series)
    labels, row_of = make_bucket_rows(metric, windows, unit)
    return {
        **_describe(series, ""),
        "form": "heat",
        "rows": labels,
        "points": list_points(windows, range(len(labels)), row_of),
    }


def _amounts(series: WindowSeries) -> list[WindowAmounts]:
    return [column.amounts for column in series.columns]


def make_bucket_rows(
    metric: Mapping[str, Any], windows: Sequence[WindowAmounts], unit: str, most: int = MOST_ROWS
) -> tuple[list[str], RowOf]:
    """Buckets as rows, the largest values on top: their labels, and the row of each edge.
    Neighbours are joined where there are more than `most`."""
    layout = layout_of(metric)
    edges = sorted({edge for amounts in windows for edge in amounts})
    groups = _group(edges, most)
    row_of = {edge: number for number, group in enumerate(groups) for edge in group}
    labels = [
        f"{format_amount(lower_edge(layout, group[0]), unit)} to {format_amount(group[-1], unit)}"
        for group in groups
    ]
    return [clean_value(label) for label in labels], row_of.__getitem__


def _group(edges: Sequence[int], most: int) -> list[Sequence[int]]:
    size = -(-len(edges) // most) or 1
    return [edges[start : start + size] for start in range(0, len(edges), size)]


def list_points(
    windows: Sequence[WindowAmounts], rows: Sequence[Any], row_of: RowOf
) -> list[tuple[int, int, float]]:
    """Column, row and number of each place that has one."""
    places = {row: number for number, row in enumerate(rows)}
    points: list[tuple[int, int, float]] = []
    for number, amounts in enumerate(windows):
        sums: dict[int, float] = {}
        for key, amount in amounts.items():
            place = places.get(row_of(key))
            if place is not None:
                sums[place] = sums.get(place, 0) + amount.number
        points.extend((number, place, value) for place, value in sorted(sums.items()))
    return points
