"""A second instance that records what becomes of tasks: who forks, execs, takes a name and ends.

An event holds its thread's number. What that number stands for, and the thread's name, are known
only from these events. They are rare, and are recorded for all tasks and apart from the plan's
events, so that a buffer full of those loses none of these, and counts of the plan are exact.
"""

from dataclasses import replace

from orchestrator.backends.tracefs.design.writes import CLOCK, RunNames, Write, size_write
from orchestrator.values import dataclass

__all__ = ["TASK_EVENTS", "TargetNumbers", "task_event_writes", "task_names", "task_stop_writes"]

#: Category and event of each (include/trace/events/task.h and sched.h).
TASK_EVENTS = (
    ("task", "task_newtask"),
    ("task", "task_rename"),
    ("sched", "sched_process_exec"),
    ("sched", "sched_process_exit"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetNumbers:
    """The numbers of a target at `since_ns` (CLOCK_MONOTONIC). `followed`: all threads of the
    processes that it names or follows, `named`: the threads that it names; None where it names
    none. `awaited`: those that no task has yet. `children`: other processes that descend from the
    followed ones are followed too."""

    since_ns: int = 0
    followed: frozenset[int] | None = None
    named: frozenset[int] | None = None
    awaited: frozenset[int] = frozenset()
    children: bool = False


def task_names(names: RunNames) -> RunNames:
    """The names of the second instance of a run."""
    return replace(names, instance=f"{names.instance}-tasks")


def task_event_writes(names: RunNames, buffer_kb: int) -> tuple[Write, ...]:
    """All writes up to recording; none without a buffer. `names` as `task_names` gives them;
    `buffer_kb` is per CPU."""
    if not buffer_kb:
        return ()
    at = names.directory
    return (
        Write(action="mkdir", path=at, undo="rmdir"),
        Write(action="write", path=f"{at}/trace_clock", text=CLOCK),
        Write(action="write", path=f"{at}/options/overwrite", text="0"),
        Write(action="write", path=f"{at}/options/disable_on_free", text="1"),
        size_write(at, buffer_kb),
        *_enable_writes(names),
        Write(action="write", path=f"{at}/tracing_on", text="1"),
    )


def task_stop_writes(names: RunNames) -> tuple[Write, ...]:
    """The writes that end recording, and then disable the events."""
    switches = (replace(step, text="0", undo=None) for step in _enable_writes(names))
    return (Write(action="write", path=f"{names.directory}/tracing_on", text="0"), *switches)


def _enable_writes(names: RunNames) -> tuple[Write, ...]:
    return tuple(
        Write(
            action="write",
            path=f"{names.directory}/events/{category}/{event}/enable",
            text="1",
            undo="0",
            optional=True,
        )
        for category, event in TASK_EVENTS
    )
