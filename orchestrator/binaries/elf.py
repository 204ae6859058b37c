"""User-space binaries: finds the file that is meant, and the offset of a function in it."""

import difflib
import os
from pathlib import Path

from orchestrator.binaries.elf_image import (
    SHN_UNDEF,
    STT_FUNC,
    STT_GNU_IFUNC,
    ElfError,
    Image,
    NoSuchBinaryError,
    NotElfError,
    Symbol,
)
from orchestrator.binaries.instructions import InstructionError, check_instruction_start
from orchestrator.binaries.ld_cache import LIBRARY_FOLDERS, cached_paths
from orchestrator.binaries.programs import find_program
from orchestrator.binaries.return_hazards import ReturnHazardError, check_return_probe, is_go
from orchestrator.binaries.usdt import usdt_probes
from orchestrator.kernel.abi.elf_notes import find_build_id
from orchestrator.kernel.abi.file_identity import FileIdentity
from orchestrator.values import dataclass

__all__ = [
    "BinarySymbol",
    "ElfError",
    "IfuncError",
    "InstructionError",
    "NoSuchBinaryError",
    "NoSuchSymbolError",
    "NotElfError",
    "ReturnHazardError",
    "UndefinedSymbolError",
    "build_id",
    "find_symbols",
    "function_names",
    "names_at_offset",
    "resolve_binary",
    "symbol_offset",
    "usdt_probes",
]

_NO_TYPE = 0  # hand-written assembly often sets none
_CODE = (_NO_TYPE, STT_FUNC, STT_GNU_IFUNC)


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
    """A function in a file: its address as linked, and `file_offset`, which uprobes take. `size` in
    bytes; 0: the file does not say. `identity`: the file that was read. `is_go`: it is
    called in Go's own way, unlike C code in a file of Go."""

    name: str
    path: Path
    identity: FileIdentity
    address: int
    file_offset: int
    size: int
    is_go: bool = False


def resolve_binary(name: str, root: Path = Path("/")) -> Path:
    """The file that is meant: a path, a library (`libc.so.6`) or a program (`bash`).

    Libraries are looked up as the dynamic loader would: its cache, then the usual folders. Only
    files of this machine's architecture count. Raises NoSuchBinaryError, which names the places
    searched."""
    if "/" in name and not name.startswith("/"):
        raise NoSuchBinaryError(
            f"{name}: a path that does not begin with /",
            "a plan means the same wherever it is run from: give the whole path, such as "
            f"{Path(name).absolute()}",
        )
    if "/" in name:
        path = root / name.lstrip("/")
        if not path.is_file():
            raise NoSuchBinaryError(f"{name}: no such file")
        return path
    folders = (root / folder / name for folder in LIBRARY_FOLDERS)
    candidates = [root / path.lstrip("/") for path in cached_paths(root, name)]
    file = next((path for path in (*candidates, *folders) if _is_ours(path)), None)
    if file is None and root == Path("/"):
        file = find_program(name)
    if file is None:
        raise NoSuchBinaryError(
            f"{name}: neither in /etc/ld.so.cache nor in {', '.join(LIBRARY_FOLDERS)}, nor a "
            "program in PATH",
            "give its path",
        )
    return file


def find_symbols(
    path: Path, name: str, offset: int = 0, *, safe_return: bool = False
) -> tuple[BinarySymbol, ...]:
    """All functions `name` of a file, the default version first: static functions of several source
    files may have one name, and a function several versions. `NAME@VERSION` is one of them.

    `offset`: where in the function a probe will be; it has to be the start of an instruction.
    `safe_return`: its return will be probed, which must not kill programs. Raises an ElfError that
    names alternatives.
    """
    bare, _, version = name.partition("@")
    with Image(path) as image:
        entries = [e for e in image.symbols_called(bare) if e.kind in _CODE]
        defined = [entry for entry in entries if entry.section != SHN_UNDEF and entry.address]
        wanted = _with_version(image, defined, version.lstrip("@")) if version else defined
        if not wanted:
            raise _none_error(image, bare, entries)
        found = tuple(_locate_symbol(image, symbol) for symbol in _by_address(wanted))
        for symbol in found if offset else ():
            check_instruction_start(image, name, symbol.address, symbol.size, offset)
        for symbol in found if safe_return else ():
            check_return_probe(image, bare, symbol.address)
        return found


