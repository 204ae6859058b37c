"""Windows of several runs on one axis."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from orchestrator.html_report.windows.compared import (
    RunWindows,
    compare_lines,
    compare_windows,
    read_moment,
)
from orchestrator.html_report.windows.series import WindowSeries
from tests.support.report_runs import cell, make_metric, recorded_document

BEGAN = datetime(2026, 11, 27, 14, 30, tzinfo=UTC)
METRIC = make_metric("calls", [cell(1)])


def stamp(seconds: float) -> str:
    return (BEGAN + timedelta(seconds=seconds)).isoformat().replace("+00:00", "Z")


def series_of(
    *windows: list[dict[str, Any]], length: float = 1, kind: str = "count", late: float = 0
) -> WindowSeries:
    """A window of `length` seconds for each list of cells."""
    series = WindowSeries(kind)
    for number, cells in enumerate(windows):
        start = late + number * length
        window = {"start": stamp(start), "end": stamp(start + length)}
        series.add_metric({"window": window, "cells": cells, "cells_omitted": 0})
    return series


def run_of(name: str, series: WindowSeries | None, began: float = 0) -> RunWindows:
    return RunWindows(name, BEGAN.timestamp() + began, series)


def counts(*values: int) -> list[list[dict[str, Any]]]:
    return [[cell(value)] for value in values]


def values_of(chart: dict[str, Any] | None) -> dict[str, list[float | None]]:
    assert chart is not None
    return {run["name"]: run["values"] for run in chart["runs"]}


def test_windows_are_drawn_by_the_time_since_their_run_began() -> None:
    first = run_of("A", series_of(*counts(1, 2, 3)))
    second = run_of("B", series_of(*counts(4, 5, 6, 7), late=100), began=100)
    chart = compare_windows(METRIC, [first, second])
    assert values_of(chart) == {"A": [1, 2, 3, None], "B": [4, 5, 6, 7]}
    assert chart is not None
    assert (chart["form"], chart["starts"], chart["width"]) == (
        "line", ["0 s", "+1 s", "+2 s", "+3 s"], "1 s",
    )  # fmt: skip
    assert not chart["uneven"]


def test_windows_that_are_not_as_long_are_joined_to_columns_of_the_longest() -> None:
    short = run_of("A", series_of(*counts(1, 2, 3, 4)))
    long = run_of("B", series_of(*counts(10, 20), length=2))
    chart = compare_windows(METRIC, [short, long])
    assert values_of(chart) == {"A": [3, 7], "B": [10, 20]}
    assert chart is not None
    assert (chart["uneven"], chart["width"]) == (True, "2 s")


@pytest.mark.parametrize(
    ("kind", "expected"), [("min", [1, 3]), ("max", [2, 4]), ("avg", [1.5, 3.5])]
)
def test_joined_windows_have_the_kinds_number(kind: str, expected: list[float]) -> None:
    short = run_of("A", series_of(*counts(1, 2, 3, 4), kind=kind))
    long = run_of("B", series_of(*counts(0, 0), length=2, kind=kind))
    chart = compare_windows(make_metric("calls", [cell(1)], kind), [short, long])
    assert values_of(chart)["A"] == expected


def test_windows_that_begin_a_little_late_stay_in_their_columns() -> None:
    late = run_of("A", series_of(*counts(1, 2, 3), late=0.3))
    chart = compare_windows(METRIC, [late, run_of("B", series_of(*counts(4, 5, 6)))])
    assert values_of(chart) == {"A": [1, 2, 3, None], "B": [4, 5, 6, None]}


def test_long_runs_have_a_bounded_number_of_columns_and_lose_no_count() -> None:
    series = series_of(*counts(*[1] * 1000))
    chart = compare_windows(METRIC, [run_of("A", series), run_of("B", series_of(*counts(1, 1)))])
    values = values_of(chart)
    assert len(values["A"]) <= 120
    assert sum(value or 0 for value in values["A"]) == 1000
    assert values["B"][0] == 2


def test_keys_are_rows_of_a_heat_map_for_each_run() -> None:
    first = series_of([cell(5, comm="a"), cell(1, comm="b")], [cell(2, comm="a")])
    second = series_of([cell(9, comm="c")], [cell(3, comm="b")])
    chart = compare_windows(METRIC, [run_of("A", first), run_of("B", second)])
    assert chart is not None
    assert (chart["form"], chart["rows"]) == ("heat", ["b", "a", "c"])
    assert chart["runs"] == [
        {"name": "A", "points": [(0, 0, 1), (0, 1, 5), (1, 1, 2)]},
        {"name": "B", "points": [(0, 2, 9), (1, 0, 3)]},
    ]


def test_keys_beyond_the_rows_are_counted() -> None:
    cells = [cell(number + 1, comm=f"c{number}") for number in range(30)]
    series = series_of(cells, cells)
    chart = compare_windows(METRIC, [run_of("A", series), run_of("B", series)])
    assert chart is not None
    assert (len(chart["rows"]), chart["rowsOmitted"], chart["rows"][-1]) == (24, 6, "c29")


def test_buckets_of_all_runs_are_the_rows() -> None:
    [metric] = [one for one in recorded_document()["metrics"] if one["metric"] == "latency"]
    whole = metric["cells"][0]
    half = {**whole, "buckets": whole["buckets"][: len(whole["buckets"]) // 2]}
    series = [series_of([one], [one], kind="histogram") for one in (whole, half)]
    chart = compare_windows(metric, [run_of("A", series[0]), run_of("B", series[1])])
    assert chart is not None
    sums = [
        sum(value for column, _, value in run["points"] if column == 0) for run in chart["runs"]
    ]
    assert sums == [sum(count for _, count in one["buckets"]) for one in (whole, half)]
    assert 0 < len(chart["rows"]) <= 24


def test_a_run_without_windows_of_the_metric_is_left_out() -> None:
    runs = [
        run_of("A", None),
        run_of("B", series_of(*counts(1, 2))),
        run_of("C", series_of(*counts(1, 2), kind="sum")),
    ]
    assert list(values_of(compare_windows(METRIC, runs))) == ["B"]


def test_there_is_no_chart_of_a_single_window() -> None:
    runs = [run_of("A", series_of(*counts(1))), run_of("B", series_of(*counts(1)))]
    assert compare_windows(METRIC, runs) is None
    assert compare_lines("ns", runs) is None


def test_times_that_cannot_be_read_or_are_of_before_the_run_have_no_place() -> None:
    series = series_of(*counts(1, 2, 3))
    series.columns.append(series.columns[0]._replace(start="soon"))
    series.columns.append(series.columns[0]._replace(start=stamp(-9), end=stamp(-8)))
    series.columns.append(series.columns[0]._replace(start=stamp(2), end=stamp(1)))
    assert values_of(compare_windows(METRIC, [run_of("A", series)])) == {"A": [1, 2, 3]}


def test_figures_are_lines() -> None:
    series = WindowSeries("avg")
    for number, value in enumerate((1.5, None, 2.5)):
        series.add_value({"start": stamp(number), "end": stamp(number + 1)}, value)
    chart = compare_lines("ms", [run_of("A", series)])
    assert values_of(chart) == {"A": [1.5, None, 2.5]}
    assert chart is not None
    assert chart["unit"] == "ms"


def test_times_have_nanoseconds_and_are_of_utc() -> None:
    assert read_moment("2026-11-27T14:30:00.250000999Z") == BEGAN.timestamp() + 0.25
    assert read_moment("2026-11-27T14:30:00") == BEGAN.timestamp()
    with pytest.raises(ValueError, match="soon"):
        read_moment("soon")
