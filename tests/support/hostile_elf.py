"""An ELF file that is made to cost its reader as much as possible, and its author nothing."""

import struct
from pathlib import Path

_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_SYMTAB, _STRTAB = 2, 3


def write_hostile_elf(path: Path, *, table_bytes: int, tables: int = 60_000) -> None:
    """A sparse file with `tables` symbol tables, all of them the same `table_bytes` of zeros, which
    are also the names of its sections and symbols. One segment loads all of it."""
    sections_at = _HEADER.size + _SEGMENT.size
    zeros_at = sections_at + (tables + 1) * _SECTION.size
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = _HEADER.pack(
        ident, 3, 62, 1, 0, _HEADER.size, sections_at, 0, _HEADER.size, _SEGMENT.size, 1,
        _SECTION.size, tables + 1, 0,
    )  # fmt: skip
    segment = _SEGMENT.pack(1, 5, 0, 0, 0, zeros_at + table_bytes, zeros_at + table_bytes, 4096)
    strings = _SECTION.pack(0, _STRTAB, 0, 0, zeros_at, table_bytes, 0, 0, 1, 0)
    table = _SECTION.pack(0, _SYMTAB, 0, 0, zeros_at, table_bytes, 0, 0, 8, 24)
    with path.open("wb") as file:
        file.write(header + segment + strings + table * tables)
        file.truncate(zeros_at + table_bytes)
