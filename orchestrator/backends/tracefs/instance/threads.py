"""Thread numbers for set_event_pid: the target's, and those of this process."""

import os
from collections.abc import Iterable
from pathlib import Path

from orchestrator.backends.process_family import list_family, list_threads
from orchestrator.compile.program import ResolvedTarget

__all__ = ["own_threads", "process_threads", "target_threads"]


def own_threads() -> list[str]:
    """This process's threads."""
    return [str(tid) for tid in list_threads(os.getpid())]


def target_threads(target: ResolvedTarget, root_pid: int | None) -> list[str]:
    """Thread numbers that the target has now, and those that its threads may take when they execute
    a program; the kernel follows the threads that these create. A process or thread that does not
    exist is included by its number, since it may be about to start."""
    named = [number for tid in target.tid for number in (str(tid), *_leader_of(tid))]
    return list(dict.fromkeys([*process_threads(target, root_pid), *named]))


def process_threads(target: ResolvedTarget, root_pid: int | None) -> list[str]:
    """The threads of the processes that the target names, and with `children` of those that descend
    from them."""
    processes = [*target.pid, *([root_pid] if root_pid is not None else [])]
    return [tid for pid in processes for tid in _with_children(pid, target.children)]


def _leader_of(tid: int) -> list[str]:
    """The number of the leader of a thread's process; none where the thread does not exist."""
    try:
        text = Path(f"/proc/{tid}/status").read_text(errors="replace")
    except OSError:
        return []
    return [line.split()[1] for line in text.splitlines() if line.startswith("Tgid:")]


def _with_children(pid: int, children: bool) -> Iterable[str]:
    for process in list_family(pid) if children else [pid]:
        yield from map(str, list_threads(process) or [process])
