"""Functions and structures by the debug information of small programs."""

from pathlib import Path

import pytest

from orchestrator.binaries.debug_info import entries, units
from orchestrator.binaries.debug_info.entries import (
    TooLargeError,
    describe_type,
    enumerators_of,
    members_of,
    target_of,
)
from orchestrator.binaries.debug_info.units import DebugFunction
from orchestrator.binaries.elf import find_symbols
from tests.support.binaries import compile_to
from tests.support.described import arguments, build, info_of
from tests.support.made_dwarf import Made, make_program


def find(path: Path, function: str) -> DebugFunction | None:
    """A function by its name."""
    return info_of(path).find_function(function, find_symbols(path, function)[0].address)


@pytest.mark.parametrize("version", ["4", "5"])
def test_arguments_are_those_in_registers_of_numbers(tmp_path: Path, version: str) -> None:
    """Floats are in others. Nothing is said of what follows a structure by value, or of a function
    whose result may be its first argument."""
    program = build(tmp_path, f"-gdwarf-{version}")
    assert arguments(program, "take") == [("bag", 0, "pointer"), ("n", 1, "int"), ("c", 2, "enum")]
    assert arguments(program, "count") == [("b", 0, "bool"), ("s", 1, "int"), ("p", 2, "pointer")]
    assert arguments(program, "give") == []


@pytest.mark.parametrize("version", ["4", "5"])
def test_members_have_their_offsets_in_bits(tmp_path: Path, version: str) -> None:
    """Of bit-fields and of nameless structures, too; enums with values below zero are signed."""
    program = build(tmp_path, f"-gdwarf-{version}")
    found = find(program, "take")
    assert found is not None
    bag, _, colour = found.arguments
    members = {one.name: one for one in members_of(target_of(bag.type))}
    assert {name: (one.bit_offset, one.bit_size) for name, one in members.items()} == {
        "name": (0, 0), "low": (64, 3), "high": (67, 5), "a": (96, 0), "b": (128, 0), "c": (128, 0),
        "next": (192, 0), "grid": (256, 0),
    }  # fmt: skip
    assert describe_type(members["grid"].type).counts == (2, 3)
    assert target_of(members["next"].type) == target_of(bag.type)
    assert describe_type(colour.type).signed


def test_what_is_not_described_is_not_found(tmp_path: Path) -> None:
    """A copy that a compiler made; an alias is described."""
    program = build(tmp_path)
    address = find_symbols(program, "count")[0].address
    assert info_of(program).find_function("count.isra.0", address) is None
    alias = info_of(program).find_function("alias", address)
    assert alias is not None
    assert len(alias.arguments) == 3


SPLIT = """
#include <stdio.h>
#include <stdlib.h>
enum colour { RED = -1, GREEN = 2 };
struct bag { int value; };
__attribute__((noinline, cold)) void fail(int n) { fprintf(stderr, "%d", n); exit(1); }
__attribute__((noinline)) enum colour work(struct bag *bag, int n)
{ if (n < 0) { fail(n); abort(); } bag->value += n; return bag->value > 4 ? RED : GREEN; }
int main(int count, char **words) { struct bag bag = { count }; return work(&bag, count); }
"""


@pytest.mark.parametrize("version", ["4", "5"])
def test_a_function_in_several_pieces_is_found_by_its_entry(tmp_path: Path, version: str) -> None:
    """Its cold part is elsewhere, before the entry, and is not it."""
    flags = (f"-gdwarf-{version}", "-freorder-blocks-and-partition")
    program = build(tmp_path, *flags, source=SPLIT)
    cold = find_symbols(program, "work.cold")[0].address
    assert cold < find_symbols(program, "work")[0].address
    assert arguments(program, "work") == [("bag", 0, "pointer"), ("n", 1, "int")]
    assert info_of(program).find_function("work", cold) is None


@pytest.mark.parametrize(
    ("said", "at"),
    [
        ({"entry_pc": "work + 1"}, 1),
        ({"entry_offset": 1, "low_pc": "work"}, 1),
        ({"low_pc": "work"}, 0),
    ],
)
def test_a_functions_own_word_for_its_entry_goes_first(
    tmp_path: Path, said: dict[str, str | int], at: int
) -> None:
    """As an address, or as an offset from its start."""
    program = make_program(tmp_path, [Made("function", {"name": "work", **said})])
    start = find_symbols(program, "work")[0].address
    info = info_of(program)
    found = [info.find_function("work", start + offset) is not None for offset in (0, 1)]
    assert found == [at == 0, at == 1]


RETURNS = """
enum colour { RED = -1, GREEN = 2 };
int number(void) { return -1; }
unsigned short small(void) { return 7; }
_Bool truth(void) { return 1; }
const char *text(void) { return "x"; }
enum colour tint(void) { return RED; }
double half(void) { return 0.5; }
void nothing(void) { }
int main(void) { return 0; }
"""


