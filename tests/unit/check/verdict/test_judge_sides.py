"""Side B of a check is judged against side A: times by the rule, everything else exactly."""

from fractions import Fraction
from typing import Any

import pytest

from orchestrator.check.measurement import CommandEnd, MeasuredCell, WorkloadTrouble
from orchestrator.check.verdict.judge import judge_sides
from orchestrator.check.verdict.model import ExpectationVerdict
from orchestrator.check.verdict.time_gates import list_time_gates
from tests.support.measurements import cell, repeat
from tests.support.sides import (
    Pair,
    judge_pairs,
    measure_pair,
    time_repeats,
    took,
    two_sides,
)

WALL = "workload.wall <= 1.1 * baseline"
#: 20 values with a spread of 2 %.
BASE = [1000 + n for n in range(20)]
SLOW = [1500 + n for n in range(20)]
NOISY = [int(10 * 1.3**n) for n in range(20)]
STRICT = "{{that: {}, resolve: strict}}"


def judge(text: str, *pairs: tuple[Any, Any], **changes: Any) -> ExpectationVerdict:
    """The verdict on one expectation, over values of A and of B."""
    sides = two_sides(text)
    verdict = judge_pairs(sides, *(measure_pair(sides, a, b, **changes) for a, b in pairs))
    return verdict.expectations[0]


# ---------------------------------------------------------------- times


@pytest.mark.parametrize("name", ["workload.wall", "write.took"])
def test_a_time_that_is_worse_twice_fails(name: str) -> None:
    one = judge(f"{name} <= 1.1 * baseline", (BASE, SLOW), (BASE, SLOW))
    assert one.verdict == "fail"
    [reason] = one.reasons
    assert "side B took 1.495 times as long as A (20 repeats a side" in reason
    assert "p = " in reason
    assert "the bound is 10 % away), and 1.495 times as long as A when measured again" in reason
    [series] = one.series
    assert (series.value, series.baseline) == (Fraction(3019, 2), Fraction(2019, 2))
    assert series.bounds == (Fraction(2019, 2) * Fraction(11, 10),)
    assert not series.holds


def test_a_time_that_is_worse_once_does_not_fail() -> None:
    one = judge(WALL, (BASE, SLOW), (BASE, BASE))
    assert one.verdict == "ok"
    assert one.notes[0].startswith("not worse again: side B took 1.495 times as long as A")
    assert judge(STRICT.format(WALL), (BASE, SLOW), (BASE, BASE)).verdict == "inconclusive"


def test_a_time_that_cannot_be_measured_again_is_undecided() -> None:
    sides = two_sides(WALL)
    first = measure_pair(sides, BASE, SLOW)
    broken = measure_pair(sides, BASE, SLOW, trouble=WorkloadTrouble(stage="run", message="lost"))
    [one] = judge_pairs(sides, first, broken).expectations
    assert one.verdict == "inconclusive"
    assert "could not be measured once more" in one.reasons[0]


def test_a_time_that_is_the_same_is_ok_without_further_words() -> None:
    one = judge(WALL, (BASE, BASE))
    assert (one.verdict, one.notes, one.is_blunt) == ("ok", (), False)
    assert one.series[0].improved is False


def test_noise_that_hides_the_tolerance_is_blunt_and_says_how_many_repeats_it_takes() -> None:
    one = judge(WALL, (NOISY, NOISY))
    assert (one.verdict, one.is_blunt) == ("ok", True)
    [note] = one.notes
    samples = one.series[0].times[0].first.samples
    assert f"that would take {samples.repeats_needed:,} repeats" in note
    assert "20 repeats a side show is" in note
    strict = judge(STRICT.format(WALL), (NOISY, NOISY))
    assert (strict.verdict, strict.is_blunt, strict.reasons) == ("inconclusive", False, (note,))


