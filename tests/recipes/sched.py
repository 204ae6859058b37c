"""Rows of plans/sched."""

import os
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tests.recipes.recipe import Recipe, longest, total

if TYPE_CHECKING:
    from tests.live.product import Ran


def context_switches_seen(ran: "Ran") -> None:
    """Each sleep leaves the CPU."""
    asleep = [one for one in ran.data("switch") if one["leaves"] == "python3" and one["state"] == 1]
    assert len(asleep) >= 100
    assert ran.value("switch", "switches", comm="python3") >= 100


def context_switches() -> None:
    """100 sleeps, long enough to leave the CPU."""
    for _ in range(100):
        time.sleep(0.004)


def spin(cpu_seconds: float) -> None:
    """Until this process has used so much CPU time since it began."""
    while time.process_time() < cpu_seconds:
        pass


def cpu_samples() -> None:
    """Three seconds of CPU time, the start of the interpreter among them."""
    spin(3.0)


def cpu_samples_seen(ran: "Ran") -> None:
    """99 looks a second of it, more or less: the looks are random to the work."""
    assert 240 <= ran.value("sample", "programs", comm="python3") <= 350
    assert total(ran, "sample", "processes") == total(ran, "sample", "programs")


def migrations() -> None:
    """100 moves from CPU to CPU and back, by force."""
    allowed = sorted(os.sched_getaffinity(0))
    assert len(allowed) > 1, "a single CPU has nowhere to move to"
    for turn in range(101):
        os.sched_setaffinity(0, {allowed[turn % 2]})


def migrations_seen(ran: "Ran") -> None:
    assert ran.value("move", "tasks", moved="python3") >= 100
    assert total(ran, "move", "paths") == total(ran, "move", "tasks")


def run_queue_length() -> None:
    """4 processes that share a CPU for 0.1 s each."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    children = []
    for _ in range(4):
        if (child := os.fork()) == 0:
            spin(time.process_time() + 0.1)
            os._exit(0)
        children.append(child)
    for child in children:
        os.waitpid(child, 0)


def run_queue_length_seen(ran: "Ran") -> None:
    """At some ticks all four were on one queue."""
    [length] = ran.cells("tick", "length")
    assert longest(length) >= 4
    assert length["count"] == total(ran, "tick", "ticks") > total(ran, "tick", "busy") > 0


ROWS: Mapping[str, Recipe] = {
    "context-switches": Recipe(
        work=context_switches,
        judge=context_switches_seen,
        settings={"sample": "1/1"},
    ),
    "cpu-samples": Recipe(work=cpu_samples, judge=cpu_samples_seen, tracefs_cannot="profile"),
    "migrations": Recipe(work=migrations, judge=migrations_seen),
    "run-queue-length": Recipe(
        work=run_queue_length, judge=run_queue_length_seen, needs=("kprobes",)
    ),
}
