"""What an unattended run leaves for the next one, seen from the run: when it is on the disk."""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.backends.protocol import ProgramRefused
from orchestrator.output.sink import OutputLost
from orchestrator.plan.findings import Finding, HostError
from orchestrator.policy.model import Policy
from orchestrator.run.options import RunNotBegun
from orchestrator.run.safety.journal import Journal, read_boot_id
from orchestrator.run.safety.leftovers import clean_up_dead_runs
from orchestrator.run.unattended.boot_marker import place_marker
from orchestrator.run.unattended.harm_watch import HarmWatch, quarantine_stale
from orchestrator.run.unattended.quarantine import QUARANTINE_NS, Quarantine, QuarantineEntry
from orchestrator.run.unattended.state import StateDirectories, StateError, open_state
from tests.support.fake_backend import FakeSession, Script
from tests.support.fake_runs import Ran, a_plan

REFUSED = Finding(code="PP089", message="the kernel refused the program")
COSTLY = Finding(code="PP095", message="the plan would take 3% of one CPU here")
RUN_ID = "6b09cff3c70e37"


@pytest.fixture
def state(tmp_path: Path) -> StateDirectories:
    return open_state(tmp_path / "probeplan")


@pytest.fixture
def watch(state: StateDirectories) -> HarmWatch:
    return HarmWatch(state, a_plan(), RUN_ID)


def held(state: StateDirectories) -> QuarantineEntry | None:
    return Quarantine(state.quarantine).find(a_plan().sha256, time.time_ns())


def test_the_marker_is_there_while_probes_are_attached_and_not_later(
    ran: Ran, watch: HarmWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []
    monkeypatch.setattr(FakeSession, "arm", _looking(FakeSession.arm, watch, seen))
    monkeypatch.setattr(FakeSession, "detach", _looking(FakeSession.detach, watch, seen))
    assert ran.go(watch=watch).exit_code == 0
    assert seen == [True, True]
    assert not watch.marker.exists()


def _looking(method: Callable[..., Any], watch: HarmWatch, seen: list[bool]) -> Callable[..., Any]:
    def look(*arguments: Any) -> Any:
        seen.append(watch.marker.exists())
        return method(*arguments)

    return look


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (ProgramRefused([REFUSED]), "verifier"),
        (HostError([COSTLY]), "canary"),
        (HostError([REFUSED]), None),
        (OSError(12, "no memory"), None),
    ],
)
def test_only_the_verifier_and_the_canary_are_harm_when_attaching_fails(
    ran: Ran, watch: HarmWatch, state: StateDirectories, error: Exception, cause: str | None
) -> None:
    """The kernel may also have no memory, or we no right."""
    with pytest.raises(type(error)):
        ran.go(Script(attach_error=error), watch=watch)
    assert ran.kinds()[-1] == "run.finished"
    entry = held(state)
    assert (entry and entry.cause) == cause
    assert entry is None or entry.until_ns - entry.since_ns == QUARANTINE_NS
    assert not watch.marker.exists()


def test_the_quarantine_is_there_before_the_probes_are_detached(
    ran: Ran, watch: HarmWatch, state: StateDirectories, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []

    def detach(session: FakeSession) -> None:
        found.append(held(state))

    monkeypatch.setattr("orchestrator.run.live.Live.run", lambda _live: "cost")
    monkeypatch.setattr(FakeSession, "detach", detach)
    assert ran.go(watch=watch).exit_code == 4
    [entry] = found
    assert entry is not None
    assert (entry.cause, entry.run_id, entry.boot_id) == ("governor", RUN_ID, read_boot_id())


def test_a_run_that_ends_otherwise_is_no_harm(
    ran: Ran, watch: HarmWatch, state: StateDirectories
) -> None:
    ran.go(Script(batches=[[1]], ring_lost=5), watch=watch)
    ran.go(watch=watch, command=("false",))
    assert held(state) is None


def test_a_run_that_cannot_begin_leaves_no_record_and_no_marker(ran: Ran, watch: HarmWatch) -> None:
    none = Policy(file="p", sha256="0" * 64, max_runs=0)
    with pytest.raises(RunNotBegun, match="PP125") as refused:
        ran.go(watch=watch, policies=(none,))
    assert type(refused.value.because) is HostError
    assert ran.stream.getvalue() == b""
    assert not watch.marker.exists()


def test_a_disk_that_is_full_ends_the_run_as_a_failed_output(
    ran: Ran, watch: HarmWatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_given: object, **_named: object) -> None:
        raise OSError(28, os.strerror(28), "running")

    monkeypatch.setattr("orchestrator.run.unattended.harm_watch.place_marker", full)
    with pytest.raises(OutputLost, match="No space left"):
        ran.go(watch=watch)
    assert (ran.lines[-1]["event"], ran.lines[-1]["exit_code"]) == ("run.finished", 4)
    assert ran.backend.session is None


def test_the_marker_of_a_run_that_was_killed_is_removed_with_what_it_left(
    watch: HarmWatch, tmp_path: Path
) -> None:
    """By the watchdog, `cleanup` or the next run: only a host that goes down leaves it."""
    journals = (tmp_path / "journals",)
    journal = Journal(RUN_ID, plan="p", backend="bcc", probes=1, directories=journals)
    journal.add("marker", str(watch.marker))
    watch.begin()
    os.close(journal._file)  # as if it were killed
    [cleaned] = clean_up_dead_runs(directories=journals, tracefs=tmp_path)
    assert cleaned.removed == (("marker", str(watch.marker)),)
    assert not watch.marker.exists()


def test_a_journal_removes_nothing_that_is_no_marker(tmp_path: Path) -> None:
    journals = (tmp_path / "journals",)
    victim = tmp_path / "running" / "precious.json"
    victim.parent.mkdir()
    victim.write_text("")
    journal = Journal(RUN_ID, plan="p", backend="bcc", probes=1, directories=journals)
    journal.add("marker", str(victim))
    os.close(journal._file)
    [cleaned] = clean_up_dead_runs(directories=journals, tracefs=tmp_path)
    assert [why for _, why in cleaned.failed] == ["its name is not one of ours"]
    assert victim.exists()


def test_plans_that_ran_when_the_host_went_down_are_in_quarantine_once(
    state: StateDirectories,
) -> None:
    sha256 = a_plan().sha256
    for run_id, boot_id in (("0a", "old"), ("0b", read_boot_id())):
        place_marker(
            state.running, plan_digest=sha256, plan_name="p", run_id=run_id, boot_id=boot_id
        )
    [entry] = quarantine_stale(state)
    assert (entry.cause, entry.boot_id, entry.run_id) == ("host went down", "old", "0a")
    assert held(state) == entry
    assert quarantine_stale(state) == ()
    assert list(state.running.iterdir()) == []


def test_state_that_others_can_write_to_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared").chmod(0o777)
    with pytest.raises(StateError, match=r"PP262.*other users can write to it") as refused:
        open_state(tmp_path / "shared")
    assert not refused.value.is_full
