"""The journal: what a run creates in the kernel, written down before it is created.

One file a run, in a directory of root's alone. Its owner holds a lock (flock(2)) on it for as long
as it lives, so that even from another PID namespace, and however it died, it is known whether
anybody is left to clean up. Lines: `KEY VALUE` until a blank line, then `+ KIND WHAT` before
something is created and `- KIND WHAT` after it is gone. Nothing is synced to disk: what is
journalled does not outlive the boot either.
"""

import contextlib
import errno
import fcntl
import os
import stat
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from orchestrator.plan.findings import Finding, HostError, Position
from orchestrator.run.safety.undo import JournalEntry, open_entries

__all__ = [
    "DIRECTORIES",
    "Journal",
    "JournalError",
    "JournalRecord",
    "read_journals",
    "socket_path",
]

#: Where journals are kept: the first that can be written to.
DIRECTORIES = (
    Path("/run/probeplan"),
    Path("/var/tmp/probeplan"),  # noqa: S108  # refused unless it is ours alone, see _is_ours
    Path("/dev/shm/probeplan"),  # noqa: S108  # the same
)
_SUFFIX = ".journal"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class JournalError(HostError):
    """No journal can be written: says where it was tried, and why."""

    def __init__(self, why: str) -> None:
        finding = Finding(
            code="PP092",
            message=f"no journal can be kept ({why})",
            position=Position(file="this host"),
            hint="make room, or one of these directories writable for this user alone",
        )
        super().__init__([finding])


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalRecord:
    """A journal as read. `started` is wall time in s, `owner` a uid, `entries` what was made and
    not yet undone, in order. `dead`: its owner is provably gone."""

    path: Path
    run_id: str
    plan: str
    backend: str
    probes: int
    pid: int
    owner: int
    started: float
    boot_id: str
    entries: tuple[JournalEntry, ...]
    dead: bool

    @property
    def this_boot(self) -> bool:
        """Whether what it names can still be there."""
        return self.boot_id == read_boot_id()


class Journal:
    """The journal of a live run, locked until `close`. Raises JournalError.

    `directory` is where it stands: not the first of DIRECTORIES when that cannot be written to.
    """

    def __init__(
        self,
        run_id: str,
        *,
        plan: str,
        backend: str,
        probes: int,
        directories: tuple[Path, ...] = DIRECTORIES,
    ) -> None:
        head = {
            "run": run_id,
            "plan": plan,
            "backend": backend,
            "probes": probes,
            "boot": read_boot_id(),
            "pid": os.getpid(),
            "owner": os.getuid(),
            "started": f"{time.time():.3f}",
        }
        self.directory = _writable(directories)
        self.path = self.directory / f"{run_id}{_SUFFIX}"
        text = "".join(f"{key} {value}\n" for key, value in head.items()) + "\n"
        try:
            self._file = _locked(self.path, text)
        except OSError as error:
            raise JournalError(f"{self.path}: {error.strerror}") from error
        self._open: list[JournalEntry] = []

    def add(self, kind: str, what: str) -> None:
        """Write down that `what` is about to be created."""
        self._line("+", kind, what)
        self._open.append((kind, what))

    def done(self, kind: str, what: str) -> None:
        """Write down that `what` is gone."""
        self._line("-", kind, what)
        with contextlib.suppress(ValueError):
            self._open.remove((kind, what))

    @property
    def entries(self) -> tuple[JournalEntry, ...]:
        """What was made and is not yet undone, in order."""
        return tuple(self._open)

    def close(self) -> None:
        """Let go of the lock, and of the file unless something is left. Idempotent."""
        if self._file >= 0:
            if not self._open:
                self.path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = -1

    def _line(self, sign: str, kind: str, what: str) -> None:
        if "\n" in what or " " in kind:
            raise ValueError(f"{kind!r} {what!r} does not fit on a line of the journal")
        try:
            os.write(self._file, f"{sign} {kind} {what}\n".encode())
        except OSError as error:
            raise JournalError(f"{self.path}: {error.strerror}") from error


def socket_path(journal: Path) -> Path:
    """Where the run of this journal can be asked."""
    return journal.with_suffix(".socket")


def read_journals(directories: tuple[Path, ...] = DIRECTORIES) -> Iterator[JournalRecord]:
    """All journals that can be read, oldest first; what is not a journal of ours is passed over."""
    found = []
    for directory in directories:
        if _is_ours(directory):
            found += [_read(path) for path in directory.glob(f"*{_SUFFIX}")]
    yield from sorted((one for one in found if one), key=lambda one: (one.started, one.run_id))


# ---------------------------------------------------------------- writing


def _writable(directories: tuple[Path, ...]) -> Path:
    told = []
    for directory in directories:
        try:
            directory.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            told.append(f"{directory}: {error.strerror}")
            continue
        if not _is_ours(directory):
            told.append(f"{directory}: belongs to somebody else, or is not a directory")
        elif not os.access(directory, os.W_OK):
            told.append(f"{directory}: cannot be written to")
        else:
            return directory
    raise JournalError("; ".join(told))


def _is_ours(directory: Path) -> bool:
    """A directory (no link) of ours or root's that nobody else may write to."""
    try:
        status = directory.lstat()
    except OSError:
        return False
    ours = status.st_uid in (0, os.getuid())
    return stat.S_ISDIR(status.st_mode) and ours and not status.st_mode & 0o022


def _locked(path: Path, text: str) -> int:
    """A new journal's descriptor. Nobody sees it with its head before it is locked."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        file, named = _created(path.name, directory)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(file, text.encode())
            if not named:
                os.link(f"/proc/self/fd/{file}", path.name, dst_dir_fd=directory)
        except BaseException:
            os.close(file)
            raise
        return file
    finally:
        os.close(directory)


def _created(name: str, directory: int) -> tuple[int, bool]:
    """A file without a name (open(2), O_TMPFILE), which is gone if we are killed now; with its name
    where the file system has none such. Source of the errnos: the same page."""
    flags = os.O_WRONLY | os.O_APPEND
    try:
        return os.open(".", flags | os.O_TMPFILE, 0o600, dir_fd=directory), False
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT):
            raise
    return os.open(name, flags | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=directory), True


# ---------------------------------------------------------------- reading


def _read(path: Path) -> JournalRecord | None:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    except OSError:
        return None
    with os.fdopen(file, encoding="utf-8", errors="replace") as text:
        unlocked = _lock_is_free(file)
        head, _, body = text.read().partition("\n\n")
    try:
        return _record(path, dict(line.split(" ", 1) for line in head.splitlines()), body, unlocked)
    except (KeyError, ValueError):
        return None


def _record(path: Path, head: dict[str, str], body: str, unlocked: bool) -> JournalRecord:
    return JournalRecord(
        path=path,
        run_id=head["run"],
        plan=head["plan"],
        backend=head["backend"],
        probes=int(head["probes"]),
        pid=int(head["pid"]),
        owner=int(head["owner"]),
        started=float(head["started"]),
        boot_id=head["boot"],
        entries=open_entries(body),
        dead=head["boot"] != read_boot_id() or unlocked,
    )


def _lock_is_free(file: int) -> bool:
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def read_boot_id() -> str:
    """The kernel's name for this boot."""
    return _BOOT_ID.read_text().strip()
