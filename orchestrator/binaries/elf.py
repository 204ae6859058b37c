"""User-space binaries: finds the file that is meant, and the offset of a function in it."""

import difflib
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from orchestrator.binaries.elf_image import (
    SHN_UNDEF,
    STT_FUNC,
    STT_GNU_IFUNC,
    ElfError,
    Image,
    NoSuchBinaryError,
    NotElfError,
    Symbol,
    read_notes,
)
from orchestrator.binaries.ld_cache import LIBRARY_FOLDERS, cached_paths
from orchestrator.binaries.usdt import usdt_probes

__all__ = [
    "BinarySymbol",
    "ElfError",
    "IfuncError",
    "NoSuchBinaryError",
    "NoSuchSymbolError",
    "NotElfError",
    "UndefinedSymbolError",
    "build_id",
    "find_symbol",
    "resolve_binary",
    "symbol_offset",
    "usdt_probes",
]

_CODE = (0, STT_FUNC, STT_GNU_IFUNC)  # 0: hand-written assembly often sets no type
_NT_GNU_BUILD_ID = 3


class NoSuchSymbolError(ElfError):
    """The file has no such function; `nearest` are the most similar names, best first."""

    def __init__(self, text: str, hint: str, nearest: tuple[str, ...]) -> None:
        super().__init__(text, hint)
        self.nearest = nearest


class UndefinedSymbolError(ElfError):
    """The file calls the function but does not contain it; `libraries` are what it links to."""

    def __init__(self, text: str, hint: str, libraries: tuple[str, ...]) -> None:
        super().__init__(text, hint)
        self.libraries = libraries


class IfuncError(ElfError):
    """The symbol is a resolver, which runs once at load time, not the function that is called."""


@dataclass(frozen=True, slots=True, kw_only=True)
class BinarySymbol:
    """A function in a file: its address as linked, and `file_offset`, which uprobes take.

    kind "ifunc": the address is a resolver's, called once at load time; a probe there sees none
    of the calls. `others`: addresses of further functions of this name (local ones, usually).
    """

    name: str
    path: Path
    address: int
    file_offset: int
    size: int
    kind: Literal["function", "ifunc"]
    others: tuple[int, ...] = ()


def resolve_binary(name: str, root: Path = Path("/")) -> Path:
    """The file that is meant: a path, a library (`libc.so.6`) or a program (`bash`).

    Libraries are looked up as the dynamic loader would: its cache, then the usual folders. Only
    files of this machine's architecture count. Raises NoSuchBinaryError, which names the places
    searched."""
    if "/" in name:
        path = root / name.lstrip("/")
        if not path.is_file():
            raise NoSuchBinaryError(f"{name}: no such file")
        return path
    folders = (root / folder / name for folder in LIBRARY_FOLDERS)
    candidates = [root / path.lstrip("/") for path in cached_paths(root, name)]
    file = next((path for path in (*candidates, *folders) if _is_ours(path)), None)
    program = shutil.which(name) if root == Path("/") else None
    if file is None and program is not None:
        file = Path(program)
    if file is None:
        raise NoSuchBinaryError(
            f"{name}: neither in /etc/ld.so.cache nor in {', '.join(LIBRARY_FOLDERS)}, nor a "
            "program in PATH",
            "give its path",
        )
    return file


def find_symbol(path: Path, name: str) -> BinarySymbol:
    """The function `name` of a file. Raises an ElfError that names alternatives."""
    with Image(path) as image:
        entries = [e for e in image.symbols_called(name) if e.kind in _CODE]
        defined = [entry for entry in entries if entry.section != SHN_UNDEF and entry.address]
        chosen = next((e for e in defined if e.default), None) or next(iter(defined), None)
        if chosen is not None:
            return _locate_symbol(image, chosen, defined)
        if entries:
            libraries = _needed_libraries(image)
            raise UndefinedSymbolError(
                f"{path} calls {name} but does not contain it",
                f"probe the library that does: {', '.join(libraries) or 'it is linked to none'}",
                libraries,
            )
        raise _no_symbol(image, name)


def symbol_offset(path: Path, name: str) -> int:
    """The file offset to put a uprobe at. Raises ElfError, IfuncError for what cannot be probed."""
    symbol = find_symbol(path, name)
    if symbol.kind == "ifunc":
        raise IfuncError(
            f"{path}: {name} is an IFUNC: its symbol is a resolver that runs once at load time",
            "probe the variant that this CPU gets, such as NAME_avx2, if the file names it",
        )
    return symbol.file_offset


def build_id(path: Path) -> str | None:
    """The build id as hexadecimal, or None where the linker wrote none."""
    with Image(path) as image:
        section = image.section(".note.gnu.build-id")
        found = read_notes(image.content(section)) if section else ()
        return next((text.hex() for _, kind, text in found if kind == _NT_GNU_BUILD_ID), None)


def _locate_symbol(image: Image, symbol: Symbol, all_defined: list[Symbol]) -> BinarySymbol:
    offset = image.file_offset(symbol.address)
    if offset is None:
        raise NotElfError(f"{image.path}: {symbol.name} is at an address that no segment loads")
    others = {s.address for s in all_defined if s.default} - {symbol.address}
    return BinarySymbol(
        name=symbol.name,
        path=image.path,
        address=symbol.address,
        file_offset=offset,
        size=symbol.size,
        kind="ifunc" if symbol.kind == STT_GNU_IFUNC else "function",
        others=tuple(sorted(others)),
    )


def _no_symbol(image: Image, name: str) -> NoSuchSymbolError:
    names = image.function_names()
    nearest = tuple(difflib.get_close_matches(name, names, 3, 0.7))
    if not names:
        hint = "it has no symbols (stripped): install its debug package"
    elif nearest:
        hint = f"did you mean {' or '.join(nearest)}?"
    else:
        hint = "it may be inlined, or stripped of local symbols"
    return NoSuchSymbolError(f"{image.path} has no function {name}", hint, nearest)


def _needed_libraries(image: Image) -> tuple[str, ...]:
    """DT_NEEDED entries of the dynamic section: tag 1, value an offset in .dynstr."""
    dynamic, strings = image.section(".dynamic"), image.section(".dynstr")
    if dynamic is None or strings is None:
        return ()
    content, text = image.content(dynamic), image.content(strings)
    pairs = (content[at : at + 16] for at in range(0, len(content) - 15, 16))
    offsets = [
        int.from_bytes(pair[8:], "little") for pair in pairs if pair[:8] == b"\x01" + bytes(7)
    ]
    return tuple(text[at:].split(b"\0", 1)[0].decode("utf-8", "replace") for at in offsets)


_MACHINES = {"x86_64": 62, "aarch64": 183, "riscv64": 243, "s390x": 22, "ppc64le": 21}  # EM_*


def _is_ours(path: Path) -> bool:
    """Whether it is an ELF file of this machine's architecture."""
    try:
        with Image(path) as image:
            return image.machine == _MACHINES.get(os.uname().machine, image.machine)
    except ElfError:
        return False
