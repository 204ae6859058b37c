"""A cpio archive that the kernel unpacks as its first file system.

The format is "newc" of Documentation/driver-api/early-userspace/buffer-format.rst. Owners are root,
times and device numbers 0: the bytes depend on names, modes and contents alone.
"""

import stat
from collections.abc import Iterable

from orchestrator.values import dataclass

__all__ = ["ArchiveEntry", "make_file", "make_folder", "make_link", "pack_archive"]

_LARGEST = 0xFFFFFFFF  # a size has eight hexadecimal digits


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveEntry:
    """A file, a folder or a symbolic link. `name` has no leading slash. Of a link, `data` is its
    target. Entries with the same `inode`, which is not 0, are names of one file; `names` is how
    many there are."""

    name: str
    mode: int
    data: bytes = b""
    inode: int = 0
    names: int = 1


def make_folder(name: str, *, sticky: bool = False) -> ArchiveEntry:
    """A folder; `sticky`: all may write into it, as into /tmp."""
    return ArchiveEntry(name=name, mode=stat.S_IFDIR | (0o1777 if sticky else 0o755))


def make_file(name: str, data: bytes, *, executable: bool = False) -> ArchiveEntry:
    """A regular file."""
    return ArchiveEntry(name=name, mode=stat.S_IFREG | (0o755 if executable else 0o644), data=data)


def make_link(name: str, target: str) -> ArchiveEntry:
    """A symbolic link."""
    return ArchiveEntry(name=name, mode=stat.S_IFLNK | 0o777, data=target.encode())


def pack_archive(entries: Iterable[ArchiveEntry]) -> bytes:
    """The archive of `entries`, in their order: folders come before what is in them. Raises
    ValueError for a file that is too large for the format."""
    return b"".join(
        [*map(_pack_entry, entries), _pack_entry(ArchiveEntry(name="TRAILER!!!", mode=0))]
    )


def _pack_entry(entry: ArchiveEntry) -> bytes:
    """A header of 6 + 13 x 8 hexadecimal digits, the name, the data."""
    if len(entry.data) > _LARGEST:
        raise ValueError(
            f"/{entry.name} has {len(entry.data):,} bytes, an archive at most {_LARGEST:,}"
        )
    uid, gid, mtime, device, check = 0, 0, 0, 0, 0
    name = entry.name.encode("utf-8", "surrogateescape") + b"\0"
    numbers = (
        *(entry.inode, entry.mode, uid, gid, entry.names, mtime, len(entry.data)),
        *(device, device, device, device, len(name), check),
    )
    header = b"070701" + b"".join(b"%08X" % number for number in numbers)
    return _pad(header + name) + _pad(entry.data)


def _pad(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)
