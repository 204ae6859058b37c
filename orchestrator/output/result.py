"""The directory of one run's results: plan.yaml, the program, events.jsonl, result.json, and
stacks.folded where metrics have stacks in their keys.

Only its owner can read it (0700, files 0600). Nothing is ever written through a link, and a
directory that contains other files is refused.
"""

import contextlib
import errno
import os
import stat
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Self

from orchestrator.output.safe_open import refuse_unsafe_directory, resolve_entry
from orchestrator.output.sink import OutputLost, Sink
from orchestrator.output.text import dump_json
from orchestrator.output.unblocked import make_log_sink

__all__ = ["EVENTS_FILE", "PLAN_FILE", "RESULT_FILE", "RESULT_FILES", "ResultDirectory"]
__all__ += ["ResultDirectoryError"]

#: Written last: a directory that has it holds a whole result.
RESULT_FILE = "result.json"
#: The log of the run, and its plan.
EVENTS_FILE, PLAN_FILE = "events.jsonl", "plan.yaml"
_MARKS = (RESULT_FILE, PLAN_FILE)
_PARTIAL = "result.json.partial"
_FOLDED = "stacks.folded"
_PROGRAMS = ("program.c", "program.tracefs")
#: The names of all files of a result.
RESULT_FILES = frozenset({PLAN_FILE, EVENTS_FILE, _FOLDED, RESULT_FILE, _PARTIAL, *_PROGRAMS})
_COPIED_BYTES = 1 << 20


class ResultDirectoryError(Exception):
    """The directory cannot be used; the text says which, why, and what to do."""


