"""Windows of several runs on one axis: the time since each began.

Windows need not be as long in all runs, and long runs have several in one column. The axis has
columns of one width, and a window is drawn in the column of its middle.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from math import ceil
from statistics import median
from typing import Any, NamedTuple

from orchestrator.html_report.markup import clean_value
from orchestrator.html_report.windows.chart import Chart, list_points, make_bucket_rows
from orchestrator.html_report.windows.series import (
    WindowAmounts,
    WindowSeries,
    join_amounts,
    order_by_weight,
)
from orchestrator.output.terminal.human_units import choose_unit, format_amount

__all__ = ["RunWindows", "compare_lines", "compare_windows", "read_moment"]

#: Of the axis, and of each run.
_MOST_COLUMNS, _MOST_ROWS = 120, 24
#: Windows of one length differ by less.
_SAME_LENGTH = 0.05


class RunWindows(NamedTuple):
    """The windows of one metric in one run. `name`: of the run; `began`: when, in seconds since
    1970; `series`: None where it has none."""

    name: str
    began: float
    series: WindowSeries | None


class _Axis(NamedTuple):
    """`width`: of a column, in seconds; `columns`: how many there are; `is_uneven`: the windows of
    the runs are not as long."""

    width: float
    columns: int
    is_uneven: bool

    @property
    def labels(self) -> list[str]:
        """When each column begins, since the run did."""
        later = range(1, self.columns)
        return ["0 s", *(f"+{format_amount(at * self.width * 1e9, 'ns')}" for at in later)]


class _TimedAmounts(NamedTuple):
    """One window, or several, in seconds since the run began."""

    start: float
    end: float
    amounts: WindowAmounts


def read_moment(text: str) -> float:
    """Seconds since 1970 of an RFC 3339 time. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def compare_windows(metric: Mapping[str, Any], runs: Sequence[RunWindows]) -> Chart | None:
    """The chart of a metric's windows: a heat map for each run, one above the other, or where all
    have one and the same key a line for each. None where no run has two windows."""
    laid = _lay_out(metric["kind"], runs)
    if laid is None:
        return None
    axis, rows = laid
    unit = choose_unit(metric)
    windows = [amounts for row in rows.values() for amounts in row]
    if metric["kind"] == "histogram":
        labels, row_of = make_bucket_rows(metric, windows, unit, _MOST_ROWS)
        points = {name: list_points(row, range(len(labels)), row_of) for name, row in rows.items()}
        return _make_heat_maps(axis, runs, "", labels, points)
    own_unit = "" if metric["kind"] == "count" else unit
    keys = order_by_weight(windows)
    if len(keys) <= 1:
        return _make_lines(axis, runs, own_unit, rows)
    shown = keys[:_MOST_ROWS][::-1]
    points = {name: list_points(row, shown, lambda key: key) for name, row in rows.items()}
    labels = [clean_value(str(key)) for key in shown]
    chart = _make_heat_maps(axis, runs, own_unit, labels, points)
    return {**chart, "rowsOmitted": len(keys) - len(shown)}


def compare_lines(unit: str, runs: Sequence[RunWindows]) -> Chart | None:
    """The chart of one number a window, such as a figure; None where no run has two windows."""
    laid = _lay_out("avg", runs)
    return None if laid is None else _make_lines(laid[0], runs, unit, laid[1])


def _lay_out(
    kind: str, runs: Sequence[RunWindows]
) -> tuple[_Axis, dict[str, list[WindowAmounts]]] | None:
    """The axis, and by run what it has in each column."""
    spans = {
        run.name: _list_spans(run, run.series)
        for run in runs
        if run.series is not None and run.series.kind == kind
    }
    spans = {name: found for name, found in spans.items() if found}
    if not spans or max(map(len, spans.values())) < 2:
        return None
    axis = _make_axis(list(spans.values()))
    return axis, {name: _fill_columns(axis, kind, found) for name, found in spans.items()}


def _list_spans(run: RunWindows, series: WindowSeries) -> list[_TimedAmounts]:
    """Windows whose times cannot be read, or are of before the run, have no place."""
    spans: list[_TimedAmounts] = []
    for column in series.columns:
        try:
            start = read_moment(column.start) - run.began
            end = read_moment(column.end) - run.began
        except ValueError:
            continue
        if start + end >= 0 and start < end:
            spans.append(_TimedAmounts(start, end, column.amounts))
    return spans


def _make_axis(runs: Sequence[Sequence[_TimedAmounts]]) -> _Axis:
    lengths = [median(span.end - span.start for span in spans) for spans in runs]
    longest = max(lengths)
    last = max(span.end for spans in runs for span in spans)
    columns = max(1, ceil(last / longest - _SAME_LENGTH))
    joined = -(-columns // _MOST_COLUMNS)
    return _Axis(
        width=longest * joined,
        columns=-(-columns // joined),
        is_uneven=min(lengths) < longest * (1 - _SAME_LENGTH),
    )


def _fill_columns(axis: _Axis, kind: str, spans: Sequence[_TimedAmounts]) -> list[WindowAmounts]:
    columns: list[WindowAmounts] = [{} for _ in range(axis.columns)]
    for span in spans:
        at = min(int((span.start + span.end) / 2 / axis.width), axis.columns - 1)
        columns[at] = join_amounts(kind, columns[at], span.amounts)
    return columns


def _describe(axis: _Axis, runs: Sequence[RunWindows], unit: str) -> Chart:
    series = [run.series for run in runs if run.series is not None]
    return {
        "unit": clean_value(unit),
        "starts": axis.labels,
        "width": format_amount(axis.width * 1e9, "ns"),
        "uneven": axis.is_uneven,
        "cellsOmitted": sum(one.cells_omitted for one in series),
        "rowsOmitted": 0,
    }


def _make_heat_maps(
    axis: _Axis,
    runs: Sequence[RunWindows],
    unit: str,
    rows: Sequence[str],
    points: Mapping[str, Any],
) -> Chart:
    maps = [{"name": name, "points": found} for name, found in points.items()]
    return {**_describe(axis, runs, unit), "form": "heat", "rows": rows, "runs": maps}


def _make_lines(
    axis: _Axis,
    runs: Sequence[RunWindows],
    unit: str,
    rows: Mapping[str, Sequence[WindowAmounts]],
) -> Chart:
    lines = [
        {
            "name": name,
            "values": [
                next((amount.number for amount in amounts.values()), None) for amounts in columns
            ],
        }
        for name, columns in rows.items()
    ]
    return {**_describe(axis, runs, unit), "form": "line", "runs": lines}
