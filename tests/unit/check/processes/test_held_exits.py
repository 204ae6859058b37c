"""Processes that are held before they end, while their memory is still there."""

import contextlib
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.check.processes.held_exits import HeldExits
from orchestrator.check.processes.launcher import Launcher, StartedProcess
from orchestrator.check.processes.settings import ProcessSettings
from orchestrator.check.processes.tree import find_descendants


@pytest.fixture
def launcher() -> Iterator[Launcher]:
    with Launcher() as launcher:
        yield launcher
        launcher.end_all()


def start(launcher: Launcher, script: str) -> StartedProcess:
    settings = ProcessSettings(
        program="/bin/sh",
        argv=["sh", "-c", script],
        env={"PATH": os.environ["PATH"]},
        cwd="/",
        stdin="/dev/null",
        uid=os.getuid(),
        gid=os.getgid(),
        groups=os.getgroups(),
        cpu=None,
        steady=True,
    )
    return launcher.start_stopped(settings)


def mapped(launcher: Launcher) -> set[str]:
    """The names of the programs that descendants have mapped, those about to end among them."""
    found = set()
    for pid in find_descendants(launcher.pid):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/maps").read_text():
                found.add(Path(f"/proc/{pid}/comm").read_text().strip())
    return found


def run_held(launcher: Launcher, script: str) -> tuple[list[set[str]], int]:
    """What was mapped at each end, and the status of the script."""
    process = start(launcher, script)
    seen: list[set[str]] = []
    held = HeldExits(process.pid, lambda: seen.append(mapped(launcher)))
    held.let_go()
    deadline = time.monotonic() + 30
    while held.is_following and time.monotonic() < deadline:
        held.handle_stops()
    held.release()
    return seen, launcher.reap(process).status


def test_each_process_is_held_with_its_memory_and_ends_as_it_would(launcher: Launcher) -> None:
    seen, status = run_held(launcher, "cat /dev/null; (exit 4); exit 3")
    assert len(seen) == 3
    assert "cat" in seen[0]
    assert "sh" in seen[2]
    assert status == 3


def test_a_signal_reaches_the_process_that_it_is_for(launcher: Launcher) -> None:
    _, status = run_held(launcher, "trap 'exit 7' TERM; kill -TERM $$; exit 1")
    assert status == 7
    _, status = run_held(launcher, "kill -KILL $$")
    assert status == -signal.SIGKILL


def test_what_still_runs_is_let_go_and_can_be_ended(launcher: Launcher) -> None:
    process = start(launcher, "sleep 600 & wait")
    held = HeldExits(process.pid, lambda: None)
    held.let_go()
    deadline = time.monotonic() + 30
    while "sleep" not in mapped(launcher) and time.monotonic() < deadline:
        held.handle_stops()
    held.release()
    assert not held.is_following
    tracers = {
        line
        for pid in find_descendants(launcher.pid)
        for line in Path(f"/proc/{pid}/status").read_text().splitlines()
        if line.startswith("TracerPid:")
    }
    assert tracers == {"TracerPid:\t0"}
    assert launcher.end_all()
