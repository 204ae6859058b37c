"""The functions of the expression language, each from typed arguments to a node."""

from collections.abc import Callable, Mapping
from dataclasses import replace

from orchestrator.compile.expressions.arithmetic import convert_node, make_extreme, require_integer
from orchestrator.compile.expressions.members import (
    find_number_type,
    find_pointee,
    is_bare_pointer,
    parse_type,
)
from orchestrator.compile.expressions.network.endpoints import sockaddr_endpoint, socket_endpoint
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
    ShownAs,
    StringTest,
    TextConst,
    Unseen,
    ValueWhere,
)
from orchestrator.compile.expressions.paths import make_path_node
from orchestrator.compile.expressions.types import (
    U16,
    U32,
    U64,
    Array,
    Bool,
    Buffer,
    Int,
    Ip,
    KernelPath,
    Pointer,
    Str,
    StringList,
    Struct,
    Type,
    UnknownType,
    size_of,
)
from orchestrator.compile.expressions.variables import make_symbol
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import Position, plan_error

DEFAULT_STRING = 128
MAX_STRING = 4096
MAX_BUFFER = 256
# Bytes of strs() and path(); the default fits into a metric's key.
DEFAULT_NAMES, MIN_NAMES, MAX_NAMES = 192, 16, 512

Function = Callable[[KernelFacts, tuple[Node, ...], Position], Node]


def require_pointer(node: Node, name: str, position: Position) -> Node:
    """`node` as something that has an address: pointers as they are, 64-bit numbers as pointers
    into the memory of which they are an address. Raises PlanError, which says that `name` needs
    one."""
    match node.type:
        case Pointer():
            return node
        case Struct(space=space, type_id=type_id) if isinstance(node, Address):
            return replace(node, type=Pointer(space, type_id))
        case Array(space=space, element=element) if isinstance(node, Address):
            return replace(node, type=Pointer(space, element))
        case UnknownType():
            return Unseen(Pointer("kernel", assumed=True))
        case Int(bits=64, space="both"):
            raise plan_error(
                "PP084",
                f"{name} of an address that is made of a kernel pointer and one of user memory",
                position,
                "say which it is: user(p) for an address of user memory",
            )
        case Int(bits=64, space=space):
            return convert_node(
                node, Pointer("user" if space == "user" else "kernel", assumed=True)
            )
        case other:
            raise plan_error("PP084", f"{name} needs a pointer, not a {other}", position)


def require_text(node: Node, name: str, position: Position) -> bytes:
    """The constant string that function `name` is given. Raises PlanError."""
    if not isinstance(node, TextConst):
        raise plan_error("PP084", f"{name} needs a constant string there", position)
    return node.value


def _require_number(node: Node, name: str, position: Position) -> int:
    if not isinstance(node, Const):
        raise plan_error("PP084", f"{name} needs a constant number there", position)
    return node.value


def _bound_length(length: Node) -> tuple[Node, int | None]:
    """A length that the event gives without its constant bound, `min(n, 64)`, and that bound; None:
    it has none."""
    match length:
        case Arithmetic(op="min", left=Const(value=bound), right=other) if other is not None:
            return other, bound
        case Arithmetic(op="min", left=other, right=Const(value=bound)):
            return other, bound
        case _:
            return length, None


