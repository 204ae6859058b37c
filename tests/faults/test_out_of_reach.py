"""tracefs that goes out of reach during a run, and runs that are killed together with their
watchdog: nothing stays in the kernel for longer than until the next cleanup."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.cli import (
    ENVIRONMENT,
    UPROBE,
    caller,
    first_event,
    gone,
    plan_of,
    probeplan,
    rest,
)
from tests.faults.kernel_state import TRACING, end, left_by, waited, watchdogs

backends = pytest.mark.parametrize("backend", ["bcc", "tracefs"])
JOURNALS = Path("/run/probeplan")


def cleanup(*before: str) -> "subprocess.CompletedProcess[str]":
    """`probeplan cleanup`; after a shell command in a mount namespace, if one is given."""
    command = [sys.executable, "-m", "orchestrator.cli", "cleanup"]
    if before:
        command = ["unshare", "-m", "sh", "-c", f'{before[0]} && exec "$@"', "sh", *command]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=ENVIRONMENT)


@backends
def test_what_a_run_and_its_watchdog_left_is_gone_after_a_cleanup(
    backend: str, tmp_path: Path
) -> None:
    """Also where tracefs is not mounted: it is mounted then, and no journal is dropped before."""
    with caller() as pid:
        run = probeplan("run", plan_of(tmp_path, UPROBE, pid), "--backend", backend)
        try:
            run_id = first_event(run)["run_id"]
            journal = JOURNALS / f"{run_id}.journal"
            for watchdog in watchdogs(journal):
                os.kill(watchdog, signal.SIGSTOP)  # it would see the run end first
            run.kill()
            run.wait()
            end(watchdogs(journal))
        finally:
            gone(run)
    assert left_by(run_id)
    assert journal.exists()
    covered = cleanup(f"mount -t tmpfs none {TRACING.parent}")
    assert covered.returncode == 6, covered
    assert left_by(run_id)
    assert journal.exists()
    cleaned = cleanup(f"umount -l {TRACING}")
    assert f"removed event probeplan_{run_id}/" in cleaned.stdout, cleaned
    assert "tracefs was not mounted" in cleaned.stderr
    assert left_by(run_id) == []
    assert not journal.exists()


@backends
def test_the_next_run_removes_what_a_run_and_its_watchdog_left(
    backend: str, tmp_path: Path
) -> None:
    with caller() as pid:
        plan = plan_of(tmp_path, UPROBE, pid)
        run = probeplan("run", plan, "--backend", backend)
        try:
            run_id = first_event(run)["run_id"]
            end([*watchdogs(JOURNALS / f"{run_id}.journal")])
            run.kill()
            run.wait()
            assert left_by(run_id)
            following = probeplan("run", plan, "--backend", "bcc")
            first_event(following)
            assert left_by(run_id) == []
            following.send_signal(signal.SIGINT)
            rest(following)
        finally:
            gone(run)


IN_A_NAMESPACE = """
import sys
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
assert libc.unshare(0x20000) == 0  # CLONE_NEWNS
assert libc.mount(b"none", b"/", None, 0x44000, None) == 0  # MS_REC | MS_PRIVATE
from orchestrator.cli import main
sys.exit(main())
"""


@pytest.mark.parametrize(
    "change",
    ["mount -o remount,bind,ro", "umount -l", "mount -t tmpfs none"],
    ids=["read-only", "unmounted", "covered"],
)
@backends
def test_tracefs_may_go_out_of_reach_during_a_run(
    backend: str, change: str, tmp_path: Path
) -> None:
    """It is held until everything of the run is removed."""
    with caller() as pid:
        plan = plan_of(tmp_path, UPROBE, pid)
        run = probeplan("run", plan, "--backend", backend, program=IN_A_NAMESPACE)
        try:
            run_id = first_event(run)["run_id"]
            command = ["nsenter", f"--mount=/proc/{run.pid}/ns/mnt", *change.split(), str(TRACING)]
            subprocess.run(command, capture_output=True, check=False)  # refused, or not
            run.send_signal(signal.SIGINT)
            assert run.stdout is not None
            run.stdout.read()
            run.wait(timeout=60)
            assert waited(lambda: left_by(run_id) == [], 5), left_by(run_id)
        finally:
            gone(run)