def test_what_is_not_proven_is_said() -> None:
    near = [value * 1102 // 1000 for value in BASE]
    one = judge(WALL, (BASE, near))
    assert one.verdict == "ok"
    assert one.notes[0].startswith("not proven to be worse: side B took 1.1")
    assert judge(STRICT.format(WALL), (BASE, near)).verdict == "inconclusive"


def test_too_few_repeats_prove_nothing_and_do_not_pass() -> None:
    one = judge(WALL, (BASE[:3], BASE[:3]))
    assert one.verdict == "inconclusive"
    assert "3 repeats a side cannot prove any change: raise `repeats`" in one.reasons[0]


def test_what_takes_no_time_is_no_base() -> None:
    one = judge("workload.wall <= 1.1 * baseline", ([0] * 20, [0] * 20))
    assert one.verdict == "inconclusive"
    assert "nothing that a change could be relative to" in one.reasons[0]


def test_both_bounds_of_a_range_are_comparisons() -> None:
    text = "0.9 * baseline <= workload.wall <= 1.1 * baseline"
    assert judge(text, (BASE, BASE)).verdict == "ok"
    assert judge(text, (BASE, SLOW)).verdict == "fail"
    fast = judge(text, (SLOW, BASE))
    assert fast.verdict == "fail"
    assert "side B took 0.6" in fast.reasons[0]


def test_a_constant_bound_of_a_time_is_judged_as_without_sides() -> None:
    text = "workload.wall <= 1200"
    assert judge(text, (SLOW, BASE)).verdict == "ok"
    assert judge(text, (BASE, SLOW)).verdict == "fail"
    mixed = "1000 <= workload.wall <= 1.1 * baseline"
    assert judge(mixed, (BASE, BASE)).verdict == "ok"
    assert judge(mixed, (SLOW, [100 + n for n in range(20)])).verdict == "fail"


def test_each_cell_and_each_size_is_a_comparison() -> None:
    sides = two_sides(WALL, workload="run: [$(params.build), $(ops)]\nops: [10, 30]")

    def repeats(factor: int) -> list[Any]:
        small = time_repeats(sides.base, BASE, ops=10)
        return [*small, *time_repeats(sides.base, [factor * value for value in BASE], ops=30)]

    pair = measure_pair(sides, repeats(3), repeats(6))
    [one] = judge_pairs(sides, pair).expectations
    assert [(series.label, series.holds) for series in one.series] == [
        ("ops 10", True),
        ("ops 30", False),
    ]
    sides = two_sides(
        "workload.wall / ops <= 1.1 * baseline",
        workload="run: [$(params.build), $(ops)]\nops: [10, 30]",
    )
    pair = measure_pair(sides, repeats(3), repeats(6))
    [one] = judge_pairs(sides, pair).expectations
    assert one.verdict == "fail"
    assert one.series[0].baseline == Fraction(2 * 2019, 2 * 20)


# ---------------------------------------------------------------- the same work


def latencies(counts: tuple[int, int], name: str = "latency") -> Pair:
    """Sides whose repeats have so many values of 1 us, all of them in one bucket."""
    sides = two_sides(f"write.{name}.p50 <= 1.1 * baseline")

    def repeats(count: int) -> list[Any]:
        one = MeasuredCell(key={"comm": "a"}, value=count, count=count, buckets={300: count})
        return [repeat({f"write.{name}": [one]}, sides.base) for _ in range(20)]

    return measure_pair(sides, repeats(counts[0]), repeats(counts[1]))


def test_percentiles_of_different_work_are_not_compared() -> None:
    sides = two_sides("write.latency.p50 <= 1.1 * baseline")
    assert judge_pairs(sides, latencies((100, 100))).expectations[0].verdict == "ok"
    [one] = judge_pairs(sides, latencies((100, 101))).expectations
    assert one.verdict == "inconclusive"
    assert (
        "in each repeat, write.latency has 100 events on side A and 101 events on side B"
        in one.reasons[0]
    )
    assert list_time_gates(sides, latencies((100, 101)), {}) == {}


def test_a_sum_may_grow_by_its_number_of_events() -> None:
    sides = two_sides("write.took <= 1.1 * baseline")
    base = [repeat({"write.took": [took(v)]}, sides.base) for v in BASE]
    more = [repeat({"write.took": [took(2 * v, 10)]}, sides.base) for v in BASE]
    assert judge_pairs(sides, measure_pair(sides, base, more)).expectations[0].verdict == "fail"


def test_sides_of_different_sizes_are_not_compared() -> None:
    sides = two_sides("write.calls <= baseline", WALL)
    found = judge_pairs(
        sides, measure_pair(sides, BASE, time_repeats(sides.candidate, BASE, ops=2))
    )
    assert [one.verdict for one in found.expectations] == ["inconclusive"] * 2
    assert found.expectations[0].reasons == ("the sides ran different numbers of operations",)


# ---------------------------------------------------------------- counts


@pytest.mark.parametrize(
    ("text", "a", "b", "verdict"),
    [
        ("write.calls <= baseline", 100, 100, "ok"),
        ("write.calls <= baseline", 100, 101, "fail"),
        ("write.calls <= 1.01 * baseline", 100, 101, "ok"),
        ("write.calls == baseline", 100, 99, "fail"),
        ("write.calls <= 100", 500, 100, "ok"),
        ("write.calls <= 100", 100, 101, "fail"),
        ("write.calls <= baseline", 100, 0, "inconclusive"),
    ],
)
def test_counts_are_compared_with_side_a_exactly(text: str, a: int, b: int, verdict: str) -> None:
    sides = two_sides(text)
    base, candidate = ([repeat({"write.calls": n}, sides.base)] * 3 for n in (a, b))
    [one] = judge_pairs(sides, measure_pair(sides, base, candidate)).expectations
    assert (one.verdict, one.unrecorded) == (verdict, False)
    if verdict == "inconclusive":
        assert one.reasons == ("the value is 0 now, and was 100 on side A",)


def test_what_is_better_than_side_a_is_not_to_be_recorded() -> None:
    sides = two_sides("write.calls <= baseline")
    base, candidate = ([repeat({"write.calls": n}, sides.base)] * 3 for n in (100, 50))
    [one] = judge_pairs(sides, measure_pair(sides, base, candidate)).expectations
    assert one.notes == ("improved",)


def test_a_cell_that_side_a_does_not_have_was_0_there() -> None:
    sides = two_sides("{that: call.calls <= baseline, each: true}")
    base = [repeat({"call.calls": [cell(5, number=1)]}, sides.base)] * 3
    more = [repeat({"call.calls": [cell(5, number=1), cell(1, number=9)]}, sides.base)] * 3
    [one] = judge_pairs(sides, measure_pair(sides, base, more)).expectations
    assert (one.verdict, one.series[1].label) == ("fail", "number 9")


# ---------------------------------------------------------------- validity


@pytest.mark.parametrize("text", ["write.calls <= baseline", "write.took <= 1.1 * baseline"])
def test_figures_of_side_a_have_to_be_valid_too(text: str) -> None:
    sides = two_sides(text, "write.calls <= 100")
    lost = time_repeats(sides.base, BASE, losses={"write": ("7 events were lost",)})
    relative, absolute = judge_pairs(sides, measure_pair(sides, lost, BASE)).expectations
    assert relative.verdict == "inconclusive"
    assert relative.reasons == ("on side A: write: 7 events were lost",)
    assert absolute.verdict == "ok"  # is about side B alone


def test_a_workload_that_fails_on_either_side_is_named() -> None:
    sides = two_sides("write.calls <= 100")
    failed = time_repeats(sides.base, BASE, command=CommandEnd(code=3))
    for a, b, name in ((failed, BASE, "A"), (BASE, failed, "B")):
        [one] = judge_pairs(sides, measure_pair(sides, a, b)).expectations
        assert one.verdict == "workload"
        assert one.reasons[0] == f"side {name}: repeat 1: the command ended with exit code 3, not 0"


def test_a_time_that_was_never_compared_is_undecided() -> None:
    sides = two_sides(WALL)
    [one] = judge_sides(sides, measure_pair(sides, BASE, BASE), {}).expectations
    assert (one.verdict, one.reasons) == ("inconclusive", ("its times were not compared",))


def test_the_verdict_says_what_the_sides_are() -> None:
    sides = two_sides("write.calls <= 100")
    found = judge_pairs(sides, measure_pair(sides, BASE, BASE))
    assert found.sides == sides.choice
    assert found.check == sides.candidate
