"""The journal: what a run creates in the kernel, written down before it is created.

One file per run, in a directory that only root can access. Its owner holds a lock (flock(2)) on it
while it lives: even from another PID namespace, and however the owner died, it is known whether it
is still there to clean up. Lines: `KEY VALUE` until a blank line, then `+ KIND NAME` before
something is created and `- KIND NAME` after it is removed. Nothing is synced to disk, since what
the journal lists does not survive a reboot either."""

import contextlib
import errno
import fcntl
import math
import os
import stat
import time
from collections.abc import Iterator
from pathlib import Path

from orchestrator.plan.findings import Finding, HostError, Position
from orchestrator.run.safety.undo import JOURNAL_BYTES, JournalEntry, open_entries
from orchestrator.values import dataclass

__all__ = [
    "DIRECTORIES",
    "Journal",
    "JournalError",
    "JournalRecord",
    "lock_is_free",
    "read_journals",
    "remove_orphan_sockets",
    "socket_path",
]

#: Where journals are kept: in the first that is writable.
DIRECTORIES = (
    Path("/run/probeplan"),
    Path("/var/tmp/probeplan"),  # noqa: S108  # refused unless only we can write to it, see _is_ours
    Path("/dev/shm/probeplan"),  # noqa: S108  # the same
)
_SUFFIX = ".journal"
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


class JournalError(HostError):
    """No journal can be written; the message lists the directories that were tried."""

    def __init__(self, why: str) -> None:
        finding = Finding(
            code="PP092",
            message=f"no journal can be kept ({why})",
            position=Position(file="this host"),
            hint="free some space, or make one of these directories writable for this user only",
        )
        super().__init__([finding])


@dataclass(frozen=True, slots=True, kw_only=True)
class JournalRecord:
    """A journal as read. `started` is wall time in s, `owner` a uid, `entries` what was created and
    not yet removed, in order. `dead`: its owner is certainly gone."""

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
        """Whether what it lists can still exist."""
        return self.boot_id == read_boot_id()


class Journal:
    """The journal of a live run, locked until `close`. Raises JournalError.

    `directory` is where it is kept: not the first of DIRECTORIES if that is not writable.
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
        self.directory = _first_writable(directories)
        self.path = self.directory / f"{run_id}{_SUFFIX}"
        text = "".join(f"{key} {value}\n" for key, value in head.items()) + "\n"
        try:
            self._file = _create_locked(self.path, text)
        except OSError as error:
            raise JournalError(f"{self.path}: {error.strerror}") from error
        self._open: list[JournalEntry] = []

    def add(self, kind: str, what: str) -> None:
        """Write down that `what` is about to be created."""
        self._line("+", kind, what)
        self._open.append((kind, what))

    def done(self, kind: str, what: str) -> None:
        """Write down that `what` is removed."""
        self._line("-", kind, what)
        with contextlib.suppress(ValueError):
            self._open.remove((kind, what))

    @property
    def entries(self) -> tuple[JournalEntry, ...]:
        """What was created and not yet removed, in order."""
        return tuple(self._open)

    def close(self) -> None:
        """Release the lock, and remove the file unless something is left. Idempotent."""
        if self._file >= 0:
            if not self._open:
                self.path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = -1

    def _line(self, sign: str, kind: str, what: str) -> None:
        if "\n" in what or " " in kind:
            raise ValueError(f"{kind!r} {what!r} does not fit on a line of the journal")
        line = f"{sign} {kind} {what}\n".encode()
        try:
            written = os.write(self._file, line)
        except OSError as error:
            raise JournalError(f"{self.path}: {error.strerror}") from error
        if written < len(line):  # a limit on file sizes, or a disk that is full now, cuts it
            raise JournalError(f"{self.path}: {os.strerror(errno.EFBIG)}")


def socket_path(journal: Path) -> Path:
    """The control socket of the run with this journal."""
    return journal.with_suffix(".socket")


def remove_orphan_sockets(directories: tuple[Path, ...] = DIRECTORIES) -> None:
    """Remove control sockets whose journal is gone. A run has its journal before and after its
    socket, so that such a socket is no live run's."""
    for directory in filter(_is_ours, directories):
        for path in directory.glob("*.socket"):
            if not path.with_suffix(_SUFFIX).exists():
                with contextlib.suppress(OSError):  # another cleanup was quicker
                    path.unlink()


