"""What holds and what does not, over valid figures."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from orchestrator.check.baseline.model import Baseline
from orchestrator.check.baseline.update import update_baseline
from orchestrator.check.measurement import MeasuredCell, Measurement
from orchestrator.check.model import Check
from orchestrator.check.verdict.judge import judge_check
from orchestrator.check.verdict.model import ExpectationVerdict, find_exit_code
from tests.support.checks import good_check
from tests.support.measurements import HERE, cell, measured, other, repeat

CONSTANTS = {"SYS_fsync": 74}
TWO = "run: [make, $(ops)]\nops: [10, 30]"


def measure(check: Check, values: Sequence[Any], metric: str = "write.calls") -> Measurement:
    """Repeats that counted these values of one metric."""
    return measured(check, *(repeat({metric: value}, check) for value in values))


def record(check: Check, measurement: Measurement) -> Baseline:
    """A baseline with this measurement."""
    return update_baseline(None, check.name, measurement, "2026-01-01T00:00:00Z", "new")


def judge(
    check: Check, measurement: Measurement, baseline: Baseline | None = None
) -> ExpectationVerdict:
    """The verdict on a check's only expectation."""
    (verdict,) = judge_check(check, measurement, baseline, CONSTANTS).expectations
    return verdict


def exact(*values: int) -> tuple[Fraction, ...]:
    """Whole numbers as rationals."""
    return tuple(map(Fraction, values))


def verdict_of(text: str, values: Sequence[Any], recorded: Sequence[Any] = ()) -> str:
    """The verdict on write.calls with these values, and these in the baseline."""
    check = good_check(text)
    baseline = record(check, measure(check, recorded)) if recorded else None
    return judge(check, measure(check, values), baseline).verdict


# ---------------------------------------------------------------- which repeats are judged


@pytest.mark.parametrize(
    ("text", "values", "verdict"),
    [
        ("write.calls <= 5", (5, 5, 5), "ok"),
        ("write.calls <= 5", (4, 5, 9), "ok"),
        ("write.calls <= 5", (4, 6, 9), "fail"),
        ("write.calls < 5", (5, 5, 5), "fail"),
        ("write.calls >= 5", (1, 5, 9), "ok"),
        ("write.calls > 5", (1, 5, 9), "fail"),
        ("write.calls == 5", (4, 5, 6), "ok"),
        ("write.calls == 5", (5, 5, 6), "ok"),
        ("write.calls == 5", (5, 6, 6), "fail"),
        ("write.calls != 5", (5, 6, 6), "ok"),
        ("2*write.calls <= 9", (4, 5), "ok"),  # the median is 4.5
        ("2*write.calls < 9", (4, 5), "fail"),
        ("{that: write.calls <= 5, of: max}", (4, 5, 6), "fail"),
        ("{that: write.calls <= 5, of: max}", (4, 5, 5), "ok"),
        ("{that: write.calls >= 5, of: max}", (4, 5, 6), "fail"),
        ("{that: write.calls <= 5, of: min}", (5, 6, 7), "ok"),
        ("{that: write.calls >= 5, of: min}", (4, 6, 7), "fail"),
        ("write.calls == 0", (0, 0, 1), "fail"),
        ("write.calls <= 0", (0, 0, 1), "fail"),
        ("write.calls - 3 == 0", (3, 3, 4), "fail"),
        ("write.calls > 0", (1, 1, 0), "fail"),
        ("write.calls <= 3 - 3", (0, 1, 0), "fail"),
        ("4 <= write.calls <= 5", (4, 5, 5), "ok"),
        ("4 <= write.calls <= 5", (3, 3, 5), "fail"),
        ("4 <= write.calls <= 5", (4, 6, 6), "fail"),
        ("5 >= write.calls > 4", (5, 5, 5), "ok"),
        ("5 >= write.calls > 4", (4, 4, 4), "fail"),
        ("0 < write.calls <= 5", (0, 5, 5), "fail"),
    ],
)
def test_a_constant_bound(text: str, values: Sequence[int], verdict: str) -> None:
    assert verdict_of(text, values) == verdict


