"""`probeplan stop`, on runs that live: the right process ends, cleanly, and no other."""

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from orchestrator.cli import main
from orchestrator.plan.findings import HostError, PlanError
from orchestrator.run.remote import live_runs
from orchestrator.run.remote.live_runs import find_holder, select_run, stop_run
from orchestrator.run.safety.journal import Journal, JournalRecord, read_journals
from tests.live.cli.test_run import (
    ATTACH,
    BACKENDS,
    Target,
    a_plan,
    endless,
    first_event,
    left_by,
    probeplan,
    rest,
)
from tests.support.fake_runs import checked_lines
from tests.support.requirements import needs_a_kernel

__all__ = ["endless"]

_HOLD = """
import sys, time
from pathlib import Path
from orchestrator.run.safety.journal import Journal
journal = Journal(sys.argv[1], plan="p", backend="bcc", probes=1, directories=(Path(sys.argv[2]),))
print(flush=True)
time.sleep(600)
"""


def held(run_id: str, directory: Path, *confined: str) -> "subprocess.Popen[bytes]":
    """A process that holds a journal, and dies of SIGTERM."""
    words = [*confined, sys.executable, "-c", _HOLD, run_id, str(directory)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"\n"
    return process


def record(directory: Path, run_id: str) -> JournalRecord:
    [found] = [one for one in read_journals((directory,)) if one.run_id == run_id]
    return found


def journal(run_id: str, directory: Path) -> Journal:
    return Journal(run_id, plan="p", backend="bcc", probes=1, directories=(directory,))


def test_a_run_is_named_by_how_its_id_begins(tmp_path: Path) -> None:
    """An id that is the beginning of another one is that run and no other."""
    made = [journal(run_id, tmp_path) for run_id in ("abc", "abcd", "b1")]
    runs = live_runs.live_runs((tmp_path,))
    assert select_run(runs, "b").run_id == "b1"
    assert select_run(runs, "abc").run_id == "abc"
    assert select_run(runs, "abcd").run_id == "abcd"
    with pytest.raises(PlanError, match="beginning of 2 runs: abc of p, abcd of p"):
        select_run(runs, "a")
    for nothing in ("x", ""):
        with pytest.raises(PlanError, match=r"no live run .*live: abc of p, abcd of p, b1 of p"):
            select_run(runs, nothing)
    for one in made:
        one.close()


def test_who_holds_the_journal_is_ended_and_nobody_else(tmp_path: Path) -> None:
    """The number in the journal is not believed: another process has it here."""
    process = held("abc", tmp_path)
    stranger = subprocess.Popen(["sleep", "60"])
    path = record(tmp_path, "abc").path
    path.write_text(path.read_text().replace(f"pid {process.pid}", f"pid {stranger.pid}"))
    try:
        reported = record(tmp_path, "abc")
        assert (reported.pid, find_holder(reported)) == (stranger.pid, process.pid)
        assert stop_run(reported, 10)
        assert process.wait(10) == -signal.SIGTERM
        assert stranger.poll() is None
        assert stop_run(reported, 0), "one that is gone already is stopped"
    finally:
        for one in (process, stranger):
            one.kill()
            one.wait()


def test_one_that_does_not_end_is_told_so(tmp_path: Path) -> None:
    process = held("abc", tmp_path, "env", "--ignore-signal=TERM")
    try:
        assert not stop_run(record(tmp_path, "abc"), 0.1)
    finally:
        process.kill()
        process.wait()


def test_a_user_ends_no_run_of_another(tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory() as open_to_all:
        Path(open_to_all).chmod(0o755)
        refuses(held("abc", Path(open_to_all)), record(Path(open_to_all), "abc"))


def refuses(process: "subprocess.Popen[bytes]", reported: JournalRecord) -> None:
    try:
        os.setresuid(65534, 65534, 0)
        try:
            with pytest.raises(HostError, match="belongs to uid 0 and cannot be ended by uid"):
                stop_run(reported, 1)
        finally:
            os.setresuid(0, 0, 0)
        assert process.poll() is None
    finally:
        process.kill()
        process.wait()


def test_a_run_that_is_not_seen_from_here_is_told_so(tmp_path: Path, monkeypatch) -> None:
    """As in another PID namespace, whose locks /proc/locks leaves out."""
    made = journal("abc", tmp_path)
    empty = tmp_path / "locks"
    empty.touch()
    monkeypatch.setattr(live_runs, "_LOCKS", empty)
    with pytest.raises(HostError, match="another PID namespace"):
        stop_run(record(tmp_path, "abc"), 1)
    made.close()


@pytest.mark.parametrize("words", [(), ("abc", "--all")])
def test_either_a_run_or_all(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["stop", *words]) == 2
    assert "either RUN or --all" in capsys.readouterr().err


@needs_a_kernel
@pytest.mark.parametrize("backend", BACKENDS)
def test_stop_ends_a_run_cleanly(tmp_path: Path, endless: Target, backend: str) -> None:
    """It is gone when `stop` returns, has reported its end, and left nothing; even a stopped
    one."""
    plan = a_plan(tmp_path, ATTACH["tracepoint"], ", at_cap: mute")
    process = probeplan("run", plan, *endless, "--duration", "unlimited", "--backend", backend)
    head = first_event(process)
    run_id = checked_lines(head)[0]["run_id"]
    process.send_signal(signal.SIGSTOP)
    stopped = probeplan("stop", run_id[:-1])
    last = checked_lines(head + rest(process))[-1]
    out, errors = stopped.communicate(timeout=60)
    assert (stopped.returncode, errors) == (0, b"")
    assert out.decode() == f"{run_id} (live): stopped\n"
    assert (process.returncode, last["event"], last["outcome"]) == (
        143,
        "run.finished",
        "interrupted",
    )
    assert left_by(run_id) == []
