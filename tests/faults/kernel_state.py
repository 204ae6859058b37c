"""What is in the kernel, and in a journals' directory, that a run could have left."""

import os
import signal
import time
from collections.abc import Callable
from pathlib import Path

from orchestrator.run.safety.watchdog import COMM

TRACING = Path("/sys/kernel/tracing")
FILES = ("kprobe_events", "uprobe_events")


def definitions() -> list[str]:
    """The lines of all dynamic events' definitions."""
    found = (TRACING / name for name in FILES)
    return [line for file in found if file.exists() for line in file.read_text().splitlines()]


def instances() -> set[str]:
    return {folder.name for folder in (TRACING / "instances").iterdir()}


def left_by(run_id: str) -> list[str]:
    """Definitions and instances that bear a run's name."""
    made = [line for line in definitions() if f"probeplan_{run_id}" in line]
    return made + [name for name in instances() if name == f"probeplan-{run_id}"]


def watchdogs(journals: Path) -> list[int]:
    """Processes that watch over a journal of this directory."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            ours = (folder / "comm").read_bytes().strip() == COMM
            if ours and os.fsencode(journals) in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


def everything_left(run_id: str | None, journals: Path) -> list[str]:
    """All that a run could have left: in the kernel, as a process, as a file."""
    left = [str(path) for path in journals.iterdir()] if journals.exists() else []
    left += left_by(run_id) if run_id else []
    return left + [f"watchdog {pid}" for pid in watchdogs(journals)]


def waited(condition: Callable[[], bool], seconds: float) -> bool:
    """Whether the condition came true within that time. It is looked at a hundred times at most:
    looking must not take the time of those who work on it."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(seconds / 100)
    return True


def end(pids: list[int]) -> None:
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
