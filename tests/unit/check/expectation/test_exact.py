"""Exact values: against an independent reference, and at the places where floats would round."""

import ast
import operator
from collections.abc import Callable, Mapping
from fractions import Fraction
from math import trunc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.check.expectation.exact import (
    UnlikeKey,
    evaluate_bound,
    evaluate_exact,
    evaluate_filter,
)
from orchestrator.check.expectation.references import Reference
from orchestrator.plan.expression.parse import parse

NAMES = ("a", "b", "c.d")


def evaluate(text: str, values: Mapping[str, Fraction | None]) -> object:
    """The value of an expression over named values."""

    def look_up(reference: Reference) -> Fraction | None:
        return values.get(".".join(reference.parts))

    return evaluate_exact(parse(text, fractions=True, filters=True).root, look_up)


# ---------------------------------------------------------------- the reference: Python's own tree

_OPERATORS: dict[type, Callable[[Fraction, Fraction], Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: lambda x, y: Fraction(trunc(x / y)),
    ast.Mod: lambda x, y: x - y * trunc(x / y),
}


def reference(text: str, values: Mapping[str, Fraction]) -> Fraction | None:
    """The same by Python's parser and its rationals; None where it divides by 0."""

    def value(node: ast.expr) -> Fraction:
        match node:
            case ast.Constant():
                return Fraction(ast.get_source_segment(text, node) or "")
            case ast.UnaryOp(operand=operand):
                return -value(operand)
            case ast.BinOp(left=left, op=op, right=right):
                return _OPERATORS[type(op)](value(left), value(right))
            case ast.Call(func=ast.Name(id=name), args=[left, right]):
                return {"min": min, "max": max}[name](value(left), value(right))
            case _:
                return values[ast.unparse(node)]

    try:
        return value(ast.parse(text, mode="eval").body)
    except ZeroDivisionError:
        return None


SIGNS = st.sampled_from(["+", "-", "*", "/", "//", "%"])
LEAVES = st.one_of(
    st.sampled_from(NAMES),
    st.integers(0, 1 << 63).map(str),  # with a minus before it, it has to fit into 64 bits
    st.decimals(0, 10**6, places=7).map(lambda number: format(number, "f")),
)
EXPRESSIONS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.builds("({} {} {})".format, inner, SIGNS, inner),
        st.builds("-({})".format, inner),
        st.builds("{}({}, {})".format, st.sampled_from(("min", "max")), inner, inner),
    ),
    max_leaves=12,
)
VALUES = st.fractions(max_denominator=10**6) | st.integers(-(10**30), 10**30).map(Fraction)


@given(EXPRESSIONS, st.tuples(VALUES, VALUES, VALUES))
def test_every_value_is_that_of_exact_rationals(text: str, values: tuple[Fraction, ...]) -> None:
    named = dict(zip(NAMES, values, strict=True))
    assert evaluate(text, named) == reference(text, named)


# ---------------------------------------------------------------- by hand


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0.1 + 0.2", Fraction(3, 10)),
        ("1.01 * 100", Fraction(101)),
        ("1.00000000000000000001", 1 + Fraction(1, 10**20)),
        ("1 / 3 * 3", Fraction(1)),
        ("7 // 2", Fraction(3)),
        ("-7 // 2", Fraction(-3)),
        ("-7 % 2", Fraction(-1)),
        ("2*ms / us", Fraction(2000)),
        ("1e-3", Fraction(1, 1000)),
        ("0e-999999999 + 0.0", Fraction(0)),
        ("1 / 0", None),
        ("1 % 0", None),
        ("missing + 1", None),
        ("total(3)", Fraction(3)),
        ("1 if 2 > 1 else 0", Fraction(1)),
        ("1 if missing > 1 else 0", None),
        ("missing > 1 or 2 > 1", True),
        ("missing > 1 and 2 < 1", False),
        ("not 2 > 1", False),
        ("18446744073709551615 * 18446744073709551615", Fraction((2**64 - 1) ** 2)),
    ],
)
def test_a_value_by_hand(text: str, expected: object) -> None:
    assert evaluate(text, {}) == expected


def test_a_bound_is_over_the_baseline_params_and_constants() -> None:
    node = parse("1.5 * baseline + params.more + SYS_x", fractions=True).root
    assert evaluate_bound(node, {"more": 2}, 4, {"SYS_x": 10}) == 18
    assert evaluate_bound(node, {"more": 2}, None, {"SYS_x": 10}) is None
    assert evaluate_bound(node, {"more": 2}, 4) is None


def meant(text: str, key: Mapping[str, object], **names: str) -> bool | None:
    """Whether a filter means the cell with this key."""
    node = parse(text).root
    return evaluate_filter(node, key, {"n": 3, "who": "sh"}, {"SYS_fsync": 74}, names)


@pytest.mark.parametrize(
    ("text", "key", "expected"),
    [
        ("number == SYS_fsync", {"number": 74}, True),
        ("number == SYS_fsync", {"number": 75}, False),
        ("number in (SYS_fsync, 75)", {"number": 75}, True),
        ("number not in (SYS_fsync, 75)", {"number": 75}, False),
        ('comm == "sh"', {"comm": "sh"}, True),
        ("comm == params.who", {"comm": "sh"}, True),
        ("number % 2 == 0 and number > params.n", {"number": 4}, True),
        ("args.size >= 4*KiB", {"args.size": 4096}, True),
        ("compat", {"compat": True}, True),
        ("compat == false", {"compat": True}, False),
        ("number == 3", {"number": None}, None),
        ("number == 3 or pid == 1", {"number": None, "pid": 1}, True),
    ],
)
def test_a_filter_means_cells_by_their_keys(
    text: str, key: dict[str, object], expected: bool | None
) -> None:
    assert meant(text, key) is expected


def test_a_number_that_stands_for_something_is_compared_by_either() -> None:
    key = {"number": 74}
    assert meant('number == "fsync"', key, number="fsync") is True
    assert meant('number in ("read", "fsync")', key, number="fsync") is True
    assert meant("number == 74", key, number="fsync") is True
    assert meant("number + 1 == 75", key, number="fsync") is True
    assert meant('number == "74"', key, number="fsync") is False


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("comm == 3", {"comm": "3"}),
        ('number == "3"', {"number": 3}),
        ('number in (3, "3")', {"number": 4}),
        ("kstack == 3", {"kstack": ("f", "g")}),
        ("comm + 1 == 3", {"comm": "a"}),
        ("number == SYS_open", {"number": 2}),  # which this machine does not have
    ],
)
def test_a_key_of_another_type_is_never_just_unequal(text: str, key: dict[str, object]) -> None:
    with pytest.raises(UnlikeKey):
        meant(text, key)
