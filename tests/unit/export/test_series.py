"""Records of runs become cumulative series: each event is counted once."""

import math
from collections.abc import Mapping
from typing import Any

import pytest

from orchestrator.export.series import SeriesStore
from orchestrator.export.snapshot import Family, HistogramCounts
from tests.support.export_records import (
    histogram_cell,
    metric_record,
    number_cell,
    record_of,
    run_of,
)


def store_of(*records: Mapping[str, Any], max_series: int = 1000) -> SeriesStore:
    store = SeriesStore(max_series)
    for record in records:
        store.accept(record)
    return store


def family(store: SeriesStore, name: str) -> Family:
    (found,) = [one for one in store.snapshot().families if one.name == f"probeplan_{name}"]
    return found


def values(store: SeriesStore, name: str, *names: str) -> dict[Any, Any]:
    """Values by those of these labels; one name: by its value alone."""
    found = {}
    for sample in family(store, name).samples:
        labels = dict(sample.labels)
        key = tuple(labels.get(name, "") for name in names)
        assert key not in found
        found[key if len(names) != 1 else key[0]] = sample.value
    return found


def test_windows_are_added_and_a_total_of_the_same_events_adds_nothing() -> None:
    store = store_of(
        record_of("run.started"),
        metric_record([number_cell(3, {"comm": "a"}), number_cell(1, {"comm": "b"})]),
        metric_record([number_cell(4, {"comm": "a"})]),
        metric_record([number_cell(7, {"comm": "a"}), number_cell(1, {"comm": "b"})], total=True),
        record_of("run.finished"),
    )
    assert values(store, "calls", "comm") == {"a": 7, "b": 1}


def test_a_run_without_windows_counts_its_totals() -> None:
    store = store_of(record_of("run.started"), metric_record([number_cell(7)], total=True))
    assert values(store, "calls", "plan", "probe") == {("p", "read"): 7}


def test_a_further_run_is_added() -> None:
    records = [metric_record([number_cell(5)]), metric_record([number_cell(5)], total=True)]
    store = store_of(*(record for run in "abc" for record in run_of(run, *records)))
    assert values(store, "calls") == {(): 15}


def test_runs_at_the_same_time_are_added_each_once() -> None:
    records = [
        metric_record([number_cell(5)]),
        metric_record([number_cell(2)]),
        metric_record([number_cell(7)], total=True),
    ]
    store = store_of(*(record_of("run.started", run_id=run) for run in "ab"))
    for record in records:
        for run in "ab":
            store.accept({**record, "run_id": run})
    assert values(store, "calls") == {(): 14}


def test_a_total_adds_what_was_not_read_of_windows() -> None:
    """A line was torn, or `top` left out a cell."""
    store = store_of(
        record_of("run.started"),
        metric_record([number_cell(3, {"comm": "a"})], cells_omitted=1),
        metric_record([number_cell(9, {"comm": "a"}), number_cell(2, {"comm": "b"})], total=True),
    )
    assert values(store, "calls", "comm") == {"a": 9, "b": 2}
    assert values(store, "export_cells_omitted", "metric") == {"calls": 1}


def test_of_a_run_that_was_joined_the_windows_count_and_not_the_total() -> None:
    store = store_of(metric_record([number_cell(3)]), metric_record([number_cell(100)], total=True))
    assert values(store, "calls") == {(): 3}


@pytest.mark.parametrize("total", [False, True])
def test_what_has_no_series_is_added_to_other_and_counted(total: bool) -> None:
    cells = [number_cell(number, {"comm": f"c{number}"}) for number in (4, 3, 2, 1)]
    cells.append(number_cell(10, other=True))
    store = store_of(record_of("run.started"), metric_record(cells, total=total), max_series=2)
    assert values(store, "calls", "comm", "other") == {
        ("c4", ""): 4, ("c3", ""): 3, ("", "true"): 13,
    }  # fmt: skip
    assert values(store, "export_series_overflowed", "metric") == {"calls": 2}


def test_other_is_not_added_twice_by_the_total() -> None:
    cells = [number_cell(number, {"comm": f"c{number}"}) for number in (4, 3, 2, 1)]
    store = store_of(
        record_of("run.started"),
        metric_record(cells),
        metric_record(cells, total=True),
        max_series=1,
    )
    assert values(store, "calls", "other") == {"": 4, "true": 6}


