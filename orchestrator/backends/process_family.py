"""The threads and the descendants that a process has now, from /proc (proc(5))."""

import os

__all__ = ["list_family", "list_threads"]


def list_threads(pid: int) -> list[int]:
    """The threads of a process, ascending; none where it does not exist."""
    try:
        return sorted(map(int, os.listdir(f"/proc/{pid}/task")))  # noqa: PTH208  # names alone
    except OSError:
        return []


def list_family(pid: int) -> list[int]:
    """The process and its descendants, parents first. Exact only for stopped tasks, such as a
    parked one; without CONFIG_PROC_CHILDREN the process alone."""
    found = [pid]
    for parent in found:
        for tid in list_threads(parent):
            found += _list_children(parent, tid)
    return found


def _list_children(pid: int, tid: int) -> list[int]:
    try:
        with open(f"/proc/{pid}/task/{tid}/children") as file:  # noqa: PTH123  # start-up
            return [int(word) for word in file.read().split()]
    except OSError:  # it has ended
        return []
