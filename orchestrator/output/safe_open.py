"""Opening files in directories where other users can write: never through their links, never into
their files.

A world-writable directory is used only if it is sticky, as /tmp is: in any other one, every user
can replace our file at any time.
"""

import errno
import os
import stat
from pathlib import PurePath
from typing import NoReturn

from orchestrator.values import dataclass

__all__ = ["DirectoryEntry", "give_to_owner_of", "is_fifo", "open_fifo", "open_for_append"]
__all__ += ["open_public", "refuse_unsafe_directory", "resolve_entry"]

_OTHERS = "and every user can make links there"
_MOST_LINKS = 40  # as the kernel: include/linux/namei.h, MAXSYMLINKS


@dataclass(frozen=True, slots=True, kw_only=True)
class DirectoryEntry:
    """Where a file is or will be: `name` in the open directory `parent`, which the caller closes.
    `shared`: every user can make files there."""

    parent: int
    name: str
    shared: bool

    def check_owner(self, path: str | os.PathLike[str]) -> None:
        """Refuse what another user has put into a shared directory. Raises OSError."""
        status = self.status()
        if status is None or not self.shared:
            return
        several = stat.S_ISREG(status.st_mode) and status.st_nlink > 1
        if status.st_uid != os.geteuid() or several:
            _refuse(path, "it is not our own, and every user can make files there")

    def status(self) -> os.stat_result | None:
        """The status of what is there (of a link itself); None when nothing is."""
        try:
            return os.stat(self.name, dir_fd=self.parent, follow_symlinks=False)
        except FileNotFoundError:
            return None


def open_for_append(path: str | os.PathLike[str], *, give: bool = False) -> int:
    """A descriptor that appends to the file at `path`, made with mode 0600 if need be; `give`: by
    root for the owner of its folder. Raises OSError, which says why nothing is written there."""
    return _open_or_make(path, os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600, give=give)


def is_fifo(path: str | os.PathLike[str]) -> bool:
    """Whether a FIFO with a name is at `path`; a pipe that procfs names is none. Raises OSError."""
    place = resolve_entry(path)
    try:
        status = place.status()
    finally:
        os.close(place.parent)
    return status is not None and stat.S_ISFIFO(status.st_mode)


def open_fifo(path: str | os.PathLike[str]) -> int:
    """A descriptor that writes to the FIFO at `path` without ever waiting. Raises OSError: ENXIO
    when no process reads it (fifo(7)), EINVAL when no FIFO is there."""
    place = resolve_entry(path)
    try:
        place.check_owner(path)
        flags = os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW
        opened = os.open(place.name, flags, dir_fd=place.parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None
    finally:
        os.close(place.parent)
    if not stat.S_ISFIFO(os.fstat(opened).st_mode):
        os.close(opened)
        raise OSError(errno.EINVAL, "is not a FIFO any more", os.fspath(path))
    return opened


def open_public(path: str | os.PathLike[str]) -> int:
    """A descriptor that reads and appends to the file at `path`, made if need be for all to read,
    and by root for the owner of its folder. Raises OSError as `open_for_append`."""
    return _open_or_make(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC, 0o644, give=True)


def _open_or_make(path: str | os.PathLike[str], flags: int, mode: int, *, give: bool) -> int:
    place = resolve_entry(path)
    flags |= _no_follow_flag(place.parent)
    try:
        place.check_owner(path)
        if place.status() is None:
            return _make_file(place, flags | os.O_CREAT | os.O_EXCL, mode, give=give)
        return os.open(place.name, flags, dir_fd=place.parent)
    except FileExistsError:  # made by another process in the meantime
        return _open_or_make(path, flags, mode, give=give)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None
    finally:
        os.close(place.parent)


def _make_file(place: DirectoryEntry, flags: int, mode: int, *, give: bool) -> int:
    made = os.open(place.name, flags, mode, dir_fd=place.parent)
    if give:
        give_to_owner_of(place.parent, made)
    return made


def give_to_owner_of(folder: int, file: int) -> None:
    """Give an open file to the owner of an open folder, if root made it: who called sudo has to be
    able to move, commit or remove it. Raises OSError."""
    if os.geteuid() == 0:
        owner = os.fstat(folder)
        os.fchown(file, owner.st_uid, owner.st_gid)


def resolve_entry(path: str | os.PathLike[str], *, last_link: bool = True) -> DirectoryEntry:
    """Follow `path` one name at a time to its last directory. Links are followed, with `last_link`
    also the last name's, but not where every user can make them. Raises OSError."""
    given = PurePath(path)
    parent = os.open("/" if given.is_absolute() else ".", os.O_PATH | os.O_CLOEXEC)
    names, links = [part for part in given.parts[::-1] if part != "/"] or ["."], 0
    while True:
        try:
            name = names.pop()
            shared = refuse_unsafe_directory(parent, path)
            target = _read_link(parent, name) if names or last_link else None
            if target is not None:
                links += 1
                if shared or links > _MOST_LINKS:
                    _refuse(path, f"{name!r} is a link, {_OTHERS if shared else 'one too many'}")
                names += [part for part in target.parts[::-1] if part != "/"]
                parent = _open_subdirectory(parent, "/") if target.is_absolute() else parent
            elif names:
                parent = _open_subdirectory(parent, name)
            else:
                return DirectoryEntry(parent=parent, name=name, shared=shared)
        except OSError as error:
            os.close(parent)
            raise OSError(error.errno, error.strerror, os.fspath(path)) from None


def refuse_unsafe_directory(directory: int, path: str | os.PathLike[str]) -> bool:
    """Whether every user can write to this open directory. Raises OSError when every user can also
    replace what others have made there."""
    mode = os.fstat(directory).st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        _refuse(path, "every user can replace files there: the directory is not sticky")
    return bool(mode & stat.S_IWOTH)


def _read_link(parent: int, name: str) -> PurePath | None:
    """The target of a link; None for what is no link, for nothing, and for a link in procfs."""
    if not _no_follow_flag(parent):
        return None
    try:
        return PurePath(os.readlink(name, dir_fd=parent))
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):
            return None
        raise


def _open_subdirectory(parent: int, name: str) -> int:
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC | _no_follow_flag(parent)
    moved = os.open(name, flags, dir_fd=parent)
    os.close(parent)
    return moved


def _no_follow_flag(parent: int) -> int:
    """A link in procfs, such as the target of /dev/stdout, stands for an open file and not for its
    text (proc(5)): only those are followed by the kernel."""
    return 0 if os.fstat(parent).st_dev == os.stat("/proc").st_dev else os.O_NOFOLLOW  # noqa: PTH116  # no Path at start-up


def _refuse(path: str | os.PathLike[str], why: str) -> NoReturn:
    raise OSError(errno.EPERM, f"nothing is written there: {why}", os.fspath(path))
