"""Validity first: each way in which figures may be wrong, by the rule that sees it.

Every case is judged as a whole, and once more without its rule: then it would be ok. So no rule can
be lost, and none hides another one.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest

from orchestrator.accounting.count import UNKNOWN
from orchestrator.check.measurement import CommandEnd, Measurement, ProbeIdentity, WorkloadTrouble
from orchestrator.check.model import Check
from orchestrator.check.verdict import validity
from orchestrator.check.verdict.judge import judge_check
from orchestrator.check.verdict.model import ExpectationVerdict
from orchestrator.check.verdict.validity import Rule
from tests.support.checks import good_check
from tests.support.measurements import measured, repeat

CHECK = good_check("write.calls <= 10", "call.calls <= 10", "wait.waits <= 10")
COUNTS = {"write.calls": 3, "call.calls": 4, "wait.waits": 5}
#: The expectations that read each of these, by number.
ALL, WRITE, CALL, WAIT = {0, 1, 2}, {0}, {1}, {2}


def with_repeat(**changes: Any) -> Measurement:
    """Three repeats, the second of which differs in this."""
    good = repeat(COUNTS, CHECK)
    return measured(CHECK, good, repeat(COUNTS, CHECK, **changes), good)


def with_probe(name: str, **changes: Any) -> Measurement:
    """Good repeats of a probe that is identified otherwise."""
    good = with_repeat()
    probes: dict[str, ProbeIdentity] = {**good.probes}
    probes[name] = replace(probes[name], **changes)
    return replace(good, probes=probes)


def without_probe(name: str) -> Measurement:
    """Good repeats in which a probe is not known."""
    good = with_repeat()
    return replace(good, probes={k: v for k, v in good.probes.items() if k != name})


def without_metric() -> Measurement:
    """A repeat without figures of a metric."""
    cells = {**repeat(COUNTS, CHECK).cells}
    cells["write"] = {name: found for name, found in cells["write"].items() if name != "calls"}
    return with_repeat(cells=cells)


@dataclass(frozen=True, slots=True)
class Case:
    """What was measured, which expectations it spoils, by which rule, and for which reason."""

    measurement: Callable[[], Measurement]
    spoils: set[int]
    rule: Rule
    reason: str


CASES = {
    "deadline": Case(
        lambda: with_repeat(outcome="deadline"),
        ALL,
        validity.find_early_end,
        "the counting was ended by its deadline, before the command ended",
    ),
    "cost": Case(lambda: with_repeat(outcome="cost"), ALL, validity.find_early_end, "its cost"),
    "cap": Case(lambda: with_repeat(outcome="cap"), ALL, validity.find_early_end, "its cap"),
    "descendants": Case(
        lambda: with_repeat(command=CommandEnd(code=0, left=((7, "sleep"), (8, "sh")))),
        ALL,
        validity.find_descendants,
        "still running when the command ended: sh, sleep",
    ),
    "children": Case(
        lambda: with_repeat(children_lost=2),
        ALL,
        validity.find_lost_children,
        "2 children of the command were not followed",
    ),
    "children unknown": Case(
        lambda: with_repeat(children_lost=UNKNOWN),
        ALL,
        validity.find_lost_children,
        "an unknown number of children",
    ),
    "probe skipped": Case(
        lambda: with_probe("write", skipped="no such tracepoint"),
        WRITE,
        validity.find_detached,
        "write was not attached: no such tracepoint",
    ),
    "probe of a span skipped": Case(
        lambda: with_probe("end", skipped="blacklisted"),
        WAIT,
        validity.find_detached,
        "end was not attached: blacklisted",
    ),
    "probe unknown": Case(
        lambda: without_probe("call"), CALL, validity.find_detached, "call was not attached"
    ),
    "sampling": Case(
        lambda: with_probe("write", sample=8),
        WRITE,
        validity.find_resampled,
        "the governor lowered the sampling of write to 1/8",
    ),
    "loss": Case(
        lambda: with_repeat(losses={"write": ("12 events were missed",)}),
        WRITE,
        validity.find_losses,
        "write: 12 events were missed",
    ),
    "loss at a tracepoint": Case(
        lambda: with_repeat(losses={"call": ("misses are unknown",)}),
        CALL,
        validity.find_losses,
        "call: misses are unknown; misses of `rawtracepoint:sys_exit` are counted",
    ),
    "loss of a span": Case(
        lambda: with_repeat(losses={"wait": ("3 starts did not fit",)}),
        WAIT,
        validity.find_losses,
        "wait: 3 starts did not fit",
    ),
    "loss at the end of a span": Case(
        lambda: with_repeat(losses={"end": ("1 event was missed",)}),
        WAIT,
        validity.find_losses,
        "end: 1 event was missed",
    ),
    "loss of anything": Case(
        lambda: with_repeat(losses={"": ("the task map was full",)}),
        ALL,
        validity.find_losses,
        "the task map was full",
    ),
    "faulted": Case(
        lambda: with_repeat(faulted=4),
        ALL,
        validity.find_faults,
        "4 values of conditions or keys could not be read",
    ),
    "faulted unknown": Case(
        lambda: with_repeat(faulted=UNKNOWN), ALL, validity.find_faults, "an unknown number"
    ),
    "other": Case(
        lambda: with_repeat(others=frozenset({("call", "calls")})),
        CALL,
        validity.find_overflow,
        "keys of call.calls did not fit (cell `other`): raise its `keys`",
    ),
}


def judge(measurement: Measurement, check: Check = CHECK) -> tuple[ExpectationVerdict, ...]:
    """The verdicts on a check's expectations."""
    return judge_check(check, measurement, None).expectations


