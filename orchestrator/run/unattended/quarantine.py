"""Plans that are kept from this host for a while, because a run of theirs harmed it.

One file a plan, named by the SHA-256 of its text. It holds until its time is over or it is lifted:
by the wall clock, since it has to hold over reboots. A file that cannot be read holds too, for the
usual time after it was last written.
"""

import fcntl
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal, get_args

from orchestrator.run.unattended.state_files import (
    DamagedState,
    digest_of,
    field_of,
    is_digest,
    list_names,
    private_directory,
    read_state,
    remove_state,
    write_state,
)
from orchestrator.values import dataclass

__all__ = ["QUARANTINE_NS", "Quarantine", "QuarantineCause", "QuarantineEntry"]

#: How long a plan is kept from the host that it harmed.
QUARANTINE_NS = 24 * 3600 * 1_000_000_000
QuarantineCause = Literal["governor", "canary", "verifier", "host went down", "unknown"]

_FORMAT = "probeplan-quarantine/1"
#: Fewer digits of a digest could be a plan's name.
_FEWEST_DIGITS = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class QuarantineEntry:
    """A plan in quarantine. `plan_digest`: SHA-256 of its text, 64 hexadecimal digits; `cause`:
    what its run did (`unknown`: the file is damaged, and has no name, boot and run); `detail`: the
    same in words; `since_ns`, `until_ns`: wall clock, ns since the epoch; `boot_id`, `run_id`: of
    the run that did it."""

    plan_digest: str
    plan_name: str
    cause: QuarantineCause
    detail: str
    since_ns: int
    until_ns: int
    boot_id: str
    run_id: str

    def holds(self, now_ns: int) -> bool:
        """Whether it holds at this time. One that begins later does: the clock was set back."""
        return now_ns < self.until_ns

    def is_of(self, name_or_digest: str) -> bool:
        """Whether it is the plan of this name, or of this digest or its first digits (12 or
        more)."""
        of_digest = len(name_or_digest) >= _FEWEST_DIGITS
        return self.plan_name == name_or_digest or (
            of_digest and self.plan_digest.startswith(name_or_digest)
        )


class Quarantine:
    """The plans in quarantine on this host, in `directory`, which need not exist. Every method
    raises OSError where the directory cannot be used."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def find(self, digest: str, now_ns: int) -> QuarantineEntry | None:
        """What keeps the plan with this digest from the host now, or None."""
        _require_digest(digest)
        try:
            with private_directory(self.directory) as directory:
                entry = _read_entry(directory, digest)
        except FileNotFoundError:
            return None
        return entry if entry.holds(now_ns) else None

    def entries(self, now_ns: int) -> tuple[QuarantineEntry, ...]:
        """All that hold now, the oldest first."""
        try:
            with private_directory(self.directory) as directory:
                found = [entry for entry in _read_entries(directory) if entry.holds(now_ns)]
        except FileNotFoundError:
            return ()
        return tuple(sorted(found, key=lambda entry: (entry.since_ns, entry.plan_digest)))

    def add(self, entry: QuarantineEntry) -> None:
        """Keep a plan from this host; on disk when this returns. Where it is in quarantine already
        that entry stays, and ends when the later of both does. Entries that are over go."""
        _require_digest(entry.plan_digest)
        with self._changed() as directory:
            for old in _read_entries(directory):
                if old.plan_digest == entry.plan_digest:
                    entry = _extend_entry(old, entry)
                elif not old.holds(entry.since_ns):
                    remove_state(directory, old.plan_digest)
            write_state(directory, entry.plan_digest, {"format": _FORMAT, **asdict(entry)})

    def lift(self, name_or_digest: str) -> tuple[QuarantineEntry, ...]:
        """Let the plan of this name or digest (or its first 12 digits or more) run here again;
        returns what kept it from it: nothing where there was nothing."""
        if not self.directory.exists():
            return ()
        with self._changed() as directory:
            lifted = [one for one in _read_entries(directory) if one.is_of(name_or_digest)]
            return tuple(one for one in lifted if remove_state(directory, one.plan_digest))

    @contextmanager
    def _changed(self) -> Iterator[int]:
        """The directory, for one process at a time."""
        with private_directory(self.directory, make=True) as directory:
            fcntl.flock(directory, fcntl.LOCK_EX)
            yield directory


def _extend_entry(old: QuarantineEntry, new: QuarantineEntry) -> QuarantineEntry:
    """What holds when both were added: the first one is what happened, unless it was over."""
    if not old.holds(new.since_ns):
        return new
    kept = new if old.cause == "unknown" else old
    return replace(kept, until_ns=max(old.until_ns, new.until_ns))


def _read_entries(directory: int) -> Iterator[QuarantineEntry]:
    for name in list_names(directory):
        if is_digest(name):
            try:
                yield _read_entry(directory, name)
            except FileNotFoundError:  # lifted in the meantime
                continue


def _read_entry(directory: int, digest: str) -> QuarantineEntry:
    """Raises FileNotFoundError."""
    try:
        return _entry_from(read_state(directory, digest), digest)
    except DamagedState as damage:
        return _damaged_entry(directory, digest, str(damage))


def _entry_from(fields: Mapping[str, Any], digest: str) -> QuarantineEntry:
    if field_of(fields, "format", str) != _FORMAT:
        raise DamagedState(f"its format is {fields['format']!r}, which this release does not know")
    if digest_of(fields) != digest:
        raise DamagedState("it is of another plan than its name says")
    cause = field_of(fields, "cause", str)
    if cause not in get_args(QuarantineCause):
        raise DamagedState(f"its cause is {cause!r}, which this release does not know")
    return QuarantineEntry(
        plan_digest=digest,
        plan_name=field_of(fields, "plan_name", str),
        cause=cause,  # type: ignore[arg-type]  # it is one of them
        detail=field_of(fields, "detail", str),
        since_ns=field_of(fields, "since_ns", int),
        until_ns=field_of(fields, "until_ns", int),
        boot_id=field_of(fields, "boot_id", str),
        run_id=field_of(fields, "run_id", str),
    )


def _damaged_entry(directory: int, digest: str, why: str) -> QuarantineEntry:
    try:
        since_ns = os.stat(f"{digest}.json", dir_fd=directory, follow_symlinks=False).st_mtime_ns
    except FileNotFoundError:
        raise
    except OSError:  # the disk does not say; then it holds until it is lifted
        since_ns = time.time_ns()
    return QuarantineEntry(
        plan_digest=digest,
        plan_name="",
        cause="unknown",
        detail=f"the quarantine's file is damaged: {why}",
        since_ns=since_ns,
        until_ns=since_ns + QUARANTINE_NS,
        boot_id="",
        run_id="",
    )


def _require_digest(digest: str) -> None:
    if not is_digest(digest):
        raise ValueError(f"{digest!r} is not the SHA-256 of a plan's text")
