"""Thread numbers for set_event_pid: the target's, and those of this process."""

import os
from collections.abc import Iterable

from orchestrator.compile.program import ResolvedTarget

__all__ = ["own_threads", "target_threads"]


def own_threads() -> list[str]:
    """This process's threads."""
    return _threads_of(os.getpid())


def target_threads(target: ResolvedTarget, root_pid: int | None) -> list[str]:
    """Thread numbers that the target has now; the kernel follows the threads that these create. A
    process that does not exist is included by its number, since it may be about to start."""
    processes = [*target.pid, *([root_pid] if root_pid is not None else [])]
    threads = [tid for pid in processes for tid in _with_children(pid, target.children)]
    return list(dict.fromkeys([*threads, *map(str, target.tid)]))


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
    """proc(5), /proc/PID/task/TID/children: exact only for stopped tasks, such as a parked one."""
    try:
        with open(f"/proc/{pid}/task/{tid}/children") as file:  # noqa: PTH123  # start-up
            return [int(word) for word in file.read().split()]
    except OSError:
        return []