@pytest.mark.parametrize(
    ("text", "values", "recorded", "verdict"),
    [
        ("write.calls <= baseline", (100, 100, 101), (100, 100, 100), "ok"),
        ("write.calls <= baseline", (100, 101, 101), (100, 100, 100), "fail"),
        ("write.calls <= 1.01 * baseline", (101, 101, 101), (100, 100, 100), "ok"),
        ("write.calls <= 1.01 * baseline", (102, 102, 102), (100, 100, 100), "fail"),
        ("write.calls <= 1.1 * baseline", (33,), (30,), "ok"),  # 1.1 * 30 > 33 as floats
        ("write.calls == baseline", (7, 7), (6, 7, 8), "ok"),
        ("{that: write.calls <= baseline, of: max}", (8, 8), (6, 7, 8), "ok"),
        ("{that: write.calls <= baseline, of: min}", (7, 9), (6, 7, 8), "fail"),
        ("0.9 * baseline <= write.calls <= 1.1 * baseline", (89,), (100,), "fail"),
        ("write.calls <= baseline", (0, 0, 1), (0, 0, 0), "fail"),  # a bound of 0
        ("write.calls <= baseline", (0, 0), (0, 0), "ok"),
        ("write.calls <= baseline", (0, 3, 3), (3, 3), "ok"),
        ("write.calls >= baseline - 100", (5,), (100,), "ok"),
    ],
)
def test_a_bound_over_the_baseline(
    text: str, values: Sequence[int], recorded: Sequence[int], verdict: str
) -> None:
    assert verdict_of(text, values, recorded) == verdict


def test_what_was_judged_is_there_to_be_shown() -> None:
    check = good_check("write.calls <= 1.5 * baseline")
    one = judge(check, measure(check, (4, 7, 8)), record(check, measure(check, (4, 4))))
    (series,) = one.series
    assert (series.label, series.values, series.value) == ("", exact(4, 7, 8), Fraction(7))
    assert (series.bounds, series.baseline) == (exact(6), Fraction(4))
    assert (series.holds, series.varies, series.is_exact) == (False, True, False)
    assert one.reasons == (
        "write.calls <= 1.5 * baseline: 4, 7, 8 was measured, the bound is 6, the baseline 4",
    )
    assert one.notes == ("varies: 4 to 8",)


def test_a_chain_varies_where_one_of_its_bounds_does() -> None:
    check = good_check("4 <= write.calls <= 9")
    one = judge(check, measure(check, (3, 5, 6)))
    assert (one.verdict, one.notes) == ("ok", ("varies: 3 to 6",))


def test_a_fraction_is_shown_as_one() -> None:
    check = good_check("write.calls / 2 <= 1")
    assert "2.5 was measured, the bound is 1" in judge(check, measure(check, (5,))).reasons[0]


def test_repeats_that_disagree_are_noted_and_undecided_where_that_is_asked() -> None:
    values = (4, 5, 9)
    check = good_check("write.calls <= 5")
    assert judge(check, measure(check, values)).notes == ("varies: 4 to 9",)
    check = good_check("{that: write.calls <= 5, resolve: strict}")
    one = judge(check, measure(check, values))
    assert (one.verdict, one.unrecorded) == ("inconclusive", False)
    assert one.reasons == ("repeats disagree about the bound: 4 to 9",)
    assert judge(check, measure(check, (4, 5, 5))).verdict == "ok"