def test_histograms_are_added_by_bucket() -> None:
    kind = {"metric": "latency", "kind": "histogram", "unit": "ns", "layout": "log(16)"}
    store = store_of(
        record_of("run.started"),
        metric_record([histogram_cell([[5, 2], [1087, 1]])], **kind),
        metric_record([histogram_cell([[1087, 4]], below=1)], **kind),
        metric_record(
            [histogram_cell([[5, 2], [1087, 5], [1151, 1]], below=1)], total=True, **kind
        ),
    )
    (latency,) = family(store, "latency_seconds").samples
    assert isinstance(latency.value, HistogramCounts)
    edges = latency.value.buckets.upper_edge
    assert {edges(index): n for index, n in latency.value.counts.items()} == {
        5: 2, 1087: 5, 1151: 1,
    }  # fmt: skip
    assert (latency.value.below, latency.value.count) == (1, 9)
    assert family(store, "latency_seconds").per_unit == 10**9


def test_extremes_are_those_of_the_latest_run() -> None:
    kind = {"metric": "size", "kind": "max", "unit": "bytes"}
    store = store_of(record_of("run.started"), metric_record([number_cell(30)], **kind))
    store.accept(metric_record([number_cell(None)], **kind))
    assert values(store, "size_max_bytes") == {(): 30}
    store.accept(record_of("run.started", run_id="b"))
    store.accept(metric_record([number_cell(4)], run_id="b", **kind))
    assert values(store, "size_max_bytes") == {(): 4}


def test_a_sum_that_went_down_is_a_gauge() -> None:
    kind = {"metric": "offset", "kind": "sum", "unit": "bytes"}
    store = store_of(
        record_of("run.started"), metric_record([{**number_cell(30), "count": 1}], **kind)
    )
    assert family(store, "offset_bytes").kind == "counter"
    store.accept(metric_record([{**number_cell(-50), "count": 2}], **kind))
    assert family(store, "offset_net_bytes").kind == "gauge"
    assert values(store, "offset_net_bytes") == {(): -20}


@pytest.mark.parametrize(
    "record",
    [
        {},
        {"event": "metric.reported"},
        metric_record([{"key": {}}]),
        metric_record([number_cell(-1)]),
        metric_record([number_cell(1)], plan="../p"),
        metric_record([number_cell(1)], metric="a b"),
        metric_record([number_cell(1)], kind="rate"),
        metric_record([histogram_cell([[6, 1], [5, 1]])], kind="histogram", layout="log(16)"),
        metric_record([histogram_cell([[5, 1]])], kind="histogram", layout="log(2)"),
        record_of("run.finished", ledger=None),
        record_of("run.started", ts=7),
        {**record_of("run.started"), "run_id": ["a"]},
    ],
)
def test_what_is_no_record_is_counted_and_changes_nothing(record: dict[str, Any]) -> None:
    store = store_of(record_of("run.started"), metric_record([number_cell(5)]), record)
    assert values(store, "export_lines_skipped", "reason")["foreign"] == 1
    assert values(store, "calls") == {(): 5}


def test_more_plans_than_are_kept_are_counted() -> None:
    store = store_of(*(metric_record([number_cell(1)], plan=f"p{number}") for number in range(70)))
    assert values(store, "export_lines_skipped", "reason")["full"] == 6
    assert len(family(store, "calls").samples) == 64


def test_metrics_whose_names_are_the_same_with_their_units_are_two_families() -> None:
    store = store_of(
        metric_record([{**number_cell(1), "count": 1}], metric="wait_ns", kind="sum", unit="ns"),
        metric_record([{**number_cell(2), "count": 1}], metric="wait_us", kind="sum", unit="ns"),
        metric_record([number_cell(3)], metric="run_active", kind="max"),
        metric_record([number_cell(4)], metric="run_active_max"),
        metric_record([number_cell(5)], metric="run_active_max", probe="write", kind="min"),
        metric_record([histogram_cell([[5, 1]])], metric="calls", kind="histogram"),
        metric_record([number_cell(6)], metric="runs"),
    )
    assert values(store, "wait_seconds") == {(): 1}
    assert values(store, "wait_seconds_counter") == {(): 2}
    assert values(store, "run_active_max") == {(): 3}
    assert values(store, "run_active_max_counter") == {(): 4}
    assert values(store, "run_active_max_min") == {(): 5}
    assert values(store, "runs_counter") == {(): 6}


