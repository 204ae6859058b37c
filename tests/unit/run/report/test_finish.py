"""What ended a run is in run.finished, and the most serious of it in the exit code."""

import signal
from dataclasses import replace
from typing import Any

import pytest

from orchestrator.plan.findings import Finding, HostError, PlanError
from orchestrator.plan.model import Limits
from orchestrator.run.report.account import make_account, make_empty_account
from orchestrator.run.report.faults import Faults
from orchestrator.run.report.finish import Ending, finish_run
from orchestrator.run.report.ledger import Delivery
from orchestrator.run.report.outcome import CommandResult
from tests.support.fake_backend import FakeSession, Script, program

FAILED = CommandResult(argv=("false",), pid=1, status=1)
KILLED = CommandResult(argv=("cat",), pid=1, signal="SIGKILL")
LEFT = CommandResult(argv=("sh",), pid=1, status=0, left=((7, "sleep"),))
FINDING = Finding(code="PP080", message="no such symbol", hint="name another")


def ending(**changes: Any) -> Ending:
    """A run that ended as it should, with one record."""
    session = FakeSession(Script())
    session.recorded = 1
    account = make_account(
        program(), session.attached, session.counts(), {0: Delivery(delivered=1)}
    )
    whole = Ending(
        outcome="duration", account=account, command=None, ended_by=None, armed_at="2026",
        armed_for_ns=5, startup_ms=1.0, detach_ms=2.34, output_limited=False, output_failed="",
        paused_ns={},
    )  # fmt: skip
    return replace(whole, **changes)


def faults(*errors: BaseException, left: str = "", note: str = "") -> Faults:
    found = Faults()
    found.errors += errors
    found.left_behind += [left] * bool(left)
    found.notes += [note] * bool(note)
    return found


def finish(run: Ending, wrong: Faults | None = None, **limits: Any) -> dict[str, Any]:
    return finish_run(run, program(Limits(**limits)), wrong or Faults())[0]


def test_a_run_that_saw_everything_is_complete_and_done() -> None:
    fields = finish(ending())
    assert (fields["exit_code"], fields["level"], fields["complete"]) == (0, "info", True)
    assert (fields["incomplete_because"], fields["error"], fields["lost"]) == ([], None, 0)
    assert fields["detach_ms"] == 2.3


@pytest.mark.parametrize(
    ("changes", "wrong", "code"),
    [
        ({"output_failed": "No space left on device"}, faults(), 4),
        ({"command": FAILED, "output_failed": "x"}, faults(), 5),
        ({"command": KILLED}, faults(), 5),
        ({"command": FAILED, "outcome": "interrupted", "ended_by": signal.SIGTERM}, faults(), 143),
        ({"outcome": "interrupted"}, faults(), 130),
        ({"outcome": "interrupted"}, faults(left="event x is still in use"), 6),
        ({"command": FAILED}, faults(PlanError([FINDING])), 2),
        ({"command": FAILED}, faults(HostError([FINDING])), 3),
        ({}, faults(OSError("no")), 6),
        ({}, faults(note="the journal is elsewhere"), 0),
    ],
)
def test_the_most_serious_problem_chooses_the_exit_code(
    changes: dict[str, Any], wrong: Faults, code: int
) -> None:
    fields = finish(ending(**changes), wrong)
    assert fields["exit_code"] == code
    assert fields["level"] == ("error" if code == 6 else "warning")


def test_incomplete_runs_may_be_allowed_but_not_a_failed_output() -> None:
    lost = replace(ending().account, undelivered={"opens": 1})
    assert finish(ending(account=lost))["exit_code"] == 6, "a record too many: it does not balance"
    session = FakeSession(Script(ring_lost=3))
    account = make_account(program(), session.attached, session.counts(), {0: Delivery()})
    assert finish(ending(account=account))["exit_code"] == 4
    assert finish(ending(account=account), incomplete="allow")["exit_code"] == 0
    failed = finish(ending(output_failed="No space left on device"), incomplete="allow")
    assert failed["exit_code"] == 4
    assert failed["incomplete_because"] == ["writing the output failed: No space left on device"]


def test_a_run_that_was_never_armed_saw_nothing() -> None:
    fields = finish(ending(armed_at=None, account=make_empty_account(program())))
    assert (fields["exit_code"], fields["complete"], fields["lost"]) == (4, False, 0)
    assert fields["incomplete_because"] == ["nothing was ever attached and armed"]
    assert fields["nothing_seen_because"] == "opens is attached nowhere"


@pytest.mark.parametrize(
    ("command", "status", "error"),
    [
        (None, None, None),
        (FAILED, 1, "the command failed with status 1"),
        (KILLED, 137, "the command was ended by SIGKILL"),
        (LEFT, 0, "1 of its descendants still run: sleep (7)"),
    ],
)
def test_the_command_s_end_is_reported_as_in_a_shell(
    command: CommandResult | None, status: int | None, error: str | None
) -> None:
    fields = finish(ending(command=command))
    assert (fields["command_status"], fields["error"]) == (status, error)
    left = [{"pid": 7, "comm": "sleep"}] if command is LEFT else []
    assert fields["command_descendants_left"] == left
