"""The watchdog: small, holding nothing, heard of when it dies; and what is left to `cleanup`."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.run.safety.journal import Journal
from orchestrator.run.safety.leftovers import clean_up_dead_runs
from tests.faults.cli import UPROBE, Process, caller, first_event, gone, plan_of, probeplan, rest
from tests.faults.kernel_state import everything_left, left_by, waited, watchdogs
from tests.support.paths import ROOT

JOURNALS = Path("/run/probeplan")
UNIT = ROOT / "examples" / "systemd" / "probeplan@.service"
MOST_KB = 12 * 1024


@pytest.fixture(params=["bcc", "tracefs"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Process, str]]:
    """A run in the middle, and its id. A separate program group, as a unit's is."""
    with caller() as pid:
        plan = plan_of(tmp_path, UPROBE, pid)
        process = probeplan("run", plan, "--backend", request.param, start_new_session=True)
        run_id = first_event(process)["run_id"]
        yield process, run_id
        gone(process)
        clean_up_dead_runs()  # or the watchdog, which may be at it just now
        assert waited(lambda: not left_by(run_id), 10.0), left_by(run_id)


def watchdog_of(run_id: str) -> int:
    [pid] = watchdogs(JOURNALS / f"{run_id}.journal")
    return pid


def test_it_is_small_and_holds_nothing(run: tuple[Process, str]) -> None:
    """Under 12 MB; three standard descriptors and a pidfd, of which none is a terminal or a file;
    a separate session; no directory in use."""
    process, run_id = run
    watchdog = watchdog_of(run_id)
    folder = Path(f"/proc/{watchdog}")
    status = dict(
        line.split(":", 1) for line in (folder / "status").read_text().splitlines() if ":" in line
    )
    resident = int(status["VmRSS"].split()[0])
    print(f"watchdog: {resident / 1024:.1f} MB resident")
    assert resident < MOST_KB
    held = {int(file.name): str(file.readlink()) for file in (folder / "fd").iterdir()}
    assert set(held) == {0, 1, 2, 3}
    assert held[0].startswith("pipe:")
    assert (held[1], held[2], held[3]) == ("/dev/null", "/dev/null", "anon_inode:[pidfd]")
    assert os.getsid(watchdog) == watchdog != os.getsid(process.pid)
    assert (folder / "cwd").readlink() == Path("/")


def test_what_ends_a_group_does_not_end_it(run: tuple[Process, str]) -> None:
    process, run_id = run
    for name in ("INT", "TERM", "HUP", "QUIT", "TSTP", "PIPE", "USR1"):
        os.kill(watchdog_of(run_id), signal.Signals[f"SIG{name}"])
    process.kill()
    process.wait()
    assert waited(lambda: not everything_of(run_id), 10.0), everything_of(run_id)


def everything_of(run_id: str) -> list[str]:
    journal = JOURNALS / f"{run_id}.journal"
    found = left_by(run_id) + [f"watchdog {pid}" for pid in watchdogs(journal)]
    return [*found, str(journal)] if journal.exists() else found


def test_it_goes_when_the_run_ends(run: tuple[Process, str]) -> None:
    process, run_id = run
    process.send_signal(signal.SIGINT)
    ran = rest(process)
    assert ran.finished["error"] is None
    assert everything_of(run_id) == []


def test_a_run_goes_on_without_it_and_says_so(run: tuple[Process, str]) -> None:
    process, run_id = run
    os.kill(watchdog_of(run_id), signal.SIGKILL)
    first_event(process)
    process.send_signal(signal.SIGINT)
    ran = rest(process)
    assert ran.finished["outcome"] == "interrupted"
    assert ran.finished["complete"] in (True, "unknown")
    assert ran.finished["level"] == "warning"
    assert "the watchdog" in ran.finished["error"]
    assert everything_of(run_id) == []


def test_cleanup_does_it_when_a_unit_is_killed_whole(run: tuple[Process, str]) -> None:
    """As systemd does: SIGKILL to all processes of the unit, then ExecStopPost."""
    assert "ExecStopPost=-/usr/bin/probeplan cleanup\n" in UNIT.read_text()
    process, run_id = run
    watchdog = watchdog_of(run_id)
    os.kill(watchdog, signal.SIGSTOP)  # so that it does nothing in between
    process.kill()
    os.kill(watchdog, signal.SIGKILL)
    process.wait()
    assert waited(lambda: not watchdogs(JOURNALS / f"{run_id}.journal"), 5)
    assert left_by(run_id)
    cleanup = probeplan("cleanup")
    said, errors = cleanup.communicate(timeout=60)
    assert cleanup.returncode == 0, errors
    assert run_id in said.decode()
    assert everything_of(run_id) == []


@pytest.mark.parametrize("pidfd", [True, False], ids=["pidfd", "no pidfd"])
def test_a_kernel_without_pidfds_is_watched_by_looking(
    pidfd: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Linux before 5.3 has no pidfd_open: then process id and start time report."""
    from orchestrator.run.safety import guard as module

    if not pidfd:
        monkeypatch.setattr(module, "_open_pidfd", lambda: -1)
    directories = (tmp_path / "journals",)
    child = os.fork()
    if child == 0:
        journal = Journal("gone", plan="p", backend="b", probes=1, directories=directories)
        guard = module.Guard(journal, Path("/sys/kernel/tracing"))
        guard.add("instance", "probeplan-gone")
        signal.pause()
    assert waited(lambda: bool(everything_left(None, directories[0])[1:]), 10)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    assert waited(lambda: not everything_left(None, directories[0]), 10.0)
