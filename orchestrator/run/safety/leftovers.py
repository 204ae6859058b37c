"""Removing what dead runs left in the kernel: only what their journals list, and only if the name
begins with `probeplan`."""

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path

from orchestrator.kernel.abi.mounts import TRACEFS
from orchestrator.kernel.tree import LiveTree, tracing_path
from orchestrator.run.safety.journal import (
    DIRECTORIES,
    Journal,
    JournalRecord,
    read_journals,
    remove_orphan_sockets,
    socket_path,
)
from orchestrator.run.safety.undo import JournalEntry, UndoFailure, undo_journal, undo_order
from orchestrator.values import dataclass

__all__ = [
    "CleanedRun",
    "clean_up_dead_runs",
    "clean_up_own",
    "clean_up_run",
    "find_dead_runs",
    "find_tracefs",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class CleanedRun:
    """The cleanup after one dead run: what was removed (or would be), and what could not be, with
    the reason."""

    record: JournalRecord
    removed: tuple[JournalEntry, ...] = ()
    failed: tuple[tuple[JournalEntry, str], ...] = ()

    def __str__(self) -> str:
        removed = ", ".join(f"{kind} {what}" for kind, what in self.removed) or "nothing"
        text = f"run {self.record.run_id} of {self.record.plan} had died: removed {removed}"
        failed = "; ".join(f"{kind} {what}: {why}" for (kind, what), why in self.failed)
        return f"{text}; could not remove {failed}" if failed else text


def find_dead_runs(directories: tuple[Path, ...] = DIRECTORIES) -> Iterator[JournalRecord]:
    """The journals of runs that are certainly dead."""
    return (record for record in read_journals(directories) if record.dead)


def clean_up_dead_runs(
    *,
    dry_run: bool = False,
    directories: tuple[Path, ...] = DIRECTORIES,
    tracefs: Path | None = None,
) -> list[CleanedRun]:
    """Clean up after every dead run. `dry_run`: only report what would be removed. `tracefs`:
    where it is mounted (None: look it up)."""
    dead = find_dead_runs(directories)
    if dry_run:
        return [CleanedRun(record=record, removed=_entries_to_remove(record)) for record in dead]
    cleaned = [clean_up_run(record, tracefs) for record in dead]
    remove_orphan_sockets(directories)
    return cleaned


def _entries_to_remove(record: JournalRecord) -> tuple[JournalEntry, ...]:
    return undo_order(record.entries) if record.this_boot else ()


def clean_up_run(record: JournalRecord, tracefs: Path | None = None) -> CleanedRun:
    """Remove what a dead run left, then its journal, which is kept if something could not be
    removed. Does nothing if another process is cleaning up the same run."""
    try:
        file = os.open(record.path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return CleanedRun(record=record)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return _clean_up_locked(file, record, tracefs or find_tracefs())
    except BlockingIOError:
        return CleanedRun(record=record)
    finally:
        os.close(file)


def clean_up_own(journal: Journal, tracefs: str) -> tuple[UndoFailure, ...]:
    """Remove from `tracefs` what the journal of a live run still lists, while its owner holds it;
    returns what could not be removed."""
    file = os.open(journal.path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        return tuple(undo_journal(file, str(journal.path), tracefs)[1])
    finally:
        os.close(file)


def _clean_up_locked(file: int, record: JournalRecord, tracefs: Path) -> CleanedRun:
    if not record.this_boot:  # a reboot has removed it all
        socket_path(record.path).unlink(missing_ok=True)
        record.path.unlink(missing_ok=True)
        return CleanedRun(record=record)
    removed, failed = undo_journal(file, str(record.path), str(tracefs))
    return CleanedRun(record=record, removed=tuple(removed), failed=tuple(failed))


def find_tracefs() -> Path:
    """Where tracefs is mounted. Where it usually is if it is not mounted: then nothing can be
    removed, and all journals are kept."""
    mounted = tracing_path(LiveTree(Path("/")))
    return TRACEFS if mounted is None else Path("/") / mounted
