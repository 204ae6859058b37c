"""The functions and the structures that debug information describes."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from orchestrator.binaries.debug_info.entries import (
    STRUCTS,
    EntryBudget,
    children_of,
    fits_register,
    is_float,
    number_of,
    strip_aliases,
    text_of,
)
from orchestrator.binaries.debug_info.layouts import layout_of
from orchestrator.binaries.debug_info.mentions import Mentions
from orchestrator.values import dataclass

__all__ = ["DebugArgument", "DebugFunction", "DebugInfo", "DebugStruct"]

_MOST_UNITS, _MOST_SEARCHED, _MOST_LINKS = 20_000, 100_000, 4
#: DW_LANG_* of C and C++ (DWARF 5, table 7.17), which pass arguments by the calling convention.
_LANGUAGES = frozenset({0x1, 0x2, 0x4, 0xC, 0x1A, 0x1D, 0x21, 0x2B, 0x2C})


@dataclass(frozen=True, slots=True, kw_only=True)
class DebugArgument:
    """An argument of a function: its place among those in registers, from 0, and the entry of its
    type."""

    name: str
    register: int
    type: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class DebugFunction:
    """A function: its arguments in registers, up to the first whose place is not certain, and the
    entry of the type that it returns, None for void. `unit`: where it is described."""

    arguments: tuple[DebugArgument, ...]
    returns: Any
    unit: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class DebugStruct:
    """A structure by its entry, and the source file of the unit that describes it."""

    entry: Any
    source: str


class DebugInfo:
    """The debug information of one file, by pyelftools. `entries` of it are types; None is void.
    Whatever is damaged makes it raise anything."""

    def __init__(self, dwarf: Any) -> None:
        self._dwarf = dwarf

    # -- functions -----------------------------------------------------------------------------

    def find_function(self, name: str, address: int) -> DebugFunction | None:
        """The function at `address`, by that, since a name may be an alias of the described one.
        None where it is not described, and for copies that a compiler made, which take other
        arguments than are described; their names have a dot."""
        if "." in name:
            return None
        budget = EntryBudget()
        for unit in self._units_at(address):
            top = unit.get_top_DIE()
            if number_of(top, "DW_AT_language") not in _LANGUAGES:
                continue
            for entry in _list_entries(top, frozenset({"DW_TAG_subprogram"}), budget):
                if self._find_entry(entry) == address:
                    return _describe_function(entry)
        return None

    def _find_entry(self, function: Any) -> int | None:
        """Where calls enter a function: of one that is in several pieces, its own word for it, else
        the start of the first (DWARF 5, 2.18)."""
        start = number_of(function, "DW_AT_low_pc")
        if start is None and "DW_AT_ranges" in function.attributes:
            start = next((begin for begin, _ in self._ranges_of(function)), None)
        entry = function.attributes.get("DW_AT_entry_pc")
        if entry is None:
            return start
        if entry.form.startswith("DW_FORM_addr"):
            return int(entry.value)
        return None if start is None else start + int(entry.value)

    def _ranges_of(self, entry: Any) -> Iterator[tuple[int, int]]:
        """The pieces of code of an entry with DW_AT_ranges: start and end."""
        lists = self._dwarf.range_lists()
        if lists is None:
            return
        base = number_of(entry.cu.get_top_DIE(), "DW_AT_low_pc") or 0
        offset = entry.attributes["DW_AT_ranges"].value
        for one in lists.get_range_list_at_offset(offset, entry.cu):
            if hasattr(one, "base_address"):
                base = one.base_address
            else:
                start = 0 if one.is_absolute else base
                yield start + one.begin_offset, start + one.end_offset

    def find_unit(self, address: int) -> Any:
        """The unit that describes the code at an address; None: that is not known."""
        return next(self._units_at(address), None)

    def _units_at(self, address: int) -> Iterator[Any]:
        """The units that describe the code at an address, by their table of addresses, else by
        their own words."""
        table = self._dwarf.get_aranges()
        offset = table.cu_offset_at_addr(address) if table is not None else None
        if offset is not None:
            yield self._dwarf.get_CU_containing(offset)
            return
        for unit in self._list_units():
            if any(start <= address < end for start, end in self._pieces_of(unit.get_top_DIE())):
                yield unit

    def _pieces_of(self, top: Any) -> Iterator[tuple[int, int]]:
        if "DW_AT_ranges" in top.attributes:
            yield from self._ranges_of(top)
            return
        low, high = top.attributes.get("DW_AT_low_pc"), top.attributes.get("DW_AT_high_pc")
        if low is not None and high is not None:
            is_address = high.form.startswith("DW_FORM_addr")
            yield low.value, high.value if is_address else low.value + high.value

    def _list_units(self) -> Iterator[Any]:
        return islice(self._dwarf.iter_CUs(), _MOST_UNITS)

    # -- structures ----------------------------------------------------------------------------

    def find_structs(self, name: str, unit: Any = None) -> tuple[DebugStruct, ...]:
        """The structures, classes and unions of a name, or of a typedef of it: those of `unit`; if
        it has none, those of all. One of each layout, and of two layouts only the first two.
        Raises TooLargeError where there is too much to look at."""
        budget = EntryBudget(_MOST_SEARCHED)
        own = _keep_distinct(_structs_in(unit, name, budget)) if unit is not None else ()
        return own or _keep_distinct(self._structs_anywhere(name, budget))

    def _structs_anywhere(self, name: str, budget: EntryBudget) -> Iterator[DebugStruct]:
        mentions = Mentions(self._dwarf, name)
        for unit in self._list_units():
            if mentions.may_be_in(unit):
                yield from _structs_in(unit, name, budget)


def _describe_function(entry: Any) -> DebugFunction:
    """A copy, as of what is inlined elsewhere, refers to what describes it. A definition outside of
    its class or namespace names its arguments, and may leave the result to the declaration."""
    described = _follow(entry, "DW_AT_abstract_origin")
    declared = described
    if "DW_AT_type" not in described.attributes:
        declared = _follow(described, "DW_AT_specification")
    returned = strip_aliases(declared)
    return DebugFunction(
        arguments=tuple(_list_arguments(described, returned)),
        returns=returned,
        unit=described.cu,
    )


def _list_arguments(described: Any, returned: Any) -> Iterator[DebugArgument]:
    """By the System V ABI for x86-64 and AAPCS64, a structure may take one register, two or none;
    where the result is one, its address may be the first argument."""
    if returned is not None and returned.tag in STRUCTS:
        return
    register = 0
    for entry in children_of(described):
        if entry.tag == "DW_TAG_unspecified_parameters":
            return
        if entry.tag != "DW_TAG_formal_parameter":
            continue
        kind = strip_aliases(entry)
        if kind is not None and is_float(kind):
            continue
        if kind is None or not fits_register(kind):
            return
        yield DebugArgument(name=text_of(entry, "DW_AT_name"), register=register, type=kind)
        register += 1


def _follow(entry: Any, link: str) -> Any:
    """Where links of this kind lead in the end."""
    for _ in range(_MOST_LINKS):
        if link not in entry.attributes:
            break
        entry = entry.get_DIE_from_attribute(link)
    return entry


def _list_entries(top: Any, tags: frozenset[str], budget: EntryBudget) -> Iterator[Any]:
    """The entries of a unit with one of these tags, those in namespaces too."""
    waiting = [top]
    while waiting:
        for entry in children_of(waiting.pop(), budget):
            if entry.tag in tags:
                yield entry
            elif entry.tag == "DW_TAG_namespace":
                waiting.append(entry)


def _structs_in(unit: Any, name: str, budget: EntryBudget) -> Iterator[DebugStruct]:
    """What a unit describes under the name; what it only declares is described elsewhere."""
    top = unit.get_top_DIE()
    for entry in _list_entries(top, STRUCTS | {"DW_TAG_typedef"}, budget):
        if text_of(entry, "DW_AT_name") != name:
            continue
        struct = entry if entry.tag in STRUCTS else strip_aliases(entry)
        is_one = struct is not None and struct.tag in STRUCTS
        if is_one and "DW_AT_declaration" not in struct.attributes:
            yield DebugStruct(entry=struct, source=text_of(top, "DW_AT_name"))


def _keep_distinct(found: Iterator[DebugStruct]) -> tuple[DebugStruct, ...]:
    kept: dict[object, DebugStruct] = {}
    for one in found:
        kept.setdefault(layout_of(one.entry), one)
        if len(kept) == 2:
            break
    return tuple(kept.values())
