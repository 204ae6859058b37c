"""Names that print formats have for numbers: tables, their fields, and values as C writes them."""

import pytest

from orchestrator.kernel.trace.number_names import (
    NumberNames,
    evaluate_constant,
    parse_printed_names,
)
from orchestrator.kernel.tracepoints import parse_format


def table(call: str) -> NumberNames | None:
    """The table that a print format with this call has for the field x."""
    return parse_printed_names(f'print fmt: "x=%s y=%d", {call}, REC->y').get("x")


@pytest.mark.parametrize(
    ("call", "kind", "entries"),
    [
        ('__print_symbolic(REC->x, { 2, "NO" }, { 3, "YES" })', "symbolic",
         (("2", "NO"), ("3", "YES"))),
        ('__print_symbolic(REC->x, {0x1, "A_" "B"})', "symbolic", (("0x1", "A_B"),)),
        ('__print_symbolic((u32)(REC->x), { 1, "a, \\"b\\" }" })', "symbolic",
         (("1", 'a, "b" }'),)),
        ('(REC->x) ? __print_flags(REC->x, "|", {(( gfp_t)(0x1u|0x2u)), "G"}) : "none"', "flags",
         (("(( gfp_t)(0x1u|0x2u))", "G"),)),
        ('__print_flags(REC->x & (0xff), "|", { 1 << 3, "R" })', "flags", (("1 << 3", "R"),)),
        ('__print_flags_u64(REC->x, "", { 1, "R" })', "flags", (("1", "R"),)),
    ],
)  # fmt: skip
def test_tables_are_of_the_field_that_they_print(
    call: str, kind: str, entries: tuple[tuple[str, str], ...]
) -> None:
    found = table(call)
    assert found is not None
    assert (found.kind, found.entries) == (kind, entries)


@pytest.mark.parametrize(
    "call",
    [
        '__print_symbolic(REC->x >> 8 & 7, { 1, "a" })',
        '__print_flags((1 << REC->x), "|", { 1, "a" })',
        '__print_symbolic(REC->x, { 1, "a" }',
        '__print_symbolic(REC->x, { 1, "a\x1b" })',
        "__print_symbolic(REC->x)",
        "__print_hex(REC->x, 4)",
    ],
)
def test_what_is_computed_cut_or_unprintable_has_no_names(call: str) -> None:
    assert table(call) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2", 2), ("-1", -1), ("0x10UL", 16), ("010", 8), ("1 << 3", 8), ("(1UL << 3) | 1", 9),
        ("((( gfp_t)(0x400u|0x800u)) | (( gfp_t)0x40u))", 0xC40), ("~0x1", -2),
        ("(__force blk_opf_t)(1ULL << 40)", 1 << 40), ("KNOWN", 7), ("(1 << KNOWN)", 128),
        ("UNKNOWN", None), ("1 << 64", None), ("2 ** 9", None), ("f(1)", None), ("1 <", None),
        ("sizeof(int)", None), ("(" * 5000, None), ("'a'", None), ("1.5", None),
        ("0xffffffffffffffff + 1", None),
    ],
)  # fmt: skip
def test_values_are_those_of_c(text: str, value: int | None) -> None:
    assert evaluate_constant(text, {"KNOWN": 7}.get) == value


FORMAT = """name: e
ID: 9
format:
\tfield:int x;\toffset:8;\tsize:4;\tsigned:1;
\tfield:enum zone z;\toffset:12;\tsize:4;\tsigned:0;
\tfield:int y;\toffset:16;\tsize:4;\tsigned:1;
"""


def test_a_field_knows_its_names_or_that_they_are_not_recorded() -> None:
    """By the print format, by the type, by neither; recordings of older releases have no format."""
    live = parse_format("c", "e", FORMAT + '\nprint fmt: "%s", __print_symbolic(REC->x, {1, "a"})')
    old = parse_format("c", "e", FORMAT)
    kinds = [[one.names and one.names.kind for one in found.fields] for found in (live, old)]
    assert kinds == [["symbolic", "enum", None], ["unrecorded", "enum", "unrecorded"]]
