"""The live runs of this host: selected by their ids, and ended by a signal.

The pid in a journal proves nothing: it may have been reused, or be another process in our PID
namespace. The run is the process that holds the lock on the journal.
"""

import os
import select
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from orchestrator.plan.findings import HostError, PlanError, of_command_line
from orchestrator.run.safety.journal import DIRECTORIES, JournalRecord, read_journals

__all__ = ["find_holder", "live_runs", "select_run", "stop_run"]

_LOCKS = Path("/proc/locks")
_LOOK_MS = 50


def live_runs(directories: tuple[Path, ...] = DIRECTORIES) -> tuple[JournalRecord, ...]:
    """The live runs, oldest first, as far as this user can read their journals."""
    return tuple(record for record in read_journals(directories) if not record.dead)


def select_run(runs: Sequence[JournalRecord], wanted: str) -> JournalRecord:
    """The one run whose id is `wanted` or begins with it. Raises PlanError, which lists the live
    runs, when there is none or more than one."""
    matching = [run for run in runs if run.run_id.startswith(wanted)] if wanted else []
    exact = [run for run in matching if run.run_id == wanted]
    if len(exact or matching) == 1:
        return (exact or matching)[0]
    if matching:
        message = f"{wanted!r} is the beginning of {len(matching)} runs: {_list_runs(matching)}"
        raise PlanError([of_command_line(message, "give more characters of the id")])
    message = f"there is no live run {wanted!r} (live: {_list_runs(runs)})"
    hint = "`probeplan status` lists them"
    if os.geteuid():
        hint += "; a user sees only their own runs, root sees all"
    raise PlanError([of_command_line(message, hint)])


def find_holder(record: JournalRecord) -> int | None:
    """The pid, in our PID namespace, of the process that holds the run's journal; None if it is
    gone or not visible from here.

    proc(5), /proc/locks: `N: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE …`; locks of processes
    outside our PID namespace are left out (fs/locks.c, locks_show).
    """
    try:
        inode = record.path.lstat().st_ino
        lines = _LOCKS.read_text(errors="replace").splitlines()
    except FileNotFoundError:
        return None
    for words in map(str.split, lines):
        if words[1] == "FLOCK" and words[3] == "WRITE" and words[5].endswith(f":{inode}"):
            return int(words[4])
    return None


def stop_run(record: JournalRecord, timeout_s: float) -> bool:
    """End a run as Ctrl-C would, and wait until it has ended; False if it has not after
    `timeout_s`. A stopped one (SIGSTOP) is continued. Raises HostError if it is not visible from
    here, or this user is not permitted to end it."""
    pid = find_holder(record)
    if pid is None:
        return _is_gone(record) or _refuse_unseen(record)
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        if find_holder(record) != pid:  # it ended, and its pid may be reused by now
            return True
        for number in (signal.SIGTERM, signal.SIGCONT):
            signal.pidfd_send_signal(process, number)
        return _wait_for_end(process, record, timeout_s)
    except ProcessLookupError:
        return True
    except PermissionError:
        hint = "end it as that user, or as root (sudo probeplan stop …)"
        message = f"run {record.run_id} belongs to uid {record.owner} and cannot be ended by "
        raise HostError([of_command_line(f"{message}uid {os.geteuid()}", hint)]) from None
    finally:
        os.close(process)


def _wait_for_end(process: int, record: JournalRecord, timeout_s: float) -> bool:
    """Wait until the process has ended, or released its journal: a program that embeds us stays."""
    poll = select.poll()
    poll.register(process, select.POLLIN)
    deadline = time.monotonic() + timeout_s
    while not poll.poll(_LOOK_MS) and not _is_gone(record):
        if time.monotonic() > deadline:
            return False
    return True


def _is_gone(record: JournalRecord) -> bool:
    for run in read_journals((record.path.parent,)):
        if run.run_id == record.run_id:
            return run.dead
    return not os.path.lexists(record.path)  # a dangling link counts as there


def _refuse_unseen(record: JournalRecord) -> bool:
    message = f"the process of run {record.run_id} is in another PID namespace"
    hint = "end it on the host, or in the container where it was started"
    raise HostError([of_command_line(message, hint)])


def _list_runs(runs: Sequence[JournalRecord]) -> str:
    return ", ".join(f"{run.run_id} of {run.plan}" for run in runs) or "none"