def test_valid_figures_are_judged() -> None:
    assert [one.verdict for one in judge(with_repeat())] == ["ok", "ok", "ok"]


@pytest.mark.parametrize("name", CASES)
def test_what_may_be_wrong_is_inconclusive_for_what_reads_it(name: str) -> None:
    case = CASES[name]
    for number, one in enumerate(judge(case.measurement())):
        assert one.verdict == ("inconclusive" if number in case.spoils else "ok"), (number, one)
        if number in case.spoils:
            assert any(case.reason in reason for reason in one.reasons), one.reasons
            assert not one.unrecorded
            assert one.series == ()


@pytest.mark.parametrize("name", CASES)
def test_no_other_rule_would_see_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    case = CASES[name]
    kept = tuple(rule for rule in validity.RULES if rule is not case.rule)
    assert len(kept) == len(validity.RULES) - 1
    monkeypatch.setattr(validity, "RULES", kept)
    assert {one.verdict for one in judge(case.measurement())} == {"ok"}


def test_every_rule_has_a_case() -> None:
    apart = {validity.find_no_repeats, validity.find_unmeasured}  # below: no figures at all
    assert {case.rule for case in CASES.values()} | apart == set(validity.RULES)


def test_what_was_not_measured_does_not_pass() -> None:
    nothing = judge(measured(CHECK))
    assert {one.verdict for one in nothing} == {"inconclusive"}
    assert nothing[0].reasons == ("nothing was measured",)
    one, *others = judge(without_metric())
    assert (one.verdict, one.reasons) == ("inconclusive", ("write.calls was not measured",))
    assert [other.verdict for other in others] == ["ok", "ok"]


def test_losses_of_probes_that_nothing_reads_do_not_matter() -> None:
    spoiled = with_repeat(losses={"rare": ("all of them",)}, others=frozenset({("write", "most")}))
    assert {one.verdict for one in judge(spoiled)} == {"ok"}


def test_invalid_figures_do_not_fail_either() -> None:
    """A proven failure needs valid figures; `fail` would blame the program."""
    check = good_check("write.calls <= 1")
    spoiled = measured(check, repeat(COUNTS, check, outcome="cost"))
    assert [one.verdict for one in judge(spoiled, check)] == ["inconclusive"]


# ---------------------------------------------------------------- the workload


@pytest.mark.parametrize(
    ("end", "reason"),
    [
        (CommandEnd(code=1), "repeat 2: the command ended with exit code 1, not 0"),
        (CommandEnd(signal="SIGSEGV"), "repeat 2: the command was ended by SIGSEGV"),
        (CommandEnd(signal="SIGKILL", timed_out=True), "repeat 2: the command took longer than 60"),
    ],
)
def test_a_command_that_fails_is_the_workloads_fault(end: CommandEnd, reason: str) -> None:
    """Whatever else is wrong with the figures then."""
    spoiled = with_repeat(command=end, outcome="deadline", faulted=3)
    for one in judge(spoiled):
        assert one.verdict == "workload"
        assert reason in one.reasons[0]


def test_a_stage_that_fails_is_the_workloads_fault() -> None:
    trouble = Measurement(
        repeats=(),
        probes={},
        metrics={},
        environment=with_repeat().environment,
        trouble=WorkloadTrouble(stage="setup", message="rm: not found"),
    )
    assert [(one.verdict, one.reasons) for one in judge(trouble)] == [
        ("workload", ("setup: rm: not found",))
    ] * 3


def test_the_exit_code_of_the_workload_is_the_one_that_it_names() -> None:
    check = good_check("write.calls <= 10", workload="run: [make]\nexit: 3")
    good = repeat(COUNTS, check, command=CommandEnd(code=3))
    assert [one.verdict for one in judge(measured(check, good), check)] == ["ok"]
    bad = repeat(COUNTS, check)
    assert [one.verdict for one in judge(measured(check, bad), check)] == ["workload"]
