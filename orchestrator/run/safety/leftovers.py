"""Removing what dead runs left in the kernel: only what their journals name, and only under names
that begin with ours."""

import fcntl
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.kernel.abi.mounts import TRACEFS
from orchestrator.kernel.tree import LiveTree, tracing_path
from orchestrator.run.safety.journal import DIRECTORIES, Journal, Record, journals, socket_of
from orchestrator.run.safety.undo import Entry, Failure, ordered, undo_file

__all__ = ["Cleaned", "clean", "clean_leftovers", "clean_own", "dead_runs", "mounted_at"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cleaned:
    """What was done about one dead run: what was removed (or is to be), and what could not be,
    with the reason."""

    record: Record
    removed: tuple[Entry, ...] = ()
    failed: tuple[tuple[Entry, str], ...] = ()

    def __str__(self) -> str:
        removed = ", ".join(f"{kind} {what}" for kind, what in self.removed) or "nothing"
        text = f"run {self.record.run_id} of {self.record.plan} had died: removed {removed}"
        failed = "; ".join(f"{kind} {what}: {why}" for (kind, what), why in self.failed)
        return f"{text}; could not remove {failed}" if failed else text


def dead_runs(directories: tuple[Path, ...] = DIRECTORIES) -> Iterator[Record]:
    """Journals whose owners are provably dead."""
    return (record for record in journals(directories) if record.dead)


def clean_leftovers(
    *,
    dry_run: bool = False,
    directories: tuple[Path, ...] = DIRECTORIES,
    tracefs: Path | None = None,
) -> list[Cleaned]:
    """Clean up after every dead run. `dry_run`: only tell what would be removed. `tracefs`: where
    it is mounted (None: found)."""
    return [
        Cleaned(record=record, removed=_named(record)) if dry_run else clean(record, tracefs)
        for record in dead_runs(directories)
    ]


def _named(record: Record) -> tuple[Entry, ...]:
    return ordered(record.entries) if record.this_boot else ()


def clean(record: Record, tracefs: Path | None = None) -> Cleaned:
    """Remove what a dead run left, then its journal, which stays when something could not be
    removed. A run that somebody else is cleaning up is left to them."""
    try:
        file = os.open(record.path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return Cleaned(record=record)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return _clean(file, record, tracefs or mounted_at())
    except BlockingIOError:
        return Cleaned(record=record)
    finally:
        os.close(file)


def clean_own(journal: Journal) -> tuple[Failure, ...]:
    """Remove what a live run's journal still names, before its owner lets go of it; returns what
    could not be removed."""
    file = os.open(journal.path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        return tuple(undo_file(file, str(journal.path), str(mounted_at()))[1])
    finally:
        os.close(file)


def _clean(file: int, record: Record, tracefs: Path) -> Cleaned:
    if not record.this_boot:  # a reboot has removed it all
        socket_of(record.path).unlink(missing_ok=True)
        record.path.unlink(missing_ok=True)
        return Cleaned(record=record)
    removed, failed = undo_file(file, str(record.path), str(tracefs))
    return Cleaned(record=record, removed=tuple(removed), failed=tuple(failed))


def mounted_at() -> Path:
    """Where tracefs is; where it belongs if it is nowhere, and then nothing can be removed."""
    found = tracing_path(LiveTree(Path("/")))
    return TRACEFS if found is None else Path("/") / found
