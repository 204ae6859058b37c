"""Runs that end badly, as the tests ask for them; and what is foreign to them."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Self

from orchestrator.kernel.abi.dynamic_events import Event, define_events, remove_events
from orchestrator.run.safety.journal import read_journals as all_journals
from orchestrator.run.safety.leftovers import clean_up_dead_runs
from tests.faults.kernel_state import (
    TRACING,
    definitions,
    end,
    everything_left,
    instances,
    waited,
    watchdogs,
)
from tests.support.paths import ROOT

LIMIT_S = 10.0  # a second is the promise, reported by `make soak`; a loaded machine may take longer
Answer = dict[str, Any]

PLAN = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: faults, summary: for tests}
limits: {duration: 10s, events: 1k, cpu: 100%}
probes:
"""
USER = """
  point: {attach: 'tracepoint:syscalls:sys_enter_getppid', emit: {}, metrics: {n: {count: true}}}
  call:
    attach: ufunction:LOAD:target_fn
    args: {i: s64}
    emit: {i: args.i, took: elapsed}
"""


@dataclass(slots=True)
class Zygote:
    """tests/faults/zygote.py at work, in a separate process or (`serve`) in this one: `go` is one
    run."""

    process: "subprocess.Popen[str] | None"
    journals: Path
    serve: Callable[[dict[str, Any]], Answer] | None = None
    limit_s: float = LIMIT_S
    slowest_s: float = field(default=0.0)

    @classmethod
    def start(
        cls, folder: Path, backend: str, probes: str, load: Path, limit_s: float = LIMIT_S
    ) -> Self:
        journals, plan = folder / "journals", folder / "plan.yaml"
        plan.write_text(PLAN + probes.replace("LOAD", str(load)))
        words = [str(journals), backend, str(plan), str(load), "call", "3"]
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.faults.zygote", *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
        )
        assert process.stdout is not None
        assert process.stdout.readline() == '{"ready": true}\n'
        return cls(process, journals, limit_s=limit_s)

    def go(self, **request: Any) -> Answer:
        if self.serve is not None:
            return self.serve(request)
        assert self.process is not None
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(request) + "\n")
        self.process.stdin.flush()
        answer: Answer = json.loads(self.process.stdout.readline())
        return answer

    def close(self) -> None:
        assert self.process is not None
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.wait(timeout=60)
        self.process.stdout.close()
        end(watchdogs(self.journals))
        clean_up_dead_runs(directories=(self.journals,))

    # ---------------------------------------------------------------- what has to hold afterwards

    def nothing_left_soon(self, run_id: str | None) -> None:
        """No one but the watchdog does anything, and nothing is left within a second: but for the
        journal of a run that was killed before it had made anything, and so names nothing."""
        began = time.monotonic()
        if not waited(lambda: not left_but_empty_journals(run_id, self.journals), self.limit_s):
            raise AssertionError(everything_left(run_id, self.journals))
        self.slowest_s = max(self.slowest_s, time.monotonic() - began)
        assert [
            cleaned.removed for cleaned in clean_up_dead_runs(directories=(self.journals,))
        ] in (
            [],
            [()],
        )

    def nothing_left_after_cleanup(self, run_id: str | None) -> None:
        """With the watchdog dead too, `cleanup` takes everything away."""
        if not waited(lambda: not watchdogs(self.journals), self.limit_s):
            raise AssertionError("the watchdog lives")
        _wait_for_the_lock(self.journals, self.limit_s)
        for cleaned in clean_up_dead_runs(directories=(self.journals,)):
            assert cleaned.failed == ()
        assert everything_left(run_id, self.journals) == []

    def killed_everywhere(self, *, watchdog: bool, part: int = 0, parts: int = 1) -> int:
        """Kill a run before each of its steps until one comes through; returns how many were
        killed. `part` of `parts`: every so many steps only."""
        killed, step = 0, 1 + part
        while (answer := self.go(kill_at=step, watchdog=watchdog))["killed"]:
            if watchdog:
                self.nothing_left_soon(answer.get("run_id"))
            else:
                self.nothing_left_after_cleanup(answer.get("run_id"))
            killed, step = killed + 1, step + parts
        assert answer["exit_code"] == 0, answer
        assert answer["steps"] < step
        return killed

    def killed_at_random(self, times: int, random: Random) -> int:
        """Kill runs at moments between their start and a little after their end; returns how many
        were killed before they had ended."""
        began = time.monotonic()
        assert self.go()["exit_code"] == 0
        length, killed = time.monotonic() - began, 0
        for _ in range(times):
            answer = self.go(kill_after_s=random.uniform(0, 1.1 * length))
            self.nothing_left_soon(answer.get("run_id"))
            killed += answer["killed"]
        return killed

    def failed_everywhere(self) -> list[str]:
        """Let each step of an attach fail until none is left; returns those of which the attach
        died. Each time the run takes back what it made, newest first, by itself."""
        fatal: list[str] = []
        step = 1
        while len((answer := self.go(fail_at=step))["names"]) >= step:
            check_undone(answer["lines"])
            assert everything_left(answer["run_id"], self.journals) == []
            if answer["exit_code"]:
                fatal.append(answer["names"][step - 1])
            step += 1
        assert answer["exit_code"] == 0, answer
        return fatal


def left_but_empty_journals(run_id: str | None, journals: Path) -> list[str]:
    empty = [str(one.path) for one in all_journals((journals,)) if one.dead and not one.entries]
    return [one for one in everything_left(run_id, journals) if one not in empty]


def _wait_for_the_lock(journals: Path, seconds: float) -> None:
    """A child that is parked before it becomes the command holds the journal for a moment more."""
    assert waited(lambda: all(one.dead for one in all_journals((journals,))), seconds)


def check_undone(lines: list[list[str]]) -> None:
    """A journal's lines: all that was made is gone, in the reverse order."""
    made = [(kind, what) for sign, kind, what in lines if sign == "+"]
    gone = [(kind, what) for sign, kind, what in lines if sign == "-"]
    never_made = made[len(gone) :]  # written down, and then it was refused
    assert gone == [one for one in reversed(made) if one not in never_made], lines


@contextmanager
def foreigners(load: Path) -> Iterator[None]:
    """Someone else's instance and event, which are still there afterwards."""
    name = f"other{os.getpid()}"
    event = Event(group=name, name=f"{name}_e", path=str(load), offset=64)
    define_events([event], lambda _name: None)
    (TRACING / "instances" / name).mkdir()
    try:
        yield
        assert name in instances()
        assert any(event.full_name in line for line in definitions())
    finally:
        (TRACING / "instances" / name).rmdir()
        remove_events([event.full_name])