def read_journals(directories: tuple[Path, ...] = DIRECTORIES) -> Iterator[JournalRecord]:
    """All journals that can be read, oldest first; other files are ignored."""
    records = [
        _read_journal(path)
        for directory in directories
        if _is_ours(directory)
        for path in directory.glob(f"*{_SUFFIX}")
    ]
    journals = (record for record in records if record is not None)
    yield from sorted(journals, key=lambda record: (record.started, record.run_id))


# ---------------------------------------------------------------- writing


def _first_writable(directories: tuple[Path, ...]) -> Path:
    reasons = []
    for directory in directories:
        try:
            directory.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            reasons.append(f"{directory}: {error.strerror}")
            continue
        if not _is_ours(directory):
            reasons.append(f"{directory}: not a directory, or writable by another user")
        elif not os.access(directory, os.W_OK):
            reasons.append(f"{directory}: not writable")
        else:
            return directory
    raise JournalError("; ".join(reasons))


def _is_ours(directory: Path) -> bool:
    """Whether it is a directory (no link) of ours or root's that no other user can write to."""
    try:
        status = directory.lstat()
    except OSError:
        return False
    ours = status.st_uid in (0, os.getuid())
    return stat.S_ISDIR(status.st_mode) and ours and not status.st_mode & 0o022


def _create_locked(path: Path, text: str) -> int:
    """The descriptor of a new journal. It appears only once it is locked and has its head."""
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        file, named = _create_file(path.name, directory)
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


def _create_file(name: str, directory: int) -> tuple[int, bool]:
    """A file without a name (open(2), O_TMPFILE), which disappears if we are killed now; with its
    name where the file system does not support that. Source of the errnos: the same page."""
    flags = os.O_WRONLY | os.O_APPEND
    try:
        return os.open(".", flags | os.O_TMPFILE, 0o600, dir_fd=directory), False
    except OSError as error:
        if error.errno not in (errno.EOPNOTSUPP, errno.EISDIR, errno.ENOENT):
            raise
    return os.open(name, flags | os.O_CREAT | os.O_EXCL, 0o600, dir_fd=directory), True


# ---------------------------------------------------------------- reading


def _read_journal(path: Path) -> JournalRecord | None:
    try:
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode) or status.st_size > JOURNAL_BYTES:
            return None
        unlocked = lock_is_free(file)
        with open(os.dup(file), encoding="utf-8", errors="replace") as text:  # noqa: PTH123  # no path
            head, _, body = text.read(JOURNAL_BYTES).partition("\n\n")
    except OSError:  # of a damaged disk, for instance
        return None
    finally:
        os.close(file)
    try:
        return _record_from(
            path, dict(line.split(" ", 1) for line in head.splitlines()), body, unlocked
        )
    except (KeyError, ValueError):
        return None


def _record_from(path: Path, head: dict[str, str], body: str, unlocked: bool) -> JournalRecord:
    started = float(head["started"])
    if not math.isfinite(started) or not all(value.isprintable() for value in head.values()):
        raise ValueError("no run has written that")
    return JournalRecord(
        path=path,
        run_id=head["run"],
        plan=head["plan"],
        backend=head["backend"],
        probes=int(head["probes"]),
        pid=int(head["pid"]),
        owner=int(head["owner"]),
        started=started,
        boot_id=head["boot"],
        entries=open_entries(body),
        dead=head["boot"] != read_boot_id() or unlocked,
    )


def lock_is_free(file: int) -> bool:
    """Whether no process holds an exclusive flock(2) on the open `file`, in whatever PID namespace.
    It is held from here, shared with others that ask, until `file` is closed."""
    try:
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def read_boot_id() -> str:
    """The kernel's name for this boot."""
    return _BOOT_ID.read_text().strip()
