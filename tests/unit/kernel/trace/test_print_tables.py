"""Names that tracepoints give to values."""

from collections.abc import Mapping

import pytest

from orchestrator.kernel.trace.print_tables import ValueNames, parse_tables


def tables(printed: str, constants: Mapping[str, int] | None = None) -> Mapping[str, ValueNames]:
    return parse_tables(f"ID: 1\n\nprint fmt: {printed}\n", (constants or {}).get)


@pytest.mark.parametrize(
    ("printed", "found"),
    [
        (
            '"%s", __print_symbolic(REC->a, { 1, "one" }, { 0x10, "sixteen" })',
            {"a": (("one", 1), ("sixteen", 16))},
        ),
        (
            '"%s", __print_flags(REC->f, "|", { 1UL << 3, "A" }, {(1 << (4)), "B"})',
            {"f": (("A", 8), ("B", 16))},
        ),
        (
            '"%s", __print_flags(REC->s & 0xff, "|", { 0x00000001, "S" }) ? "x" : "R"',
            {"s": (("S", 1),)},
        ),
        ('"%s", __print_symbolic((int)REC->a, { -1, "none" })', {"a": (("none", -1),)}),
        ('"%s", __print_symbolic(REC->a, { STATE, "s" }, { OTHER, "o" })', {"a": (("s", 7),)}),
        ('"%s", __print_symbolic(REC->a >> 4, { 1, "one" })', {}),
        ('"%s", __print_symbolic(REC->a + REC->b, { 1, "one" })', {}),
        ('"%s", __print_symbolic(REC->a, { 08, "bad" })', {}),
        ('"%d", REC->a', {}),
        ("", {}),
    ],
)
def test_tables_are_read(printed: str, found: Mapping[str, ValueNames]) -> None:
    assert tables(printed, {"STATE": 7}) == found


def test_several_fields_have_a_table_each() -> None:
    both = '__print_symbolic(REC->a, { 1, "x" }), __print_symbolic(REC->b, { 1, "y" })'
    assert tables(f'"%s%s", {both}') == {"a": (("x", 1),), "b": (("y", 1),)}


def test_names_that_could_command_a_terminal_are_left_out() -> None:
    assert tables('"%s", __print_symbolic(REC->a, { 1, "\x1b[2J" })') == {}
