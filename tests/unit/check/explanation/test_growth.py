"""The cells that moved a value across its bound."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.check.baseline.model import Baseline
from orchestrator.check.baseline.update import update_baseline
from orchestrator.check.explanation.growth import find_growth, is_explainable
from orchestrator.check.explanation.model import Growth
from orchestrator.check.measurement import MeasuredCell, Measurement
from orchestrator.check.model import Check
from orchestrator.check.verdict.judge import judge_check
from tests.support.checks import good_check
from tests.support.measurements import cell, measured, repeat

CONSTANTS = {"SYS_fsync": 74}
FSYNC, OPENAT, READ = ("fsync", 74), ("openat", 257), ("read", 0)
TWO = "run: [make, $(ops)]\nops: [10, 30]"


def calls(counts: Mapping[tuple[str, int], int]) -> list[MeasuredCell]:
    """Cells by the number of a system call, whose name is known."""
    return [cell(n, {"number": name}, number=number) for (name, number), n in counts.items()]


def measure(check: Check, *runs: Any, metric: str = "call.calls") -> Measurement:
    sizes = check.workload.ops
    repeats = [repeat({metric: counts}, check) for counts in runs]
    return measured(check, *(replace(r, ops=sizes[i % len(sizes)]) for i, r in enumerate(repeats)))


def record(check: Check, measurement: Measurement) -> Baseline:
    return update_baseline(None, check.name, measurement, "2026-01-01T00:00:00Z", "new")


def explain(check: Check, measurement: Measurement, baseline: Baseline | None) -> Growth:
    (judged,) = judge_check(check, measurement, baseline, CONSTANTS).expectations
    assert judged.verdict == "fail", judged
    assert is_explainable(check, judged)
    return find_growth(check, judged, measurement, baseline, CONSTANTS)


def shown(growth: Growth) -> list[tuple[Any, ...]]:
    """(name of the call, now, before, growth) of each cell."""
    return [
        (*one.names.values(), *one.key.values(), one.value, one.before, one.growth)
        for one in growth.cells
    ]


def test_cells_that_grew_are_compared_with_the_baseline_the_largest_first() -> None:
    check = good_check("call.calls <= 1.01 * baseline")
    baseline = record(check, measure(check, calls({FSYNC: 4, OPENAT: 10, READ: 500})))
    now = measure(check, calls({FSYNC: 5, OPENAT: 270, READ: 490}))
    growth = explain(check, now, baseline)
    assert growth.compared_with == "baseline"
    assert shown(growth) == [("openat", 257, 270, 10, 260), ("fsync", 74, 5, 4, 1)]


def test_a_cell_that_the_baseline_lacks_was_0_there() -> None:
    check = good_check("call.calls <= baseline")
    baseline = record(check, measure(check, calls({READ: 5})))
    growth = explain(check, measure(check, calls({READ: 5, FSYNC: 1})), baseline)
    assert shown(growth) == [("fsync", 74, 1, 0, 1)]


def test_where_too_little_was_counted_the_cells_that_shrank_are_named() -> None:
    check = good_check("call.calls >= baseline")
    baseline = record(check, measure(check, calls({READ: 5, FSYNC: 3, OPENAT: 1})))
    growth = explain(check, measure(check, calls({READ: 5, OPENAT: 2})), baseline)
    assert shown(growth) == [("fsync", 74, 0, 3, -3)]


def test_an_absolute_bound_is_explained_by_the_baseline_if_there_is_one() -> None:
    check = good_check("call.calls <= 5")
    baseline = record(check, measure(check, calls({READ: 5})))
    growth = explain(check, measure(check, calls({READ: 5, FSYNC: 1})), baseline)
    assert (growth.compared_with, shown(growth)) == ("baseline", [("fsync", 74, 1, 0, 1)])


def test_without_a_baseline_a_bound_of_0_is_one_of_each_cell() -> None:
    check = good_check("call.calls[number == SYS_fsync] == 0")
    growth = explain(check, measure(check, calls({READ: 5, FSYNC: 2})), None)
    assert (growth.compared_with, shown(growth)) == ("bound", [("fsync", 74, 2, 0, 2)])


def test_without_a_baseline_the_largest_cells_are_named() -> None:
    check = good_check("call.calls <= 5")
    growth = explain(check, measure(check, calls({FSYNC: 2, READ: 5})), None)
    assert growth.compared_with == "nothing"
    assert shown(growth) == [("read", 0, 5, None, None), ("fsync", 74, 2, None, None)]


def test_with_each_only_the_cells_that_broke_the_bound_are_named() -> None:
    check = good_check("{that: call.calls <= 4, each: true}")
    growth = explain(check, measure(check, calls({FSYNC: 6, READ: 4, OPENAT: 5})), None)
    assert growth.compared_with == "bound"
    assert shown(growth) == [("fsync", 74, 6, 4, 2), ("openat", 257, 5, 4, 1)]


def test_the_repeat_that_broke_the_bound_is_shown_and_not_the_median() -> None:
    check = good_check("call.calls == 0")
    growth = explain(check, measure(check, [], calls({FSYNC: 1}), []), None)
    assert shown(growth) == [("fsync", 74, 1, 0, 1)]


def test_of_two_sizes_it_is_the_difference_that_grew() -> None:
    check = good_check("call.calls / ops <= baseline", workload=TWO)
    before = measure(check, calls({READ: 90, FSYNC: 10}), calls({READ: 90, FSYNC: 30}))
    now = measure(check, calls({READ: 95, FSYNC: 20}), calls({READ: 95, FSYNC: 60}))
    growth = explain(check, now, record(check, before))
    assert shown(growth) == [("fsync", 74, 40, 20, 20)]


def test_other_numbers_than_the_value_are_named() -> None:
    check = good_check("write.mean.sum <= 5")
    [run] = [[MeasuredCell(key={}, value=3, count=3, sum=12)]]
    [only] = explain(check, measure(check, run, metric="write.mean"), None).cells
    assert (only.metric, int(only.value)) == ("write.mean.sum", 12)


def test_ten_cells_are_listed_and_the_others_counted() -> None:
    check = good_check("call.calls == 0")
    counts: Sequence[MeasuredCell] = [cell(n, number=n) for n in range(1, 14)]
    growth = explain(check, measure(check, counts), None)
    assert [one.value for one in growth.cells] == list(range(13, 3, -1))
    assert growth.omitted == 3


def test_a_baseline_of_another_definition_is_not_compared_with() -> None:
    check = good_check("call.calls == 0")
    recorded = record(check, measure(check, calls({READ: 5})))
    [entry] = recorded.entries
    metrics = {name: replace(one, digest="other") for name, one in entry.metrics.items()}
    changed = replace(recorded, entries=(replace(entry, metrics=metrics),))
    assert explain(check, measure(check, calls({READ: 9})), changed).compared_with == "bound"


@pytest.mark.parametrize("text", ["workload.maxrss <= 1", "write.took <= 1*s"])
def test_times_and_memory_have_no_cells_that_explain_them(text: str) -> None:
    check = good_check(text)
    two_seconds = [MeasuredCell(key={}, value=2 * 10**9, count=1, sum=2 * 10**9)]
    measurement = measure(check, two_seconds, metric="write.took")
    (judged,) = judge_check(check, measurement, None).expectations
    assert judged.verdict == "fail"
    assert not is_explainable(check, judged)


def test_what_holds_is_not_explained() -> None:
    check = good_check("call.calls <= 5")
    (judged,) = judge_check(check, measure(check, calls({READ: 5})), None).expectations
    assert not is_explainable(check, judged)
