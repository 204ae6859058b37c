"""A run's watchdog, as far as it needs no probes: it starts late, ends early, and cleans up."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.run.safety import guard as module
from orchestrator.run.safety.guard import Guard
from orchestrator.run.safety.journal import Journal
from orchestrator.run.safety.watchdog import identify_process


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal("run1", plan="p", backend="bcc", probes=1, directories=(tmp_path / "journals",))


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


def test_there_is_no_watchdog_before_the_first_entry(journal: Journal, tmp_path: Path) -> None:
    guard = Guard(journal, tmp_path)
    guard.set_deadline(1)
    assert (guard.pid, guard.trouble) == (0, None)
    guard.dismiss()
    journal.close()


def test_the_watchdog_ends_with_the_run(journal: Journal, tmp_path: Path) -> None:
    """Twice dismissed is dismissed."""
    guard = Guard(journal, tmp_path)
    guard.add("instance", "probeplan-nothing")
    pid = guard.pid
    assert identify_process(f"{pid} ")
    guard.dismiss()
    guard.dismiss()
    assert (guard.pid, guard.trouble) == (0, None)
    assert identify_process(f"{pid} ") == ""
    journal.done("instance", "probeplan-nothing")
    journal.close()


def test_the_watchdog_writes_at_the_deadline(journal: Journal, tmp_path: Path) -> None:
    """Whatever the run does meanwhile; a deadline that is taken back does nothing."""
    written = tmp_path / "written"
    written.write_text("")
    guard = Guard(journal, tmp_path)
    guard.add("instance", "probeplan-nothing")
    guard.write_at_deadline(str(written), "0")
    guard.set_deadline(time.monotonic_ns() + 3600 * 10**9)
    guard.set_deadline(time.monotonic_ns() + 10**7)
    until(lambda: written.read_text() == "0\n")
    guard.dismiss()
    assert guard.trouble is None
    journal.done("instance", "probeplan-nothing")
    journal.close()


def test_a_watchdog_that_was_killed_is_noticed(journal: Journal, tmp_path: Path) -> None:
    guard = Guard(journal, tmp_path)
    guard.add("instance", "probeplan-nothing")
    os.kill(guard.pid, signal.SIGKILL)
    guard.dismiss()
    assert guard.trouble is not None
    assert "watchdog" in guard.trouble
    journal.done("instance", "probeplan-nothing")
    journal.close()


def test_a_stopped_watchdog_does_not_hold_the_run_up(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_END_SECONDS", 0.1)
    guard = Guard(journal, tmp_path)
    guard.add("instance", "probeplan-nothing")
    pid = guard.pid
    os.kill(pid, signal.SIGSTOP)
    guard.dismiss()
    assert identify_process(f"{pid} ") == ""
    journal.done("instance", "probeplan-nothing")
    journal.close()


def test_without_a_watchdog_the_run_goes_on(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Entries are still written down."""

    def refuse(*_arguments: object) -> int:
        raise OSError("no more processes")

    monkeypatch.setattr(module, "_spawn", refuse)
    guard = Guard(journal, tmp_path)
    guard.add("instance", "probeplan-nothing")
    assert guard.trouble == "no watchdog could be started (no more processes)"
    assert journal.entries == (("instance", "probeplan-nothing"),)
    guard.dismiss()
    journal.done("instance", "probeplan-nothing")
    journal.close()
