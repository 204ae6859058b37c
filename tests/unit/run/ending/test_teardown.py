"""The end of a run: every step is tried, whatever failed before it."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from orchestrator.run.command import park_command
from orchestrator.run.ending.teardown import detach_all, finish_command
from orchestrator.run.groundwork import Groundwork
from orchestrator.run.report.faults import Faults
from orchestrator.run.safety.guard import Guard
from orchestrator.run.safety.journal import Journal, read_journals
from orchestrator.run.safety.pin import TracefsPin
from orchestrator.run.signals import Signals
from tests.support.fake_backend import FakeSession, Script


@pytest.fixture
def groundwork(tmp_path: Path) -> Groundwork:
    journal = Journal("run1", plan="p", backend="bcc", probes=1, directories=(tmp_path,))
    guard = Guard(journal, tmp_path / "tracing")
    pin = TracefsPin(tmp_path / "tracing")
    return Groundwork(run_id="run1", journal=journal, guard=guard, tracefs=pin, command=None)


def torn_down(groundwork: Groundwork | None, session: Any = None) -> tuple[float | None, Faults]:
    faults = Faults()
    detach_ms = detach_all(groundwork, session, faults)
    assert finish_command(groundwork, faults, Signals(), lambda _text: None) is None
    return detach_ms, faults


def test_a_run_that_did_not_begin_has_nothing_to_undo() -> None:
    detach_ms, faults = torn_down(None)
    assert detach_ms is None
    assert faults.describe() is None


def test_a_clean_end_leaves_nothing(groundwork: Groundwork, tmp_path: Path) -> None:
    session = FakeSession(Script())
    detach_ms, faults = torn_down(groundwork, session)
    assert session.diary == ["detach"]
    assert detach_ms is not None
    assert faults.describe() is None
    assert list(read_journals((tmp_path,))) == []


def test_detaching_that_fails_keeps_no_later_step_from_being_done(
    groundwork: Groundwork, tmp_path: Path
) -> None:
    session = FakeSession(Script(detach_error=OSError("busy")))
    detach_ms, faults = torn_down(groundwork, session)
    assert faults.left_behind == ["cleaning up failed: busy"]
    assert detach_ms is not None
    assert list(read_journals((tmp_path,))) == []


def test_what_cannot_be_removed_is_named_and_its_journal_kept(
    groundwork: Groundwork, tmp_path: Path
) -> None:
    groundwork.journal.add("unheard-of", "thing")
    _, faults = torn_down(groundwork)
    [left] = faults.left_behind
    assert left.startswith("the unheard-of thing is left behind: ")
    assert "`probeplan cleanup` removes it" in left
    [record] = read_journals((tmp_path,))
    assert record.dead


def test_a_missing_watchdog_is_a_note_and_no_fault(groundwork: Groundwork) -> None:
    groundwork.guard.trouble = "no watchdog could be started (why)"
    _, faults = torn_down(groundwork)
    assert faults.left_behind == []
    assert faults.notes[0].startswith(
        "no watchdog could be started (why): had this run been killed"
    )


def test_the_guard_is_dismissed_even_if_the_journal_cannot_be_closed(
    groundwork: Groundwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    dismissed = []

    def fail() -> None:
        raise OSError("no such directory")

    monkeypatch.setattr(groundwork.journal, "close", fail)
    monkeypatch.setattr(groundwork.guard, "dismiss", lambda: dismissed.append(True))
    _, faults = torn_down(groundwork)
    assert faults.left_behind == ["cleaning up failed: no such directory"]
    assert dismissed == [True]


def test_a_command_that_never_began_is_not_said_to_run(groundwork: Groundwork) -> None:
    """Nothing was attached, so the child is still parked when the run ends."""
    parked = replace(groundwork, command=park_command(["true"]))
    notes: list[str] = []
    faults = Faults()
    detach_all(parked, None, faults)
    command = finish_command(parked, faults, Signals(), notes.append)
    assert notes == []
    assert command is not None
    assert (command.status, command.failed) == (None, False)
