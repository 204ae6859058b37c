"""The debug information of a program: names and types of a function's arguments, by DWARF 4 and 5.

It is in the file itself, or in a file of its build id or debug link below /usr/lib/debug (gdb's
manual, "Separate Debug Files"). Reading is bounded, since such a file may be of any size and may
have been made to mislead: what is not understood is not there.
"""

import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Literal

from orchestrator.binaries.elf_image import ElfError, Image
from orchestrator.kernel.abi.elf_notes import find_build_id
from orchestrator.values import dataclass

__all__ = ["DebugArgument", "DebugInfo", "DebugMember", "DebugType"]
__all__ += ["describe_type", "find_debug_info", "members_of", "target_of"]

DebugTypeKind = Literal[
    "void", "int", "bool", "char", "float", "pointer", "struct", "union", "array"
]
_ROOT = Path("/usr/lib/debug")
_MOST_BYTES = 1 << 30  # of a file
_MOST_UNITS, _MOST_ENTRIES = 20_000, 200_000
_MOST_MEMBERS = 4096
_MOST_ALIASES = 32  # typedefs and qualifiers of one type
#: DW_LANG_* of C and C++ (DWARF 5, table 7.17), which pass arguments by the calling convention.
_LANGUAGES = frozenset({0x1, 0x2, 0x4, 0xC, 0x1A, 0x1D, 0x21, 0x2B, 0x2C})
_ALIASES = frozenset(
    f"DW_TAG_{name}_type" for name in ("const", "volatile", "restrict", "atomic")
) | {"DW_TAG_typedef"}
_STRUCTS = frozenset(f"DW_TAG_{name}_type" for name in ("structure", "class", "union"))
_POINTERS = frozenset(
    f"DW_TAG_{name}_type" for name in ("pointer", "reference", "rvalue_reference")
)
#: DW_ATE_*: boolean, float, signed, signed_char, unsigned, unsigned_char, UTF.
_BOOL, _FLOAT, _SIGNED, _SIGNED_CHAR, _NUMBERS = 2, 4, 5, 6, frozenset({5, 6, 7, 8, 16})


@dataclass(frozen=True, slots=True, kw_only=True)
class DebugArgument:
    """An argument of a function: its place among those in registers, from 0, and the entry of its
    type, which `DebugInfo` reads."""

    name: str
    register: int
    type: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class DebugType:
    """What is known of a type: sizes in bytes; `counts` of an array, from the outside."""

    kind: DebugTypeKind
    name: str = ""
    size: int = 0
    signed: bool = False
    counts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DebugMember:
    """A member of a structure, with its offset in bits from the start of the whole; `bit_size` is 0
    unless it is a bit-field. `type`: its entry."""

    name: str
    bit_offset: int
    bit_size: int
    type: Any


class DebugInfo:
    """The debug information of one file, by pyelftools. `entries` of it are types; None is void."""

    def __init__(self, dwarf: Any) -> None:
        self._dwarf = dwarf

    def arguments_of(self, name: str, address: int) -> tuple[DebugArgument, ...]:
        """The arguments in registers of the function at `address`, up to the first whose place is
        not certain: by the System V ABI for x86-64 and AAPCS64, a structure may take one, two or
        none. () where the function is not described."""
        found = self._find_function(name, address)
        if found is None:
            return ()
        described = self._origin_of(found)
        returned = _strip_aliases(described)
        if returned is not None and returned.tag in _STRUCTS:
            return ()  # where it goes may be the first argument
        arguments: list[DebugArgument] = []
        for entry in islice(described.iter_children(), _MOST_ENTRIES):
            if entry.tag == "DW_TAG_unspecified_parameters":
                break
            if entry.tag != "DW_TAG_formal_parameter":
                continue
            kind = _strip_aliases(entry)
            if kind is not None and _is_float(kind):
                continue  # in a register for floats
            if kind is None or not _fits_register(kind):
                break
            label = _text_of(entry, "DW_AT_name")
            arguments.append(DebugArgument(name=label, register=len(arguments), type=kind))
        return tuple(arguments)

    # -- functions -----------------------------------------------------------------------------

    def _find_function(self, name: str, address: int) -> Any:
        """By its address, since a name may be an alias of the described one. Copies that a compiler
        made take other arguments than are described; their names have a dot."""
        if "." in name:
            return None
        for unit in self._units_at(address):
            top = unit.get_top_DIE()
            language = top.attributes.get("DW_AT_language")
            if language is None or language.value not in _LANGUAGES:
                continue
            for entry in _functions_below(top):
                start = entry.attributes.get("DW_AT_low_pc")
                if start is not None and start.value == address:
                    return entry
        return None

    def _units_at(self, address: int) -> Iterator[Any]:
        """The units that may describe the code at an address, by their table of addresses, else by
        their own words."""
        table = self._dwarf.get_aranges()
        offset = table.cu_offset_at_addr(address) if table is not None else None
        if offset is not None:
            yield self._dwarf.get_CU_containing(offset)
            return
        for unit in islice(self._dwarf.iter_CUs(), _MOST_UNITS):
            attributes = unit.get_top_DIE().attributes
            low, high = attributes.get("DW_AT_low_pc"), attributes.get("DW_AT_high_pc")
            if low is None or high is None:
                if "DW_AT_ranges" in attributes:
                    yield unit
                continue
            end = high.value if high.form == "DW_FORM_addr" else low.value + high.value
            if low.value <= address < end:
                yield unit

    def _origin_of(self, entry: Any) -> Any:
        """What describes a function: a copy, or a definition of a member, refers to it."""
        for _ in range(4):
            for link in ("DW_AT_abstract_origin", "DW_AT_specification"):
                if link in entry.attributes:
                    entry = entry.get_DIE_from_attribute(link)
                    break
            else:
                return entry
        return entry


