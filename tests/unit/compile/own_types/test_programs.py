"""Types of programs in a table: damaged and hostile debug information makes them unknown."""

import random
from contextlib import suppress
from pathlib import Path

import pytest

from orchestrator.binaries.elf import find_symbols
from orchestrator.compile.own_types.programs import DescribedCode, ProgramCode, describe_code
from orchestrator.compile.own_types.table import OwnTypes
from orchestrator.kernel.abi.file_identity import FileIdentity
from orchestrator.kernel.btf_types import TypeLookupError
from tests.support.described import build
from tests.support.made_dwarf import Made, make_program

SOURCE = """
struct item { int value; struct item *next; };
struct item *take(struct item *item, int index) { return item->next + index; }
int main(void) { return 0; }
"""


def describe(table: OwnTypes, path: Path, symbol: str, address: int | None = None) -> DescribedCode:
    """What the file says of the function."""
    if address is None:
        address = find_symbols(path, symbol)[0].address
    identity = FileIdentity.from_stat(path.stat())
    code = ProgramCode(path=str(path), identity=identity, symbol=symbol, address=address)
    return describe_code(table, code)


def test_a_structure_leads_back_to_itself(tmp_path: Path) -> None:
    table = OwnTypes(lambda: None)
    code = describe(table, build(tmp_path, source=SOURCE), "take")
    found = code.function
    assert found is not None
    assert {name: register for name, (register, _) in found.arguments.items()} == {
        "item": 0, "index": 1,
    }  # fmt: skip
    struct = table.type(found.arguments["item"][1]).target
    assert found.returns == found.arguments["item"][1]
    assert code.find_struct("item") == struct
    member = table.member(struct, "next")
    assert member is not None
    assert table.type(member.type_id).target == struct
    assert (table.type(struct).size, table.member_names(struct)) == (16, ("value", "next"))


def test_places_of_one_file_share_its_types(tmp_path: Path) -> None:
    """So that a pointer of one probe is the same type at another."""
    table, program = OwnTypes(lambda: None), build(tmp_path, source=SOURCE)
    first, second = describe(table, program, "take"), describe(table, program, "main")
    assert first.find_struct("item") == second.find_struct("item") is not None
    assert describe(table, program, "take") is first


def test_damaged_debug_information_raises_nothing(tmp_path: Path) -> None:
    """40 files with 60 wrong bytes each, behind the code."""
    program = build(tmp_path, source=SOURCE)
    address = find_symbols(program, "take")[0].address
    content, chance = program.read_bytes(), random.Random(7)  # noqa: S311
    start = content.find(b"GCC: (")
    described = 0
    for number in range(40):
        damaged = bytearray(content)
        for _ in range(60):
            damaged[chance.randrange(start, len(damaged))] = chance.randrange(256)
        file = tmp_path / f"damaged{number}"
        file.write_bytes(damaged)
        described += _look_at_all(OwnTypes(lambda: None), file, address)
    assert described > 0


def _look_at_all(table: OwnTypes, file: Path, address: int) -> bool:
    """Everything that a plan could ask; whether the function was described."""
    code = describe(table, file, "take", address)
    function = code.function
    ids = [type_id for _, type_id in function.arguments.values()] if function else []
    with suppress(TypeLookupError):
        ids += filter(None, [code.find_struct("item")])
    for struct in {table.type(type_id).target or type_id for type_id in ids} - {0}:
        for name in table.member_names(struct):
            table.member(struct, name)
    code.explain_missing("struct item")
    return function is not None


@pytest.mark.parametrize("size", [0, 1, 40, 64, 1000, 5000])
def test_a_file_that_ends_early_describes_nothing(tmp_path: Path, size: int) -> None:
    program = build(tmp_path, source=SOURCE)
    address = find_symbols(program, "take")[0].address
    program.write_bytes(program.read_bytes()[:size])
    assert not _look_at_all(OwnTypes(lambda: None), program, address)


_INT = Made("base", {"name": "int", "byte_size": 4, "encoding": 5}, label=".Lint")


def _function(kind: str) -> Made:
    argument = Made("argument", {"name": "x", "type": kind})
    return Made("function", {"name": "work", "low_pc": "work", "type": kind}, (argument,))


HOSTILE = {
    "a structure in itself, twice, without a name": [
        Made(
            "struct",
            {"name": "s", "byte_size": 8},
            (
                Made("member", {"location": 0, "type": ".Ls"}),
                Made("member", {"location": 4, "type": ".Ls"}),
            ),
            label=".Ls",
        ),
        Made("pointer", {"byte_size": 8, "type": ".Ls"}, label=".Lp"),
        _function(".Lp"),
    ],
    "a structure in itself, by name": [
        Made(
            "struct",
            {"name": "s", "byte_size": 8},
            (
                Made("member", {"name": "a", "location": 0, "type": ".Ls"}),
                Made("member", {"name": "b", "location": 4, "type": ".Ls"}),
            ),
            label=".Ls",
        ),
        _function(".Ls"),
    ],
    "a pointer to itself": [
        Made("pointer", {"byte_size": 8, "type": ".Lp"}, label=".Lp"),
        _function(".Lp"),
    ],
    "an array of itself": [
        Made("array", {"type": ".La"}, (Made("range", {"count": 2}),), label=".La"),
        Made("pointer", {"byte_size": 8, "type": ".La"}, label=".Lp"),
        _function(".Lp"),
    ],
    "names of each other": [
        Made("typedef", {"name": "s", "type": ".Lt"}, label=".Lu"),
        Made("typedef", {"name": "t", "type": ".Lu"}, label=".Lt"),
        _function(".Lt"),
    ],
    "a sibling that is the entry before": [
        Made("struct", {"name": "r", "byte_size": 4, "sibling": ".Lr"}, (_INT,), label=".Lr"),
        _function(".Lr"),
    ],
    "a function that is its own origin": [
        Made("function", {"name": "work", "low_pc": "work", "origin": ".Lf"}, label=".Lf"),
    ],
}


@pytest.mark.parametrize("units", HOSTILE.values(), ids=HOSTILE)
def test_hostile_debug_information_has_an_end(tmp_path: Path, units: list[Made]) -> None:
    """Circles, which compilers do not make: no exception but that of a name with no one meaning,
    and no work without end."""
    program = make_program(tmp_path, units)
    table = OwnTypes(lambda: None)
    code = describe(table, program, "work")
    function = code.function
    for name in ("s", "t", "r", "none"):
        with suppress(TypeLookupError):
            struct = code.find_struct(name)
            for member in table.member_names(struct) if struct is not None else ():
                table.member(struct or 0, member)
    assert function is None or all(table.type_name(kind) for _, kind in function.arguments.values())


def _many(kind: str) -> tuple[Made, ...]:
    return tuple(Made("member", {"name": f"m{n}", "location": 0, "type": kind}) for n in range(200))


def test_what_ends_by_a_limit_says_so(tmp_path: Path) -> None:
    """A structure of more members, with those in it, than are compared."""
    inner = Made("struct", {"name": "inner", "byte_size": 4}, _many(".Lint"), label=".Linner")
    outer = Made("struct", {"name": "outer", "byte_size": 4}, _many(".Linner"))
    code = describe(OwnTypes(lambda: None), make_program(tmp_path, [_INT, inner, outer]), "work")
    assert code.find_struct("inner") is not None
    with pytest.raises(TypeLookupError, match="too large to find 'outer' in it"):
        code.find_struct("outer")
