"""One run of a plan at a time on a host."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from orchestrator.run.unattended.plan_lock import PlanLock

HOLDER = """
import sys
from pathlib import Path
from orchestrator.run.unattended.plan_lock import PlanLock
lock = PlanLock(Path(sys.argv[1]), "opens")
print(lock.take(), flush=True)
sys.stdin.read()
"""
STARTER = """
import subprocess, sys
from pathlib import Path
from orchestrator.run.unattended.plan_lock import PlanLock
assert PlanLock(Path(sys.argv[1]), "opens").take()
print(subprocess.Popen(["sleep", "60"], close_fds=False).pid, flush=True)
"""


def test_the_second_of_two_runs_of_a_plan_does_not_get_the_lock(tmp_path: Path) -> None:
    first, second, other = (PlanLock(tmp_path, plan) for plan in ("opens", "opens", "execs"))
    assert first.take()
    assert not second.take()
    assert other.take()


def test_the_lock_ends_with_the_process_that_holds_it_however_it_ends(tmp_path: Path) -> None:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    with holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "True\n"
        mine = PlanLock(tmp_path, "opens")
        assert not mine.take()
        holder.kill()
        holder.wait()
        assert mine.take()


def test_programs_that_are_started_do_not_hold_it(tmp_path: Path) -> None:
    """One outlives the process that held the lock."""
    with subprocess.Popen(
        [sys.executable, "-c", STARTER, str(tmp_path)], stdout=subprocess.PIPE, text=True
    ) as starter:
        assert starter.stdout is not None
        child = int(starter.stdout.readline())
        starter.wait()
        try:
            assert PlanLock(tmp_path, "opens").take()
        finally:
            os.kill(child, signal.SIGKILL)
