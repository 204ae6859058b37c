"""The untyped nodes of expressions, as written; each remembers its column in the text."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Name:
    id: str
    at: int = 0


@dataclass(frozen=True, slots=True)
class Member:
    base: "Node"
    name: str
    at: int = 0


@dataclass(frozen=True, slots=True)
class Number:
    value: int
    at: int = 0


@dataclass(frozen=True, slots=True)
class Fraction:
    """A number with a point; only where figures are computed of metrics, in user space."""

    value: float
    at: int = 0


@dataclass(frozen=True, slots=True)
class Text:
    value: str
    at: int = 0


@dataclass(frozen=True, slots=True)
class Boolean:
    value: bool
    at: int = 0


@dataclass(frozen=True, slots=True)
class Unary:
    op: str  # - ~ not
    operand: "Node"
    at: int = 0


@dataclass(frozen=True, slots=True)
class Binary:
    op: str  # + - * // % << >> & | ^ /
    left: "Node"
    right: "Node"
    at: int = 0


@dataclass(frozen=True, slots=True)
class Compare:
    op: str  # == != < <= > >=
    left: "Node"
    right: "Node"
    at: int = 0


@dataclass(frozen=True, slots=True)
class Logic:
    op: str  # and or
    operands: tuple["Node", ...]
    at: int = 0


@dataclass(frozen=True, slots=True)
class Contains:
    item: "Node"
    options: tuple["Node", ...]
    negated: bool
    at: int = 0


@dataclass(frozen=True, slots=True)
class Choice:
    test: "Node"
    yes: "Node"
    no: "Node"
    at: int = 0


@dataclass(frozen=True, slots=True)
class Call:
    function: str
    args: tuple["Node", ...]
    at: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    items: tuple["Node", ...]
    at: int = 0


Node = (
    Name
    | Member
    | Number
    | Fraction
    | Text
    | Boolean
    | Unary
    | Binary
    | Compare
    | Logic
    | Contains
    | Choice
    | Call
    | Group
)


def walk(node: Node) -> Iterator[Node]:
    """`node` and all nodes below it, parents first."""
    yield node
    for child in children(node):
        yield from walk(child)


def children(node: Node) -> tuple[Node, ...]:
    """The direct operands of `node`, in the order in which they are written."""
    match node:
        case Member(base=base):
            return (base,)
        case Unary(operand=operand):
            return (operand,)
        case Binary(left=left, right=right) | Compare(left=left, right=right):
            return (left, right)
        case Logic(operands=operands):
            return operands
        case Contains(item=item, options=options):
            return (item, *options)
        case Choice(test=test, yes=yes, no=no):
            return (test, yes, no)
        case Call(args=args):
            return args
        case Group(items=items):
            return items
        case _:
            return ()