@pytest.mark.parametrize("version", ["4", "5"])
def test_a_function_has_the_type_that_it_returns(tmp_path: Path, version: str) -> None:
    program = build(tmp_path, f"-gdwarf-{version}", source=RETURNS)
    shown = {}
    for name in ("number", "small", "truth", "text", "tint", "half", "nothing"):
        found = find(program, name)
        assert found is not None
        known = describe_type(found.returns)
        shown[name] = (known.kind, known.size, known.signed)
    assert shown == {
        "number": ("int", 4, True), "small": ("int", 2, False), "truth": ("bool", 1, False),
        "text": ("pointer", 8, False), "tint": ("enum", 4, True), "half": ("float", 8, False),
        "nothing": ("void", 0, False),
    }  # fmt: skip
    tint = find(program, "tint")
    assert tint is not None
    assert enumerators_of(tint.returns) == (("RED", -1), ("GREEN", 2))


FIRST = """
struct same { int a; struct other *next; };
struct other { long first; };
typedef struct { char named[4]; } alias;
struct hidden;
long first(struct same *s, struct other *o, alias *n, struct hidden *h)
{ return s->a + o->first + n->named[0] + (h != 0); }
"""
SECOND = """
struct same { int a; struct other *next; };
struct other { char first; long second; };
struct hidden { int inside; };
struct third { struct same inner; };
long second(struct same *s, struct other *o, struct hidden *h, struct third *t)
{ return s->a + o->second + h->inside + t->inner.a; }
int main(void) { return 0; }
"""


def build_two(folder: Path, *flags: str) -> Path:
    """A program of two sources that mean different structures by one name."""
    for name, text in (("first.c", FIRST), ("second.c", SECOND)):
        (folder / name).write_text(text)
    flags = ("-g", "-fno-inline", *flags)
    return compile_to(folder / "two", folder / "first.c", folder / "second.c", flags=flags)


@pytest.mark.parametrize("version", ["4", "5"])
def test_structures_are_those_of_the_unit_else_of_all(tmp_path: Path, version: str) -> None:
    """By their names or that of a typedef; what differs by its layout is two, and what is only
    declared is looked for elsewhere."""
    program = build_two(tmp_path, f"-gdwarf-{version}")
    info, first, second = info_of(program), find(program, "first"), find(program, "second")
    assert first is not None
    assert second is not None

    def sizes(name: str, unit: object = None) -> list[int]:
        return [describe_type(one.entry).size for one in info.find_structs(name, unit)]

    names = ("same", "other", "alias", "hidden", "third", "none")
    assert {name: sizes(name) for name in names} == {
        "same": [16], "other": [8, 16], "alias": [4], "hidden": [4], "third": [16], "none": [],
    }  # fmt: skip
    assert [sizes("other", one.unit) for one in (first, second)] == [[8], [16]]
    assert sizes("hidden", first.unit) == [4]
    found = info.find_structs("other")
    assert [Path(one.source).name for one in found] == ["first.c", "second.c"]


def test_a_search_without_end_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = info_of(build_two(tmp_path))
    monkeypatch.setattr(units, "_MOST_SEARCHED", 8)
    with pytest.raises(TooLargeError):
        info.find_structs("third")


def test_a_search_that_takes_too_long_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By CPU time: each entry may be made to take as long as thousands."""
    info = info_of(build_two(tmp_path))
    monkeypatch.setattr(entries, "_MOST_SECONDS", -1)
    with pytest.raises(TooLargeError):
        info.find_structs("third")


CLASSES = """
namespace shop { namespace inner {
enum class Size : short { SMALL, LARGE };
class Base { public: long id; };
class Item : public Base { public: static int made; unsigned short count; Size size; };
long take(Item &item, bool many) { return item.count + many; }
struct Shelf { int place(Item *item); };
int Shelf::place(Item *item) { return item->count; }
} }
struct Item { char other; };
Item kept;
int main() { return 0; }
"""


@pytest.mark.parametrize("version", ["4", "5"])
def test_classes_are_found_in_namespaces_with_their_bases(tmp_path: Path, version: str) -> None:
    """Members of a base are in their place, static ones are not there; a reference is a pointer."""
    source = tmp_path / "classes.cc"
    source.write_text(CLASSES)
    flags = ("-g", f"-gdwarf-{version}")
    program = compile_to(tmp_path / "classes", source, flags=flags, by="g++")

    def symbol(name: str) -> int:
        return find_symbols(program, name)[0].address

    info = info_of(program)
    found = info.find_function("take", symbol("_ZN4shop5inner4takeERNS0_4ItemEb"))
    place = info.find_function("place", symbol("_ZN4shop5inner5Shelf5placeEPNS0_4ItemE"))
    assert found is not None
    assert place is not None
    assert [one.name for one in place.arguments] == ["this", "item"]
    assert [describe_type(one.returns).kind for one in (found, place)] == ["int", "int"]
    assert [(one.name, describe_type(one.type).kind) for one in found.arguments] == [
        ("item", "pointer"), ("many", "bool"),
    ]  # fmt: skip
    members = {
        m.name: m for m in members_of(target_of(found.arguments[0].type)) if m.name[0] != "_"
    }
    assert {name: one.bit_offset for name, one in members.items()} == {
        "id": 0, "count": 64, "size": 80,
    }  # fmt: skip
    assert describe_type(members["size"].type).signed
    assert [describe_type(one.entry).size for one in info.find_structs("Item")] == [1, 16]
