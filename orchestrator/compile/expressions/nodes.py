"""Typed expressions: what is evaluated at a hook, in terms of the kernel at hand.

Evaluation semantics, common to the reference evaluator, the C that we generate and what tracefs
computes: a read that fails anywhere in the part that is evaluated makes the whole expression null
(`and`, `or` and `A if C else B` evaluate only what they need); x // 0 and x % 0 are 0 and counted.
Nodes compare by value, so equal subexpressions are found by equality.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from typing import Any, Literal

from orchestrator.compile.expressions.types import (
    BOOL,
    U64,
    Bool,
    Buffer,
    Endpoint,
    Int,
    Ip,
    KernelPath,
    PacketValue,
    Pointer,
    StackId,
    Str,
    StringList,
    Tuple,
    Type,
)
from orchestrator.kernel.tracepoints import TraceField
from orchestrator.values import dataclass

BuiltinName = Literal[
    "pid",
    "tid",
    "uid",
    "gid",
    "comm",
    "cpu",
    "cgroup",
    "compat",
    "now",
    "elapsed",
    "retval",
    "task",
    "running_task",
    "func",
    "probe",
    "open_for",
    "depth",
    "kstack",
    "ustack",
]

#: What a number means, when it is not shown as a number.
ShownForm = Literal["", "errno", "flags", "bits", "symbol", "device", "cgroup", "container"]


@dataclass(frozen=True, slots=True)
class Const:
    """An integer or boolean known at compile time. `enumerator`: the kernel's own name of it, where
    only its BTF says the value."""

    value: int
    type: Int | Bool | Pointer
    enumerator: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class FuncNumber(Const):
    """What `func` is in keys: which attach point it is. Equal to that of any other, so that hooks
    that do the same have equal bodies."""

    value: int = field(compare=False)


@dataclass(frozen=True, slots=True)
class TextConst:
    """A string known at compile time."""

    value: bytes
    type: Str


@dataclass(frozen=True, slots=True)
class Unseen:
    """A value that only a kernel can say more of, where a plan is checked without one
    (`compile/kernel_free`); no program has it."""

    type: Type


@dataclass(frozen=True, slots=True)
class ParamRef:
    """A scalar param, read from slot `slot` of the control element's params at run time."""

    name: str
    slot: int
    type: Int | Bool


@dataclass(frozen=True, slots=True)
class Builtin:
    """A value at the time of the event: the current task's ids and comm, whether it is in a 32-bit
    system call (`compat`), the clock (ns), the return
    value, the address of the event's task_struct (`task`) and of that of the task that runs
    (`running_task`, which names the event's task), the age of the span that ends
    (`open_for`). `depth`: of a stack, the most frames that are kept; 0: as many as there is room
    for."""

    name: BuiltinName
    type: Type
    depth: int = 0


@dataclass(frozen=True, slots=True)
class KernelSymbol:
    """The address of a variable of the kernel, which changes with each boot. 0: a recording, which
    has no addresses."""

    name: str
    address: int = field(compare=False)
    type: Pointer = field(default_factory=lambda: Pointer("kernel"))


@dataclass(frozen=True, slots=True)
class UserSymbol:
    """An address in the memory of the running task, kept as a stack of one frame is, so that it is
    named as those are; 0 is kept as no frame."""

    value: "Node"
    type: StackId = field(default_factory=lambda: StackId("user", single=True))


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
    Its type is Int, Pointer or Str; `field.kind` is its layout in the record."""

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
    reads a char array of that size up to its NUL. `member`: the member, `STRUCT.NAME`, whose offset
    in its structure `offset` is; "" where it is no member's."""

    base: "Node"
    offset: int
    type: Type
    bit_offset: int = 0
    bit_size: int = 0
    member: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Address:
    """`base + offset` as a pointer: an embedded struct or array that is not read itself. `member`:
    as in Load."""

    base: "Node"
    offset: int
    type: Type
    member: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class ReadString:
    """The NUL-terminated string at `pointer`, at most `type.size` bytes with its NUL; where there
    is a `length`, also at most so many bytes of text, none for one below 0."""

    pointer: "Node"
    type: Str
    length: "Node | None" = None


@dataclass(frozen=True, slots=True)
class ReadBytes:
    """The `length` bytes at `pointer`, at most `type.size`; none for a length below 0. As a list of
    strings they are strings, one after another, each with its NUL."""

    pointer: "Node"
    length: "Node"
    type: Buffer | StringList