@pytest.mark.parametrize(
    ("text", "value", "improved"),
    [
        ("write.calls <= baseline", 99, True),
        ("write.calls <= baseline", 100, False),
        ("write.calls <= 1.25 * baseline", 81, False),
        ("write.calls <= 1.25 * baseline", 80, False),
        ("write.calls <= 1.25 * baseline", 79, True),
        ("write.calls >= 0.8 * baseline", 126, True),
        ("write.calls >= 0.8 * baseline", 125, False),
        ("write.calls == baseline", 100, False),
        ("write.calls <= 200", 1, False),
    ],
)
def test_better_than_the_mirror_of_the_tolerance_is_an_improvement(
    text: str, value: int, improved: bool
) -> None:
    check = good_check(text)
    one = judge(check, measure(check, [value]), record(check, measure(check, [100])))
    assert one.verdict == "ok"
    assert one.series[0].improved is improved
    assert any("improved" in note for note in one.notes) is improved


# ---------------------------------------------------------------- values that are not there


@pytest.mark.parametrize("text", ["write.calls / write.bytes <= 4", "write.least >= 1"])
def test_no_value_is_undecided(text: str) -> None:
    check = good_check(text)
    one = judge(check, measure(check, (4, 4)))
    assert (one.verdict, one.unrecorded) == ("inconclusive", False)
    assert "has no value" in one.reasons[0]


def test_one_repeat_without_a_value_is_one_too_many() -> None:
    check = good_check("write.least >= 1")
    least = MeasuredCell(key={}, value=4, count=1, min=4)
    one = judge(check, measure(check, [[least], []], "write.least"))
    assert one.verdict == "inconclusive"
    assert judge(check, measure(check, [[least], [least]], "write.least")).verdict == "ok"


def test_a_bound_without_a_value_is_undecided() -> None:
    assert verdict_of("write.calls <= 1 / 0", (4,)) == "inconclusive"
    assert verdict_of("write.calls <= 5 / baseline", (4,), (0,)) == "inconclusive"
    assert verdict_of("write.calls <= SYS_open", (4,)) == "inconclusive"
    assert verdict_of("write.calls <= SYS_fsync", (74,)) == "ok"


def test_a_filter_that_compares_text_with_a_number_does_not_pass_as_zero() -> None:
    check = good_check("call.calls[number == 74] == 0")
    one = judge(check, measure(check, [[cell(5, number="read")]], "call.calls"))
    assert one.verdict == "inconclusive"
    assert "the text 'read' is compared with the number 74" in one.reasons[0]


def test_a_key_that_could_not_be_read_may_be_the_one_that_is_meant() -> None:
    check = good_check("call.calls[number == SYS_fsync] <= 5")
    one = judge(check, measure(check, [[cell(5, number=74), cell(1, number=None)]], "call.calls"))
    assert one.verdict == "inconclusive"
    assert one.reasons == ("call.calls has a cell whose key could not be read",)


# ---------------------------------------------------------------- two sizes


def two_sizes(check: Check, low: Sequence[int], high: Sequence[int]) -> Measurement:
    runs = [(10, value) for value in low] + [(30, value) for value in high]
    return measured(check, *(repeat({"write.calls": n}, check, ops=ops) for ops, n in runs))


def test_two_sizes_are_judged_by_their_difference() -> None:
    check = good_check("write.calls / ops == 4", workload=TWO)
    one = judge(check, two_sizes(check, (47, 48), (127, 128)))
    assert one.verdict == "ok"
    assert one.series[0].values == exact(4, 4)
    one = judge(check, two_sizes(check, (47, 48), (128, 128)))
    assert one.series[0].values == (Fraction(81, 20), Fraction(4))


def test_without_ops_each_size_is_judged() -> None:
    check = good_check("write.calls <= 50", workload=TWO)
    one = judge(check, two_sizes(check, (47, 48), (127, 128)))
    assert one.verdict == "fail"
    assert [(s.label, s.holds) for s in one.series] == [("ops 10", True), ("ops 30", False)]


