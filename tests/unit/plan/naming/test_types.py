"""The plan's own structures."""

import pytest

from orchestrator.plan.load import check_plan, load_plan
from orchestrator.plan.model import SpelledType
from tests.support.plans import probe


def found(types: str) -> list[tuple[str, int]]:
    """Code and line of what is found in a plan with these types."""
    text = probe("emit: {}", before=f"types: {types}")
    return [(one.code, one.position.line) for one in check_plan(text)[1]]


def test_members_have_a_type_and_an_offset() -> None:
    plan = load_plan(
        probe(
            "emit: {}",
            before="""types:
  foo: {m: s32 at 0, n: unsigned long at 0x10, next: foo * at 24, all: "foo *[2][3] at 32"}
  bar: {name: "string[10] at 0", text: const char * at 16, sizeof: 64}
""",
        )
    )
    foo, bar = plan.types["foo"].members, plan.types["bar"]
    assert {name: (one.type, one.at) for name, one in foo.items()} == {
        "m": (SpelledType(base="s32"), 0),
        "n": (SpelledType(base="unsigned long"), 16),
        "next": (SpelledType(base="foo", pointers=1), 24),
        "all": (SpelledType(base="foo", pointers=1, counts=(2, 3)), 32),
    }
    assert bar.members["name"].type == SpelledType(base="string", counts=(10,))
    assert bar.members["text"].type == SpelledType(base="char", pointers=1)
    assert (bar.size, plan.types["foo"].size) == (64, None)


@pytest.mark.parametrize(
    ("types", "codes"),
    [
        ("{foo: {m: s32}}", ["PP034"]),
        ("{foo: {m: s32 at -1}}", ["PP034"]),
        ("{foo: {m: s32 at 0 }, Bar: {m: s32 at 0}}", ["PP034"]),
        ("{foo: {}}", ["PP034"]),
        ("{foo: {m: s33 at 0}}", ["PP022"]),
        ("{foo: {m: string at 0}}", ["PP084"]),
        ("{foo: {m: void at 0}}", ["PP084"]),
        ("{foo: {m: foo at 0}}", ["PP025"]),
        ("{foo: {m: bar at 0}, bar: {m: foo at 0}}", ["PP025", "PP025"]),
        ("{foo: {m: s32 at 8, sizeof: 8}}", ["PP086"]),
        ("{foo: {m: s32 at 9999999}}", ["PP086"]),
        ('{foo: {m: "s32[999999][999999] at 0"}}', ["PP086"]),
        ("{int: {m: s32 at 0}}", ["PP058"]),
    ],
)
def test_what_is_wrong_is_found_at_its_place(types: str, codes: list[str]) -> None:
    assert found(types) == [(code, 4) for code in codes]
