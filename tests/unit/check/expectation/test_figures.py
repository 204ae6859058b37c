"""Values of subjects over measured cells."""

from fractions import Fraction

import pytest

from orchestrator.check.expectation.claim import read_claim
from orchestrator.check.expectation.figures import (
    RunCounts,
    SubjectReader,
    Valued,
    counted_from_repeat,
)
from orchestrator.check.expectation.references import PlanNames
from orchestrator.check.measurement import MeasuredCell
from tests.support.checks import good_check
from tests.support.measurements import cell, other, repeat

SIZES = MeasuredCell(key={}, value=4, count=4, buckets={3: 2, 5: 1}, below=1)
MEAN = MeasuredCell(key={}, value=4, count=4, sum=10)
MOST = (
    MeasuredCell(key={"comm": "dd"}, value=9, count=1, max=9),
    MeasuredCell(key={"comm": "cp"}, value=12, count=1, max=12),
)
COUNTS = {
    "call.calls": [cell(4, number=74), cell(6, number=1), cell(2**70, number=2)],
    "call.named": [cell(1, number=74, comm="sh"), cell(2, number=74, comm="dd"), other(5)],
    "call.failed": [cell(3, number=1)],
    "write.calls": 8,
    "write.bytes": [MeasuredCell(key={}, value=1000, count=8, sum=1000)],
    "write.mean": [MEAN],
    "write.most": MOST,
    "write.sizes": [SIZES],
}


def value(text: str, less: RunCounts | None = None, ops: int = 1) -> Valued:
    check = good_check(f"'{text} <= 5'")
    reader = SubjectReader(
        names=PlanNames(check.plan), params={}, constants={"SYS_fsync": 74, "SYS_read": 5}
    )
    run = counted_from_repeat(repeat(COUNTS, check, ops=ops))
    return reader.value(read_claim(check.expectations[0].that).subject, run, less)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("call.calls", 10 + 2**70),
        ("call.calls[number == SYS_fsync]", 4),
        ("call.calls[number in (1, SYS_fsync)]", 10),
        ("call.calls[number == 5]", 0),
        ("call.failed / call.calls[number == 1]", Fraction(1, 2)),
        ("write.bytes / 3", Fraction(1000, 3)),
        ("write.mean", Fraction(5, 2)),
        ("write.mean.sum", 10),
        ("write.most", 12),
        ('write.most[comm == "dd"]', 9),
        ('write.most[comm == "x"]', None),
        ("write.least", None),
        ("write.sizes.count", 4),
        ("write.sizes.below", 1),
        ("write.sizes.p50", 3),
        ("write.sizes.p99", 5),
        ("workload.wall + workload.user + workload.sys", 5500),
        ("workload.maxrss / KiB", 4),
        ("share", Fraction(3, 10 + 2**70)),
        ("rate", Fraction(8 * 10**9, 5000)),
        ("call.calls[number == 74] + SYS_read", 9),
    ],
)
def test_a_subject_has_this_value(text: str, expected: Fraction | int | None) -> None:
    assert value(text.replace('"', '"')) == Valued(None if expected is None else Fraction(expected))


def test_a_cell_without_a_key_is_counted_as_a_whole_and_doubted_in_a_filter() -> None:
    assert value("call.named") == Valued(Fraction(8))
    filtered = value("call.named[number == 74]")
    assert filtered.value == 3
    assert filtered.doubts == ("call.named has cells without a key, which may be meant",)


def test_a_difference_is_one_of_all_that_was_measured_and_of_the_operations() -> None:
    before = {
        "call.calls": [cell(1, number=74)],
        "write.mean": [MeasuredCell(key={}, value=2, count=2, sum=7)],
        "write.sizes": [MeasuredCell(key={}, value=1, count=1, buckets={3: 1})],
    }
    less = counted_from_repeat(repeat(before, ops=10, wall_ns=1000, user_ns=0, sys_ns=0))
    assert value("call.calls[number == 74] / ops", less, 30).value == Fraction(3, 20)
    assert value("write.mean", less, 30).value == Fraction(3, 2)
    assert value("write.sizes.count", less, 30).value == 3
    assert value("workload.wall / ops", less, 30).value == 200
    assert value("(call.calls[number == 74] + 5) / ops", less, 30).value == Fraction(8, 20)


def test_memory_that_is_not_known_has_no_value() -> None:
    check = good_check("workload.maxrss <= 5")
    reader = SubjectReader(names=PlanNames(check.plan), params={}, constants={})
    run = counted_from_repeat(repeat({}, check, maxrss_bytes=None))
    found = reader.value(read_claim(check.expectations[0].that).subject, run)
    assert found.value is None
    assert found.doubts == ("workload.maxrss is not known: the starting process used more",)


def test_a_metric_without_figures_has_no_value_and_is_not_0() -> None:
    check = good_check("write.calls <= 5")
    reader = SubjectReader(names=PlanNames(check.plan), params={}, constants={})
    subject = read_claim(check.expectations[0].that).subject
    assert reader.value(subject, RunCounts(ops=1, cells={})) == Valued(None)
    assert reader.value(subject, RunCounts(ops=1, cells={("write", "calls"): ()})).value == 0


def test_params_are_the_checks_in_expectations_and_the_plans_in_its_figures() -> None:
    plan = """\
plan:
  params: {n: {type: int, default: 10}}
  probes: {write: {attach: "syscall:write", metrics: {calls: {count: true}}}}
  derive: {scaled: {value: write.calls * params.n}}
set: {n: 100}
params: {n: {type: int, default: 3}}
"""
    check = good_check("scaled + write.calls * params.n <= 5", plan=plan)
    params = {name: param.value for name, param in check.params.items()}
    reader = SubjectReader(names=PlanNames(check.plan), params=params, constants={})
    run = counted_from_repeat(repeat({"write.calls": 2}, check))
    assert reader.value(read_claim(check.expectations[0].that).subject, run).value == 206
