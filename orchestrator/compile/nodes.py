"""Typed expressions: what is evaluated at a hook, in terms of the kernel at hand.

Evaluation semantics, common to the reference evaluator, the C that we generate and what tracefs
computes: a read that fails anywhere in the part that is evaluated makes the whole expression null
(`and`, `or` and `A if C else B` evaluate only what they need); x // 0 and x % 0 are 0 and counted.
Nodes compare by value, so equal subexpressions are found by equality.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from orchestrator.compile.types import BOOL, Bool, Int, Ip, Pointer, Str, Type
from orchestrator.kernel.tracepoints import TraceField

BuiltinName = Literal[
    "pid",
    "tid",
    "uid",
    "gid",
    "comm",
    "cpu",
    "cgroup",
    "now",
    "elapsed",
    "retval",
    "task",
    "func",
    "probe",
]


@dataclass(frozen=True, slots=True)
class Const:
    """An integer or boolean known at compile time."""

    value: int
    type: Int | Bool | Pointer


@dataclass(frozen=True, slots=True)
class TextConst:
    """A string known at compile time."""

    value: bytes
    type: Str


@dataclass(frozen=True, slots=True)
class ParamRef:
    """A scalar param, read from slot `slot` of the control element's params at run time."""

    name: str
    slot: int
    type: Int | Bool


@dataclass(frozen=True, slots=True)
class Builtin:
    """A value of the moment: the current task's ids and comm, the clock (ns), the return value,
    the address of the current task_struct (`task`)."""

    name: BuiltinName
    type: Type


@dataclass(frozen=True, slots=True)
class Register:
    """Argument `index` (from 0) of the probed function, by the calling convention. `name` is for
    people."""

    index: int
    type: Type
    name: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a tracepoint's record (also a syscall's argument, at its sys_enter event).
    Its type is Int, Pointer or Str; `field.kind` tells how it lies in the record."""

    field: TraceField
    type: Type


@dataclass(frozen=True, slots=True)
class RawArg:
    """Argument `index` (from 0, `__data` not counted) of a raw tracepoint. `name` is for people."""

    index: int
    type: Type
    name: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class UsdtArg:
    """Argument `index` of a USDT probe; `operand` is the note's text, e.g. `-4@%edi`."""

    index: int
    operand: str
    type: Type


@dataclass(frozen=True, slots=True)
class Load:
    """The value of `type` at address `base + offset`, read from `base.type.space`; a bitfield when
    `bit_size` is not 0 (then `bit_offset` bits into an integer of `type.bits` bits). A Str type
    reads a char array of that size up to its NUL."""

    base: "Node"
    offset: int
    type: Type
    bit_offset: int = 0
    bit_size: int = 0


@dataclass(frozen=True, slots=True)
class Address:
    """`base + offset` as a pointer: an embedded struct or array that is not read itself."""

    base: "Node"
    offset: int
    type: Type