def target_of(entry: Any) -> Any:
    """The entry of what a pointer leads to, or of an array's elements; None for void."""
    return _strip_aliases(entry)


def _functions_below(top: Any) -> Iterator[Any]:
    """The functions of a unit, those in namespaces too."""
    waiting, seen = [top], 0
    while waiting:
        for entry in waiting.pop().iter_children():
            seen += 1
            if seen > _MOST_ENTRIES:
                return
            if entry.tag == "DW_TAG_subprogram":
                yield entry
            elif entry.tag == "DW_TAG_namespace":
                waiting.append(entry)


def _is_float(kind: Any) -> bool:
    encoding = kind.attributes.get("DW_AT_encoding")
    return encoding is not None and encoding.value == _FLOAT and _size_of(kind) <= 8


def _fits_register(kind: Any) -> bool:
    """Whether an argument of this type takes one register for numbers."""
    if kind.tag in _POINTERS:
        return True
    if kind.tag == "DW_TAG_enumeration_type":
        return 0 < _size_of(kind) <= 8
    encoding = kind.attributes.get("DW_AT_encoding")
    is_number = encoding is not None and encoding.value in _NUMBERS | {_BOOL}
    return is_number and _size_of(kind) in (1, 2, 4, 8)


def describe_type(entry: Any) -> DebugType:
    """What is known of a type by its entry (None: void)."""
    if entry is None:
        return DebugType(kind="void")
    name, size = _text_of(entry, "DW_AT_name"), _size_of(entry)
    if entry.tag in _POINTERS:
        return DebugType(kind="pointer", size=8)
    if entry.tag in _STRUCTS:
        union = entry.tag == "DW_TAG_union_type"
        return DebugType(kind="union" if union else "struct", name=name, size=size)
    if entry.tag == "DW_TAG_array_type":
        return DebugType(kind="array", counts=_counts_of(entry))
    if entry.tag == "DW_TAG_enumeration_type" and size in (1, 2, 4, 8):
        return DebugType(kind="int", name=name or "enum", size=size, signed=_has_negative(entry))
    encoding = entry.attributes.get("DW_AT_encoding")
    if encoding is None or size not in (1, 2, 4, 8):
        return DebugType(kind="void")
    if encoding.value == _BOOL and size == 1:
        return DebugType(kind="bool", name=name, size=1)
    if encoding.value not in _NUMBERS:
        return DebugType(kind="float", name=name, size=size)
    signed = encoding.value in (_SIGNED, _SIGNED_CHAR)
    return DebugType(kind="char" if name == "char" else "int", name=name, size=size, signed=signed)


def members_of(entry: Any) -> tuple[DebugMember, ...]:
    """The members of a structure, in order, those of bases and of nameless ones in their place."""
    return tuple(islice(_walk_members(entry, 0, 0), _MOST_MEMBERS))


def _walk_members(struct: Any, start: int, depth: int) -> Iterator[DebugMember]:
    if depth > _MOST_ALIASES:
        return
    for entry in islice(struct.iter_children(), _MOST_ENTRIES):
        place = _place_of(entry, struct.tag == "DW_TAG_union_type")
        if entry.tag not in ("DW_TAG_member", "DW_TAG_inheritance") or place is None:
            continue
        kind = _strip_aliases(entry)
        name = _text_of(entry, "DW_AT_name")
        if name:
            bits = _number_of(entry, "DW_AT_bit_size") or 0
            yield DebugMember(name=name, bit_offset=start + place, bit_size=bits, type=kind)
        elif kind is not None and kind.tag in _STRUCTS:
            yield from _walk_members(kind, start + place, depth + 1)


