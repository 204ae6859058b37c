"""Buffers, lists of strings, paths and addresses of sockets, read to where they are wanted.

All of them are read by helpers into the record, key or frame itself: the BPF stack has no room for
them. Statements set `fault`, and `cut` where there was more than room.
"""

from orchestrator.backends.bcc.emit.nodes import EmitError, Expressions, is_user
from orchestrator.compile.expressions.nodes import (
    EndpointOf,
    FamilyIp,
    Node,
    ReadBytes,
    ReadPath,
    ReadStrings,
)
from orchestrator.compile.expressions.types import Int, Path, Strings, size_of

AF_UNIX, AF_INET, AF_INET6 = 1, 2, 10  # include/linux/socket.h
_STEPS = 40  # strings or names that are followed, beside the pieces that long ones take
_PIECE = 31
_UNIX_PATH, _PATH_AT = 108, 2  # sun_path (include/uapi/linux/un.h)


def store(e: Expressions, node: Node, to: str) -> bool:
    """Write the statements that put `node` at `to`; False for a node of another kind."""
    match node:
        case ReadBytes():
            _bytes(e, node, to)
        case ReadStrings(pointer=pointer, type=kind):
            _cleared(e, to, size_of(kind))
            e.writer.line(
                f"pp_strings({int(is_user(pointer))}, {to}, {kind.size}, {_steps(kind)}, "
                f"{e.number(pointer)}, &fault, &cut);"
            )
        case ReadPath():
            _path(e, node, to)
        case FamilyIp():
            _family_ip(e, node, to)
        case EndpointOf():
            _endpoint(e, node, to)
        case _:
            return False
    return True


def _cleared(e: Expressions, to: str, size: int) -> None:
    """Equal values have to be equal bytes, and a slot of the ring holds what was there before."""
    e.writer.line(f"pp_zero({to}, {size});")


def _steps(kind: Strings | Path) -> int:
    return _STEPS + kind.size // _PIECE


def _bytes(e: Expressions, node: ReadBytes, to: str) -> None:
    most, kind = node.type.size, node.length.type
    if not isinstance(kind, Int):
        raise EmitError("the length of a buffer is no number")
    address, length = e.number(node.pointer), e.number(node.length)
    _cleared(e, to, size_of(node.type))
    with e.writer.block():
        line = e.writer.line
        line(f"u64 from = {address};")
        if kind.signed:
            line(f"s64 wanted = {length};")
            line("u64 size = wanted < 0 ? 0 : (u64)wanted;")
        else:
            line(f"u64 size = {length};")
        line(f"cut = size > {most};")
        line(f"if (size > {most})")
        line(f"\tsize = {most};")
        # The compiler knows what the verifier, on another way through, does not: bound it again.
        line("PP_OPAQUE(size);")
        line(f"if (size > {most})")
        line(f"\tsize = {most};")
        line(f"*(u32 *)({to}) = (u32)size;")
        line(f"if (size && pp_read({int(is_user(node.pointer))}, {to} + 4, size, from))")
        line("\tfault = 1;")


def _path(e: Expressions, node: ReadPath, to: str) -> None:
    at = node.offsets
    offsets = (at.parent, at.name, at.vfsmount, at.root, at.mountpoint, at.around)
    dentry = e.number(node.dentry)
    mount = "0, 0" if node.mount is None else f"1, {e.number(node.mount)}"
    _cleared(e, to, size_of(node.type))
    with e.writer.block():
        line = e.writer.line
        line(f"const struct pp_path_offsets at = {{{', '.join(map(str, offsets))}}};")
        line(
            f"pp_path({to}, {node.type.size}, {_steps(node.type)}, {dentry}, {mount}, &at, "
            "&fault, &cut);"
        )


def _family_ip(e: Expressions, node: FamilyIp, to: str) -> None:
    family, v4, v6 = e.number(node.family), e.number(node.v4), e.number(node.v6)
    user = int(is_user(node.v4))
    _cleared(e, to, size_of(node.type))
    with e.writer.block():
        line = e.writer.line
        line(f"u32 family = {family}, size = family == {AF_INET} ? 4 : 16;")
        line(f"*(u32 *)({to}) = family == {AF_INET} ? 4 : 6;")
        line(f"u64 from = family == {AF_INET} ? {v4} : {v6};")
        line(f"if (family != {AF_INET} && family != {AF_INET6})")
        line("\tfault = 1;")
        line(f"else if (family == {AF_INET} ? {_ip(user, to, 4)} : {_ip(user, to, 16)})")
        line("\tfault = 1;")


def _ip(user: int, to: str, size: int) -> str:
    return f"pp_read({user}, {to} + 4, {size}, from)"


def _endpoint(e: Expressions, node: EndpointOf, to: str) -> None:
    family, port = e.number(node.family), e.number(node.port)
    v4, v6, user = e.number(node.v4), e.number(node.v6), int(is_user(node.v4))
    unix = None if node.unix is None else e.number(node.unix)
    length = None if node.length is None else e.number(node.length)
    _cleared(e, to, size_of(node.type))
    writer = e.writer
    with writer.block():
        writer.line(f"u32 family = {family};")
        writer.line("u64 from = 0;")
        writer.line(f"*(u16 *)({to}) = (u16)family;")
        with writer.block(f"if (family == {AF_INET} || family == {AF_INET6})"):
            writer.line(f"*(u16 *)({to} + 2) = {port};")
            writer.line(f"from = family == {AF_INET} ? {v4} : {v6};")
            writer.line(f"if (family == {AF_INET} ? {_ip(user, to, 4)} : {_ip(user, to, 16)})")
            writer.line("\tfault = 1;")
        if unix is not None:
            with writer.block(f"else if (family == {AF_UNIX})"):
                _unix(e, unix, length, user, to)
        writer.line("else")
        writer.line("\tfault = 1;")


def _unix(e: Expressions, address: str, length: str | None, user: int, to: str) -> None:
    """A path, or behind a NUL an abstract name, which nothing but the length ends."""
    line = e.writer.line
    line(f"from = {address};")
    if length is not None:
        line(f"u64 size = (u64)({length}) - {_PATH_AT};")
        line(f"if ((s64)size < 0 || size > {_UNIX_PATH})")
        line(f"\tsize = (s64)size < 0 ? 0 : {_UNIX_PATH};")
        line("PP_OPAQUE(size);")
        line(f"if (size > {_UNIX_PATH})")
        line(f"\tsize = {_UNIX_PATH};")
        line(f"if (size && pp_read({user}, {to} + 4, size, from))")
        line("\tfault = 1;")
        return
    line("u8 first = 0;")
    line(f"if (pp_read({user}, &first, 1, from))")
    line("\tfault = 1;")
    path, name = _text(user, to, 4, _UNIX_PATH), _text(user, to, 5, _UNIX_PATH - 1)
    line(f"else if (first ? {path} : {name})")
    line("\tfault = 1;")


def _text(user: int, to: str, at: int, size: int) -> str:
    return f"pp_read_str({user}, {to} + {at}, {size}, from + {at - 4}) < 0"
