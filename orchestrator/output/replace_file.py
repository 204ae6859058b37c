"""Files that are written whole or not at all, as reports for other programs are.

Directories and links are as for safe_open. What is no regular file (a pipe, a terminal,
/dev/stdout) cannot be replaced and is written to.
"""

import errno
import os
import stat
from collections.abc import Callable
from contextlib import suppress
from functools import partial

from orchestrator.output.safe_open import (
    DirectoryEntry,
    give_to_owner_of,
    open_for_append,
    resolve_entry,
)

__all__ = ["check_folder", "check_replaceable", "replace_file", "replace_in_folder"]

_MODE = 0o644


def check_replaceable(path: str | os.PathLike[str]) -> None:
    """Raise the OSError that `replace_file` would meet now; the file stays as it is. A named pipe
    is not opened: that waits for its reader, who would see its end."""
    place = resolve_entry(path)
    try:
        if _is_replaced(place, path):
            check_folder(place.parent)
        elif not _is_pipe(place):
            os.close(open_for_append(path))
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None
    finally:
        os.close(place.parent)


def check_folder(folder: int) -> None:
    """Raise the OSError that `replace_in_folder` would meet now in the open `folder`."""
    name, file = _make_temporary(folder)
    os.close(file)
    os.unlink(name, dir_fd=folder)


def replace_file(path: str | os.PathLike[str], content: bytes) -> None:
    """Write a new file and give it the name: readers see what was there, or all of `content`.
    Raises OSError; then the file is as it was."""
    place = resolve_entry(path)
    try:
        if _is_replaced(place, path):
            replace_in_folder(place.parent, place.name, content, partial(_keep_mode, place))
        else:
            with os.fdopen(open_for_append(path), "wb") as target:
                target.write(content)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None
    finally:
        os.close(place.parent)


def _is_replaced(place: DirectoryEntry, path: str | os.PathLike[str]) -> bool:
    """Whether there is nothing, or a regular file which may be replaced. Raises OSError."""
    place.check_owner(path)
    status = place.status()
    if status is not None and stat.S_ISLNK(status.st_mode):  # of procfs: all others are followed
        return False
    if status is not None and stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), os.fspath(path))
    return status is None or stat.S_ISREG(status.st_mode)


def _is_pipe(place: DirectoryEntry) -> bool:
    status = place.status()
    return status is not None and stat.S_ISFIFO(status.st_mode)


def replace_in_folder(
    folder: int, name: str, content: bytes, prepare: Callable[[int], None]
) -> None:
    """Write a new file in an open folder and give it the name; what has the name now, a link too,
    is replaced and not followed. `prepare` gets the new file's descriptor while it is empty. Raises
    OSError, and what `prepare` raises; then nothing has changed."""
    temporary, file = _make_temporary(folder)
    try:
        with os.fdopen(file, "wb") as target:
            prepare(file)
            target.write(content)
            target.flush()
            os.fsync(file)
        os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(temporary, dir_fd=folder)
        raise


def _make_temporary(folder: int) -> tuple[str, int]:
    name = f".probeplan.{os.getpid()}.{os.urandom(4).hex()}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    return name, os.open(name, flags, _MODE, dir_fd=folder)


def _keep_mode(place: DirectoryEntry, file: int) -> None:
    """The new file has the mode and the owner of the old one; the first one the folder's owner."""
    old = place.status()
    if old is None:
        give_to_owner_of(place.parent, file)
        return
    os.fchmod(file, stat.S_IMODE(old.st_mode))
    if os.geteuid() == 0:
        os.fchown(file, old.st_uid, old.st_gid)
