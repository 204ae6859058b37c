"""Reading 64-bit ELF files: sections, segments, symbols, notes. Source: elf(5), gABI chapter 4.

Written out here and not left to a library: a uprobe's symbol must be found within the start-up
of the tracefs path, and tables of a hundred thousand symbols are searched as bytes.
"""

import mmap
import os
import struct
from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Self

from orchestrator.kernel.abi.file_identity import FileIdentity
from orchestrator.values import dataclass

STT_NOTYPE, STT_FUNC, STT_GNU_IFUNC = 0, 2, 10
SHN_UNDEF = 0
_CODE_TYPES = (STT_NOTYPE, STT_FUNC, STT_GNU_IFUNC)  # hand-written assembly often sets no type
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SECTION = struct.Struct("<IIQQQQIIQQ")
_SEGMENT = struct.Struct("<IIQQQQQQ")
_SYMBOL = struct.Struct("<IBBHQQ")
_SHT_SYMTAB, _SHT_NOBITS, _SHT_DYNSYM = 2, 8, 11
_PT_LOAD, _PT_INTERP = 1, 3
_DT_NEEDED, _DT_SONAME, _DT_RPATH, _DT_RUNPATH = 1, 14, 15, 29
_PF_X = 1
_MOST_BYTES = 512 << 20
_LONGEST_NAME = 4096  # of symbols; longer ones are cut
_VERSION_HIDDEN = 0x8000  # an older version, kept for programs linked against it
_VERDEF = struct.Struct("<HHHHIII")  # Elf64_Verdef; vd_aux and vd_next are relative to it


class ElfError(ValueError):
    """A user-space binary cannot be probed as asked: the text says why, `hint` what to do."""

    def __init__(self, text: str, hint: str = "") -> None:
        super().__init__(text)
        self.hint = hint


class NoSuchBinaryError(ElfError):
    """There is no such file, or it cannot be read."""


class NotElfError(ElfError):
    """The file is not a 64-bit little-endian ELF file, or is damaged."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A section header; `address`, `offset` and `size` in bytes, `link` the strings' index."""

    name: str
    kind: int
    address: int
    offset: int
    size: int
    link: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbol:
    """A symbol table's entry; `default` is False for an outdated version of the name. `version`:
    the number of its version in the file's definitions, 0 and 1 for none. `is_dynamic`: it is in
    the table that the loader reads."""

    name: str
    kind: int
    section: int
    address: int
    size: int
    default: bool = True
    version: int = 0
    is_dynamic: bool = False


