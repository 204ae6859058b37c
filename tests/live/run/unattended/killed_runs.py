"""Unattended runs that are killed: a program for a namespace of tests/support/unattended.py.

    -m tests.live.run.unattended.killed_runs PLAN FIRST EVERY

Runs PLAN once to its end, then kills a run of it before its step FIRST, before FIRST + EVERY, and
so on until one comes through. After each kill it waits until the watchdog is done, and prints what
is left as a JSON line; at the end, the first run's steps.
"""

import itertools
import json
import os
import sys
from contextlib import suppress
from pathlib import Path

from orchestrator.cli import main as run_command
from orchestrator.run.unattended.state import ROOT
from tests.faults.kernel_state import waited
from tests.support.folders import names_in
from tests.support.killed_steps import try_until

_NEVER = 1 << 30
_LIMIT_S = 20.0


def main(plan: str, first: str, every: str) -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)  # the runs'
    sys.dont_write_bytecode = True  # no step of a run

    def run() -> None:
        words = ["run", plan, "--unattended", "--keep", "2", "--backend", "tracefs"]
        assert run_command(words) == 0

    whole = try_until(_NEVER, run)
    assert not whole.killed
    for step in itertools.count(int(first), int(every)):
        before = set(ROOT.glob("results/*/*"))
        done = try_until(step, run)
        if not done.killed:
            print(json.dumps({"steps": whole.steps, **describe_left()}), file=answers, flush=True)
            return
        begun = {path.name for path in set(ROOT.glob("results/*/*")) - before}
        wait_for_watchdogs(begun)
        left = {"killed": done.steps[-1], "begun": sorted(begun), **describe_left()}
        print(json.dumps(left), file=answers, flush=True)


def wait_for_watchdogs(runs: set[str]) -> None:
    """Until no process is left that was started with the journal of one of these runs."""
    assert waited(lambda: not any(map(is_watched, runs)), _LIMIT_S)


def is_watched(run_id: str) -> bool:
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):  # it has ended
            if f"{run_id}.journal".encode() in file.read_bytes():
                return True
    return False


def describe_left() -> dict[str, object]:
    """What the next run finds: markers, plans in quarantine, and results, whole or not."""
    results = sorted(ROOT.glob("results/*/*"))
    return {
        "running": names_in(ROOT / "running"),
        "quarantine": names_in(ROOT / "quarantine"),
        "whole": [run.name for run in results if is_whole(run)],
        "torn": [run.name for run in results if not is_whole(run)],
    }


def is_whole(run: Path) -> bool:
    """Raises ValueError for a result that is torn."""
    result = run / "result.json"
    return result.exists() and json.loads(result.read_text())["run"]["outcome"] == "duration"


if __name__ == "__main__":
    main(*sys.argv[1:])