def function_names(path: Path) -> tuple[str, ...]:
    """Names of all functions that the file defines, sorted. Raises ElfError."""
    with Image(path) as image:
        return image.function_names()


def names_at_offset(path: Path, offset: int) -> tuple[str, ...]:
    """All names of what is at an offset of the file: functions that contain it, and USDT probes
    (PROVIDER:NAME) that are placed there; () for a file that cannot be read."""
    try:
        with Image(path) as image:
            starts = ((at - place, size, place) for at, place, size in image.loads())
            gaps = [gap for gap, size, place in starts if place <= offset < place + size]
            names = [name for gap in gaps for name in image.functions_at(offset + gap)]
        probes = usdt_probes(path)
    except ElfError:
        return ()
    placed = [f"{one.provider}:{one.name}" for one in probes if one.file_offset == offset]
    return tuple(dict.fromkeys([*names, *placed]))


def symbol_offset(path: Path, name: str) -> int:
    """The file offset to put a uprobe at, of the default version. Raises ElfError."""
    return find_symbols(path, name)[0].file_offset


def build_id(path: Path) -> str | None:
    """The build id as hexadecimal, or None where the linker wrote none."""
    with Image(path) as image:
        section = image.section(".note.gnu.build-id")
        return find_build_id(image.content(section)) if section else None


def _by_address(symbols: list[Symbol]) -> tuple[Symbol, ...]:
    """One symbol for each address, the default version first. Both tables name an exported
    function, and labels of hand-written assembly are left out where a function has the name."""
    functions = [symbol for symbol in symbols if symbol.kind != _NO_TYPE] or symbols
    by_address: dict[int, Symbol] = {}
    for symbol in sorted(functions, key=lambda symbol: (not symbol.default, not symbol.size)):
        by_address.setdefault(symbol.address, symbol)
    return tuple(by_address.values())


def _with_version(image: Image, symbols: list[Symbol], version: str) -> list[Symbol]:
    """Those of a version. Raises NoSuchSymbolError, which names the versions that there are."""
    names = image.version_names
    wanted = [symbol for symbol in symbols if names.get(symbol.version) == version]
    if symbols and not wanted:
        name = symbols[0].name
        have = sorted({f"{name}@{names[s.version]}" for s in symbols if s.version in names})
        raise NoSuchSymbolError(
            f"{image.path} has no version {version} of {name}",
            f"it has {', '.join(have)}" if have else f"its {name} has no version",
            tuple(have),
        )
    return wanted


def _locate_symbol(image: Image, symbol: Symbol) -> BinarySymbol:
    offset = image.file_offset(symbol.address)
    if offset is None:
        raise NotElfError(f"{image.path}: {symbol.name} is at an address that no segment loads")
    if not image.is_executable(symbol.address):
        raise InstructionError(
            f"{image.path}: {symbol.name} is data: a breakpoint there would change it",
            "name a function",
        )
    if symbol.kind == STT_GNU_IFUNC:
        raise IfuncError(
            f"{image.path}: {symbol.name} is an IFUNC: its symbol is a resolver that runs once at "
            "load time",
            "probe the variant that this CPU gets, such as NAME_avx2, if the file names it",
        )
    return BinarySymbol(
        name=symbol.name,
        path=image.path,
        identity=image.identity,
        address=symbol.address,
        file_offset=offset,
        size=symbol.size,
        is_go=is_go(image) and "." in symbol.name,
    )


def _none_error(image: Image, name: str, entries: list[Symbol]) -> ElfError:
    """`entries`: those of the name, none of which is defined in the file."""
    if not entries:
        return _no_symbol(image, name)
    libraries = image.needed
    return UndefinedSymbolError(
        f"{image.path} calls {name} but does not contain it",
        f"probe the library that does: {', '.join(libraries) or 'it is linked to none'}",
        libraries,
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


_MACHINES = {"x86_64": 62, "aarch64": 183, "riscv64": 243, "s390x": 22, "ppc64le": 21}  # EM_*


def _is_ours(path: Path) -> bool:
    """Whether it is an ELF file of this machine's architecture."""
    try:
        with Image(path) as image:
            return image.machine == _MACHINES.get(os.uname().machine, image.machine)
    except ElfError:
        return False
