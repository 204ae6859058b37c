"""Columns mean what the reference evaluator means."""

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.backends.tracefs.reader.column_eval import NotVectorised, evaluate_columns
from orchestrator.compile.expressions.evaluate import evaluate
from orchestrator.compile.expressions.nodes import (
    Arithmetic,
    ByteSwap,
    Combination,
    Comparison,
    Const,
    Convert,
    Either,
    Node,
    Register,
)
from orchestrator.compile.expressions.types import (
    BOOL,
    INTEGERS,
    U16,
    U32,
    Int,
    promote_types,
    wrap_integer,
)

KINDS = list(INTEGERS.values())
LEAVES = [Register(i, kind) for i, kind in enumerate(KINDS)]
OPS = ["+", "-", "*", "&", "|", "^", "<<", ">>", "//", "%"]


@st.composite
def integers(draw: st.DrawFn, depth: int = 3) -> Node:
    """An expression of any integer type."""
    if not depth or draw(st.booleans()):
        kind = draw(st.sampled_from(KINDS))
        constant = Const(wrap_integer(draw(st.integers(-(2**63), 2**64)), kind), kind)
        choices: list[Node] = [*LEAVES, constant]
        return draw(st.sampled_from(choices))
    below = integers(depth=depth - 1)
    match draw(st.integers(0, 4)):
        case 0:
            return Convert(draw(below), draw(st.sampled_from(KINDS)))
        case 1:
            kind = draw(st.sampled_from([U16, U32]))
            return ByteSwap(Convert(draw(below), kind), kind)
        case 2:
            yes, no = draw(below), draw(below)
            kind = _common(yes, no)
            return Either(
                draw(conditions(depth=depth - 1)), Convert(yes, kind), Convert(no, kind), kind
            )
        case 3:
            value = draw(below)
            kind = _common(value, value)
            return Arithmetic(draw(st.sampled_from(["-", "~"])), Convert(value, kind), None, kind)
        case _:
            left, right = draw(below), draw(below)
            kind = _common(left, right)
            op = draw(st.sampled_from(OPS))
            return Arithmetic(op, Convert(left, kind), Convert(right, kind), kind)


@st.composite
def conditions(draw: st.DrawFn, depth: int = 3) -> Node:
    """A boolean expression."""
    if depth and draw(st.booleans()):
        op: Any = draw(st.sampled_from(["and", "or", "not"]))
        count = 1 if op == "not" else draw(st.integers(2, 3))
        return Combination(op, tuple(draw(conditions(depth=depth - 1)) for _ in range(count)))
    left, right = draw(integers(depth=max(0, depth - 1))), draw(integers(depth=0))
    kind = _common(left, right)
    op = draw(st.sampled_from(["==", "!=", "<", "<=", ">", ">="]))
    return Comparison(op, Convert(left, kind), Convert(right, kind), BOOL)


def _common(left: Node, right: Node) -> Int:
    assert isinstance(left.type, Int)
    assert isinstance(right.type, Int)
    return promote_types(left.type, right.type)


rows = st.lists(
    st.lists(st.integers(-(2**63), 2**64) | st.integers(-3, 70), min_size=8, max_size=8),
    min_size=1,
    max_size=5,
)


@given(integers() | conditions(), rows)
def test_columns_and_the_evaluator_agree(node: Node, numbers: list[list[int]]) -> None:
    """Every row of a column is what the evaluator makes of that row, wraps and signs included."""
    table = [[wrap_integer(n, k) for n, k in zip(row, KINDS, strict=True)] for row in numbers]
    columns = {
        leaf: np.array([row[i] for row in table], dtype=f"{'i' if k.signed else 'u'}{k.bits // 8}")
        for i, (leaf, k) in enumerate(zip(LEAVES, KINDS, strict=True))
    }
    try:
        found = evaluate_columns(node, columns.get, len(table))  # type: ignore[arg-type]  # nodes all
    except NotVectorised:
        return
    for i, row in enumerate(table):
        assert int(found[i]) == evaluate(node, dict(zip(LEAVES, row, strict=True)))