class ResultDirectory:
    """Opens (or makes) the directory `path` and removes an earlier run's results from it. `synced`:
    the name of its result is on the disk once that is written, and its own name is. Raises
    ResultDirectoryError; the `write_` methods raise OutputLost."""

    def __init__(self, path: str | os.PathLike[str], *, synced: bool = False) -> None:
        self.path = Path(path)
        self._synced, self._has_result = synced, False
        self._unsynced: list[str] = []
        self._directory = _open_directory(self.path)
        self._events: BinaryIO | None = None
        try:
            self._clear_results()
        except BaseException:
            os.close(self._directory)
            raise

    @property
    def keeps_records(self) -> bool:
        """Whether it has the record of every event: yes."""
        return True

    @property
    def is_ours(self) -> bool:
        """Whether the directory belongs to our user."""
        return os.fstat(self._directory).st_uid == os.geteuid()

    def write_plan(self, text: bytes) -> None:
        """Write plan.yaml: the plan as it was read."""
        self._write_file(PLAN_FILE, text, later=True)

    def write_program(self, name: str, text: str) -> None:
        """Write the program that ran, as program.c or program.tracefs."""
        if name not in _PROGRAMS:
            raise ValueError(f"{name!r} is not one of {_PROGRAMS}")
        self._write_file(name, text.encode(), later=True)

    def write_folded(self, text: str) -> None:
        """Write stacks.folded: metrics by stacks as folded text."""
        self._write_file(_FOLDED, text.encode())

    def open_events(self) -> Sink:
        """Open events.jsonl, once: the sink for the log's lines."""
        self._events = os.fdopen(self._create_file(EVENTS_FILE), "wb", buffering=0)
        return make_log_sink(self._events, owned=True)

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write result.json, in place of one that is there: whole, or not at all."""
        text = dump_json(dict(result), indented=True)
        try:
            self._sync_files()
            self._write_file(_PARTIAL, text)
            at = self._directory
            os.rename(_PARTIAL, RESULT_FILE, src_dir_fd=at, dst_dir_fd=at)
            if self._synced:
                self._sync_names()
            self._has_result = True
        except (OutputLost, OSError) as error:
            with contextlib.suppress(ResultDirectoryError):
                self._remove_file(_PARTIAL)
            raise OutputLost(error.errno or errno.EIO, 1) from error

    @property
    def result_path(self) -> Path | None:
        """The absolute path of result.json; None until it is written."""
        return Path(os.path.abspath(self.path)) / RESULT_FILE if self._has_result else None  # noqa: PTH100  # links stay

    def _sync_names(self) -> None:
        """A name is on the disk once the directory that it is in is."""
        os.fsync(self._directory)
        parent = os.open("..", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC, dir_fd=self._directory)
        try:
            os.fsync(parent)
        finally:
            os.close(parent)

    def copy_from(self, source: Path) -> None:
        """Take over the files of a run that wrote to the directory `source`, result.json last and
        whole. What is no file, or not there, is passed over. Raises OutputLost."""
        for name in (PLAN_FILE, *_PROGRAMS, EVENTS_FILE, _FOLDED):
            self._copy_file(source / name, name)
        if self._copy_file(source / RESULT_FILE, _PARTIAL):
            at = self._directory
            os.rename(_PARTIAL, RESULT_FILE, src_dir_fd=at, dst_dir_fd=at)

    def close(self) -> None:
        """Close what is open. Idempotent."""
        if self._events is not None:
            self._events.close()
        if self._directory >= 0:
            os.close(self._directory)
            self._directory = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _clear_results(self) -> None:
        names = set(os.listdir(self._directory))  # noqa: PTH208 - a path could change meanwhile
        if names and (names - RESULT_FILES or not names & set(_MARKS)):
            strange = ", ".join(repr(name) for name in sorted(names - RESULT_FILES)[:3])
            what = f"holds {strange}" if strange else "is not empty and holds no run's results"
            raise ResultDirectoryError(
                f"{str(self.path)!r} {what}: results are not mixed with other files; "
                "name a directory that is empty or does not exist"
            )
        for name in names:
            self._remove_file(name)

    def _create_file(self, name: str) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.open(name, flags, 0o600, dir_fd=self._directory)
        except OSError as error:
            raise OutputLost(error.errno or errno.EIO, 0) from error

    def _write_file(self, name: str, text: bytes, *, later: bool = False) -> None:
        """`later`: it is synced with the result; what is written before probes are attached is
        start-up time."""
        with os.fdopen(self._create_file(name), "wb", buffering=0) as file:
            Sink(file).write(text, 1)
            if later:
                self._unsynced.append(name)
                return
            try:
                os.fsync(file.fileno())
            except OSError as error:
                raise OutputLost(error.errno or errno.EIO, 1) from error

    def _sync_files(self) -> None:
        """Sync what was left for later. Raises OSError."""
        while self._unsynced:
            flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC
            file = os.open(self._unsynced[-1], flags, dir_fd=self._directory)
            try:
                os.fsync(file)
            finally:
                os.close(file)
            self._unsynced.pop()

    def _copy_file(self, source: Path, name: str) -> bool:
        """Copy one file; whether there was one."""
        try:
            descriptor = os.open(source, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError:
            return False
        with os.fdopen(descriptor, "rb", buffering=0) as origin:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return False
            with os.fdopen(self._create_file(name), "wb", buffering=0) as copy:
                while chunk := origin.read(_COPIED_BYTES):
                    Sink(copy).write(chunk, 1)
        return True

    def _remove_file(self, name: str) -> None:
        try:
            os.unlink(name, dir_fd=self._directory)
        except FileNotFoundError:
            return
        except OSError as error:
            raise ResultDirectoryError(
                f"{str(self.path / name)!r} cannot be removed ({error.strerror}): remove it, "
                "or name another directory"
            ) from error


def _open_directory(path: Path) -> int:
    try:
        place = resolve_entry(path, last_link=False)
        try:
            with contextlib.suppress(FileExistsError):
                os.mkdir(place.name, 0o700, dir_fd=place.parent)
            place.check_owner(path)
            flags = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC
            directory = os.open(place.name, flags, dir_fd=place.parent)
        finally:
            os.close(place.parent)
    except OSError as error:
        why = {
            errno.ENOTDIR: "it is a link or a file",
            errno.ENOENT: "its parent directory does not exist",
        }
        reason = why.get(error.errno or 0, error.strerror or "unknown")
        raise ResultDirectoryError(
            f"{str(path)!r} cannot hold results ({reason}): name a directory that you own"
        ) from error
    try:
        refuse_unsafe_directory(directory, path)
    except OSError as error:
        os.close(directory)
        raise ResultDirectoryError(
            f"{str(path)!r} cannot hold results ({error.strerror})"
        ) from None
    return directory