def test_a_baseline_is_compared_with_the_same_difference_or_size() -> None:
    for text in ("write.calls / ops <= baseline", "write.calls <= baseline"):
        check = good_check(text, workload=TWO)
        before = record(check, two_sizes(check, (47, 47), (127, 127)))
        assert judge(check, two_sizes(check, (47, 47), (127, 127)), before).verdict == "ok", text
        assert judge(check, two_sizes(check, (47, 47), (128, 128)), before).verdict == "fail", text
    single = good_check("write.calls <= baseline")
    before = record(single, measure(single, (5, 5)))
    one = judge(check, two_sizes(check, (5, 5), (5, 5)), before)
    assert (one.verdict, one.unrecorded) == ("inconclusive", True)
    assert one.reasons == ("in the baseline, no repeat has 10 ops",)


# ---------------------------------------------------------------- each cell


def cells(check: Check, *repeats: Mapping[int, int]) -> Measurement:
    found = [[cell(count, number=number) for number, count in one.items()] for one in repeats]
    return measure(check, found, "call.calls")


EACH = "{{that: '{}', each: true}}"


def test_each_cell_is_judged_by_itself() -> None:
    check = good_check(EACH.format("call.calls <= 5"))
    one = judge(check, cells(check, {1: 5, 2: 6}, {1: 5, 2: 6}))
    assert one.verdict == "fail"
    assert [(s.label, s.values, s.holds) for s in one.series] == [
        ("number 1", exact(5, 5), True),
        ("number 2", exact(6, 6), False),
    ]
    assert judge(check, cells(check, {1: 5, 2: 5}, {1: 5, 2: 5})).verdict == "ok"


def test_a_cell_that_the_baseline_has_not_was_0_there() -> None:
    check = good_check(EACH.format("call.calls <= baseline"))
    before = record(check, cells(check, {1: 5}, {1: 5}))
    assert judge(check, cells(check, {1: 5}, {1: 5}), before).verdict == "ok"
    one = judge(check, cells(check, {1: 5, 9: 1}, {1: 5}), before)
    assert (one.verdict, one.series[1].label) == ("fail", "number 9")
    one = judge(check, cells(check, {9: 1}, {9: 1}), before)
    assert (one.verdict, one.unrecorded) == ("inconclusive", True)
    assert one.reasons == ("number 1 is 0 now, and was 5 in the baseline",)


def test_a_filter_chooses_the_cells_that_are_judged_each() -> None:
    check = good_check(EACH.format("call.calls[number > 1] <= 5"))
    one = judge(check, cells(check, {1: 50, 2: 5}))
    assert [series.label for series in one.series] == ["number 2"]


# ---------------------------------------------------------------- zero


def quiet(check: Check, fired: Mapping[str, Any], witness: int | None = None) -> Measurement:
    """Nothing was counted; probes fired so often on the host."""
    zero = repeat({}, check, fired_on_host=fired)
    seen = None if witness is None else repeat({"write.calls": witness}, check)
    return replace(measured(check, zero, zero), witness=seen)


@pytest.mark.parametrize(
    ("text", "fired", "witness", "verdict"),
    [
        ("write.calls == 0", {"write": 0}, None, "inconclusive"),
        ("write.calls == 0", {}, None, "inconclusive"),
        ("write.calls == 0", {"write": "unknown"}, None, "inconclusive"),
        ("write.calls == 0", {"call": 9}, None, "inconclusive"),
        ("write.calls <= 5", {"write": 0}, None, "inconclusive"),
        ("write.calls == 0", {"write": 9}, None, "ok"),
        ("write.calls == 0", {"write": 0}, 1, "ok"),
        ("write.calls == 0", {"write": 9}, 0, "inconclusive"),
        ("write.calls == 0", {"write": 0}, 0, "inconclusive"),
        ("write.calls <= 5", {"write": 9}, 0, "ok"),
        ("write.calls <= 5", {"write": 0}, 0, "inconclusive"),
        ("write.calls - call.calls == 0", {"write": 9, "call": 9}, 1, "inconclusive"),
        ("2 * write.calls - write.calls == 0", {"write": 0}, 1, "ok"),
        ("wait.waits == 0", {"begin": 9, "end": 9}, None, "ok"),
        ("wait.waits == 0", {"begin": 9}, None, "inconclusive"),
    ],
)
def test_zero_has_to_be_shown_to_be_possible_otherwise(
    text: str, fired: Mapping[str, Any], witness: int | None, verdict: str
) -> None:
    check = good_check(text)
    one = judge(check, quiet(check, fired, witness))
    assert (one.verdict, one.unrecorded) == (verdict, False)
    if verdict == "inconclusive":
        assert "never fired" in one.reasons[0] or "witness did not" in one.reasons[0]


