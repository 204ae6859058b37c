"""One event a thread of the target, so that a probe in user code is in its processes alone."""

import contextlib
import errno
import os
import resource
from collections.abc import Callable, Iterable
from pathlib import Path

from orchestrator.kernel.abi import perf

__all__ = ["may_gain_privileges", "open_thread_events"]

#: New threads inherit the event, so a second look finds only those that a thread without it started
#: meanwhile; a process that starts threads faster than this is given up.
_ROUNDS = 16
#: The program goes with the thread of the event that it was set by, although the event stays open
#: (seen on 6.18: a program set by the first thread's did not run once that thread had ended). This
#: kernel thread never ends, and has no memory for a breakpoint. Its number is the same everywhere:
#: a target by number is refused in other PID namespaces (identity.check_namespace).
_KTHREADD = 2


def open_thread_events(
    event_id: int, processes: Iterable[int], set_program: Callable[[int], None]
) -> list[int]:
    """Open an event for every thread of `processes` (each a process or thread id); later threads
    and children inherit it. `set_program` is called first, with the descriptor of an event that is
    in no process. Returns all descriptors, that one first. Raises OSError, with nothing left open;
    ESRCH where no such process exists.

    All threads need an event: the first may end before the others, and a child inherits only what
    the thread that starts it has.
    """
    with contextlib.ExitStack() as undoing:
        fds: list[int] = []

        def keep(fd: int) -> None:
            undoing.callback(os.close, fd)
            fds.append(fd)

        keep(_open_event(event_id, _KTHREADD, inherit=False))
        set_program(fds[0])
        seen: set[int] = set()
        for _ in range(_ROUNDS):
            new = _threads_of(processes) - seen
            if not new and not seen:
                raise ProcessLookupError(errno.ESRCH, "no process of the target is there")
            if not new:
                undoing.pop_all()
                return fds
            for thread in sorted(new):
                with contextlib.suppress(ProcessLookupError):  # it has ended meanwhile
                    keep(_open_event(event_id, thread))
            seen |= new
    raise OSError(errno.EAGAIN, "the target starts threads faster than they can be followed")


def _open_event(event_id: int, thread: int, *, inherit: bool = True) -> int:
    try:
        return perf.open_task_event(event_id, thread, inherit=inherit)
    except OSError as refused:
        if refused.errno != errno.EMFILE or not _raise_descriptor_limit():
            raise
    return perf.open_task_event(event_id, thread, inherit=inherit)


def _raise_descriptor_limit() -> bool:
    """Allow this process as many descriptors as it may allow itself; False if that is no more."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0] > soft


def _threads_of(processes: Iterable[int]) -> set[int]:
    threads: set[int] = set()
    for process in processes:
        with contextlib.suppress(OSError):  # it has ended, or never was
            threads.update(int(entry.name) for entry in Path(f"/proc/{process}/task").iterdir())
    return threads


def may_gain_privileges(processes: Iterable[int]) -> bool:
    """Whether children of these processes may execute a program with more privileges than theirs,
    such as a set-user-ID one. The kernel then takes inherited events from the child
    (fs/exec.c, begin_new_exec: perf_event_exit_task), uncounted. Root has no more to gain. A
    process that is gone gains none."""
    for process in processes:
        try:
            status = Path(f"/proc/{process}/status").read_text(errors="replace")
        except OSError:
            continue
        fields = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        is_root = set(fields.get("Uid", "").split()) == {"0"}
        if not is_root and fields.get("NoNewPrivs", "0").strip() != "1":
            return True
    return False
