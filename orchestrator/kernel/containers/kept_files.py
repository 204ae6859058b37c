"""Reading the files that runtimes keep: those of the system, which root writes, and a user's own.

Names in them are chosen by others all the same: sizes are bounded, links and pipes are not read.
In a user's directories every part of a path is the user's: none of them may be a link, lead out of
the directory or to another file system (openat2(2), 5.6), which may never answer; the file has to
be the user's own; and the directory itself has to be on a file system of this host.
"""

import ctypes
import json
import os
import stat
import struct
from collections.abc import Callable
from pathlib import Path

__all__ = ["ReadFile", "find_home", "read_system_files", "read_user_files"]

#: The content of the JSON file at a path below a directory; None for what is not there, is no
#: regular file, is too large or is no JSON.
ReadFile = Callable[[str], object]

_MOST_BYTES, _MOST_BYTES_OF_USER = 4 << 20, 1 << 20
_PLAINLY = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_OPENAT2 = 437  # of all architectures; include/uapi/asm-generic/unistd.h
#: RESOLVE_NO_XDEV, NO_MAGICLINKS, NO_SYMLINKS and BENEATH; include/uapi/linux/openat2.h
_BELOW = 0x01 | 0x02 | 0x04 | 0x08
#: File systems that need no other host and no process to answer.
_OF_HOST = frozenset({"btrfs", "ext2", "ext3", "ext4", "f2fs", "overlay", "tmpfs", "xfs", "zfs"})
_libc = ctypes.CDLL(None, use_errno=True)


def read_system_files(root: Path) -> ReadFile:
    """A reader of files below `root`."""

    def read(path: str) -> object:
        try:
            return _load(os.open(root / path, _PLAINLY), None, _MOST_BYTES)
        except (OSError, ValueError):
            return None

    return read


def read_user_files(folder: Path, user: int, root: Path = Path("/")) -> ReadFile:
    """A reader of files of the user with this number below `folder`."""
    if not _is_of_host(folder, root):
        return lambda _path: None

    def read(path: str) -> object:
        try:
            directory = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                opened = _open_below(directory, path)
            finally:
                os.close(directory)
            return _load(opened, user, _MOST_BYTES_OF_USER)
        except (OSError, ValueError):
            return None

    return read


def find_home(user: int, root: Path = Path("/")) -> Path | None:
    """The home of a user of /etc/passwd; None where there is none. Other sources of users, which
    may ask a server, are not asked."""
    try:
        lines = (root / "etc/passwd").read_text(errors="replace").splitlines()
    except OSError:
        return None
    for words in (line.split(":") for line in lines):
        if len(words) > 5 and words[2] == str(user) and words[5].startswith("/"):
            return root / words[5].lstrip("/")
    return None


def _open_below(directory: int, path: str) -> int:
    """Raises OSError: ENOSYS where the kernel has no openat2."""
    how = struct.pack("=QQQ", _PLAINLY, 0, _BELOW)
    opened: int = _libc.syscall(_OPENAT2, directory, os.fsencode(path), how, len(how))
    if opened < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return opened


def _load(opened: int, user: int | None, most: int) -> object:
    with os.fdopen(opened, "rb") as file:
        try:
            status = os.fstat(opened)
            if not stat.S_ISREG(status.st_mode) or status.st_size > most:
                return None
            if user not in (None, status.st_uid):
                return None
            return json.loads(file.read(most))
        except (OSError, ValueError, RecursionError):
            return None


def _is_of_host(folder: Path, root: Path) -> bool:
    """Whether the file system that the folder is on, by its name, is one of this host."""
    best, kind = "", ""
    try:
        mounts = (root / "proc/self/mounts").read_text(errors="replace").splitlines()
    except OSError:
        return False
    path = f"/{folder.relative_to(root)}/"
    for words in (line.split(" ") for line in mounts):
        is_above = len(words) > 2 and path.startswith(f"{words[1].rstrip('/')}/")
        if is_above and len(words[1]) >= len(best):
            best, kind = words[1], words[2]
    return kind in _OF_HOST
