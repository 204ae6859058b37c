"""Opening files where others can write too: never through their links, never into their files.

A directory that everybody can write to is used only if it is sticky, as /tmp is: in any other one
everybody can replace our file by something else at any time.
"""

import errno
import os
import stat
from dataclasses import dataclass
from pathlib import PurePath
from typing import NoReturn

__all__ = ["Place", "append_to", "place_of", "refuse_open_to_all"]

_OTHERS = "and everybody can make links there"
_MOST_LINKS = 40  # as the kernel: include/linux/namei.h, MAXSYMLINKS


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a file is or will be: the `name` in the open directory `parent`, which the caller
    closes. `shared`: everybody can make files there."""

    parent: int
    name: str
    shared: bool

    def check_owner(self, path: str | os.PathLike[str]) -> None:
        """Refuse what somebody else has put at a shared place. Raises OSError."""
        status = self.status()
        if status is None or not self.shared:
            return
        several = stat.S_ISREG(status.st_mode) and status.st_nlink > 1
        if status.st_uid != os.geteuid() or several:
            _refuse(path, "it is not our own, and everybody can make files there")

    def status(self) -> os.stat_result | None:
        """Of what is there, a link itself; None when nothing is."""
        try:
            return os.stat(self.name, dir_fd=self.parent, follow_symlinks=False)
        except FileNotFoundError:
            return None


def append_to(path: str | os.PathLike[str]) -> int:
    """A descriptor that appends to the file at `path`, made with mode 0600 if need be. Raises
    OSError, which says what is wrong with the place."""
    place = place_of(path)
    flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC | _no_follow(place.parent)
    try:
        place.check_owner(path)
        if place.status() is None:
            flags |= os.O_CREAT | os.O_EXCL
        return os.open(place.name, flags, 0o600, dir_fd=place.parent)
    except OSError as error:
        raise OSError(error.errno, error.strerror, os.fspath(path)) from None
    finally:
        os.close(place.parent)


def place_of(path: str | os.PathLike[str], *, last_link: bool = True) -> Place:
    """Follow `path` one name at a time to its last directory. Links are followed, with `last_link`
    also the last name's, but not where everybody can make them. Raises OSError."""
    given = PurePath(path)
    parent = os.open("/" if given.is_absolute() else ".", os.O_PATH | os.O_CLOEXEC)
    names, links = [part for part in given.parts[::-1] if part != "/"] or ["."], 0
    while True:
        try:
            name = names.pop()
            shared = refuse_open_to_all(parent, path)
            target = _link(parent, name) if names or last_link else None
            if target is not None:
                links += 1
                if shared or links > _MOST_LINKS:
                    _refuse(path, f"{name!r} is a link, {_OTHERS if shared else 'one too many'}")
                names += [part for part in target.parts[::-1] if part != "/"]
                parent = _moved(parent, "/") if target.is_absolute() else parent
            elif names:
                parent = _moved(parent, name)
            else:
                return Place(parent=parent, name=name, shared=shared)
        except OSError as error:
            os.close(parent)
            raise OSError(error.errno, error.strerror, os.fspath(path)) from None


def refuse_open_to_all(directory: int, path: str | os.PathLike[str]) -> bool:
    """Whether everybody can write to this open directory. Raises OSError when everybody can also
    replace there what others made."""
    mode = os.fstat(directory).st_mode
    if mode & stat.S_IWOTH and not mode & stat.S_ISVTX:
        _refuse(path, "everybody can replace files there: the directory is not sticky")
    return bool(mode & stat.S_IWOTH)


def _link(parent: int, name: str) -> PurePath | None:
    """Where a link leads; None when it is none, or nothing, or one of procfs."""
    if not _no_follow(parent):
        return None
    try:
        return PurePath(os.readlink(name, dir_fd=parent))
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.ENOENT):
            return None
        raise


def _moved(parent: int, name: str) -> int:
    flags = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC | _no_follow(parent)
    moved = os.open(name, flags, dir_fd=parent)
    os.close(parent)
    return moved


def _no_follow(parent: int) -> int:
    """Links of procfs, such as the one to which /dev/stdout leads, stand for an open file and not
    for what their text says (proc(5)): they alone are followed by the kernel."""
    return 0 if os.fstat(parent).st_dev == os.stat("/proc").st_dev else os.O_NOFOLLOW  # noqa: PTH116  # no Path at start-up


def _refuse(path: str | os.PathLike[str], why: str) -> NoReturn:
    raise OSError(errno.EPERM, f"nothing is written there: {why}", os.fspath(path))