def test_one_event_of_one_repeat_is_proof_enough() -> None:
    check = good_check("write.calls <= 5")
    silent = {"fired_on_host": {"write": 0}}
    zero, seen = repeat({}, check, **silent), repeat({"write.calls": 1}, check, **silent)
    assert judge(check, measured(check, zero, seen)).verdict == "ok"
    fired = repeat({}, check, fired_on_host={"write": 1})
    assert judge(check, measured(check, zero, fired)).verdict == "ok"
    assert judge(check, measured(check, zero, zero)).verdict == "inconclusive"


def test_a_zero_that_proves_nothing_is_not_recorded_as_a_baseline() -> None:
    check = good_check("write.calls <= baseline")
    for fired, witness, proven in ((0, None, False), (9, None, True), (9, 0, False), (0, 1, True)):
        found = judge_check(check, quiet(check, {"write": fired}, witness), None)
        assert found.expectations[0].verdict == "inconclusive"
        assert found.may_be_recorded is proven, (fired, witness)


@pytest.mark.parametrize(
    ("text", "verdict"),
    [
        ("write.calls <= baseline", "inconclusive"),
        ("write.calls >= 0.5 * baseline", "inconclusive"),
        ("0.1 * baseline <= write.calls <= 9", "fail"),
        ("write.calls <= 9", "ok"),
        ("write.calls == 0", "ok"),
    ],
)
def test_zero_now_and_not_in_the_baseline_is_undecided(text: str, verdict: str) -> None:
    check = good_check(text)
    before = record(check, measure(check, (3, 3)))
    one = judge(check, quiet(check, {"write": 9}), before)
    assert one.verdict == verdict
    assert one.unrecorded is (verdict == "inconclusive")


# ---------------------------------------------------------------- what the baseline is of


def elsewhere(measurement: Measurement, place: str, **changes: Any) -> Measurement:
    """The measurement on another machine, its probes at `place`."""
    probes = {name: replace(one, place=place) for name, one in measurement.probes.items()}
    return replace(measurement, probes=probes, environment=replace(HERE, **changes))


@pytest.mark.parametrize(
    ("place", "changes", "verdict"),
    [
        ("user-visible", {"kernel": "6.12.99-cloud"}, "ok"),
        ("user-visible", {"kernel": "5.10.0-30-amd64", "cpu": "B"}, "ok"),
        ("user-visible", {"arch": "aarch64"}, "inconclusive"),
        ("kernel-side", {"kernel": "6.12.99-cloud", "cpu": "B"}, "ok"),
        ("kernel-side", {"kernel": "6.1.0-50-amd64"}, "inconclusive"),
        ("kernel-side", {"arch": "aarch64"}, "inconclusive"),
    ],
)
def test_what_may_be_compared(place: str, changes: Mapping[str, str], verdict: str) -> None:
    check = good_check("write.calls <= baseline")
    here = elsewhere(measure(check, (3,)), place)
    one = judge(check, here, record(check, elsewhere(here, place, **changes)))
    assert (one.verdict, one.unrecorded) == (verdict, verdict == "inconclusive")
    if verdict == "inconclusive":
        assert "no baseline for x86_64" in one.reasons[0]
        assert "the nearest is of " in one.reasons[0]
        assert "probeplan check check.yaml --update new" in one.reasons[0]


