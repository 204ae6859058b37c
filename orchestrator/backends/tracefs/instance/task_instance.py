"""The instance that records what becomes of tasks, and the numbers that the target had then."""

import time
from pathlib import Path

from orchestrator.backends.tracefs.design.task_events import (
    TargetNumbers,
    task_event_writes,
    task_names,
)
from orchestrator.backends.tracefs.instance.threads import process_threads
from orchestrator.backends.tracefs.instance.trace_instance import TraceInstance
from orchestrator.compile.program import ResolvedTarget
from orchestrator.values import dataclass

__all__ = ["TaskInstance", "make_task_instance"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskInstance:
    """An instance that records since before the `target` was looked up."""

    instance: TraceInstance
    target: TargetNumbers


def make_task_instance(
    plan: TraceInstance, target: ResolvedTarget, root_pid: int | None, buffer_kb: int
) -> TaskInstance:
    """A second instance for the run of `plan`, recording, with buffers of `buffer_kb` per CPU.
    Raises WriteRefused, having undone everything."""
    instance = TraceInstance(
        tracefs=plan.tracefs,
        names=task_names(plan.names),
        journal=plan.journal,
        unjournal=plan.unjournal,
    )
    try:
        instance.perform_writes(task_event_writes(instance.names, buffer_kb))
        instance.open_pipes()
        instance.hold_buffer()
        return TaskInstance(instance=instance, target=_read_numbers(target, root_pid))
    except BaseException:
        instance.close()
        raise


def _read_numbers(target: ResolvedTarget, root_pid: int | None) -> TargetNumbers:
    names_processes = target.pid or target.children
    threads = frozenset(map(int, process_threads(target, root_pid)))
    return TargetNumbers(
        since_ns=time.monotonic_ns(),
        followed=threads if names_processes else None,
        named=frozenset(target.tid) if target.tid else None,
        awaited=frozenset(
            number for number in (*target.pid, *target.tid) if not Path(f"/proc/{number}").exists()
        ),
        children=target.children,
    )
