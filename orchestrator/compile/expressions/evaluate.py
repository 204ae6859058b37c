"""The reference evaluator: what a typed expression means, in Python.

Generated C and tracefs filters are tested against it, and the tracefs backend uses it for what the
kernel does not compute.
"""

from collections.abc import Callable, Mapping

from orchestrator.compile.expressions.nodes import (
    Arithmetic,
    ByteSwap,
    Combination,
    Comparison,
    Const,
    Convert,
    Either,
    IpWord,
    LetRef,
    Node,
    ParamRef,
    ShownAs,
    StringTest,
    TextConst,
    ValueWhere,
)
from orchestrator.compile.expressions.types import Bool, Int, wrap_integer
from orchestrator.values import dataclass

NodeValue = int | bytes
#: Values of leaves: a mapping, or a function that returns None for "not known as a whole".
LeafValues = Mapping[Node, NodeValue] | Callable[[Node], NodeValue | None]


class ReadFailed(Exception):
    """A read failed: the expression is null."""


@dataclass(slots=True)
class EvaluationCounts:
    """Counts made during evaluation."""

    division_by_zero: int = 0


def evaluate(
    node: Node,
    leaves: LeafValues,
    lets: Mapping[int, NodeValue] | None = None,
    tally: EvaluationCounts | None = None,
) -> NodeValue:
    """The value of `node`: an int (bool as 0 or 1) or bytes without the closing NUL.

    `leaves` is asked first for every node, so a subtree that the kernel fetched is a leaf; `lets`
    holds values of definitions by index. Raises ReadFailed where a read fails (a leaf function may
    raise it too), and for a leaf without a value.
    """
    ask = leaves if callable(leaves) else leaves.get
    return _Evaluator(ask, lets or {}, tally or EvaluationCounts()).evaluate_node(node)


class _Evaluator:
    def __init__(
        self,
        ask: Callable[[Node], NodeValue | None],
        lets: Mapping[int, NodeValue],
        tally: EvaluationCounts,
    ) -> None:
        self.ask, self.lets, self.tally = ask, lets, tally

    def evaluate_node(self, node: Node) -> NodeValue:
        known = self.ask(node)
        return self.compute_node(node) if known is None else known

    def evaluate_number(self, node: Node) -> int:
        value = self.evaluate_node(node)
        if isinstance(value, bytes):
            raise TypeError(f"{node} is a string where a number is needed")
        return value

    def compute_node(self, node: Node) -> NodeValue:  # noqa: PLR0912  # one case a node kind
        match node:
            case Const(value=value) | TextConst(value=value):
                return value
            case Arithmetic():
                return self.compute_arithmetic(node)
            case Comparison():
                return int(
                    _compare_numbers(
                        node.op, self.evaluate_number(node.left), self.evaluate_number(node.right)
                    )
                )
            case Combination():
                return self.compute_combination(node)
            case Either(test=test, yes=yes, no=no):
                return self.evaluate_node(yes if self.evaluate_number(test) else no)
            case Convert(value=value, type=kind):
                return _convert_number(self.evaluate_number(value), kind)
            case StringTest():
                return int(_test_string(node, self.evaluate_node(node.string)))
            case ByteSwap(value=value, type=kind):
                size = kind.bits // 8
                return int.from_bytes(
                    wrap_integer(self.evaluate_number(value), kind).to_bytes(size, "little")
                )
            case IpWord(value=value, index=index):
                return _take_word(self.evaluate_node(value), index)
            case ValueWhere(subject=subject, among=among, value=value):
                if self.evaluate_number(subject) not in among:
                    raise ReadFailed("there is no such value here")
                return self.evaluate_node(value)
            case ShownAs(value=value):
                return self.evaluate_node(value)
            case LetRef(index=index) if index in self.lets:
                return self.lets[index]
            case ParamRef(name=name):
                raise ReadFailed(f"param {name} has no value here")
            case _:
                raise ReadFailed(f"{type(node).__name__} is not known here")

    def compute_combination(self, node: Combination) -> int:
        if node.op == "not":
            return int(not self.evaluate_number(node.operands[0]))
        stop_at = node.op == "or"
        for operand in node.operands:
            if bool(self.evaluate_number(operand)) == stop_at:
                return int(stop_at)
        return int(not stop_at)

    def compute_arithmetic(self, node: Arithmetic) -> int:
        left = self.evaluate_number(node.left)
        if node.right is None:
            return wrap_integer(-left if node.op == "-" else ~left, node.type)
        right = self.evaluate_number(node.right)
        if node.op in ("//", "%"):
            return self.compute_division(node, left, right)
        return wrap_integer(_OPERATIONS[node.op](left, right, node.type), node.type)

    def compute_division(self, node: Arithmetic, left: int, right: int) -> int:
        if right == 0:
            self.tally.division_by_zero += 1
            return 0
        quotient = abs(left) // abs(right)
        if (left < 0) != (right < 0):
            quotient = -quotient
        return wrap_integer(quotient if node.op == "//" else left - quotient * right, node.type)


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


def _compare_numbers(op: str, left: int, right: int) -> bool:
    ordered = {
        "==": left == right,
        "!=": left != right,
        "<": left < right,
        "<=": left <= right,
        ">": left > right,
        ">=": left >= right,
    }
    return ordered[op]


def _convert_number(value: int, kind: object) -> int:
    if isinstance(kind, Bool):
        return int(value != 0)
    return wrap_integer(value, kind if isinstance(kind, Int) else Int(64, False))


def _take_word(value: NodeValue, index: int) -> int:
    if not isinstance(value, bytes):
        raise TypeError("an address is bytes")
    return int.from_bytes(value[4 * index : 4 * index + 4], "little")


def _test_string(node: StringTest, value: NodeValue) -> bool:
    if not isinstance(value, bytes):
        raise TypeError(f"{node.string} is a number where a string is needed")
    tests: dict[str, Callable[[bytes], bool]] = {
        "equal": value.__eq__,
        "prefix": value.startswith,
        "suffix": value.endswith,
        "contains": value.__contains__,
    }
    return bool(tests[node.op](node.text))