def test_a_plan_that_was_changed_begins_at_0() -> None:
    linear = {"kind": "histogram", "layout": "linear(0, 100, 10)", "metric": "size"}
    cell = {**histogram_cell([[9, 1]]), "relative_error": None, "absolute_error": 5.0}
    store = store_of(
        metric_record([histogram_cell([[5, 7]])], kind="histogram", metric="size"),
        metric_record([cell], **linear),
    )
    (sample,) = family(store, "size").samples
    assert sample.value.count == 1


# ---------------------------------------------------------------- gauges of plans


def figures(total: bool = False, **numbers: Any) -> dict[str, Any]:
    units = {"mean": "us", "share": "%", "size": "KiB"}
    units = {name: units.get(name, "") for name in numbers}
    return record_of("figure.reported", values=numbers, display_units=units, total=total)


def test_a_figure_is_that_of_the_latest_window_and_of_the_whole_run() -> None:
    store = store_of(
        record_of("run.started"), figures(mean=5e9), figures(mean=7e9), figures(True, mean=6e9)
    )
    assert values(store, "figure_mean_seconds", "plan", "of") == {
        ("p", "window"): 7e9, ("p", "run"): 6e9,
    }  # fmt: skip
    assert family(store, "figure_mean_seconds").per_unit == 10**9


def test_a_figure_without_a_value_is_unknown_and_a_new_run_has_none_yet() -> None:
    store = store_of(record_of("run.started"), figures(share=0.5), figures(share=None))
    assert math.isnan(values(store, "figure_share", "of")["window"])
    store.accept(record_of("run.started", run_id="b"))
    assert "probeplan_figure_share" not in {one.name for one in store.snapshot().families}


def held(cells: list[tuple[str, int, int, int]], value: int, count: int) -> dict[str, Any]:
    fields = ("value", "count", "oldest_ns")
    shown = [
        {"key": {"comm": comm}, "growth": 0, **dict(zip(fields, numbers, strict=True))}
        for comm, *numbers in cells
    ]
    whole = {"value": value, "count": count, "cells": shown}
    return record_of("outstanding.reported", **whole, cells_omitted=0)


def test_what_is_outstanding_is_that_of_the_latest_record_and_the_rest_is_in_other() -> None:
    """The log omits a cell of 1,000 bytes, and there is no series for the third."""
    last = held([("a", 40, 4, 9), ("b", 30, 3, 8), ("c", 20, 2, 7)], value=1090, count=19)
    store = store_of(record_of("run.started"), held([("gone", 1, 1, 1)], 1, 1), last, max_series=2)
    assert values(store, "outstanding_heap_bytes", "comm", "other") == {
        ("a", ""): 40, ("b", ""): 30, ("", "true"): 1020,
    }  # fmt: skip
    assert values(store, "outstanding_heap_open", "comm") == {"a": 4, "b": 3, "": 12}
    assert values(store, "outstanding_heap_oldest_seconds", "comm") == {"a": 9, "b": 8}
    assert values(store, "export_series_overflowed", "plan", "metric") == {("p", "heap"): 1}


def test_a_saturated_sum_says_nothing_of_the_rest() -> None:
    record = held([("a", 40, 4, 9)], value=(1 << 63) - 1, count=5) | {"saturated": True}
    store = store_of(record_of("run.started"), record)
    found = values(store, "outstanding_heap_bytes", "other")
    assert found[""] == 40
    assert math.isnan(found["true"])


def test_a_metric_and_a_gauge_that_want_one_name_have_two() -> None:
    store = store_of(
        record_of("run.started"),
        metric_record([number_cell(3)], metric="figure_share", total=True),
        figures(share=4),
    )
    assert values(store, "figure_share") == {(): 3}
    assert values(store, "figure_share_gauge") == {(): 4}


def test_more_gauges_than_are_kept_are_counted_and_change_nothing() -> None:
    store = store_of(
        record_of("run.started"), figures(**{f"f{number}": number for number in range(257)})
    )
    assert values(store, "export_lines_skipped", "reason")["full"] == 1
    assert not [one for one in store.snapshot().families if "figure" in one.name]
