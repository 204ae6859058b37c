"""Threads by number for set_event_pid: those of the target now, and our own."""

import os
from collections.abc import Iterable

from orchestrator.compile.program import ResolvedTarget

__all__ = ["own_threads", "target_threads"]


def own_threads() -> list[str]:
    """This process's threads."""
    return _threads_of(os.getpid())


def target_threads(target: ResolvedTarget, root_pid: int | None) -> list[str]:
    """Threads that the target has now; those that they make are followed by the kernel. A process
    that is not there is handed over by its number all the same: it may be about to start."""
    processes = [*target.pid, *([root_pid] if root_pid is not None else [])]
    found = [tid for pid in processes for tid in _with_children(pid, target.children)]
    return list(dict.fromkeys([*found, *map(str, target.tid)]))


def _with_children(pid: int, children: bool) -> Iterable[str]:
    yield from _threads_of(pid) or [str(pid)]
    if children:
        for tid in _threads_of(pid):
            for child in _children_of(pid, tid):
                yield from _with_children(child, children)


def _threads_of(pid: int) -> list[str]:
    try:
        return sorted(os.listdir(f"/proc/{pid}/task"), key=int)  # noqa: PTH208  # names alone
    except OSError:
        return []


def _children_of(pid: int, tid: str) -> list[int]:
    """proc(5), /proc/PID/task/TID/children: exact only for tasks at rest, as a parked one is."""
    try:
        with open(f"/proc/{pid}/task/{tid}/children") as file:  # noqa: PTH123  # start-up
            return [int(word) for word in file.read().split()]
    except OSError:
        return []
