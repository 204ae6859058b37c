"""pause, resume and stop: which runs are asked, for what, and what is printed."""

from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import main, pause, stop
from orchestrator.run.safety.journal import Journal, JournalRecord, read_journals


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Two live runs, aa1 and ab2."""
    journals = [
        Journal(run_id, plan="p", backend="bcc", probes=2, directories=(tmp_path,))
        for run_id in ("aa1", "ab2")
    ]
    records = tuple(read_journals((tmp_path,)))
    for command in (pause, stop):
        monkeypatch.setattr(command, "live_runs", lambda: records)
    yield records
    for journal in journals:
        journal.close()


@pytest.mark.parametrize(("command", "done"), [("pause", "paused"), ("resume", "resumed")])
@pytest.mark.parametrize(
    ("switched", "printed"),
    [(["open", "close"], "open, close"), ([], "nothing: all of these were already {done}")],
)
def test_the_run_is_asked_and_its_answer_printed(
    runs: tuple[JournalRecord, ...],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    command: str,
    done: str,
    switched: list[str],
    printed: str,
) -> None:
    requests = []

    def send(path: Path, request: dict[str, Any]) -> dict[str, Any]:
        requests.append((path, request))
        return {done: switched}

    monkeypatch.setattr(pause, "send_request", send)
    assert main([command, "ab", "open"]) == 0
    assert requests == [(runs[1].path, {"do": command, "probes": ["open"]})]
    assert capsys.readouterr().out == f"ab2 (p): {done} {printed.format(done=done)}\n"


@pytest.mark.parametrize("command", ["pause", "resume", "stop"])
@pytest.mark.parametrize(("run", "text"), [("a", "beginning of 2 runs"), ("x", "no live run 'x'")])
def test_an_ambiguous_or_unknown_run_is_refused(
    runs: object, capsys: pytest.CaptureFixture[str], command: str, run: str, text: str
) -> None:
    assert main([command, run]) == 2
    assert text in capsys.readouterr().err


@pytest.mark.parametrize("words", [["stop"], ["stop", "aa1", "--all"]])
def test_stop_needs_either_a_run_or_all(
    runs: object, capsys: pytest.CaptureFixture[str], words: list[str]
) -> None:
    assert main(words) == 2
    assert "either RUN or --all" in capsys.readouterr().err


def test_stop_reports_a_run_that_is_still_running(
    runs: object, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others are ended all the same."""
    monkeypatch.setattr(stop, "stop_run", lambda run, _timeout: run.run_id == "ab2")
    assert main(["stop", "--all", "--timeout", "0.5"]) == 6
    captured = capsys.readouterr()
    assert captured.out == "ab2 (p): stopped\n"
    assert "aa1 (p): still running after 0.5 s" in captured.err


def test_stop_all_without_runs_is_done(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(stop, "live_runs", tuple)
    assert main(["stop", "--all"]) == 0
    assert capsys.readouterr().out == "no live runs\n"