def _make_str(_facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    if len(args) > 1 and not isinstance(args[1], Const):
        return _make_bounded_str(args[0], args[1], position)
    size = _require_number(args[1], "str", position) if len(args) > 1 else DEFAULT_STRING
    if not 2 <= size <= MAX_STRING:
        raise plan_error(
            "PP086",
            f"a string of {size} bytes",
            position,
            f"from 2 to {MAX_STRING}, the closing NUL included",
        )
    if isinstance(args[0].type, Str):
        return args[0] if len(args) == 1 else _resize_string(args[0], size)
    return ReadString(require_pointer(args[0], "str", position), Str(size))


def _make_bounded_str(value: Node, length: Node, position: Position) -> Node:
    """A string of as many bytes as the event says: it may have no NUL."""
    if isinstance(value.type, Str):
        hint = "str(args.name, 16); a length from the event goes with a pointer"
        raise plan_error("PP084", "a string is cut to a constant length", position, hint)
    pointer = require_pointer(value, "str", position)
    length, bound = _bound_length(length)
    size = DEFAULT_STRING if bound is None else bound + 1
    if not 2 <= size <= MAX_STRING:
        hint = f"from 1 to {MAX_STRING - 1}: str(p, min(n, 64))"
        raise plan_error("PP086", f"a string of {bound} bytes", position, hint)
    return ReadString(pointer, Str(size), require_integer(length, position, "the length"))


def _make_text(_facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    kind = args[0].type
    if not isinstance(kind, Buffer):
        hint = "text(buf(p, n)); str(p) reads a string that ends with a NUL"
        raise plan_error("PP084", f"text() shows a buffer, not a {kind}", position, hint)
    return ShownAs(args[0], replace(kind, text=True))


def _resize_string(node: Node, size: int) -> Node:
    kind = Str(min(size, _string_size(node)))
    if isinstance(node, ValueWhere):
        return replace(node, value=_resize_string(node.value, size), type=kind)
    return replace(node, type=kind) if isinstance(node, Field | Load | ReadString) else node


def _string_size(node: Node) -> int:
    return node.type.size if isinstance(node.type, Str) else MAX_STRING


def _make_load(facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    pointer = require_pointer(args[1], "load", position)
    space = pointer.type.space if isinstance(pointer.type, Pointer) else "kernel"
    kind = parse_type(facts, require_text(args[0], "load", position).decode(), space, position)
    return Load(_assume_pointee(facts, pointer, kind), 0, kind)


def _assume_pointee(facts: KernelFacts, pointer: Node, kind: Type) -> Node:
    """`pointer` as one that is assumed to lead to a `kind`, unless its own type says so."""
    declared = pointer.type
    assert isinstance(declared, Pointer)  # as require_pointer returned it
    table = facts.table_of(declared.target) if declared.target else None
    if table is not None:
        pointee = table.type(declared.target)
        if pointee.kind in ("int", "char", "bool", "enum") and pointee.size == size_of(kind):
            return pointer
    return replace(pointer, type=replace(declared, assumed=True))  # type: ignore[arg-type]  # has one


def _make_cast(facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    text = require_text(args[1], "cast", position).decode()
    number = find_number_type(text)
    if number is not None:
        source = args[0] if isinstance(args[0].type, Int | Bool) else None
        return convert_node(source or require_pointer(args[0], "cast", position), number)
    pointer = require_pointer(args[0], "cast", position)
    space = pointer.type.space if isinstance(pointer.type, Pointer) else "kernel"
    if is_bare_pointer(text):
        return _retarget_pointer(pointer, Pointer(space, assumed=True))
    target = find_pointee(facts, text, position)
    return _retarget_pointer(pointer, Pointer(space, target, assumed=True))


def _retarget_pointer(node: Node, kind: Pointer) -> Node:
    """The same address under another pointer type, without a conversion where none is needed."""
    if isinstance(node, Address | Load):
        return replace(node, type=kind)
    return convert_node(node, kind)


def _make_user(_facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    if isinstance(args[0].type, Int) and args[0].type.bits == 64:
        return convert_node(args[0], Pointer("user", assumed=True))
    pointer = require_pointer(args[0], "user", position)
    target = pointer.type.target if isinstance(pointer.type, Pointer) else 0
    return _retarget_pointer(pointer, Pointer("user", target, assumed=True))


def _make_ntohs(_facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    return ByteSwap(convert_node(require_integer(args[0], position), U16), U16)


def _make_ntohl(_facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    return ByteSwap(convert_node(require_integer(args[0], position), U32), U32)


def _make_ip(version: int) -> Function:
    size = 4 if version == 4 else 16
    kind = Ip(4) if version == 4 else Ip(6)

    def make(_facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
        node = args[0]
        if isinstance(node, Field) and node.field.kind == "array" and node.field.size == size:
            return replace(node, type=kind)
        if version == 4 and isinstance(node.type, Int):
            return IpOf(convert_node(node, U32), kind)
        if isinstance(node.type, Pointer | Struct | Array):
            return IpOf(require_pointer(node, f"ipv{version}", position), kind)
        raise plan_error(
            "PP084", f"ipv{version} needs an address of {size} bytes, not a {node.type}", position
        )

    return make


def _make_min_or_max(op: str) -> Function:
    def make(_facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
        left, right = args
        return make_extreme(op, left, right, position)

    return make


def _make_startswith(_facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    return StringTest(
        "prefix",
        _require_string(args[0], "startswith", position),
        require_text(args[1], "startswith", position),
    )


def _require_string(node: Node, name: str, position: Position) -> Node:
    if isinstance(node.type, UnknownType) and not node.type.scalar:
        return Unseen(Str(DEFAULT_STRING))
    if not isinstance(node.type, Str):
        hint = "read it: str(p)"
        if isinstance(node.type, KernelPath):
            hint = (
                'path(f) == "/etc/passwd", under(f, "/etc") and endswith(path(f), ".conf") test '
                "paths; their last part is a string: str(file.f_path.dentry.d_name.name)"
            )
        raise plan_error("PP084", f"{name} needs a string, not a {node.type}", position, hint)
    return node


def _make_endswith(_facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    text = require_text(args[1], "endswith", position)
    return StringTest("suffix", _require_string(args[0], "endswith", position), text)


def _make_glob(_facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    return glob_test(
        _require_string(args[0], "glob", position),
        require_text(args[1], "glob", position),
        position,
    )


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


def _make_buf(_facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    pointer, (length, bound) = require_pointer(args[0], "buf", position), _bound_length(args[1])
    most = MAX_BUFFER if bound is None else bound
    if isinstance(length, Const):
        most = length.value
    if not 1 <= most <= MAX_BUFFER:
        raise plan_error(
            "PP086",
            f"a buffer of {most} bytes",
            position,
            f"from 1 to {MAX_BUFFER}; buf(p, min(n, 64)) bounds one whose length is in the event",
        )
    return ReadBytes(pointer, require_integer(length, position, "the length"), Buffer(most))


def read_size(args: tuple[Node, ...], name: str, position: Position, *, at: int = 1) -> int:
    """The bytes that a list of names may take: argument `at` of function `name`, or the default.
    Raises PlanError."""
    size = _require_number(args[at], name, position) if len(args) > at else DEFAULT_NAMES
    if not MIN_NAMES <= size <= MAX_NAMES:
        raise plan_error(
            "PP086", f"{name} of {size} bytes", position, f"from {MIN_NAMES} to {MAX_NAMES}"
        )
    return size // 8 * 8


def _make_strs(_facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    return ReadStrings(
        require_pointer(args[0], "strs", position), StringList(read_size(args, "strs", position))
    )


def _make_path(facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    size = read_size(args, "path", position)
    return make_path_node(facts, require_pointer(args[0], "path", position), size, position)


def _make_end(name: str) -> Function:
    def make(facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
        return socket_endpoint(
            facts, require_pointer(args[0], name, position), name == "remote", position
        )

    return make


def _make_sockaddr(_facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    length = require_integer(args[1], position, "the length") if len(args) > 1 else None
    return sockaddr_endpoint(require_pointer(args[0], "sockaddr", position), length)


def _make_ksym(_facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    address = convert_node(require_integer(args[0], position), U64)
    return ShownAs(address, U64, form="symbol")


def _make_devname(_facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    number = convert_node(require_integer(args[0], position), U32)
    return ShownAs(number, U32, form="device")


def _make_cgname(_facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    from orchestrator.plan.expression.linear_pattern import LinearPattern, PatternError

    number = convert_node(require_integer(args[0], position), U64)
    pattern = require_text(args[1], "cgname", position).decode() if len(args) > 1 else ""
    try:
        LinearPattern(pattern)
    except PatternError as error:
        raise plan_error("PP084", f"cgname: {pattern[:60]!r}: {error}", position) from None
    return ShownAs(number, U64, form="cgroup", prefix=pattern)


def _make_hash(_facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    value = args[0]
    if isinstance(value.type, Struct | Array):
        raise plan_error("PP084", f"hash needs a value, not a {value.type}", position)
    return ShownAs(value, value.type, hashed=True)


def _make_errno(_facts: KernelFacts, args: tuple[Node, ...], position: Position) -> Node:
    value = require_integer(args[0], position)
    if isinstance(value.type, Int) and not value.type.signed:
        value = convert_node(value, replace(value.type, signed=True))
    return ShownAs(value, value.type, form="errno")


#: name → (fewest arguments, most, how). `either` and `entry` are special forms (typing.py); those
#: that look at the task are in task_functions.py.
FUNCTIONS: Mapping[str, tuple[int, int, Function]] = {
    "str": (1, 2, _make_str),
    "load": (2, 2, _make_load),
    "cast": (2, 2, _make_cast),
    "user": (1, 1, _make_user),
    "ntohs": (1, 1, _make_ntohs),
    "ntohl": (1, 1, _make_ntohl),
    "ipv4": (1, 1, _make_ip(4)),
    "ipv6": (1, 1, _make_ip(6)),
    "min": (2, 2, _make_min_or_max("min")),
    "max": (2, 2, _make_min_or_max("max")),
    "startswith": (2, 2, _make_startswith),
    "endswith": (2, 2, _make_endswith),
    "glob": (2, 2, _make_glob),
    "buf": (2, 2, _make_buf),
    "text": (1, 1, _make_text),
    "strs": (1, 2, _make_strs),
    "path": (1, 2, _make_path),
    "local": (1, 1, _make_end("local")),
    "remote": (1, 1, _make_end("remote")),
    "sockaddr": (1, 2, _make_sockaddr),
    "ksym": (1, 1, _make_ksym),
    "symbol": (1, 2, make_symbol),
    "devname": (1, 1, _make_devname),
    "cgname": (1, 2, _make_cgname),
    "hash": (1, 1, _make_hash),
    "errno": (1, 1, _make_errno),
}
