import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.html_report.windows.series import MOST_COLUMNS, WindowSeries

WINDOW = {"start": "2026-11-27T14:30:00.000000000Z", "end": "2026-11-27T14:30:01.000000000Z"}


def record(*values: int) -> dict[str, object]:
    cells = [
        {"key": {"comm": str(number)}, "other": False, "value": value, "count": 1}
        for number, value in enumerate(values)
    ]
    return {"cells": cells, "cells_omitted": 1, "window": WINDOW}


def series_of(kind: str, values: list[int]) -> WindowSeries:
    series = WindowSeries(kind)
    for value in values:
        series.add_metric(record(value))
    return series


def numbers(series: WindowSeries) -> list[float]:
    return [amount.number for column in series.columns for amount in column.amounts.values()]


@given(st.integers(0, 5 * MOST_COLUMNS))
def test_joined_windows_lose_no_count(count: int) -> None:
    series = series_of("count", [1] * count)
    assert sum(numbers(series)) == series.windows == series.cells_omitted == count
    assert len(series.columns) <= MOST_COLUMNS + 1
    assert all(number <= series.per_column for number in numbers(series))


@pytest.mark.parametrize(("kind", "expected"), [("min", -3), ("max", 9), ("avg", 3)])
def test_joined_windows_have_the_kinds_number(kind: str, expected: float) -> None:
    series = series_of(kind, [3, -3, 9, 3] * MOST_COLUMNS)
    assert series.per_column >= 4
    assert numbers(series)[0] == expected


def test_keys_come_by_their_weight_over_all_windows() -> None:
    series = WindowSeries("count")
    series.add_metric(record(5, 1))
    series.add_metric(record(0, 9))
    assert series.keys_by_weight() == ["1", "0"]


def test_what_is_no_number_is_refused() -> None:
    with pytest.raises(TypeError):
        WindowSeries("count").add_metric(record("many"))  # type: ignore[arg-type]
