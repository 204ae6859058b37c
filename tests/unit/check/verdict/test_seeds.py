"""Figures of a deterministic machine against its baseline: each seed with its own."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from orchestrator.check.baseline.model import Baseline, EntryKey
from orchestrator.check.baseline.text import parse_baseline, show_baseline
from orchestrator.check.baseline.update import update_baseline
from orchestrator.check.measurement import Measurement
from orchestrator.check.model import Check
from orchestrator.check.verdict.judge import judge_check
from orchestrator.check.verdict.model import ExpectationVerdict
from tests.support.checks import check_text, inspect
from tests.support.measurements import HERE, measured, repeat

MACHINE = replace(HERE, machine="qemu 7, kernel a, image b, seeds 3")


def booted_check(claim: str) -> Check:
    check, findings = inspect(check_text(claim, before="machine: {kernel: debian:6.1}\n"))
    assert check is not None
    assert not findings
    return check


def boots(check: Check, calls: Sequence[int], walls: Sequence[int] = (9, 9, 9)) -> Measurement:
    repeats = [
        repeat({"write.calls": count}, check, wall_ns=wall)
        for count, wall in zip(calls, walls, strict=True)
    ]
    return replace(measured(check, *repeats), environment=MACHINE)


def judge(claim: str, before: Sequence[int], now: Sequence[int]) -> ExpectationVerdict:
    check = booted_check(claim)
    baseline = update_baseline(None, "example", boots(check, before), "2026", "new")
    return judge_check(check, boots(check, now), baseline).expectations[0]


@pytest.mark.parametrize(
    ("claim", "before", "now", "verdict"),
    [
        ("write.calls <= baseline", (100, 102, 101), (101, 103, 102), "fail"),
        ("write.calls <= baseline", (100, 102, 101), (101, 102, 102), "ok"),
        ("write.calls <= 1.01 * baseline", (100, 200, 300), (101, 202, 303), "ok"),
        ("write.calls <= 1.01 * baseline", (100, 200, 300), (102, 203, 304), "fail"),
        ("write.calls >= baseline", (100, 102, 101), (99, 101, 100), "fail"),
        ("write.calls == baseline", (100, 102, 101), (100, 102, 101), "ok"),
        ("0.9 * baseline <= write.calls <= 2 * baseline", (100, 200, 300), (80, 160, 240), "fail"),
    ],
)
def test_a_change_fails_where_it_is_there_under_every_seed(
    claim: str, before: Sequence[int], now: Sequence[int], verdict: str
) -> None:
    """The second case is worse under two of three: the median alone would fail it."""
    assert judge(claim, before, now).verdict == verdict


def test_seeds_that_disagree_are_named_with_their_noise() -> None:
    judged = judge("write.calls <= baseline", (100, 102, 101), (101, 102, 102))
    assert judged.series[0].varies
    assert any("seeds differ by 0.98 %" in note for note in judged.notes)


def test_no_event_before_allows_none_under_any_seed() -> None:
    claim = "write.calls <= baseline"
    assert judge(claim, (0, 0, 0), (0, 1, 0)).verdict == "fail"


def test_times_are_compared_with_those_of_the_same_machine() -> None:
    check = booted_check("workload.wall <= 1.01 * baseline")
    before = boots(check, (1, 1, 1), walls=(1000, 1100, 1200))
    baseline = update_baseline(None, "example", before, "2026", "new")
    assert parse_baseline(show_baseline(baseline).encode()) == baseline
    slower = boots(check, (1, 1, 1), walls=(1011, 1112, 1213))
    same = boots(check, (1, 1, 1), walls=(1010, 1111, 1212))
    assert judge_check(check, slower, baseline).expectations[0].verdict == "fail"
    assert judge_check(check, same, baseline).expectations[0].verdict == "ok"


@pytest.mark.parametrize("now", [HERE, replace(MACHINE, machine="qemu 8, kernel a, image b")])
def test_another_machine_or_a_host_is_not_compared(now: object) -> None:
    check = booted_check("write.calls <= baseline")
    before = boots(check, (1, 1, 1))
    baseline = update_baseline(None, "example", before, "2026", "new")
    judged = judge_check(check, replace(before, environment=now), baseline).expectations[0]
    assert judged.verdict == "inconclusive"
    assert "the nearest is of x86_64" in judged.reasons[0]


def test_another_mechanism_is_not_compared() -> None:
    check = booted_check("write.calls <= baseline")
    before = boots(check, (1, 1, 1))
    baseline = update_baseline(None, "example", before, "2026", "new")
    probes = {name: replace(probe, mechanisms=("other",)) for name, probe in before.probes.items()}
    judged = judge_check(check, replace(before, probes=probes), baseline).expectations[0]
    assert judged.verdict == "inconclusive"
    assert "is attached by other, and was by" in judged.reasons[0]


def test_a_host_is_not_compared_with_a_machine() -> None:
    check = booted_check("write.calls <= baseline")
    entry = update_baseline(None, "example", boots(check, (1, 1, 1)), "2026", "new").entries[0]
    found = Baseline(check="example", entries=(entry,)).find_entry(
        EntryKey(arch=HERE.arch), kernel_side=False
    )
    assert found is None
