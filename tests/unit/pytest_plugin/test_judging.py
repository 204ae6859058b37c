"""Blocks are judged as checks are, by what a part of a process has."""

import pytest

from orchestrator.check.expectation.figures import counted_from_repeat
from orchestrator.plan.findings import PlanError, Position
from orchestrator.pytest_plugin.helper.judging import BlockJudge, ExpectationText
from tests.support.checks import good_check
from tests.support.measurements import Counts, cell, measured, repeat

CHECK = good_check("call.calls >= 0")
HERE = Position(file="test_it.py", line=7, column=20)


def judge() -> BlockJudge:
    return BlockJudge(CHECK.plan, "x86_64")


def text(expression: str) -> ExpectationText:
    return ExpectationText(text=expression, position=HERE)


def verdict(expression: str, counts: Counts, **changes: object) -> dict[str, object]:
    block = repeat(counts, CHECK, **changes)
    expectations = judge().read_expectations([text(expression)])
    [found] = judge().judge(expectations, measured(CHECK, block))
    return judge().describe(found, block)


@pytest.mark.parametrize(
    ("expression", "word", "value"),
    [
        ("call.calls == 7", "ok", "7"),
        ("call.calls <= 6", "fail", "7"),
        ("call.calls[number == SYS_fsync] == 4", "ok", "4"),
        ("2 <= call.calls / 2 <= 3", "fail", "3.5"),
        ("workload.wall <= 5 * us", "ok", "5,000"),
    ],
)
def test_valid_figures_hold_or_do_not(expression: str, word: str, value: str) -> None:
    found = verdict(expression, {"call.calls": [cell(4, number=74), cell(3, number=110)]})
    assert (found["verdict"], found["value"], found["at"]) == (word, value, "test_it.py:7:20")


def test_a_broken_expectation_shows_the_cells_that_it_reads() -> None:
    cells = [cell(n, number=n) for n in range(1, 9)]
    found = verdict("call.calls[number > 1] == 0", {"call.calls": cells})
    assert found["cells"] == [*(f"number {n}: {n}" for n in (8, 7, 6, 5, 4)), "and 2 more"]


def test_what_was_lost_decides_nothing() -> None:
    found = verdict("call.calls == 7", {"call.calls": 7}, losses={"call": ("3 events were lost",)})
    assert (found["verdict"], found["value"]) == ("inconclusive", "")
    assert "3 events were lost" in str(found["reasons"])


def test_a_zero_needs_a_probe_that_fired_or_a_witness() -> None:
    silent = repeat({}, CHECK, fired_on_host={})
    expectations = judge().read_expectations([text("call.calls == 0")])
    witness = repeat({"call.calls": 1}, CHECK)
    [unproven] = judge().judge(expectations, measured(CHECK, silent))
    [proven] = judge().judge(expectations, measured(CHECK, silent, witness=witness))
    idle = measured(CHECK, silent, witness=repeat({}, CHECK))
    [idle_witness] = judge().judge(expectations, idle)
    words = [one.verdict for one in (unproven, proven, idle_witness)]
    assert words == ["inconclusive", "ok", "inconclusive"]
    assert counted_from_repeat(silent).ops == 1


@pytest.mark.parametrize(
    ("expression", "code", "message"),
    [
        ("call.call == 0", "PP071", "no metric 'call.call'"),
        ("call.calls", "PP200", "not one comparison"),
        ("call.calls ==", "PP020", ""),
        ("call.calls <= baseline", "PP202", "no `baseline`"),
        ("workload.user <= 3", "PP072", "workload.user is a command's"),
        ("workload.maxrss <= 3", "PP072", "workload.maxrss is a command's"),
    ],
)
def test_a_wrong_expectation_is_found_at_its_place(
    expression: str, code: str, message: str
) -> None:
    with pytest.raises(PlanError) as caught:
        judge().read_expectations([text("call.calls == 0"), text(expression)])
    finding = caught.value.findings[0]
    assert finding.code == code
    assert message in finding.message
    assert (finding.position.file, finding.position.line) == ("test_it.py", 7)


def test_a_value_is_asked_for_without_a_comparison() -> None:
    expectation = judge().read_value(text("call.calls / 2"))
    block = repeat({"call.calls": 7}, CHECK)
    [found] = judge().judge([expectation], measured(CHECK, block))
    assert judge().describe(found, block)["exact"] == [7, 2]
    with pytest.raises(PlanError, match="is a comparison, not a value"):
        judge().read_value(text("call.calls == 7"))