def _place_of(member: Any, in_union: bool) -> int | None:
    """Bits from the start of the structure; None for a static member, and where it is computed."""
    if "DW_AT_external" in member.attributes or "DW_AT_const_value" in member.attributes:
        return None
    if (bits := _number_of(member, "DW_AT_data_bit_offset")) is not None:
        return bits
    at = _number_of(member, "DW_AT_data_member_location")
    if at is None:
        return 0 if in_union else None
    old = _number_of(member, "DW_AT_bit_offset")  # DWARF 3: from the highest bit of the storage
    if old is None:
        return at * 8
    storage = _number_of(member, "DW_AT_byte_size") or _size_of(_strip_aliases(member))
    return at * 8 + storage * 8 - old - (_number_of(member, "DW_AT_bit_size") or 0)


def _counts_of(array: Any) -> tuple[int, ...]:
    """The numbers of elements, from the outside; 0 where one is not known."""
    counts: list[int] = []
    for entry in islice(array.iter_children(), _MOST_ALIASES):
        if entry.tag == "DW_TAG_subrange_type":
            count, last = _number_of(entry, "DW_AT_count"), _number_of(entry, "DW_AT_upper_bound")
            known = count if count is not None else 0 if last is None else last + 1
            counts.append(known if 0 <= known < 1 << 32 else 0)
    return tuple(counts)


def _has_negative(enum: Any) -> bool:
    values = (
        _number_of(entry, "DW_AT_const_value") for entry in islice(enum.iter_children(), 10_000)
    )
    return any(value is not None and value < 0 for value in values)


def _strip_aliases(entry: Any) -> Any:
    """The entry of the type of `entry`, without typedefs and qualifiers; None for void."""
    for _ in range(_MOST_ALIASES):
        if "DW_AT_type" not in entry.attributes:
            return None
        entry = entry.get_DIE_from_attribute("DW_AT_type")
        if entry.tag not in _ALIASES:
            return entry
    return None


def _size_of(entry: Any) -> int:
    return (_number_of(entry, "DW_AT_byte_size") or 0) if entry is not None else 0


def _number_of(entry: Any, name: str) -> int | None:
    """An attribute that is a number; None where there is none, or a computation."""
    found = entry.attributes.get(name)
    return found.value if found is not None and isinstance(found.value, int) else None


def _text_of(entry: Any, name: str) -> str:
    found = entry.attributes.get(name)
    value = found.value if found is not None else b""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""


# ---------------------------------------------------------------- finding the file


def find_debug_info(path: Path) -> DebugInfo | None:
    """The debug information of a program or library, or None: there is none, it cannot be read, or
    a part of it is in a file that several share (dwz)."""
    for file in _candidates(path):
        if (dwarf := _read_dwarf(file)) is not None:
            return DebugInfo(dwarf)
    return None


def _candidates(path: Path) -> Iterator[Path]:
    """Files that may have it: the file itself, and those that it names, where they are its own."""
    yield path
    try:
        with Image(path) as image:
            section = image.section(".note.gnu.build-id")
            build_id = find_build_id(image.content(section)) if section else None
            link = image.section(".gnu_debuglink")
            named = image.content(link) if link else b""
    except ElfError:
        return
    if build_id:
        yield _ROOT / ".build-id" / build_id[:2] / f"{build_id[2:]}.debug"
    name, _, _ = named.partition(b"\0")
    if not name or b"/" in name or len(named) < 4:
        return
    checksum = int.from_bytes(named[-4:], "little")
    folder = path.resolve().parent
    label = name.decode("utf-8", "replace")
    for file in (folder / label, folder / ".debug" / label, _ROOT / str(folder)[1:] / label):
        if file != path and _has_checksum(file, checksum):
            yield file


def _has_checksum(file: Path, wanted: int) -> bool:
    """Whether it is the file of which .gnu_debuglink has the CRC-32: another build's would lie."""
    try:
        return file.stat().st_size <= _MOST_BYTES and zlib.crc32(file.read_bytes()) == wanted
    except OSError:
        return False


def _read_dwarf(file: Path) -> Any:
    """By pyelftools; None where there is nothing to read. The file stays open for as long as the
    process, which reads from it when a type is needed."""
    try:
        from elftools.elf.elffile import ELFFile
    except ImportError:
        return None
    try:
        if file.stat().st_size > _MOST_BYTES:
            return None
        elf = ELFFile(file.open("rb"))
        sections = map(elf.get_section_by_name, (".debug_info", ".gnu_debugaltlink"))
        has_own = [section is not None for section in sections] == [True, False]
        return elf.get_dwarf_info(relocate_dwarf_sections=False) if has_own else None
    except Exception:  # noqa: BLE001, RUF100  # pyelftools raises anything for a damaged file
        return None
