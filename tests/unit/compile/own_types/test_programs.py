"""Types of programs in a table: damaged debug information makes arguments unknown."""

import random
from pathlib import Path

from orchestrator.binaries.elf import find_symbols
from orchestrator.compile.own_types.programs import argument_types
from orchestrator.compile.own_types.table import OwnTypes
from tests.support.binaries import compile_to

SOURCE = """
struct item { int value; struct item *next; };
int take(struct item *item, int index) { return item->value + index; }
int main(void) { return 0; }
"""


def build(folder: Path) -> Path:
    """The program of SOURCE."""
    source = folder / "source.c"
    source.write_text(SOURCE)
    return compile_to(folder / "program", source, flags=("-g",))


def test_a_structure_leads_back_to_itself(tmp_path: Path) -> None:
    program = build(tmp_path)
    table = OwnTypes(lambda: None)
    address = find_symbols(program, "take")[0].address
    found = argument_types(table, str(program), None, "take", address)
    assert {name: register for name, (register, _) in found.items()} == {"item": 0, "index": 1}
    struct = table.type(found["item"][1]).target
    member = table.member(struct, "next")
    assert member is not None
    assert table.type(member.type_id).target == struct
    assert (table.type(struct).size, table.member_names(struct)) == (16, ("value", "next"))


def test_damaged_debug_information_raises_nothing(tmp_path: Path) -> None:
    """40 files with 60 wrong bytes each, behind the code."""
    program = build(tmp_path)
    address = find_symbols(program, "take")[0].address
    content, chance = program.read_bytes(), random.Random(7)  # noqa: S311
    start = content.find(b"GCC: (")
    for number in range(40):
        damaged = bytearray(content)
        for _ in range(60):
            damaged[chance.randrange(start, len(damaged))] = chance.randrange(256)
        file = tmp_path / f"damaged{number}"
        file.write_bytes(damaged)
        table = OwnTypes(lambda: None)
        for _, type_id in argument_types(table, str(file), None, "take", address).values():
            struct = table.type(type_id).target
            for name in table.member_names(struct):
                table.member(struct, name)
