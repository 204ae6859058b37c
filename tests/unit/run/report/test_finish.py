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


def test_a_run_that_limits_cpu_ended_is_incomplete_and_never_0() -> None:
    """A caller who asked for a duration did not get it, whatever losses are allowed."""
    run = ending(outcome="cost", armed_for_ns=1_500_000_000, dropped={"opens": 900_000_000})
    for incomplete in ("fail", "allow"):
        fields = finish(run, incomplete=incomplete, duration_ns=10_000_000_000)
        assert (fields["exit_code"], fields["complete"], fields["counted"]) == (4, False, "part")
        assert fields["incomplete_because"] == [
            "limits.cpu (2% of one CPU) ended the run after 1.5 s of 10 s; raise it with "
            "--limit cpu=…"
        ]


def test_a_probe_that_limits_cpu_detached_makes_a_run_incomplete() -> None:
    run = ending(armed_for_ns=2_000_000_000, dropped={"opens": 900_000_000})
    fields = finish(run)
    assert (fields["exit_code"], fields["complete"], fields["counted"]) == (4, False, "part")
    assert fields["incomplete_because"] == [
        "opens: limits.cpu (2% of one CPU) detached it after 0.9 s of 2 s; raise it with "
        "--limit cpu=…"
    ]
    assert finish(run, incomplete="allow")["exit_code"] == 0


@pytest.mark.parametrize(
    ("held", "unwritten", "text"),
    [
        ({}, 0, None),
        (
            {"rate_limited": 397},
            0,
            "103 of 500 records; 397 held back by rate 1k/s; raise it with --limit rate=…",
        ),
        (
            {"rate_limited": 1000, "over_cap": 20},
            0,
            "103 of 1,123 records; 1,000 held back by rate 1k/s; raise it with --limit rate=…; 20 "
            "held back by events 10k; raise it with --limit events=…",
        ),
        (
            {},
            7,
            "103 of 110 records; 7 held back by output 1GiB; raise it with --limit output=…",
        ),
    ],
)
def test_what_bounds_hold_back_is_counted_all_and_recorded_part(
    held: dict[str, int], unwritten: int, text: str | None
) -> None:
    session = FakeSession(Script(**held))
    session.recorded = 103 + unwritten
    delivered = {0: Delivery(delivered=103, undelivered=unwritten)}
    account = make_account(program(), session.attached, session.counts(), delivered)
    fields = finish(ending(account=account, output_limited=bool(unwritten)))
    assert (fields["exit_code"], fields["complete"], fields["lost"]) == (0, True, 0)
    assert (fields["counted"], fields["recorded"]) == ("all", "part" if text else "all")
    assert fields["held_back_because"] == text
    total = sum(one["records"] for one in fields["held_back"])
    assert total == sum(held.values()) + unwritten


def test_a_lost_record_is_counted_all_the_same() -> None:
    session = FakeSession(Script(ring_lost=3))
    account = make_account(program(), session.attached, session.counts(), {0: Delivery()})
    fields = finish(ending(account=account))
    assert (fields["complete"], fields["counted"], fields["recorded"]) == (False, "all", "part")
    session = FakeSession(Script(kernel_missed=3))
    account = make_account(program(), session.attached, session.counts(), {0: Delivery()})
    fields = finish(ending(account=account))
    assert (fields["complete"], fields["counted"], fields["recorded"]) == (False, "part", "all")


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