class Image:
    """One file, mapped read-only. Use as a context manager. `identity`: the file as it was when it
    was opened."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._data, self.identity = _map_file(path)
        try:
            head = _HEADER.unpack_from(self._data)
        except struct.error:
            raise NotElfError(f"{path}: too short for an ELF file") from None
        if head[0][:4] != b"\x7fELF":
            raise NotElfError(f"{path}: not an ELF file", "name the binary that a script starts")
        if head[0][4:6] != b"\x02\x01":
            raise NotElfError(f"{path}: only 64-bit little-endian ELF files can be probed")
        self.machine: int = head[2]
        self._sections_at = (head[6], head[11], head[12], head[13])
        self._segments_at = (head[5], head[9], head[10])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._data.close()

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        """All sections; () where they were stripped off."""
        offset, size, count, names_index = self._sections_at
        if not offset or size < _SECTION.size:
            return ()
        raw = [self._unpack(_SECTION, offset + i * size) for i in range(count)]
        if names_index >= len(raw):
            return ()
        names = self.bytes_at(raw[names_index][4], raw[names_index][5])
        return tuple(
            Section(name=_string_at(names, r[0]), kind=r[1], address=r[3], offset=r[4], size=r[5],
                    link=r[6])
            for r in raw
        )  # fmt: skip

    def section(self, name: str) -> Section | None:
        """The section with this name, None where there is none."""
        return next((section for section in self.sections if section.name == name), None)

    def content(self, section: Section) -> bytes:
        """A section's bytes; b"" for one without bytes in the file."""
        return b"" if section.kind == _SHT_NOBITS else self.bytes_at(section.offset, section.size)

    def bytes_at(self, offset: int, size: int) -> bytes:
        """Bytes of the file. Raises NotElfError beyond its end, and for more than any table has: a
        sparse file costs its author nothing."""
        if size > _MOST_BYTES:
            raise NotElfError(f"{self.path}: damaged: a part of {size:,} bytes, at {offset:,}")
        content = self._data[offset : offset + size]
        if len(content) != size:
            raise NotElfError(f"{self.path}: damaged: {size} bytes at {offset} are not there")
        return content

    def bytes_up_to(self, offset: int, size: int) -> bytes:
        """At most `size` bytes of the file, fewer at its end."""
        return self._data[offset : offset + size]

    def is_executable(self, address: int) -> bool:
        """Whether the byte at this address is loaded as code."""
        offset, size, count = self._segments_at
        for index in range(count):
            kind, flags, _, start, _, length, *_ = self._unpack(_SEGMENT, offset + index * size)
            if kind == _PT_LOAD and start <= address < start + length:
                return bool(flags & _PF_X)
        return False

    def file_offset(self, address: int) -> int | None:
        """The file offset of the byte that is loaded at this address: uprobes take file offsets."""
        offset, size, count = self._segments_at
        for index in range(count):
            kind, _, where, start, _, length, *_ = self._unpack(_SEGMENT, offset + index * size)
            if kind == _PT_LOAD and start <= address < start + length:
                return int(address - start + where)
        return None

    def loads(self) -> Iterator[tuple[int, int, int]]:
        """(address, offset in the file, bytes in the file) of each part that is loaded."""
        offset, size, count = self._segments_at
        for index in range(count):
            kind, _, where, start, _, length, *_ = self._unpack(_SEGMENT, offset + index * size)
            if kind == _PT_LOAD:
                yield start, where, length

    @property
    def has_symtab(self) -> bool:
        """Whether the full symbol table was left in the file."""
        return any(section.kind == _SHT_SYMTAB for section in self.sections)

    def symbol_tables(self) -> Iterator[tuple[bytes, bytes]]:
        """(entries, strings) of both symbol tables, as bytes of the file."""
        for table in self._tables():
            yield self.content(table), self._strings_of(table)

    def symbols_called(self, name: str) -> list[Symbol]:
        """The entries of this name in both symbol tables, the dynamic one first."""
        return [s for table in self._tables() for s in self._matching(table, name)]

    def names_among(self, names: Iterable[bytes]) -> frozenset[bytes]:
        """Those of the names that are in a symbol table, also as the end of a longer one."""
        wanted = tuple(names)
        return frozenset(
            name
            for table in self._tables()
            for strings in (self._strings_of(table),)
            for name in wanted
            if name + b"\0" in strings
        )

    @cached_property
    def needed(self) -> tuple[str, ...]:
        """The libraries that the file is linked to."""
        return self._dynamic_strings(_DT_NEEDED)

    @property
    def interpreter(self) -> str:
        """The dynamic loader that starts the file; "" for libraries and static programs."""
        offset, size, count = self._segments_at
        for index in range(count):
            kind, _, where, _, _, length, *_ = self._unpack(_SEGMENT, offset + index * size)
            if kind == _PT_INTERP:
                return _string_at(self.bytes_at(where, length), 0)
        return ""

    @property
    def library_folders(self) -> tuple[str, ...]:
        """Where the file has its libraries looked for first (DT_RUNPATH, else DT_RPATH), with
        `$ORIGIN` as written."""
        paths = self._dynamic_strings(_DT_RUNPATH) or self._dynamic_strings(_DT_RPATH)
        return tuple(folder for path in paths for folder in path.split(":") if folder)

    @cached_property
    def soname(self) -> str:
        """The name by which programs are linked to this library; "" where it is none."""
        return next(iter(self._dynamic_strings(_DT_SONAME)), "")

    def _dynamic_strings(self, wanted: int) -> tuple[str, ...]:
        """Entries of the dynamic section with this tag: their values are offsets in .dynstr."""
        dynamic, strings = self.section(".dynamic"), self.section(".dynstr")
        if dynamic is None or strings is None:
            return ()
        content, text = self.content(dynamic), self.content(strings)
        entries = struct.iter_unpack("<QQ", content[: len(content) // 16 * 16])
        return tuple(_string_at(text, value) for tag, value in entries if tag == wanted)

    def names_at(self, address: int) -> frozenset[str]:
        """The names of what the file defines at this address."""
        return frozenset(
            _string_at(strings, offset)
            for table in self._tables()
            for strings in (self._strings_of(table),)
            for offset, _, _, section, where, _ in self._entries(table)
            if where == address and section != SHN_UNDEF
        )

    def function_names(self) -> tuple[str, ...]:
        """Names of all functions that the file defines, sorted."""
        names = set()
        for table in self._tables():
            strings = self._strings_of(table)
            for offset, info, _, section, _, _ in self._entries(table):
                if section != SHN_UNDEF and info & 0xF in (STT_FUNC, STT_GNU_IFUNC):
                    names.add(_string_at(strings, offset))
        return tuple(sorted(names))

    def functions_at(self, address: int) -> tuple[str, ...]:
        """Names of all functions that contain this address, in both symbol tables."""
        names = set()
        for table in self._tables():
            strings = self._strings_of(table)
            for offset, info, _, section, start, size in self._entries(table):
                is_code = section != SHN_UNDEF and info & 0xF in _CODE_TYPES
                if is_code and start <= address < start + max(size, 1):
                    names.add(_string_at(strings, offset))
        return tuple(sorted(names))

    @cached_property
    def version_names(self) -> Mapping[int, str]:
        """By number, the versions of symbols that the file defines (.gnu.version_d)."""
        section = self.section(".gnu.version_d")
        if section is None or section.link >= len(self.sections):
            return {}
        content, strings = self.content(section), self._strings_of(section)
        names, at = {}, 0
        while at + _VERDEF.size <= len(content):
            _, _, number, _, _, first_name, step = _VERDEF.unpack_from(content, at)
            name = int.from_bytes(content[at + first_name : at + first_name + 4], "little")
            names[number] = _string_at(strings, name)
            if not step:
                break
            at += step
        return names

    def _tables(self) -> Iterator[Section]:
        for kind in (_SHT_DYNSYM, _SHT_SYMTAB):
            # A file has at most one of each (gABI, section types).
            yield from islice((one for one in self.sections if one.kind == kind), 1)

    def _matching(self, table: Section, name: str) -> Iterator[Symbol]:
        """A name may be the tail of a longer string: linkers share them."""
        strings, needle = self._strings_of(table), name.encode() + b"\0"
        offsets, at = set(), strings.find(needle)
        while at >= 0:
            offsets.add(at)
            at = strings.find(needle, at + 1)
        if not offsets:
            return
        versions = self.section(".gnu.version") if table.kind == _SHT_DYNSYM else None
        marks = self.content(versions) if versions else b""
        for index, (offset, info, _, section, address, size) in enumerate(self._entries(table)):
            if offset in offsets:
                mark = int.from_bytes(marks[2 * index : 2 * index + 2], "little")
                yield Symbol(
                    name=name,
                    kind=info & 0xF,
                    section=section,
                    address=address,
                    size=size,
                    default=not mark & _VERSION_HIDDEN,
                    version=mark & ~_VERSION_HIDDEN,
                    is_dynamic=table.kind == _SHT_DYNSYM,
                )

    def _strings_of(self, table: Section) -> bytes:
        if table.link >= len(self.sections):
            raise NotElfError(
                f"{self.path}: damaged: {table.name!r} names strings that are not there"
            )
        return self.content(self.sections[table.link])

    def _entries(self, table: Section) -> Iterator[tuple[int, int, int, int, int, int]]:
        content = self.content(table)
        return _SYMBOL.iter_unpack(content[: len(content) // _SYMBOL.size * _SYMBOL.size])

    def _unpack(self, layout: struct.Struct, offset: int) -> tuple[int, ...]:
        return layout.unpack(self.bytes_at(offset, layout.size))


def _map_file(path: Path) -> tuple[mmap.mmap, FileIdentity]:
    try:
        with path.open("rb") as file:
            identity = FileIdentity.from_stat(os.fstat(file.fileno()))
            return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), identity
    except OSError as error:
        raise NoSuchBinaryError(f"{path}: {error.strerror}") from None
    except ValueError:
        raise NotElfError(f"{path}: an empty file") from None


def _string_at(strings: bytes, offset: int) -> str:
    end = strings.find(b"\0", offset, offset + _LONGEST_NAME)
    return strings[offset : end if end >= 0 else offset + _LONGEST_NAME].decode("utf-8", "replace")
