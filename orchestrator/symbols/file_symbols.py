"""Resolves offsets in one ELF file to its functions, in bulk: both symbol tables as sorted
arrays."""

from pathlib import Path

import numpy as np
import numpy.typing as npt

from orchestrator.binaries.elf import build_id
from orchestrator.binaries.elf_image import SHN_UNDEF, STT_FUNC, STT_GNU_IFUNC, ElfError, Image

__all__ = ["FileSymbols"]

_ENTRY = np.dtype(
    [
        ("name", "<u4"),
        ("info", "u1"),
        ("other", "u1"),
        ("section", "<u2"),
        ("address", "<u8"),
        ("size", "<u8"),
    ]
)  # Elf64_Sym, elf(5)
_CODE = np.array([0, STT_FUNC, STT_GNU_IFUNC], dtype=np.uint8)  # 0: assembly often sets no type
_LONGEST_NAME = 4096  # names of templates are long; longer ones are cut
_DEBUG = Path("/usr/lib/debug/.build-id")


class FileSymbols:
    """The functions of one file. `build_id` is hexadecimal, None where the linker wrote none."""

    def __init__(self, path: Path) -> None:
        """Read the tables of `path`, and of its separate debug file where it was stripped. Raises
        ElfError."""
        with Image(path) as image:
            self._loads = tuple(image.loads())
            parts = [_select_functions(*table) for table in image.symbol_tables()]
            stripped = not image.has_symtab
        self.build_id = build_id(path)
        if stripped and self.build_id:
            parts += _read_debug_file(self.build_id)
        self._names = [names for names, _ in parts]
        tables = [_number_table(table, number) for number, (_, table) in enumerate(parts)]
        self._symbols = _sort_symbols(tables)

    def symbol(self, file_offset: int, back: bool = False) -> tuple[str, int] | None:
        """The function at this offset of the file, and how far into it; `back`: it is a return
        address, and the call precedes it."""
        address = self._address(file_offset - back)
        if address is None or not len(self._symbols):
            return None
        at = int(np.searchsorted(self._symbols["address"], address, side="right")) - 1
        if at < 0:
            return None
        entry = self._symbols[at]
        begins, size = int(entry["address"]), int(entry["size"])
        if size and address >= begins + size:
            return None
        name = _string_at(self._names[int(entry["table"])], int(entry["name"]))
        return name, address + back - begins

    def _address(self, file_offset: int) -> int | None:
        for begins, offset, size in self._loads:
            if offset <= file_offset < offset + size:
                return file_offset - offset + begins
        return None


SymbolTable = npt.NDArray[np.void]


def _select_functions(content: bytes, names: bytes) -> tuple[bytes, SymbolTable]:
    entries = np.frombuffer(content[: len(content) // _ENTRY.itemsize * _ENTRY.itemsize], _ENTRY)
    code = np.isin(entries["info"] & 0xF, _CODE) & (entries["section"] != SHN_UNDEF)
    named = (entries["name"] != 0) & (entries["name"] < len(names))
    return names, entries[code & named & (entries["address"] != 0)]


def _number_table(entries: SymbolTable, number: int) -> SymbolTable:
    numbered = np.empty(
        len(entries), [("address", "u8"), ("size", "u8"), ("name", "u4"), ("rank", "u4"),
                       ("table", "u4")]
    )  # fmt: skip
    for field in ("address", "size", "name"):
        numbered[field] = entries[field]
    numbered["table"] = number
    # Of several names for one address: one with a type and a size, then a global one.
    sized = (entries["size"] != 0) & (entries["info"] & 0xF != 0)
    numbered["rank"] = 2 * ~sized + (entries["info"] >> 4 == 0)
    return numbered


def _sort_symbols(tables: list[SymbolTable]) -> SymbolTable:
    if not tables:
        return np.empty(0, [("address", "u8"), ("size", "u8"), ("name", "u4"), ("table", "u4")])
    entries = np.concatenate(tables)
    entries = entries[np.lexsort((entries["table"], entries["rank"], entries["address"]))]
    first = np.ones(len(entries), dtype=bool)
    first[1:] = entries["address"][1:] != entries["address"][:-1]
    unique: SymbolTable = entries[first]
    return unique


def _read_debug_file(build_id_text: str) -> list[tuple[bytes, SymbolTable]]:
    """The functions in the file that a debug package installs for this build id."""
    try:
        with Image(_DEBUG / build_id_text[:2] / f"{build_id_text[2:]}.debug") as image:
            return [_select_functions(*table) for table in image.symbol_tables()]
    except ElfError:
        return []


def _string_at(names: bytes, offset: int) -> str:
    end = names.find(b"\0", offset, offset + _LONGEST_NAME)
    return names[offset : end if end >= 0 else offset + _LONGEST_NAME].decode("utf-8", "replace")
