"""The dynamic loader's cache."""

import struct
from pathlib import Path

from orchestrator.binaries.ld_cache import cached_paths


def cache(*entries: tuple[str, str, int]) -> bytes:
    """A cache with (name, path, hardware capabilities)."""
    header = b"glibc-ld.so.cache1.1" + struct.pack("<I", len(entries)) + bytes(24)
    strings, table, at = b"", b"", 48 + 24 * len(entries)
    for name, path, capabilities in entries:
        key, value = at + len(strings), at + len(strings) + len(name) + 1
        strings += f"{name}\0{path}\0".encode()
        table += struct.pack("<iIIIQ", 3, key, value, 0, capabilities)
    return header + table + strings


def write(root: Path, data: bytes) -> None:
    """As etc/ld.so.cache under `root`."""
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc/ld.so.cache").write_bytes(data)


def test_paths_for_any_cpu_come_first(tmp_path: Path) -> None:
    """Others are of a subfolder for newer CPUs."""
    write(tmp_path, cache(("libc.so.6", "/v3/libc.so.6", 8), ("libc.so.6", "/lib/libc.so.6", 0)))
    assert cached_paths(tmp_path, "libc.so.6") == ("/lib/libc.so.6", "/v3/libc.so.6")


def test_a_name_is_matched_as_a_whole(tmp_path: Path) -> None:
    """Not libc.so.60."""
    write(tmp_path, cache(("libc.so.60", "/lib/libc.so.60", 0)))
    assert cached_paths(tmp_path, "libc.so.6") == ()


def test_without_a_cache_there_are_no_paths(tmp_path: Path) -> None:
    """Missing, of another format, or cut short."""
    assert cached_paths(tmp_path, "libc.so.6") == ()
    write(tmp_path, b"ld.so-1.7.0")
    assert cached_paths(tmp_path, "libc.so.6") == ()
    write(tmp_path, cache(("libc.so.6", "/lib/libc.so.6", 0))[:60])
    assert cached_paths(tmp_path, "libc.so.6") == ()
