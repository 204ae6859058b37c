"""The dynamic loader's cache, /etc/ld.so.cache: library name → path.

Source: glibc, sysdeps/generic/dl-cache.h (struct cache_file_new).
"""

import struct
from collections.abc import Iterator
from pathlib import Path

LIBRARY_FOLDERS = (
    "lib/x86_64-linux-gnu",
    "usr/lib/x86_64-linux-gnu",
    "lib/aarch64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
    "lib64",
    "usr/lib64",
    "lib",
    "usr/lib",
)

_MAGIC = b"glibc-ld.so.cache1.1"
_HEADER_SIZE = 48
_ENTRY = struct.Struct("<iIIIQ")


def cached_paths(root: Path, name: str) -> tuple[str, ...]:
    """Paths that the cache gives for this name, those for any CPU first; () without a cache."""
    try:
        data = (root / "etc/ld.so.cache").read_bytes()
    except OSError:
        return ()
    start = data.find(_MAGIC)  # an old-format cache may precede it
    if start < 0:
        return ()
    entries = sorted(_find_entries(data[start:], name.encode()), key=lambda entry: entry[0] != 0)
    return tuple(path.decode("utf-8", "surrogateescape") for _, path in entries)


def _find_entries(cache: bytes, name: bytes) -> Iterator[tuple[int, bytes]]:
    """(hardware capabilities asked for, path) of the entries with this name."""
    count = int.from_bytes(cache[len(_MAGIC) : len(_MAGIC) + 4], "little")
    table = cache[_HEADER_SIZE : _HEADER_SIZE + count * _ENTRY.size]
    for _, key, value, _, capabilities in _ENTRY.iter_unpack(table[: len(table) // 24 * 24]):
        if cache.startswith(name + b"\0", key):
            yield capabilities, cache[value : cache.find(b"\0", value)]
