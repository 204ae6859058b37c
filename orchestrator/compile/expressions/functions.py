"""The functions of the expression language, each from typed arguments to a node."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from orchestrator.compile.expressions.arithmetic import converted, extreme, integer
from orchestrator.compile.expressions.endpoints import of_sockaddr, of_socket
from orchestrator.compile.expressions.members import spelled_type, struct_id
from orchestrator.compile.expressions.nodes import (
    Address,
    Arithmetic,
    ByteSwap,
    Const,
    Field,
    IpOf,
    Load,
    Node,
    ReadBytes,
    ReadString,
    ReadStrings,
    Shown,
    StringTest,
    TextConst,
)
from orchestrator.compile.expressions.paths import path_of
from orchestrator.compile.expressions.types import (
    U16,
    U32,
    U64,
    Array,
    Bool,
    Buffer,
    Int,
    Ip,
    Path,
    Pointer,
    Str,
    Strings,
    Struct,
)
from orchestrator.kernel.facts import KernelFacts
from orchestrator.kernel.syscalls import syscalls
from orchestrator.plan.findings import Position, plan_error

DEFAULT_STRING = 128
MAX_STRING = 4096
MAX_BUFFER = 256
# Bytes of strs() and path(); as many as stand by default have room in a metric's key.
DEFAULT_NAMES, MIN_NAMES, MAX_NAMES = 192, 16, 512

Function = Callable[[KernelFacts, tuple[Node, ...], Position], Node]


def _pointer(node: Node, name: str, position: Position) -> Node:
    """`node` as something that has an address: pointers as they are, 64-bit numbers taken for
    kernel pointers."""
    match node.type:
        case Pointer():
            return node
        case Struct(space=space, type_id=type_id) if isinstance(node, Address):
            return replace(node, type=Pointer(space, type_id))
        case Array(space=space, element=element) if isinstance(node, Address):
            return replace(node, type=Pointer(space, element))
        case Int(bits=64):
            return converted(node, Pointer("kernel"))
        case other:
            raise plan_error("PP084", f"{name} needs a pointer, not a {other}", position)


def _text(node: Node, name: str, position: Position) -> bytes:
    if not isinstance(node, TextConst):
        raise plan_error("PP084", f"{name} needs a constant string there", position)
    return node.value


def _number(node: Node, name: str, position: Position) -> int:
    if not isinstance(node, Const):
        raise plan_error("PP084", f"{name} needs a constant number there", position)
    return node.value


def _str(_facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    size = _number(args[1], "str", position) if len(args) > 1 else DEFAULT_STRING
    if not 2 <= size <= MAX_STRING:
        raise plan_error(
            "PP086",
            f"a string of {size} bytes",
            position,
            f"from 2 to {MAX_STRING}, the closing NUL included",
        )
    if isinstance(args[0].type, Str):
        return args[0] if len(args) == 1 else _resized(args[0], size)
    return ReadString(_pointer(args[0], "str", position), Str(size))


def _resized(node: Node, size: int) -> Node:
    if isinstance(node, Field | Load | ReadString):
        return replace(node, type=Str(min(size, _size(node))))
    return node


def _size(node: Node) -> int:
    return node.type.size if isinstance(node.type, Str) else MAX_STRING


def _load(facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    pointer = _pointer(args[1], "load", position)
    space = pointer.type.space if isinstance(pointer.type, Pointer) else "kernel"
    kind = spelled_type(facts, _text(args[0], "load", position).decode(), space, position)
    return Load(pointer, 0, kind)


def _cast(facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    text = _text(args[1], "cast", position).decode()
    if isinstance(args[0].type, Int | Bool) and not text.strip().startswith(("struct ", "union ")):
        kind = spelled_type(facts, text, "kernel", position)
        if isinstance(kind, Int | Bool | Pointer):
            return converted(args[0], kind)
    pointer = _pointer(args[0], "cast", position)
    space = pointer.type.space if isinstance(pointer.type, Pointer) else "kernel"
    target = struct_id(facts, text.removesuffix("*").strip(), position)
    return _pointing(pointer, Pointer(space, target))


def _pointing(node: Node, kind: Pointer) -> Node:
    """The same address under another pointer type, without a conversion where none is needed."""
    if isinstance(node, Address | Load):
        return replace(node, type=kind)
    return converted(node, kind)


def _user(_facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    pointer = _pointer(args[0], "user", position)
    target = pointer.type.target if isinstance(pointer.type, Pointer) else 0
    return _pointing(pointer, Pointer("user", target))


def _ntohs(_facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    return ByteSwap(converted(integer(args[0], position), U16), U16)


def _ntohl(_facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    return ByteSwap(converted(integer(args[0], position), U32), U32)


def _ip(version: int) -> Function:
    size = 4 if version == 4 else 16
    kind = Ip(4) if version == 4 else Ip(6)

    def make(_facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
        node = args[0]
        if isinstance(node, Field) and node.field.kind == "array" and node.field.size == size:
            return replace(node, type=kind)
        if version == 4 and isinstance(node.type, Int):
            return IpOf(converted(node, U32), kind)
        if isinstance(node.type, Pointer | Struct | Array):
            return IpOf(_pointer(node, f"ipv{version}", position), kind)
        raise plan_error(
            "PP084", f"ipv{version} needs an address of {size} bytes, not a {node.type}", position
        )

    return make


def _extreme(op: str) -> Function:
    def make(_facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
        left, right = args
        return extreme(op, left, right, position)

    return make


def _startswith(_facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    return StringTest(
        "prefix", _string(args[0], "startswith", position), _text(args[1], "startswith", position)
    )


def _string(node: Node, name: str, position: Position) -> Node:
    if not isinstance(node.type, Str):
        hint = "read it: str(p)"
        if isinstance(node.type, Path):
            hint = (
                "a path is put together for records alone; its last part is a string: "
                "str(file.f_path.dentry.d_name.name), str(dentry.d_name.name)"
            )
        raise plan_error("PP084", f"{name} needs a string, not a {node.type}", position, hint)
    return node


def _glob(_facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    return glob_test(_string(args[0], "glob", position), _text(args[1], "glob", position), position)


def glob_test(string: Node, pattern: bytes, position: Position) -> Node:
    """A glob with `*` at one end or both, or none at all."""
    bare = pattern.strip(b"*")
    if b"*" in bare or b"?" in bare or b"[" in bare:
        raise plan_error(
            "PP086",
            f"the glob {pattern.decode(errors='replace')!r} is too general",
            position,
            "a `*` may stand at the beginning, at the end, or both",
        )
    starts, ends = pattern.startswith(b"*"), pattern.endswith(b"*")
    if starts and ends:
        return StringTest("contains", string, bare)
    if starts or ends:
        return StringTest("suffix" if starts else "prefix", string, bare)
    return StringTest("equal", string, bare)


def _buf(_facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    pointer, length, most = _pointer(args[0], "buf", position), args[1], MAX_BUFFER
    match length:
        case Const(value=size):
            most = size
        case Arithmetic(op="min", left=Const(value=size), right=other) if other is not None:
            length, most = other, size
        case Arithmetic(op="min", left=other, right=Const(value=size)):
            length, most = other, size
    if not 1 <= most <= MAX_BUFFER:
        raise plan_error(
            "PP086",
            f"a buffer of {most} bytes",
            position,
            f"from 1 to {MAX_BUFFER}; buf(p, min(n, 64)) bounds one whose length the event tells",
        )
    return ReadBytes(pointer, integer(length, position, "the length"), Buffer(most))


def _bounded(args: tuple[Node, ...], name: str, position: Position) -> int:
    size = _number(args[1], name, position) if len(args) > 1 else DEFAULT_NAMES
    if not MIN_NAMES <= size <= MAX_NAMES:
        raise plan_error(
            "PP086", f"{name} of {size} bytes", position, f"from {MIN_NAMES} to {MAX_NAMES}"
        )
    return size // 8 * 8


def _strs(_facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    return ReadStrings(
        _pointer(args[0], "strs", position), Strings(_bounded(args, "strs", position))
    )


def _path(facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    size = _bounded(args, "path", position)
    return path_of(facts, _pointer(args[0], "path", position), size, position)


def _end(name: str) -> Function:
    def make(facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
        return of_socket(facts, _pointer(args[0], name, position), name == "remote", position)

    return make


def _sockaddr(_facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    length = integer(args[1], position, "the length") if len(args) > 1 else None
    return of_sockaddr(_pointer(args[0], "sockaddr", position), length)


def _flags(_facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    value, (prefix, _) = integer(args[0], position), _group("flags", args, position)
    return Shown(value, value.type, form="flags", prefix=prefix)


def _ksym(_facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    address = converted(integer(args[0], position), U64)
    return Shown(address, U64, form="symbol")


def _devname(_facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    number = converted(integer(args[0], position), U32)
    return Shown(number, U32, form="device")


def _hash(_facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    value = args[0]
    if isinstance(value.type, Struct | Array):
        raise plan_error("PP084", f"hash needs a value, not a {value.type}", position)
    return Shown(value, value.type, hashed=True)


def _errno(_facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    from orchestrator.kernel.constants import names_of

    value = integer(args[0], position)
    return Shown(value, value.type, {-code: name for code, name in names_of("E").items()})


def _label(facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    value = integer(args[0], position)
    if len(args) > 1 and isinstance(args[1], TextConst) and args[1].value == b"SYS_":
        numbers = syscalls(facts.arch)
        calls = {code: name.removeprefix("SYS_") for name, code in numbers.items()}
        return Shown(value, value.type, calls)
    return Shown(value, value.type, _group("label", args, position)[1])


def _group(
    function: str, args: tuple[Node, ...], position: Position
) -> tuple[str, Mapping[int, str]]:
    """The prefix that a plan names, and the constants of that group."""
    from orchestrator.kernel.constants import GROUPS, names_of

    prefix = _text(args[1], function, position).decode() if len(args) > 1 else ""
    names = names_of(prefix)
    if not names:
        raise plan_error(
            "PP084",
            f"no constants are known that begin with {prefix!r}"
            if prefix
            else f"{function} needs the prefix of its names",
            position,
            f"one of {', '.join((*GROUPS, 'SYS_'))}",
        )
    return prefix, names


#: name → (fewest arguments, most, how). `either` and `entry` are forms of their own (typing).
FUNCTIONS: Mapping[str, tuple[int, int, Function]] = {
    "str": (1, 2, _str),
    "load": (2, 2, _load),
    "cast": (2, 2, _cast),
    "user": (1, 1, _user),
    "ntohs": (1, 1, _ntohs),
    "ntohl": (1, 1, _ntohl),
    "ipv4": (1, 1, _ip(4)),
    "ipv6": (1, 1, _ip(6)),
    "min": (2, 2, _extreme("min")),
    "max": (2, 2, _extreme("max")),
    "startswith": (2, 2, _startswith),
    "glob": (2, 2, _glob),
    "buf": (2, 2, _buf),
    "strs": (1, 2, _strs),
    "path": (1, 2, _path),
    "local": (1, 1, _end("local")),
    "remote": (1, 1, _end("remote")),
    "sockaddr": (1, 2, _sockaddr),
    "flags": (2, 2, _flags),
    "ksym": (1, 1, _ksym),
    "devname": (1, 1, _devname),
    "hash": (1, 1, _hash),
    "errno": (1, 1, _errno),
    "label": (1, 2, _label),
}