@dataclass(frozen=True, slots=True)
class ReadString:
    """The NUL-terminated string at `pointer`, at most `type.size` bytes with its NUL."""

    pointer: "Node"
    type: Str


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`- ~` (right is None) or `+ - * // % << >> & | ^ min max` computed in `type`; operands are
    already converted to it (a shift's count is taken modulo the width)."""

    op: str
    left: "Node"
    right: "Node | None"
    type: Int


@dataclass(frozen=True, slots=True)
class Comparison:
    """`== != < <= > >=` of two numbers converted to one type."""

    op: str
    left: "Node"
    right: "Node"
    type: Bool = BOOL


@dataclass(frozen=True, slots=True)
class Combination:
    """`and`, `or` from left to right, stopping early; `not` has one operand."""

    op: Literal["and", "or", "not"]
    operands: tuple["Node", ...]
    type: Bool = BOOL


@dataclass(frozen=True, slots=True)
class Either:
    """`yes if test else no`; both of `type`."""

    test: "Node"
    yes: "Node"
    no: "Node"
    type: Type


@dataclass(frozen=True, slots=True)
class Convert:
    """An integer, bool or pointer converted to `type` as C converts."""

    value: "Node"
    type: Int | Bool | Pointer


@dataclass(frozen=True, slots=True)
class StringTest:
    """A string compared with a constant: equal, or beginning, ending with, or holding it."""

    op: Literal["equal", "prefix", "suffix", "contains"]
    string: "Node"
    text: bytes
    type: Bool = BOOL


@dataclass(frozen=True, slots=True)
class ByteSwap:
    """Network to host byte order of a 16 or 32 bit integer."""

    value: "Node"
    type: Int


@dataclass(frozen=True, slots=True)
class IpOf:
    """An address as IP: from a u32 in network order (v4), or read through a pointer (v4, v6)."""

    value: "Node"
    type: Ip


@dataclass(frozen=True, slots=True)
class LetRef:
    """The value of a definition, evaluated once an event: `index` into Body.lets."""

    index: int
    name: str
    type: Type


@dataclass(frozen=True, slots=True)
class Captured:
    """A value evaluated at the entry of a paired hook and kept until its return: `index` into
    EntrySide.captures."""

    index: int
    type: Type


@dataclass(frozen=True, slots=True)
class Shown:
    """What user space shows in another form: a number with a table of names (`label`, `errno`), a
    string by a digest of it (`hashed`). In the kernel it is the value itself."""

    value: "Node"
    type: Type
    names: Mapping[int, str] = field(default_factory=dict, compare=False)
    hashed: bool = False


Node = (
    Const
    | TextConst
    | ParamRef
    | Builtin
    | Register
    | Field
    | RawArg
    | UsdtArg
    | Load
    | Address
    | ReadString
    | Arithmetic
    | Comparison
    | Combination
    | Either
    | Convert
    | StringTest
    | ByteSwap
    | IpOf
    | LetRef
    | Captured
    | Shown
)

#: Nodes whose value needs memory to be read, so that it can fail.
READS = (Load, ReadString)


def children(node: Node) -> tuple[Node, ...]:
    """The direct operands of `node`, in evaluation order."""
    match node:
        case Load(base=base) | Address(base=base):
            return (base,)
        case ReadString(pointer=pointer):
            return (pointer,)
        case Arithmetic(left=left, right=right):
            return (left,) if right is None else (left, right)
        case Comparison(left=left, right=right):
            return (left, right)
        case Combination(operands=operands):
            return operands
        case Either(test=test, yes=yes, no=no):
            return (test, yes, no)
        case StringTest(string=string):
            return (string,)
        case Convert(value=value) | ByteSwap(value=value) | IpOf(value=value) | Shown(value=value):
            return (value,)
        case _:
            return ()


def walk(node: Node) -> Iterator[Node]:
    """`node` and everything below it, parents first (not through LetRef or Captured)."""
    yield node
    for child in children(node):
        yield from walk(child)


def can_fault(node: Node) -> bool:
    """True when evaluating `node` itself reads memory that may not be there."""
    return any(
        isinstance(part, READS) or (isinstance(part, IpOf) and isinstance(part.value.type, Pointer))
        for part in walk(node)
    )


def transform(node: Node, change: Callable[[Node], Node]) -> Node:
    """`node` rebuilt from its leaves upwards, each node passed through `change`."""

    def below(part: Node) -> Node:
        return transform(part, change)

    match node:
        case Load() | Address():
            node = replace(node, base=below(node.base))
        case ReadString():
            node = replace(node, pointer=below(node.pointer))
        case Arithmetic():
            right = None if node.right is None else below(node.right)
            node = replace(node, left=below(node.left), right=right)
        case Comparison():
            node = replace(node, left=below(node.left), right=below(node.right))
        case Combination():
            node = replace(node, operands=tuple(map(below, node.operands)))
        case Either():
            node = replace(node, test=below(node.test), yes=below(node.yes), no=below(node.no))
        case StringTest():
            node = replace(node, string=below(node.string))
        case Convert() | ByteSwap() | IpOf() | Shown():
            node = replace(node, value=below(node.value))
        case _:
            pass
    return change(node)
