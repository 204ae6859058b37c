"""Entries of debug information: what they say of types, members and names.

An entry is pyelftools' DIE; None is void.
"""

import time
from collections.abc import Iterator
from itertools import islice
from typing import Any, Literal

from orchestrator.values import dataclass

__all__ = ["STRUCTS", "DebugMember", "DebugType", "EntryBudget", "TooLargeError", "children_of"]
__all__ += ["describe_type", "enumerators_of", "fits_register", "is_float", "members_of"]
__all__ += ["number_of", "strip_aliases", "target_of", "text_of"]

DebugTypeKind = Literal[
    "void", "int", "bool", "char", "enum", "float", "pointer", "struct", "union", "array"
]
_MOST_ENTRIES, _MOST_MEMBERS = 200_000, 4096
_MOST_ENUMERATORS = 10_000
_MOST_SECONDS = 30  # of this thread's CPU time
_MOST_ALIASES = 32  # typedefs and qualifiers of one type
_ALIASES = frozenset(
    f"DW_TAG_{name}_type" for name in ("const", "volatile", "restrict", "atomic")
) | {"DW_TAG_typedef"}
STRUCTS = frozenset(f"DW_TAG_{name}_type" for name in ("structure", "class", "union"))
_POINTERS = frozenset(
    f"DW_TAG_{name}_type" for name in ("pointer", "reference", "rvalue_reference")
)
#: DW_ATE_*: boolean, float, signed, signed_char, unsigned, unsigned_char, UTF.
_BOOL, _FLOAT, _SIGNED, _SIGNED_CHAR, _NUMBERS = 2, 4, 5, 6, frozenset({5, 6, 7, 8, 16})


class TooLargeError(ValueError):
    """There is more to look at than is looked at."""


class EntryBudget:
    """How many more entries may be looked at, and for how long: a file may be made so that there is
    no end of them, or that each takes as long as thousands."""

    def __init__(self, most: int = _MOST_ENTRIES) -> None:
        self._left = most
        self._end = time.thread_time() + _MOST_SECONDS

    def take(self) -> None:
        """Count one. Raises TooLargeError where that was the last."""
        self._left -= 1
        if self._left < 0 or time.thread_time() > self._end:
            raise TooLargeError


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


def children_of(entry: Any, budget: EntryBudget | None = None) -> Iterator[Any]:
    """The entries directly below an entry. Each is further on in the file, so that there is an end
    of them; pyelftools would follow links back. Raises TooLargeError."""
    budget = budget or EntryBudget()
    unit, at, depth = entry.cu, entry.offset + entry.size, 0
    while entry.has_children:
        budget.take()
        child = unit.get_DIE_from_refaddr(at)
        if child.is_null():
            depth -= 1
        elif depth == 0:
            yield child
        if depth < 0:
            return
        after = _find_sibling(child) if child.has_children else at + child.size
        depth += after is None
        at = after or at + child.size


def _find_sibling(entry: Any) -> int | None:
    """Where the entries below an entry end, if it says so and that is further on."""
    link = entry.attributes.get("DW_AT_sibling")
    if link is None or not link.form.startswith("DW_FORM_ref") or link.form == "DW_FORM_ref_addr":
        return None
    at: int = entry.cu.cu_offset + link.raw_value
    return at if at > entry.offset + entry.size else None


def target_of(entry: Any) -> Any:
    """The entry of what a pointer leads to, or of an array's elements; None for void."""
    return strip_aliases(entry)


def is_float(kind: Any) -> bool:
    """Whether a value of this type is in a register for floats."""
    encoding = kind.attributes.get("DW_AT_encoding")
    return encoding is not None and encoding.value == _FLOAT and _size_of(kind) <= 8


