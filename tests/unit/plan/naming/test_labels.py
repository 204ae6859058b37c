"""The plan's own names for numbers."""

import pytest

from orchestrator.plan.load import check_plan, load_plan
from tests.support.plans import probe


def found(labels: str, use: str = "label(args.count, op)") -> list[tuple[str, int]]:
    """Code and line of what is found in a plan with these labels."""
    text = probe(f"emit: {{x: '{use}'}}", before=f"labels: {labels}")
    return [(one.code, one.position.line) for one in check_plan(text)[1]]


def test_keys_are_numbers_constants_truths_and_the_rest() -> None:
    text = probe(
        "emit: {x: 'label(args.count, op)'}",
        before='labels: {op: {0: read, -1: bad, 0x10: flag, EPERM: 12, "7": seven, _: other}}',
    )
    labels = load_plan(text).labels["op"]
    assert labels.names == {0: "read", -1: "bad", 16: "flag", "EPERM": "12", 7: "seven"}
    assert labels.otherwise == "other"
    truths = load_plan(probe("emit: {}", before="labels: {hit: {true: hit, false: miss}}"))
    assert truths.labels["hit"].names == {1: "hit", 0: "miss"}
    assert truths.labels["hit"].otherwise is None


@pytest.mark.parametrize(
    ("labels", "codes"),
    [
        ("{op: {0: a, 0x0: b}}", ["PP006"]),
        ("{op: {zero: a}}", ["PP034"]),
        ("{op: {1.5: a}}", ["PP008"]),
        ("{op: {010: a}}", ["PP008"]),
        ("{op: {0: {a: b}}}", ["PP032"]),
        ("{op: {}}", ["PP034"]),
        ("{other: {0: a}}", ["PP022"]),
    ],
)
def test_what_is_wrong_is_found_at_its_place(labels: str, codes: list[str]) -> None:
    assert [code for code, _ in found(labels)] == codes


def test_numbers_are_no_keys_elsewhere() -> None:
    assert [one.code for one in check_plan(probe("let: {1: pid}\nemit: {}"))[1]] == ["PP009"]
