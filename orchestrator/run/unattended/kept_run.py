"""One run's result on disk: whether it is one, how large, whether it is whole, and its removal."""

import fcntl
import json
import os
import stat
from contextlib import suppress

from orchestrator.accounting.vocabulary import UNMADE_OUTCOMES
from orchestrator.output.result import RESULT_FILE, RESULT_FILES
from orchestrator.run.unattended.state_files import DIRECTORY_FLAGS, FILE_FLAGS
from orchestrator.values import dataclass

__all__ = ["KeptRun", "read_kept_run", "remove_run"]

_BLOCK = 4096  # what file systems allot at least
#: A result of a run that was not made has no metrics: it is smaller than this.
_UNMADE_BYTES = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptRun:
    """The directory `name` of a run. `written_ns`: when its result was written, or else its last
    file (wall clock, ns since the epoch); `bytes`: what its files take, each rounded up to 4 KiB;
    `is_whole`: it has the result of a run that was made; `goes_on`: its run still writes to it."""

    name: str
    written_ns: int
    bytes: int
    is_whole: bool
    goes_on: bool


def read_kept_run(parent: int, name: str) -> KeptRun | None:
    """What `name` in the open directory `parent` is; None where it is no result of ours: no
    directory, another user's, or one that holds something else."""
    try:
        directory = os.open(name, DIRECTORY_FLAGS, dir_fd=parent)
    except OSError:
        return None
    try:
        return _read_open(directory, name)
    except OSError:  # it changed meanwhile, or the disk is damaged: not counted, not removed
        return None
    finally:
        os.close(directory)


def _read_open(directory: int, name: str) -> KeptRun | None:
    own = os.fstat(directory)
    names = os.listdir(directory)
    if own.st_uid != os.geteuid() or not RESULT_FILES.issuperset(names):
        return None
    files = {file: os.stat(file, dir_fd=directory, follow_symlinks=False) for file in names}
    if not all(stat.S_ISREG(status.st_mode) for status in files.values()):
        return None
    result = files.get(RESULT_FILE)
    unmade = result is not None and _says_unmade(directory, result.st_size)
    return KeptRun(
        name=name,
        written_ns=own.st_mtime_ns if result is None else result.st_mtime_ns,
        bytes=sum(-(-status.st_size // _BLOCK) * _BLOCK for status in files.values()),
        is_whole=result is not None and result.st_size > 0 and not unmade,
        goes_on=_is_locked(directory),
    )


def _says_unmade(directory: int, size: int) -> bool:
    if size > _UNMADE_BYTES:
        return False
    with os.fdopen(os.open(RESULT_FILE, FILE_FLAGS, dir_fd=directory), "rb") as source:
        text = source.read(_UNMADE_BYTES)
    try:
        return json.loads(text)["run"]["outcome"] in UNMADE_OUTCOMES
    except (ValueError, KeyError, TypeError, RecursionError):
        return False


def _is_locked(directory: int) -> bool:
    """Whether a run holds it, in whatever PID namespace; `directory` was opened here."""
    try:
        fcntl.flock(directory, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        return True
    return False


def remove_run(parent: int, name: str) -> None:
    """Remove the run's directory `name` in the open directory `parent`, result.json first: what a
    kill leaves is not taken for a whole result. Raises OSError."""
    directory = os.open(name, DIRECTORY_FLAGS, dir_fd=parent)
    try:
        files = os.listdir(directory)  # noqa: PTH208 - a path could change meanwhile
        for file in sorted(files, key=lambda file: file != RESULT_FILE):
            with suppress(FileNotFoundError):
                os.unlink(file, dir_fd=directory)
    finally:
        os.close(directory)
    with suppress(FileNotFoundError):
        os.rmdir(name, dir_fd=parent)