def fits_register(kind: Any) -> bool:
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
    name, size = text_of(entry, "DW_AT_name"), _size_of(entry)
    if entry.tag in _POINTERS:
        return DebugType(kind="pointer", size=8)
    if entry.tag in STRUCTS:
        union = entry.tag == "DW_TAG_union_type"
        return DebugType(kind="union" if union else "struct", name=name, size=size)
    if entry.tag == "DW_TAG_array_type":
        return DebugType(kind="array", counts=_counts_of(entry))
    if entry.tag == "DW_TAG_enumeration_type" and size in (1, 2, 4, 8):
        return DebugType(kind="enum", name=name, size=size, signed=_is_signed_enum(entry))
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
    return tuple(islice(_walk_members(entry, 0, EntryBudget()), _MOST_MEMBERS))


def _walk_members(struct: Any, start: int, budget: EntryBudget) -> Iterator[DebugMember]:
    for entry in children_of(struct, budget):
        place = _place_of(entry, struct.tag == "DW_TAG_union_type")
        if entry.tag not in ("DW_TAG_member", "DW_TAG_inheritance") or place is None:
            continue
        kind = strip_aliases(entry)
        name = text_of(entry, "DW_AT_name")
        if name:
            bits = number_of(entry, "DW_AT_bit_size") or 0
            yield DebugMember(name=name, bit_offset=start + place, bit_size=bits, type=kind)
        elif kind is not None and kind.tag in STRUCTS:
            yield from _walk_members(kind, start + place, budget)


def _place_of(member: Any, in_union: bool) -> int | None:
    """Bits from the start of the structure; None for a static member, and where it is computed."""
    if "DW_AT_external" in member.attributes or "DW_AT_const_value" in member.attributes:
        return None
    if (bits := number_of(member, "DW_AT_data_bit_offset")) is not None:
        return bits
    at = number_of(member, "DW_AT_data_member_location")
    if at is None:
        return 0 if in_union else None
    old = number_of(member, "DW_AT_bit_offset")  # DWARF 3: from the highest bit of the storage
    if old is None:
        return at * 8
    storage = number_of(member, "DW_AT_byte_size") or _size_of(strip_aliases(member))
    return at * 8 + storage * 8 - old - (number_of(member, "DW_AT_bit_size") or 0)


def _counts_of(array: Any) -> tuple[int, ...]:
    """The numbers of elements, from the outside; 0 where one is not known."""
    counts: list[int] = []
    for entry in islice(children_of(array), _MOST_ALIASES):
        if entry.tag == "DW_TAG_subrange_type":
            count, last = number_of(entry, "DW_AT_count"), number_of(entry, "DW_AT_upper_bound")
            known = count if count is not None else 0 if last is None else last + 1
            counts.append(known if 0 <= known < 1 << 32 else 0)
    return tuple(counts)


def enumerators_of(enum: Any) -> tuple[tuple[str, int], ...]:
    """The names of an enum and their values, in order."""
    found = (
        (text_of(entry, "DW_AT_name"), number_of(entry, "DW_AT_const_value"))
        for entry in islice(children_of(enum), _MOST_ENUMERATORS)
    )
    return tuple((name, value) for name, value in found if name and value is not None)


def _is_signed_enum(enum: Any) -> bool:
    """By the type of its values, which older compilers do not write, else by the values."""
    values = strip_aliases(enum)
    if values is not None:
        return number_of(values, "DW_AT_encoding") in (_SIGNED, _SIGNED_CHAR)
    return any(value < 0 for _, value in enumerators_of(enum))


def strip_aliases(entry: Any) -> Any:
    """The entry of the type of `entry`, without typedefs and qualifiers; None for void."""
    for _ in range(_MOST_ALIASES):
        if "DW_AT_type" not in entry.attributes:
            return None
        entry = entry.get_DIE_from_attribute("DW_AT_type")
        if entry.tag not in _ALIASES:
            return entry
    return None


def _size_of(entry: Any) -> int:
    return (number_of(entry, "DW_AT_byte_size") or 0) if entry is not None else 0


def number_of(entry: Any, name: str) -> int | None:
    """An attribute that is a number; None where there is none, or a computation."""
    found = entry.attributes.get(name)
    return found.value if found is not None and isinstance(found.value, int) else None


def text_of(entry: Any, name: str) -> str:
    """An attribute that is a text; "" where there is none."""
    found = entry.attributes.get(name)
    value = found.value if found is not None else b""
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else ""
