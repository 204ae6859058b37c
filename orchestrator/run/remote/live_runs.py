"""The live runs of this host: found by what people write, and ended by a signal to who they are.

A process number proves nothing: it may have been reused, or be another process here than where the
run was started (PID namespaces). Who holds the lock on the journal is the run.
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
    """The runs whose owners live, oldest first, as far as this user may read their journals."""
    return tuple(record for record in read_journals(directories) if not record.dead)


def select_run(runs: Sequence[JournalRecord], wanted: str) -> JournalRecord:
    """The one run whose id is `wanted` or begins with it. Raises PlanError, naming the runs that
    there are, when there is none or more than one."""
    found = [run for run in runs if run.run_id.startswith(wanted)] if wanted else []
    exact = [run for run in found if run.run_id == wanted]
    if len(exact or found) == 1:
        return (exact or found)[0]
    if found:
        message = f"{wanted!r} is the beginning of {len(found)} runs: {_list_runs(found)}"
        raise PlanError([of_command_line(message, "write more of its id")])
    message = f"there is no live run {wanted!r} (live: {_list_runs(runs)})"
    hint = "`probeplan status` lists them"
    if os.geteuid():
        hint += "; this user sees only runs of its own, root sees all"
    raise PlanError([of_command_line(message, hint)])


def find_holder(record: JournalRecord) -> int | None:
    """The process that holds the run's journal, by its number in our PID namespace; None when it is
    gone, or is none that is seen from here.

    proc(5), /proc/locks: `N: FLOCK ADVISORY WRITE PID MAJOR:MINOR:INODE …`; locks of processes
    that our PID namespace does not hold are left out (fs/locks.c, locks_show).
    """
    try:
        inode = record.path.lstat().st_ino
        lines = _LOCKS.read_text().splitlines()
    except FileNotFoundError:
        return None
    for words in map(str.split, lines):
        if words[1] == "FLOCK" and words[3] == "WRITE" and words[5].endswith(f":{inode}"):
            return int(words[4])
    return None


def stop_run(record: JournalRecord, timeout_s: float) -> bool:
    """End a run as Ctrl-C would, and wait until it is gone; False when it is not after `timeout_s`.
    One that was stopped (SIGSTOP) goes on for it. Raises HostError when it is not seen from here,
    or may not be ended by this user."""
    pid = find_holder(record)
    if pid is None:
        return _is_gone(record) or _refuse_unseen(record)
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        if find_holder(record) != pid:  # it ended, and its number may be somebody else's by now
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
    """Until the process has ended, or has let go of its journal: a program that embeds us stays."""
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
    return not os.path.lexists(record.path)  # a link that leads nowhere is there


def _refuse_unseen(record: JournalRecord) -> bool:
    message = f"the process of run {record.run_id} is in another PID namespace"
    hint = "end it on the host, or in the container where it was started"
    raise HostError([of_command_line(message, hint)])


def _list_runs(runs: Sequence[JournalRecord]) -> str:
    return ", ".join(f"{run.run_id} of {run.plan}" for run in runs) or "none"
