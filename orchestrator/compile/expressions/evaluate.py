"""The reference evaluator: what a typed expression means, in Python.

Generated C and tracefs filters are tested against it, and the tracefs backend uses it for what the
kernel does not compute.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from orchestrator.compile.expressions.nodes import (
    Arithmetic,
    ByteSwap,
    Combination,
    Comparison,
    Const,
    Convert,
    Either,
    LetRef,
    Node,
    ParamRef,
    Shown,
    StringTest,
    TextConst,
)
from orchestrator.compile.expressions.types import Bool, Int, wrap

Value = int | bytes
#: Values of leaves: a mapping, or a function that returns None for "not known as a whole".
Leaves = Mapping[Node, Value] | Callable[[Node], Value | None]


class Fault(Exception):
    """A read failed: the expression is null."""


@dataclass(slots=True)
class Tally:
    """What evaluation counted beside its value."""

    division_by_zero: int = 0


def evaluate(
    node: Node, leaves: Leaves, lets: Mapping[int, Value] | None = None, tally: Tally | None = None
) -> Value:
    """The value of `node`: an int (bool as 0 or 1) or bytes without the closing NUL.

    `leaves` is asked first for every node, so a subtree that the kernel fetched is a leaf; `lets`
    holds values of definitions by index. Raises Fault where a read fails, which a leaf function
    may do itself, and for a leaf that nobody knows.
    """
    ask = leaves if callable(leaves) else leaves.get
    return _Evaluator(ask, lets or {}, tally or Tally()).value(node)


class _Evaluator:
    def __init__(
        self, ask: Callable[[Node], Value | None], lets: Mapping[int, Value], tally: Tally
    ) -> None:
        self.ask, self.lets, self.tally = ask, lets, tally

    def value(self, node: Node) -> Value:
        known = self.ask(node)
        return self.computed(node) if known is None else known

    def number(self, node: Node) -> int:
        value = self.value(node)
        if isinstance(value, bytes):
            raise TypeError(f"{node} is a string where a number is needed")
        return value

    def computed(self, node: Node) -> Value:
        match node:
            case Const(value=value) | TextConst(value=value):
                return value
            case Arithmetic():
                return self.arithmetic(node)
            case Comparison():
                return int(_compare(node.op, self.number(node.left), self.number(node.right)))
            case Combination():
                return self.combination(node)
            case Either(test=test, yes=yes, no=no):
                return self.value(yes if self.number(test) else no)
            case Convert(value=value, type=kind):
                return _converted(self.number(value), kind)
            case StringTest():
                return int(_string_test(node, self.value(node.string)))
            case ByteSwap(value=value, type=kind):
                size = kind.bits // 8
                return int.from_bytes(wrap(self.number(value), kind).to_bytes(size, "little"))
            case Shown(value=value):
                return self.value(value)
            case LetRef(index=index) if index in self.lets:
                return self.lets[index]
            case ParamRef(name=name):
                raise Fault(f"param {name} has no value here")
            case _:
                raise Fault(f"{type(node).__name__} is not known here")

    def combination(self, node: Combination) -> int:
        if node.op == "not":
            return int(not self.number(node.operands[0]))
        stop_at = node.op == "or"
        for operand in node.operands:
            if bool(self.number(operand)) == stop_at:
                return int(stop_at)
        return int(not stop_at)

    def arithmetic(self, node: Arithmetic) -> int:
        left = self.number(node.left)
        if node.right is None:
            return wrap(-left if node.op == "-" else ~left, node.type)
        right = self.number(node.right)
        if node.op in ("//", "%"):
            return self.division(node, left, right)
        return wrap(_OPERATIONS[node.op](left, right, node.type), node.type)

    def division(self, node: Arithmetic, left: int, right: int) -> int:
        if right == 0:
            self.tally.division_by_zero += 1
            return 0
        quotient = abs(left) // abs(right)
        if (left < 0) != (right < 0):
            quotient = -quotient
        return wrap(quotient if node.op == "//" else left - quotient * right, node.type)


_OPERATIONS: dict[str, Callable[[int, int, Int], int]] = {
    "+": lambda left, right, _kind: left + right,
    "-": lambda left, right, _kind: left - right,
    "*": lambda left, right, _kind: left * right,
    "&": lambda left, right, _kind: left & right,
    "|": lambda left, right, _kind: left | right,
    "^": lambda left, right, _kind: left ^ right,
    "min": lambda left, right, _kind: min(left, right),
    "max": lambda left, right, _kind: max(left, right),
    "<<": lambda left, right, kind: left << (right % kind.bits),
    ">>": lambda left, right, kind: left >> (right % kind.bits),
}


def _compare(op: str, left: int, right: int) -> bool:
    ordered = {
        "==": left == right,
        "!=": left != right,
        "<": left < right,
        "<=": left <= right,
        ">": left > right,
        ">=": left >= right,
    }
    return ordered[op]


def _converted(value: int, kind: object) -> int:
    if isinstance(kind, Bool):
        return int(value != 0)
    return wrap(value, kind if isinstance(kind, Int) else Int(64, False))


def _string_test(node: StringTest, value: Value) -> bool:
    if not isinstance(value, bytes):
        raise TypeError(f"{node.string} is a number where a string is needed")
    tests: dict[str, Callable[[bytes], bool]] = {
        "equal": value.__eq__,
        "prefix": value.startswith,
        "suffix": value.endswith,
        "contains": value.__contains__,
    }
    return bool(tests[node.op](node.text))