def test_each_expectation_compares_as_far_as_its_own_probes_allow() -> None:
    check = good_check("write.calls <= baseline", "call.calls <= baseline")
    good = measured(check, repeat({"write.calls": 3, "call.calls": 3}, check))
    probes = {**good.probes, "call": replace(good.probes["call"], place="kernel-side")}
    here = replace(good, probes=probes)
    there = replace(here, environment=replace(HERE, kernel="6.1.0-50-amd64"))
    verdicts = judge_check(check, here, record(check, there)).expectations
    assert [one.verdict for one in verdicts] == ["ok", "inconclusive"]
    assert "no baseline for x86_64, kernel 6.12" in verdicts[1].reasons[0]
    assert "the nearest is of x86_64, kernel 6.1)" in verdicts[1].reasons[0]


def test_memory_is_compared_with_that_of_the_same_size() -> None:
    check = good_check("workload.maxrss <= baseline", workload=TWO)

    def run(low: int, high: int) -> Measurement:
        sizes = ((10, low), (30, high))
        return measured(check, *(repeat({}, check, ops=n, maxrss_bytes=b) for n, b in sizes))

    before = record(check, run(100, 200))
    assert judge(check, run(100, 200), before).verdict == "ok"
    assert judge(check, run(101, 200), before).verdict == "fail"
    assert [series.baseline for series in judge(check, run(1, 2), before).series] == [100, 200]


def test_metrics_that_were_recorded_apart_are_combined_as_far_as_both_go() -> None:
    check = good_check("write.calls + call.calls <= baseline")
    runs = [repeat({"write.calls": n, "call.calls": n}, check) for n in (1, 2, 9)]
    (entry,) = record(check, measured(check, *runs)).entries
    short = replace(entry.metrics["call.calls"], repeats=entry.metrics["call.calls"].repeats[:1])
    changed = replace(entry, metrics={**entry.metrics, "call.calls": short})
    one = judge(check, measured(check, runs[0]), Baseline(check="x", entries=(changed,)))
    assert one.verdict == "ok"
    assert one.series[0].baseline == 2


def test_a_check_without_a_baseline_says_how_to_record_one() -> None:
    check = good_check("write.calls <= baseline")
    one = judge(check, measure(check, (3,)))
    assert (one.verdict, one.unrecorded) == ("inconclusive", True)
    assert one.reasons == (
        "no baseline for x86_64: record one with `probeplan check check.yaml --update new`",
    )


def test_a_metric_that_was_not_recorded_or_was_defined_otherwise_is_undecided() -> None:
    check = good_check("write.calls <= baseline")
    good = measure(check, (3,))
    (entry,) = record(check, good).entries
    metrics = dict(entry.metrics)
    changed = {**metrics, "write.calls": replace(metrics["write.calls"], digest="x")}
    one = judge(check, good, Baseline(check="x", entries=(replace(entry, metrics=changed),)))
    assert (one.verdict, one.unrecorded) == ("inconclusive", True)
    assert "was defined differently" in one.reasons[0]
    assert "--update all" in one.reasons[0]
    del metrics["write.calls"]
    one = judge(check, good, Baseline(check="x", entries=(replace(entry, metrics=metrics),)))
    assert (one.verdict, one.unrecorded) == ("inconclusive", True)
    assert "the baseline has no write.calls" in one.reasons[0]
    changed = {**entry.metrics, "call.calls": replace(entry.metrics["call.calls"], digest="x")}
    one = judge(check, good, Baseline(check="x", entries=(replace(entry, metrics=changed),)))
    assert one.verdict == "ok"


def test_another_alternative_than_the_baselines_is_undecided() -> None:
    check = good_check("write.calls <= baseline")
    good = measure(check, (3,))
    before = record(check, good)
    for name, verdict in (("write", "inconclusive"), ("call", "ok")):
        probes = {**good.probes, name: replace(good.probes[name], alternative="syscall:pwrite64")}
        one = judge(check, replace(good, probes=probes), before)
        assert (one.verdict, one.unrecorded) == (verdict, verdict != "ok")
    mechanisms = replace(good.probes["write"], mechanisms=("other",))
    one = judge(check, replace(good, probes={**good.probes, "write": mechanisms}), before)
    assert one.verdict == "ok"


