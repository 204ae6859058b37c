"""Plans that are kept from this host for a while, because a run of theirs harmed it.

One file a plan, named by the SHA-256 of its text. It holds until its time is over or it is lifted:
by the wall clock, since it has to hold over reboots, and in the boot in which it was written also
by the time since, since the wall clock may be set forward. A file that cannot be read holds too,
for the usual time after it was last written.
"""

import fcntl
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Literal, get_args

from orchestrator.run.safety.journal import read_boot_id
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

#: A boot, and how long it has lasted, in ns (CLOCK_BOOTTIME).
Uptime = tuple[str, int]
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


@dataclass(frozen=True, slots=True, kw_only=True)
class _StoredEntry:
    """An entry as its file has it. It holds in the boot `boot_id` until that has lasted
    `uptime_ns`, whatever the wall clock says."""

    entry: QuarantineEntry
    boot_id: str = ""
    uptime_ns: int = 0

    def find_holding(self, now_ns: int, uptime: Uptime) -> QuarantineEntry | None:
        """The entry if it holds now, with the time until which it does."""
        if self.entry.holds(now_ns):
            return self.entry
        boot_id, lasted_ns = uptime
        if boot_id != self.boot_id or lasted_ns >= self.uptime_ns:
            return None
        return replace(self.entry, until_ns=now_ns + self.uptime_ns - lasted_ns)


def read_uptime() -> Uptime:
    """This boot, and how long it has lasted."""
    return read_boot_id(), time.clock_gettime_ns(time.CLOCK_BOOTTIME)


class Quarantine:
    """The plans in quarantine on this host, in `directory`, which need not exist. Every method
    raises OSError where the directory cannot be used."""

    def __init__(self, directory: Path, read_uptime: Callable[[], Uptime] = read_uptime) -> None:
        self.directory, self._read_uptime = directory, read_uptime

    def find(self, digest: str, now_ns: int) -> QuarantineEntry | None:
        """What keeps the plan with this digest from the host now, or None."""
        _require_digest(digest)
        try:
            with private_directory(self.directory) as directory:
                stored = _read_entry(directory, digest)
        except FileNotFoundError:
            return None
        return stored.find_holding(now_ns, self._read_uptime())

    def entries(self, now_ns: int) -> tuple[QuarantineEntry, ...]:
        """All that hold now, the oldest first."""
        try:
            with private_directory(self.directory) as directory:
                stored = list(_read_entries(directory))
        except FileNotFoundError:
            return ()
        uptime = self._read_uptime()
        found = [entry for one in stored if (entry := one.find_holding(now_ns, uptime))]
        return tuple(sorted(found, key=lambda entry: (entry.since_ns, entry.plan_digest)))

    def add(self, entry: QuarantineEntry) -> None:
        """Keep a plan from this host; on disk when this returns. Where it is in quarantine already
        that entry stays, and ends when the later of both does. Entries that are over go."""
        _require_digest(entry.plan_digest)
        now_ns, uptime = entry.since_ns, self._read_uptime()
        until_uptime_ns = uptime[1] + entry.until_ns - entry.since_ns
        with self._changed() as directory:
            for stored in _read_entries(directory):
                old = stored.find_holding(now_ns, uptime)
                if old is None:
                    remove_state(directory, stored.entry.plan_digest)
                elif old.plan_digest == entry.plan_digest:
                    entry = _extend_entry(old, entry)
            fields = {"format": _FORMAT, **asdict(entry)}
            fields |= {"written_in_boot": uptime[0], "until_uptime_ns": until_uptime_ns}
            write_state(directory, entry.plan_digest, fields)

    def lift(self, name_or_digest: str) -> tuple[QuarantineEntry, ...]:
        """Let the plan of this name or digest (or its first 12 digits or more) run here again;
        returns what kept it from it: nothing where there was nothing."""
        if not self.directory.exists():
            return ()
        with self._changed() as directory:
            entries = [stored.entry for stored in _read_entries(directory)]
            lifted = [entry for entry in entries if entry.is_of(name_or_digest)]
            return tuple(one for one in lifted if remove_state(directory, one.plan_digest))

    @contextmanager
    def _changed(self) -> Iterator[int]:
        """The directory, for one process at a time."""
        with private_directory(self.directory, make=True) as directory:
            fcntl.flock(directory, fcntl.LOCK_EX)
            yield directory


def _extend_entry(old: QuarantineEntry, new: QuarantineEntry) -> QuarantineEntry:
    """What holds when both were added: the first one is what happened."""
    kept = new if old.cause == "unknown" else old
    return replace(kept, until_ns=max(old.until_ns, new.until_ns))


def _read_entries(directory: int) -> Iterator[_StoredEntry]:
    for name in list_names(directory):
        if is_digest(name):
            try:
                yield _read_entry(directory, name)
            except FileNotFoundError:  # lifted in the meantime
                continue


def _read_entry(directory: int, digest: str) -> _StoredEntry:
    """Raises FileNotFoundError."""
    try:
        fields = read_state(directory, digest)
        return _StoredEntry(
            entry=_entry_from(fields, digest),
            boot_id=field_of(fields, "written_in_boot", str),
            uptime_ns=field_of(fields, "until_uptime_ns", int),
        )
    except DamagedState as damage:
        return _StoredEntry(entry=_damaged_entry(directory, digest, str(damage)))


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
