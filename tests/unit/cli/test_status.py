"""status: what a run answers, as a table and as JSON."""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import main, status
from orchestrator.kernel.kprobe_list import AFTER_ENDBR
from orchestrator.plan.findings import HostError, of_command_line
from orchestrator.run.safety.journal import Journal, read_journals
from orchestrator.run.safety.leftovers import clean_up_dead_runs

ATTACHED = {"to": "function:vfs_read", "mechanism": "kprobe PMU", "target": "vfs_read"}


def a_probe(name: str = "read", **fields: Any) -> dict[str, Any]:
    probe = {"probe": name, "paused": False, "detached": False, "sample": 1, "attached": []}
    return {**probe, "recorded": 0, **fields}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Journal]:
    """A live run, in a directory that `status` looks at."""
    journal = Journal("live1", plan="a", backend="bcc", probes=1, directories=(tmp_path,))
    monkeypatch.setattr(status, "read_journals", lambda: read_journals((tmp_path,)))
    monkeypatch.setattr(status, "kprobe_states", lambda: {"vfs_read": frozenset({"OPTIMIZED"})})
    yield journal
    journal.close()


def answer(monkeypatch: pytest.MonkeyPatch, *probes: Mapping[str, Any], **fields: Any) -> None:
    made = {"delivered": 12, "lost": 0, "cost": 0.0123, "probes": list(probes), **fields}
    monkeypatch.setattr(status, "send_request", lambda _path, _request: made)


def table(capsys: pytest.CaptureFixture[str]) -> list[str]:
    assert main(["status"]) == 0
    return capsys.readouterr().out.splitlines()


def test_a_run_that_answers_shows_its_counts_and_cost(
    run: Journal, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(monkeypatch, a_probe(attached=[dict(ATTACHED)]))
    head, row, probe = table(capsys)
    columns = dict(zip(head.replace("IN KERNEL", "KERNEL").split(), row.split(), strict=True))
    assert columns["RUN"] == "live1"
    assert columns["PID"] == str(os.getpid())
    assert (columns["RECORDS"], columns["LOST"], columns["COST"]) == ("12", "0", "1.2%")
    assert probe == "  read (on): function:vfs_read by kprobe PMU [OPTIMIZED]"


def test_a_run_that_does_not_answer_shows_what_the_journal_holds(
    run: Journal, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def silent(_path: Path, _request: object) -> dict[str, Any]:
        raise HostError([of_command_line("the run does not answer")])

    run.add("event", "probeplan_live1/e")
    monkeypatch.setattr(status, "send_request", silent)
    _head, row = table(capsys)
    assert row.split()[-4:] == ["?", "?", "?", "event:probeplan_live1/e"]
    run.done("event", "probeplan_live1/e")


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ({"paused": True}, "paused"),
        ({"detached": True, "paused": True}, "detached for its cost"),
        ({"sample": 1000}, "on, one of 1,000"),
    ],
)
def test_the_state_of_a_probe(
    run: Journal,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    fields: dict[str, Any],
    state: str,
) -> None:
    answer(monkeypatch, a_probe(attached=[dict(ATTACHED)], **fields))
    assert f"read ({state}): " in table(capsys)[-1]


@pytest.mark.parametrize(
    ("attached", "states", "expected"),
    [
        (ATTACHED, {"vfs_read": frozenset({"FTRACE", "DISABLED"})}, ["DISABLED", "FTRACE"]),
        (ATTACHED, {"vfs_read" + AFTER_ENDBR: frozenset({"FTRACE"})}, ["FTRACE"]),
        (ATTACHED, {}, None),
        (ATTACHED, None, "unknown"),
        ({**ATTACHED, "mechanism": "perf tracepoint"}, {"vfs_read": frozenset()}, None),
        ({**ATTACHED, "to": "uprobe:libc.so.6:read"}, {"vfs_read": frozenset()}, None),
    ],
)
def test_the_flags_are_those_of_the_kprobe_at_the_same_address(
    attached: Mapping[str, str], states: Any, expected: Any
) -> None:
    assert status._kernel_state(attached, states) == expected


def test_an_unknown_cost_is_not_a_number(
    run: Journal, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answer(monkeypatch, a_probe(), cost="unknown", lost="unknown")
    assert main(["status", "--json"]) == 0
    [shown] = json.loads(capsys.readouterr().out)
    assert (shown["cost"], shown["lost"]) == ("unknown", "unknown")
    _head, row = table(capsys)
    assert row.split()[-3:-1] == ["unknown", "unknown"]


@pytest.fixture
def journal_directory(tmp_path: Path, monkeypatch) -> Path:
    """A directory of journals of the test's own, which the commands look at."""
    directories = (tmp_path / "journals",)

    def ours() -> list:
        return list(read_journals(directories))

    monkeypatch.setattr("orchestrator.cli.status.read_journals", ours)
    monkeypatch.setattr(
        "orchestrator.cli.cleanup.clean_up_dead_runs",
        lambda *, dry_run: clean_up_dead_runs(dry_run=dry_run, directories=directories),
    )
    return directories[0]


def test_status_shows_live_and_dead_runs(journal_directory: Path, capsys) -> None:
    live = Journal("live1", plan="a", backend="bcc", probes=2, directories=(journal_directory,))
    live.add("event", "probeplan_live1/e")
    dead = Journal("dead1", plan="b", backend="tracefs", probes=1, directories=(journal_directory,))
    dead.add("instance", "probeplan-dead1")
    dead.close()
    assert main(["status", "--json"]) == 0
    runs = {run["run_id"]: run for run in json.loads(capsys.readouterr().out)}
    assert (runs["live1"]["state"], runs["dead1"]["state"]) == ("live", "dead")
    assert runs["live1"]["in_kernel"] == [{"kind": "event", "name": "probeplan_live1/e"}]
    assert main(["status"]) == 0
    table = capsys.readouterr().out
    assert "event:probeplan_live1/e" in table
    live.done("event", "probeplan_live1/e")
    live.close()


@pytest.mark.root
def test_status_without_runs_says_so(journal_directory: Path, capsys) -> None:
    assert main(["status"]) == 0
    assert capsys.readouterr().out == "no runs\n"