@dataclass(frozen=True, slots=True)
class ReadStrings:
    """The strings to which an array of pointers at `pointer` points, up to a null pointer; the
    pointers and the strings are in `pointer.type.space`."""

    pointer: "Node"
    type: StringList


@dataclass(frozen=True, slots=True, kw_only=True)
class PathOffsets:
    """Offsets of a path's parts, in bytes: of struct dentry its parent, its name's address and
    length; of struct mount its struct vfsmount, that one's root, its mount point and the mount
    around it."""

    parent: int
    name: int
    length: int = 0
    vfsmount: int = 0
    root: int = 0
    mountpoint: int = 0
    around: int = 0


@dataclass(frozen=True, slots=True)
class ReadPath:
    """The names from `dentry` up to the root: of the mount namespace where the struct vfsmount at
    `mount` is known, else of the file system."""

    dentry: "Node"
    mount: "Node | None"
    offsets: PathOffsets
    type: KernelPath


@dataclass(frozen=True, slots=True)
class PathTest:
    """Whether the path that ReadPath would read is `text`, is it or below it (`under`), or ends
    with it. Compared name by name, the last first; null where the root is too far."""

    op: Literal["equal", "under", "suffix"]
    path: ReadPath
    text: bytes
    type: Bool = BOOL


@dataclass(frozen=True, slots=True)
class FamilyIp:
    """The IP address at `v4` or `v6`, as `family` (AF_INET, AF_INET6) says; null for others."""

    family: "Node"
    v4: "Node"
    v6: "Node"
    type: Ip


@dataclass(frozen=True, slots=True)
class ValueWhere:
    """`value` where the number `subject` is one of `among`; null elsewhere, where it is not read:
    what only some addresses and packets have."""

    subject: "Node"
    among: tuple[int, ...]
    value: "Node"
    type: Int | Bool | Str


@dataclass(frozen=True, slots=True)
class EndpointOf:
    """One end of a connection, or an address that a program passes: `family` says which of the
    addresses is read; `unix` is the address of a Unix socket's path, None where there is none;
    `length` is that of the whole struct sockaddr, which ends the name of an abstract socket."""

    family: "Node"
    port: "Node"
    v4: "Node"
    v6: "Node"
    unix: "Node | None"
    length: "Node | None"
    type: Endpoint


@dataclass(frozen=True, slots=True)
class PacketOf:
    """A packet, of which only members have values: where its network header is, its family (0: no
    packet of IP, or its header is not there) and how many bytes there are from the header on."""

    header: "Node"
    family: "Node"
    room: "Node"
    type: PacketValue = field(default_factory=PacketValue)


@dataclass(frozen=True, slots=True)
class TransportOf:
    """Where the transport header of a packet of IP begins, in bytes from `header`, with its
    protocol: a number of TRANSPORT_* parts. `family` and `room` as in PacketOf. Null where the
    headers before it lead out of the packet's room, or are too many, and for other families."""

    header: "Node"
    family: "Node"
    room: "Node"
    type: Int = U64


#: Parts of a TransportOf (PP_TRANSPORT_*, probeplan/runtime.h): the protocol is its lowest byte; a
#: bit that is set where the header is not there, in a later fragment or behind the room; its place
#: above.
TRANSPORT_ABSENT, TRANSPORT_PLACE_SHIFT = 1 << 8, 16


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
class IpWord:
    """Word `index` (32 bits, as in memory) of an address that is a field of the event's record, or
    that is kept: of one whose version each event has, that is its word 0."""

    value: "Node"
    index: int
    type: Int


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
class SpanValue:
    """At a span's end, a value kept by its start or via: `index` into SpanProgram.kept."""

    index: int
    type: Type
    nullable: bool
    name: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Seen:
    """At a span's end: whether its via was seen."""

    type: Bool = BOOL


@dataclass(frozen=True, slots=True)
class NoteValue:
    """A value that a note keeps by the key: `index` into NoteProgram.kept of the note number
    `note`; null where nothing is kept."""

    note: int
    index: int
    key: tuple["Node", ...]
    type: Type
    name: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Noted:
    """Whether the note number `note` is kept by the key."""

    note: int
    key: tuple["Node", ...]
    name: str = field(default="", compare=False)
    type: Bool = BOOL


@dataclass(frozen=True, slots=True)
class Several:
    """A tuple of values; only keys may be tuples."""

    items: tuple["Node", ...]
    type: Tuple


