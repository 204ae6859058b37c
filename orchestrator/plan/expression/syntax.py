"""The untyped nodes of expressions, as written; `at` is the column in the text."""

from collections.abc import Iterator
from dataclasses import field

from orchestrator.plan.findings import NOWHERE, Position
from orchestrator.values import dataclass


@dataclass(frozen=True, slots=True)
class Name:
    """A bare name: `pid`, `ms`, `EAGAIN`."""

    id: str
    at: int = 0


@dataclass(frozen=True, slots=True)
class MemberOf:
    """`base.name`."""

    base: "SyntaxNode"
    name: str
    at: int = 0


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number, of at most 64 bits."""

    value: int
    at: int = 0


@dataclass(frozen=True, slots=True)
class Fraction:
    """A number with a point; only in figures, which are computed from metrics in user space.
    `text`: its digits as written, where a float would round them."""

    value: float
    at: int = 0
    text: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class TextLiteral:
    """A string in quotes."""

    value: str
    at: int = 0


@dataclass(frozen=True, slots=True)
class Boolean:
    """`true` or `false`, also `True` and `False`."""

    value: bool
    at: int = 0


@dataclass(frozen=True, slots=True)
class UnaryOperation:
    """`-x`, `~x`, `not x`."""

    op: str  # - ~ not
    operand: "SyntaxNode"
    at: int = 0


@dataclass(frozen=True, slots=True)
class BinaryOperation:
    """`left op right`."""

    op: str  # + - * // % << >> & | ^ /
    left: "SyntaxNode"
    right: "SyntaxNode"
    at: int = 0


@dataclass(frozen=True, slots=True)
class Compare:
    """`left op right`; a chain of comparisons is a Logic of them."""

    op: str  # == != < <= > >=
    left: "SyntaxNode"
    right: "SyntaxNode"
    at: int = 0


@dataclass(frozen=True, slots=True)
class Logic:
    """`a and b and …`, or the same with `or`."""

    op: str  # and or
    operands: tuple["SyntaxNode", ...]
    at: int = 0


@dataclass(frozen=True, slots=True)
class Contains:
    """`item in (options)`; `negated`: `not in`."""

    item: "SyntaxNode"
    options: tuple["SyntaxNode", ...]
    negated: bool
    at: int = 0


@dataclass(frozen=True, slots=True)
class IfElse:
    """`yes if test else no`."""

    test: "SyntaxNode"
    yes: "SyntaxNode"
    no: "SyntaxNode"
    at: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    """`function(args)`."""

    function: str
    args: tuple["SyntaxNode", ...]
    at: int = 0


@dataclass(frozen=True, slots=True)
class TupleOf:
    """`(a, b)`."""

    items: tuple["SyntaxNode", ...]
    at: int = 0


@dataclass(frozen=True, slots=True)
class ElementOf:
    """`base[index]`: an element of an array, or of what a pointer leads to."""

    base: "SyntaxNode"
    index: "SyntaxNode"
    at: int = 0


@dataclass(frozen=True, slots=True)
class Filtered:
    """`base[condition]`: some of a metric's cells; only in what a check expects."""

    base: "SyntaxNode"
    condition: "SyntaxNode"
    at: int = 0


SyntaxNode = (
    Name
    | MemberOf
    | Number
    | Fraction
    | TextLiteral
    | Boolean
    | UnaryOperation
    | BinaryOperation
    | Compare
    | Logic
    | Contains
    | IfElse
    | Call
    | TupleOf
    | ElementOf
    | Filtered
)


def walk(node: SyntaxNode) -> Iterator[SyntaxNode]:
    """`node` and all nodes below it, parents first."""
    yield node
    for child in children(node):
        yield from walk(child)


def children(node: SyntaxNode) -> tuple[SyntaxNode, ...]:
    """The direct operands of `node`, in the order in which they are written."""
    match node:
        case MemberOf(base=base):
            return (base,)
        case UnaryOperation(operand=operand):
            return (operand,)
        case BinaryOperation(left=left, right=right) | Compare(left=left, right=right):
            return (left, right)
        case Logic(operands=operands):
            return operands
        case Contains(item=item, options=options):
            return (item, *options)
        case IfElse(test=test, yes=yes, no=no):
            return (test, yes, no)
        case Call(args=args):
            return args
        case TupleOf(items=items):
            return items
        case ElementOf(base=base, index=index):
            return (base, index)
        case Filtered(base=base, condition=condition):
            return (base, condition)
        case _:
            return ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Expr:
    """A parsed expression with its text and the place in the plan where the text begins."""

    text: str
    root: SyntaxNode
    position: Position = NOWHERE

    def place(self, node: SyntaxNode) -> Position:
        """The place of `node` in the plan's file."""
        return self.position.shifted(node.at) if self.position.line else self.position
