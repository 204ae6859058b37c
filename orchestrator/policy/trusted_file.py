"""Reading files that root alone can have written and put in their place."""

import os
import stat
from pathlib import Path

__all__ = ["UntrustedFile", "read_trusted", "read_trusted_anywhere"]

_OTHERS_WRITE = stat.S_IWGRP | stat.S_IWOTH  # an access control list shows in the group's bits
_FOLDER = os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class UntrustedFile(Exception):
    """Another user than root could have written the file; `hint` says what to do."""

    def __init__(self, why: str, hint: str) -> None:
        super().__init__(why)
        self.hint = hint


def read_trusted(path: Path, most_bytes: int) -> bytes:
    """The content of the very file that was checked, not of one put in its place meanwhile; of a
    larger one `most_bytes` + 1. Its folder is checked, too.

    Raises UntrustedFile, and OSError where it cannot be read.
    """
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        return _read_in(folder, path, most_bytes)
    finally:
        os.close(folder)


def read_trusted_anywhere(path: Path, most_bytes: int) -> bytes:
    """As `read_trusted`, of an absolute `path` of which every folder is checked, so that no one
    else can have replaced one. None of them may be a link."""
    folder = os.open("/", _FOLDER)
    try:
        for depth, part in enumerate(path.parts[1:-1], 1):
            _check_ancestor(Path(*path.parts[:depth]), os.fstat(folder))
            below = os.open(part, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = below
        return _read_in(folder, path, most_bytes)
    finally:
        os.close(folder)


def _read_in(folder: int, path: Path, most_bytes: int) -> bytes:
    """The file of `path` in its open `folder`."""

    def open_in(name: str, flags: int) -> int:
        return os.open(name, flags | os.O_NOFOLLOW | os.O_NONBLOCK, dir_fd=folder)

    with open(path.name, "rb", opener=open_in) as source:
        status = os.fstat(source.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise UntrustedFile(f"{path} is not a regular file", "put the file itself there")
        _check_writers(path, status)
        _check_writers(path.parent, os.fstat(folder))
        return source.read(most_bytes + 1)


def _check_ancestor(path: Path, status: os.stat_result) -> None:
    """In a sticky folder (/tmp) others cannot rename or remove what is root's."""
    if status.st_uid != 0 or not status.st_mode & stat.S_ISVTX:
        _check_writers(path, status)


def _check_writers(path: Path, status: os.stat_result) -> None:
    if status.st_uid != 0:
        why = f"{path} belongs to user {status.st_uid}, not to root"
        raise UntrustedFile(why, f"chown root: {path}")
    if status.st_mode & _OTHERS_WRITE:
        mode = stat.S_IMODE(status.st_mode)
        why = f"{path} is writable by users other than root (mode {mode:04o})"
        raise UntrustedFile(why, f"chmod go-w {path}")
