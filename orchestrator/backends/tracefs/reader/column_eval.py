"""Expressions over whole columns of integers. numpy computes as C does, in the width of each type.

Only what gives exactly the reference evaluator's result is computed here. Division, where zeros are
counted, and strings are left to the evaluator.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.compile.expressions.nodes import (
    Arithmetic,
    ByteSwap,
    Combination,
    Comparison,
    Const,
    Convert,
    Either,
    Node,
    ShownAs,
)
from orchestrator.compile.expressions.types import Bool, Int, Pointer

__all__ = ["NotVectorised", "evaluate_columns"]

Values = npt.NDArray[Any]
_ARITHMETIC: dict[str, Callable[[Values, Values], Values]] = {
    "+": np.add,
    "-": np.subtract,
    "*": np.multiply,
    "&": np.bitwise_and,
    "|": np.bitwise_or,
    "^": np.bitwise_xor,
    "min": np.minimum,
    "max": np.maximum,
}
_COMPARISONS: dict[str, Callable[[Values, Values], Values]] = {
    "==": np.equal,
    "!=": np.not_equal,
    "<": np.less,
    "<=": np.less_equal,
    ">": np.greater,
    ">=": np.greater_equal,
}


class NotVectorised(Exception):
    """The expression has to be evaluated event by event."""


def evaluate_columns(node: Node, leaf: Callable[[Node], Values | None], count: int) -> Values:
    """The values of `node` for `count` events. `leaf` returns the column of a leaf, and None for
    any other node. Raises NotVectorised."""
    known = leaf(node)
    if known is not None:
        if known.dtype.kind not in "iu":
            raise NotVectorised
        return known

    def of(part: Node) -> Values:
        return evaluate_columns(part, leaf, count)

    match node:
        case Const(value=value, type=kind):
            return np.full(
                count, value % (1 << _bits_of(kind)), dtype=f"u{_bits_of(kind) // 8}"
            ).view(_dtype_of(kind))
        case ShownAs(value=value):
            return of(value)
        case Convert(value=value, type=kind):
            return (
                (of(value) != 0).astype("u1")
                if isinstance(kind, Bool)
                else of(value).astype(_dtype_of(kind))
            )
        case Comparison(op=op, left=left, right=right):
            return _COMPARISONS[op](*_require_one_type(of(left), of(right))).astype("u1")
        case Combination(op=op, operands=operands):
            return _combine(op, [of(part) != 0 for part in operands])
        case Either(test=test, yes=yes, no=no):
            return np.where(of(test) != 0, *_require_one_type(of(yes), of(no)))
        case ByteSwap(value=value, type=kind):
            return of(value).astype(_dtype_of(kind)).byteswap()
        case Arithmetic():
            return _evaluate_arithmetic(node, of)
        case _:
            raise NotVectorised


def _combine(op: str, operands: list[Values]) -> Values:
    if op == "not":
        return np.logical_not(operands[0]).astype("u1")
    joined = np.logical_and if op == "and" else np.logical_or
    return np.asarray(joined.reduce(operands), dtype="u1")


def _evaluate_arithmetic(node: Arithmetic, of: Callable[[Node], Values]) -> Values:
    left = of(node.left).astype(_dtype_of(node.type))
    if node.right is None:
        return np.asarray(np.negative(left) if node.op == "-" else np.invert(left))
    right = of(node.right).astype(_dtype_of(node.type))
    if node.op in ("<<", ">>"):
        by = (right % np.array(node.type.bits, dtype=right.dtype)).astype(right.dtype)
        return np.asarray(np.left_shift(left, by) if node.op == "<<" else np.right_shift(left, by))
    if node.op not in _ARITHMETIC:
        raise NotVectorised
    return _ARITHMETIC[node.op](left, right)


def _require_one_type(left: Values, right: Values) -> tuple[Values, Values]:
    """Both columns, if they have one type: numpy would compare mixed signs as floats."""
    if left.dtype != right.dtype:
        raise NotVectorised
    return left, right


def _bits_of(kind: object) -> int:
    if isinstance(kind, Bool):
        return 8
    return kind.bits if isinstance(kind, Int) else 64


def _dtype_of(kind: object) -> str:
    if isinstance(kind, Pointer):
        return "<u8"
    return f"<{'i' if isinstance(kind, Int) and kind.signed else 'u'}{_bits_of(kind) // 8}"
