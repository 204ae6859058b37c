"""Which file a path names, and whether it is still the same one with the same content.

A probe is an offset in a file. Where the file has changed since the offset was found, the
breakpoint would land inside another instruction and damage the program.
"""

import ctypes
import errno
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from orchestrator.values import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class FileIdentity:
    """A file and the state of its content: `device` and `inode` as stat(2) gives them, `size` in
    bytes, times in ns. `changed_ns` (ctime) cannot be set by programs."""

    device: int
    inode: int
    size: int
    modified_ns: int
    changed_ns: int

    @classmethod
    def from_stat(cls, status: os.stat_result) -> Self:
        """The identity of the file that was looked at."""
        return cls(
            device=status.st_dev,
            inode=status.st_ino,
            size=status.st_size,
            modified_ns=status.st_mtime_ns,
            changed_ns=status.st_ctime_ns,
        )

    def is_same_file(self, other: "FileIdentity") -> bool:
        """Whether both are one file, whatever its content."""
        return (self.device, self.inode) == (other.device, other.inode)

    def has_same_content(self, other: "FileIdentity") -> bool:
        """Whether both are one file that was not written in between. A new name, owner or mode
        changes ctime alone."""
        same = (self.size, self.modified_ns) == (other.size, other.modified_ns)
        return same and self.is_same_file(other)


_OVERLAY = 0x794C7630  # OVERLAYFS_SUPER_MAGIC, include/uapi/linux/magic.h
_STATFS_BYTES = 256  # more than struct statfs has anywhere


def is_on_overlay(path: str) -> bool:
    """Whether a file is on an overlay file system, where its device and inode are not those of the
    file that the kernel runs code of (Documentation/filesystems/overlayfs.rst, inode properties).
    True where it cannot be found out."""
    buffer = ctypes.create_string_buffer(_STATFS_BYTES)
    if ctypes.CDLL(None).statfs(os.fsencode(path), buffer) != 0:
        return True
    word = ctypes.sizeof(ctypes.c_long)  # f_type is the first member
    return int.from_bytes(buffer.raw[:word], sys.byteorder) & 0xFFFFFFFF == _OVERLAY


class FileChanged(OSError):
    """The path names another file now, or one that was written meanwhile. Its errno is ESTALE."""

    def __init__(self, path: str, what: str) -> None:
        super().__init__(errno.ESTALE, f"{what} after the offset in it was found", path)


def require_unchanged(path: str, expected: FileIdentity) -> None:
    """Raise FileChanged unless `path` names the file as it was, and OSError if it names none."""
    _compare(path, FileIdentity.from_stat(os.stat(path)), expected)  # noqa: PTH116  # text, no Path


@contextmanager
def open_unchanged(path: str, expected: FileIdentity) -> Iterator[str]:
    """A path below /proc that names the very file, whatever happens to its own name meanwhile.

    Raises FileChanged before, where the file is not as it was, and afterwards, where it was
    written in between.
    """
    handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    try:
        _compare(path, FileIdentity.from_stat(os.fstat(handle)), expected)
        yield f"/proc/self/fd/{handle}"
        _compare(path, FileIdentity.from_stat(os.fstat(handle)), expected)
    finally:
        os.close(handle)


def _compare(path: str, now: FileIdentity, expected: FileIdentity) -> None:
    if now == expected:
        return
    if not now.is_same_file(expected):
        raise FileChanged(path, "the file was replaced by another")
    raise FileChanged(path, "the file was changed")
