"""Expressions over metrics, and the numbers of cells that they name."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cells.buckets import LOG, Buckets
from orchestrator.cells.cell import Cell
from orchestrator.compile.program import MetricSpec
from orchestrator.plan.expression.parse import parse
from orchestrator.plan.figures import CELL_NUMBERS
from orchestrator.run.metrics.figure_eval import (
    FigureValue,
    evaluate_figure,
    list_references,
    number_of_cell,
)

NAMES: dict[str, FigureValue] = {
    "a": 7,
    "b": -2,
    "zero": 0,
    "none": None,
    "half": 0.5,
    "yes": True,
    "word": "cat",
    "p.m": 11,
    "p.h.p99": 12_000_000,
}
WHOLE: dict[str, FigureValue] = {**NAMES, "a": 700}


def value(text: str) -> FigureValue:
    root = parse(text, fractions=True).root
    return evaluate_figure(
        root, lambda path: NAMES[".".join(path)], lambda path: WHOLE[".".join(path)]
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a / b", -3.5), ("a // b", -3), ("a % b", 1), ("-a // 2", -3), ("-a % 2", -1),
        ("a / zero", None), ("a // zero", None), ("a % zero", None), ("half // 0.25", 2),
        ("none + 1", None), ("none > 1", None), ("not none", None), ("none or a > 1", True),
        ("none and a > 100", False), ("none or a > 100", None), ("1 if none else 2", None),
        ("p.m + 1", 12), ("p.h.p99 > 10*ms", True), ("1 < p.m < 20", True), ("min(a, b)", -2),
        ("max(a, 2.5)", 7), ("total(a) - a", 693), ("total(a + total(a))", 1400),
        ("word == 'cat'", True), ("word not in ('cat', 'dog')", False), ("yes and a", True),
        ("2 if a in (1, 7) else 3", 2), ("4*KiB", 4096), ("1e308 * 10", None),
        ("1e308 * 10 - 1e308 * 10", None), ("half * half", 0.25),
    ],
)  # fmt: skip
def test_what_an_expression_over_metrics_is_worth(text: str, expected: FigureValue) -> None:
    """Whole numbers divide as in C, `/` makes fractions; what has no value spreads as null."""
    found = value(text)
    assert found == expected
    assert isinstance(found, bool) == isinstance(expected, bool)


whole = st.integers(-(2**80), 2**80)


@given(left=whole, right=whole.filter(bool))
def test_whole_numbers_divide_exactly_and_towards_zero(left: int, right: int) -> None:
    """However large: quotient and remainder make the number again, and the remainder is smaller."""
    names = {"l": left, "r": right}
    look = lambda path: names[path[0]]  # noqa: E731
    quotient = evaluate_figure(parse("l // r").root, look, look)
    rest = evaluate_figure(parse("l % r").root, look, look)
    assert isinstance(quotient, int)
    assert isinstance(rest, int)
    assert quotient == int(Fraction(left, right))
    assert quotient * right + rest == left


def test_what_a_condition_names_is_told_as_it_is_written() -> None:
    """Units are none of it; what is within total() says so."""
    root = parse("total(p.m + q.n) > 3*ms and elapsed > params.x").root
    assert [name for name, _, _ in list_references(root)] == [
        *("total(p.m)", "total(q.n)", "elapsed", "params.x")
    ]


# ---------------------------------------------------------------- numbers of cells


def spec(kind: Any) -> MetricSpec:
    return MetricSpec(
        index=0, probe="p", name="m", kind=kind, key=(), key_size=0, keys=1, buckets=Buckets(),
        signed=False, unit="",
    )  # fmt: skip


FULL = Cell(key=b"", count=4, sum=40, min=1, max=30, buckets={LOG.index(5): 3}, above=1)


@pytest.mark.parametrize("kind", list(CELL_NUMBERS))
def test_every_number_that_the_language_names_can_be_read(kind: Any) -> None:
    """Of a cell that holds something, null is but a percentile that lies above all buckets."""
    found = {name: number_of_cell(spec(kind), FULL, name) for name in CELL_NUMBERS[kind]}
    expected: dict[str, dict[str, Any]] = {
        "count": {"value": 4, "count": 4},
        "sum": {"value": 40, "sum": 40, "count": 4, "avg": 10},
        "min": {"value": 1, "min": 1},
        "max": {"value": 30, "max": 30},
        "avg": {"value": 10, "avg": 10, "sum": 40, "count": 4},
        "histogram": {
            "count": 4,
            "below": 0,
            "above": 1,
            "p50": 5,
            "p75": 5,
            **dict.fromkeys(("p90", "p95", "p99", "p99_9")),
        },
    }
    assert found == expected[kind]