@dataclass(frozen=True, slots=True)
class ShownAs:
    """A value that user space shows in another form: a number by a table of names (`label`; one
    that is not in it by `otherwise`, unless that is "") or by its `form` (the name of an error,
    flags of the group `prefix`, bits by a table, a symbol, a device), any value by a digest of it
    (`hashed`). In the kernel it is the value itself."""

    value: "Node"
    type: Type
    names: Mapping[int, str] = field(default_factory=dict, compare=False)
    hashed: bool = False
    form: ShownForm = ""
    prefix: str = ""
    otherwise: str = field(default="", compare=False)


Node = (
    Const
    | TextConst
    | ParamRef
    | Builtin
    | KernelSymbol
    | UserSymbol
    | Register
    | Field
    | RawArg
    | UsdtArg
    | Load
    | Address
    | ReadString
    | ReadBytes
    | ReadStrings
    | ReadPath
    | PathTest
    | FamilyIp
    | ValueWhere
    | TransportOf
    | EndpointOf
    | PacketOf
    | Arithmetic
    | Comparison
    | Combination
    | Either
    | Convert
    | StringTest
    | ByteSwap
    | IpOf
    | IpWord
    | LetRef
    | Captured
    | SpanValue
    | Seen
    | NoteValue
    | Noted
    | Several
    | ShownAs
    | Unseen
)


#: Turns a value that is used several times into a definition that is evaluated once.
ShareNode = Callable[[Node], Node]


@dataclass(frozen=True, slots=True, kw_only=True)
class Let:
    """A definition in use at a hook; evaluated once, where it is first needed."""

    name: str
    node: Node


#: Nodes whose value needs memory to be read, so that it can fail.
READS = (
    *(Load, ReadString, ReadBytes, ReadStrings, ReadPath, PathTest),
    *(FamilyIp, ValueWhere, EndpointOf, TransportOf),
)


#: The fields of each kind of node that hold its operands, in evaluation order: a node, a tuple of
#: nodes, or None.
_OPERANDS: Mapping[type, tuple[str, ...]] = {
    Load: ("base",),
    Address: ("base",),
    ReadString: ("pointer", "length"),
    ReadBytes: ("pointer", "length"),
    ReadStrings: ("pointer",),
    ReadPath: ("dentry", "mount"),
    PathTest: ("path",),
    FamilyIp: ("family", "v4", "v6"),
    ValueWhere: ("subject", "value"),
    TransportOf: ("header", "family", "room"),
    EndpointOf: ("family", "port", "v4", "v6", "unix", "length"),
    PacketOf: ("header", "family", "room"),
    Arithmetic: ("left", "right"),
    Comparison: ("left", "right"),
    Combination: ("operands",),
    Either: ("test", "yes", "no"),
    Several: ("items",),
    NoteValue: ("key",),
    Noted: ("key",),
    StringTest: ("string",),
    Convert: ("value",),
    ByteSwap: ("value",),
    IpOf: ("value",),
    IpWord: ("value",),
    ShownAs: ("value",),
    UserSymbol: ("value",),
}


def children(node: Node) -> tuple[Node, ...]:
    """The direct operands of `node`, in evaluation order."""
    operands: list[Node] = []
    for name in _OPERANDS.get(type(node), ()):
        part = getattr(node, name)
        operands += part if isinstance(part, tuple) else () if part is None else (part,)
    return tuple(operands)


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


def may_be_null(node: Node, lets: Sequence[Node], captures: Sequence[Node]) -> bool:
    """Whether evaluating `node` can fail, through definitions and captured values too."""
    match node:
        case LetRef(index=index):
            return may_be_null(lets[index], lets, captures)
        case Captured(index=index):
            return may_be_null(captures[index], lets, captures)
        case SpanValue(nullable=nullable):
            return nullable
        case NoteValue():
            return True
        case Noted():
            return False
        case StringTest() | UsdtArg():
            return True
        case Field():
            return not isinstance(node.type, Int | Bool | Pointer)
    return can_fault(node) or any(may_be_null(part, lets, captures) for part in children(node))


def transform(node: Node, change: Callable[[Node], Node]) -> Node:
    """`node` rebuilt from its leaves upwards, each node passed through `change`."""

    def below(part: Any) -> Any:
        if isinstance(part, tuple):
            return tuple(map(below, part))
        return None if part is None else transform(part, change)

    names = _OPERANDS.get(type(node), ())
    if names:
        node = replace(node, **{name: below(getattr(node, name)) for name in names})
    return change(node)
