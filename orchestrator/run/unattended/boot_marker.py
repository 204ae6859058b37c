"""Markers: which plan was armed when the host went down.

A marker is on disk before a run arms its probes, and is removed at the run's end. One that is found
with the id of another boot says that the host went down in between. A run that was merely killed
leaves one of this boot, which says nothing. Its owner holds an flock(2) on it, as on a journal.
"""

import os
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from orchestrator.run.safety.journal import lock_is_free
from orchestrator.run.unattended.state_files import (
    FILE_FLAGS,
    DamagedState,
    digest_of,
    field_of,
    list_names,
    private_directory,
    read_state,
    remove_state,
    write_state,
)
from orchestrator.values import dataclass

__all__ = ["BootMarker", "list_damaged_markers", "place_marker", "take_stale_markers"]

_FORMAT = "probeplan-marker/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class BootMarker:
    """A marker in `directory`. `plan_digest`: SHA-256 of the plan's text; `placed_ns`: wall clock,
    ns since the epoch; `lock`: of the run that placed it (None: it is another one's)."""

    directory: Path
    plan_digest: str
    plan_name: str
    run_id: str
    boot_id: str
    placed_ns: int
    lock: BinaryIO | None = None

    def remove(self) -> None:
        """Take the marker from the disk, once the run has ended or its plan is in quarantine.
        Idempotent. Raises OSError."""
        with suppress(FileNotFoundError), private_directory(self.directory) as directory:
            remove_state(directory, self.run_id)
        if self.lock is not None:
            self.lock.close()


def place_marker(
    directory: Path, *, plan_digest: str, plan_name: str, run_id: str, boot_id: str
) -> BootMarker:
    """Write a marker; it is on disk when this returns. Raises OSError: then nothing may be armed,
    since it would not be known that it was."""
    placed_ns = time.time_ns()
    fields: dict[str, Any] = {
        "format": _FORMAT,
        "plan_digest": plan_digest,
        "plan_name": plan_name,
        "run_id": run_id,
        "boot_id": boot_id,
        "placed_ns": placed_ns,
    }
    with private_directory(directory, make=True) as opened:
        lock = write_state(opened, run_id, fields, lock=True)
    return BootMarker(
        directory=directory,
        plan_digest=plan_digest,
        plan_name=plan_name,
        run_id=run_id,
        boot_id=boot_id,
        placed_ns=placed_ns,
        lock=os.fdopen(lock, "wb"),
    )


def take_stale_markers(directory: Path, boot_id: str) -> tuple[BootMarker, ...]:
    """The markers of other boots than `boot_id`, the oldest first. They stay on disk: put each
    plan into quarantine, then call the marker's `remove`, so that a crash in between loses none.
    Those that runs of this boot have left, which were killed, are removed. Raises OSError."""
    try:
        with private_directory(directory) as opened:
            markers = list(_read_markers(opened, directory))
            for marker in markers:
                if marker.boot_id == boot_id and not _has_owner(opened, marker.run_id):
                    remove_state(opened, marker.run_id)
    except FileNotFoundError:
        return ()
    stale = (marker for marker in markers if marker.boot_id != boot_id)
    return tuple(sorted(stale, key=lambda marker: (marker.placed_ns, marker.run_id)))


def list_damaged_markers(directory: Path) -> tuple[tuple[Path, str], ...]:
    """Files that may have been markers, and why they cannot be read: it is not known which plan
    they were of. Raises OSError."""
    damaged = []
    try:
        with private_directory(directory) as opened:
            for name in list_names(opened):
                try:
                    _read_marker(opened, directory, name)
                except DamagedState as damage:
                    damaged.append((directory / f"{name}.json", str(damage)))
                except FileNotFoundError:
                    continue
    except FileNotFoundError:
        return ()
    return tuple(damaged)


def _read_markers(opened: int, directory: Path) -> Iterator[BootMarker]:
    for name in list_names(opened):
        with suppress(FileNotFoundError, DamagedState):  # list_damaged_markers reports those
            yield _read_marker(opened, directory, name)


def _read_marker(opened: int, directory: Path, run_id: str) -> BootMarker:
    """Raises FileNotFoundError and DamagedState."""
    fields = read_state(opened, run_id)
    if field_of(fields, "format", str) != _FORMAT or field_of(fields, "run_id", str) != run_id:
        raise DamagedState("it is of another format, or of another run than its name says")
    return BootMarker(
        directory=directory,
        plan_digest=digest_of(fields),
        plan_name=field_of(fields, "plan_name", str),
        run_id=run_id,
        boot_id=field_of(fields, "boot_id", str),
        placed_ns=field_of(fields, "placed_ns", int),
    )


def _has_owner(opened: int, run_id: str) -> bool:
    """Whether the run that placed it lives."""
    try:
        file = os.open(f"{run_id}.json", FILE_FLAGS, dir_fd=opened)
    except FileNotFoundError:
        return False
    try:
        return not lock_is_free(file)
    finally:
        os.close(file)