def test_what_the_baseline_has_too_much_is_warned_of() -> None:
    check = good_check("write.calls <= 9")
    good = measure(check, (3,))
    (entry,) = record(check, good).entries
    metrics = {**entry.metrics, "gone.calls": entry.metrics["write.calls"]}
    before = Baseline(check="x", entries=(replace(entry, metrics=metrics),))
    assert judge_check(check, good, before).warnings == (
        "the baseline has gone.calls, which is no longer measured; `--update all` drops it",
    )
    assert judge_check(check, good, record(check, good)).warnings == ()


def test_cells_that_the_baseline_cut_off_are_not_guessed() -> None:
    check = good_check("call.calls[number == 1] <= baseline", "call.calls <= baseline")
    good = cells(check, {1: 5})
    (entry,) = record(check, good).entries
    stored = entry.metrics["call.calls"].repeats[0]
    cut: tuple[MeasuredCell, ...] = (*stored.cells, other(7))
    recorded = replace(entry.metrics["call.calls"], repeats=(replace(stored, cells=cut),))
    changed = replace(entry, metrics={**entry.metrics, "call.calls": recorded})
    filtered, whole = judge_check(check, good, Baseline(check="x", entries=(changed,))).expectations
    assert (filtered.verdict, filtered.unrecorded) == ("inconclusive", True)
    assert filtered.reasons[0].startswith("in the baseline, call.calls has cells without a key")
    assert whole.verdict == "ok"
    assert whole.series[0].baseline == 12


# ---------------------------------------------------------------- the check


def test_the_exit_code_is_the_first_that_applies() -> None:
    order = [6, 2, 3, 1, 5, 4, 0]
    for position, code in enumerate(order):
        assert find_exit_code(reversed(order[position:])) == code
    assert find_exit_code([]) == 0


def test_a_failure_outranks_what_is_undecided() -> None:
    check = good_check("write.calls <= 2", "write.calls <= baseline", "write.calls <= 3")
    found = judge_check(check, measure(check, (3,)), None)
    assert [one.verdict for one in found.expectations] == ["fail", "inconclusive", "ok"]
    assert find_exit_code(found.list_exit_codes()) == 1
    assert found.may_be_recorded


def test_what_only_warns_asks_for_no_exit_code() -> None:
    check = good_check(
        "{that: write.calls <= 2, severity: warn}",
        "{that: write.calls <= baseline, severity: warn}",
    )
    found = judge_check(check, measure(check, (3,)), None)
    assert [one.verdict for one in found.expectations] == ["fail", "inconclusive"]
    assert find_exit_code(found.list_exit_codes()) == 0


def test_what_is_undecided_may_be_only_warned_of() -> None:
    check = good_check("write.calls <= baseline")
    found = judge_check(check, measure(check, (3,)), None)
    assert find_exit_code(found.list_exit_codes()) == 4
    assert find_exit_code(found.list_exit_codes(inconclusive="warn")) == 0


def test_figures_that_are_not_valid_are_not_recorded() -> None:
    check = good_check("write.calls <= 9", "call.calls <= 9")
    lost = repeat({"write.calls": 3}, check, losses={"call": ("some",)})
    assert not judge_check(check, measured(check, lost), None).may_be_recorded
    slow = repeat({}, check, command=replace(lost.command, code=1))
    assert not judge_check(check, measured(check, slow), None).may_be_recorded


def test_with_each_a_stack_without_names_is_undecided_and_in_total_it_counts() -> None:
    cells = [cell(3, kstack=("vfs_read",)), cell(2, kstack=None)]
    check = good_check("{that: call.stacks <= 9, each: true}")
    one = judge(check, measure(check, [cells], "call.stacks"))
    assert (one.verdict, one.reasons) == (
        "inconclusive",
        ("call.stacks has a cell whose key could not be read",),
    )
    check = good_check("call.stacks <= 5")
    assert judge(check, measure(check, [cells], "call.stacks")).verdict == "ok"
