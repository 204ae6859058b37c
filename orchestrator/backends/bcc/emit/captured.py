"""Buffers, lists of strings, paths and socket addresses, read into the record, key or frame.

Helpers read them straight to their destination, since they do not fit on the BPF stack. Statements
set `fault`, and `cut` where the value was longer than its destination.
"""

from collections.abc import Callable

from orchestrator.backends.bcc.emit.open_numbers import OpenNumbers
from orchestrator.backends.bcc.emit.paths.conditions import path_offsets
from orchestrator.backends.bcc.emit.site import EmitError, is_user
from orchestrator.backends.bcc.emit.writer import CWriter
from orchestrator.compile.expressions.nodes import (
    EndpointOf,
    FamilyIp,
    Node,
    ReadBytes,
    ReadPath,
    ReadStrings,
)
from orchestrator.compile.expressions.types import Int, KernelPath, StringList, size_of

__all__ = ["CapturedValues"]

AF_UNIX, AF_INET, AF_INET6 = 1, 2, 10  # include/linux/socket.h
_STEPS = 40  # strings or names that are followed, besides the pieces that long ones take
_PIECE = 31
_UNIX_PATH, _PATH_AT = 108, 2  # sun_path (include/uapi/linux/un.h)


class CapturedValues:
    """Values of many bytes in one C function. `number` makes the C expression of a number node;
    `numbers`: those that the text leaves open."""

    def __init__(
        self, writer: CWriter, number: Callable[[Node], str], numbers: OpenNumbers
    ) -> None:
        self.writer, self.number, self.numbers = writer, number, numbers

    def store(self, node: Node, to: str) -> bool:
        """Write the statements that put `node` at `to`; False, and nothing written, for a node of
        another kind."""
        match node:
            case ReadBytes():
                self._store_bytes(node, to)
            case ReadStrings():
                self._store_strings(node, to)
            case ReadPath():
                self._store_path(node, to)
            case FamilyIp():
                self._store_family_ip(node, to)
            case EndpointOf():
                self._store_endpoint(node, to)
            case _:
                return False
        return True

    def _clear_place(self, to: str, size: int) -> None:
        """Equal values have to be equal bytes, and a slot of the ring holds an older record."""
        self.writer.line(f"pp_zero({to}, {size});")

    def _store_strings(self, node: ReadStrings, to: str) -> None:
        kind, user = node.type, int(is_user(node.pointer))
        self._clear_place(to, size_of(kind))
        self.writer.line(
            f"pp_strings({user}, {to}, {kind.size}, {_count_steps(kind)}, "
            f"{self.number(node.pointer)}, &fault, &cut);"
        )

    def _store_bytes(self, node: ReadBytes, to: str) -> None:
        most, kind = node.type.size, node.length.type
        if not isinstance(kind, Int):
            raise EmitError("the length of a buffer is not a number")
        address, length = self.number(node.pointer), self.number(node.length)
        self._clear_place(to, size_of(node.type))
        with self.writer.block():
            line = self.writer.line
            line(f"u64 from = {address};")
            if kind.signed:
                line(f"s64 wanted = {length};")
                line("u64 size = wanted < 0 ? 0 : (u64)wanted;")
            else:
                line(f"u64 size = {length};")
            line(f"cut = size > {most};")
            self._limit_size(most, f"{most}")
            line(f"*(u32 *)({to}) = (u32)size;")
            line(f"if (size && pp_read({int(is_user(node.pointer))}, {to} + 4, size, from))")
            line("\tfault = 1;")

    def _limit_size(self, most: int, limited: str, also: str = "") -> None:
        """Bound `size` twice: the compiler drops a test that it knows the outcome of, and the
        verifier, on another path, does not know it."""
        line = self.writer.line
        line(f"if ({also}size > {most})")
        line(f"\tsize = {limited};")
        line("PP_OPAQUE(size);")
        line(f"if (size > {most})")
        line(f"\tsize = {most};")

    def _store_path(self, node: ReadPath, to: str) -> None:
        offsets = path_offsets(node.offsets, self.numbers, mounted=node.mount is not None)
        dentry = self.number(node.dentry)
        mount = "0, 0" if node.mount is None else f"1, {self.number(node.mount)}"
        self._clear_place(to, size_of(node.type))
        with self.writer.block():
            line = self.writer.line
            line(f"const struct pp_path_offsets at = {offsets};")
            line(
                f"pp_path({to}, {node.type.size}, {_count_steps(node.type)}, {dentry}, {mount}, "
                "&at, &fault, &cut);"
            )

    def _store_family_ip(self, node: FamilyIp, to: str) -> None:
        family, v4, v6 = map(self.number, (node.family, node.v4, node.v6))
        user = int(is_user(node.v4))
        self._clear_place(to, size_of(node.type))
        with self.writer.block():
            line = self.writer.line
            line(f"u32 family = {family}, size = family == {AF_INET} ? 4 : 16;")
            line(f"*(u32 *)({to}) = family == {AF_INET} ? 4 : 6;")
            line(f"u64 from = family == {AF_INET} ? {v4} : {v6};")
            line(f"if (family != {AF_INET} && family != {AF_INET6})")
            line("\tfault = 1;")
            line(f"else if ({_read_ip(user, to)})")
            line("\tfault = 1;")

    def _store_endpoint(self, node: EndpointOf, to: str) -> None:
        family, port = self.number(node.family), self.number(node.port)
        v4, v6, user = self.number(node.v4), self.number(node.v6), int(is_user(node.v4))
        unix = None if node.unix is None else self.number(node.unix)
        length = None if node.length is None else self.number(node.length)
        self._clear_place(to, size_of(node.type))
        writer = self.writer
        with writer.block():
            writer.line(f"u32 family = {family};")
            writer.line("u64 from = 0;")
            writer.line(f"*(u16 *)({to}) = (u16)family;")
            with writer.block(f"if (family == {AF_INET} || family == {AF_INET6})"):
                writer.line(f"*(u16 *)({to} + 2) = {port};")
                writer.line(f"from = family == {AF_INET} ? {v4} : {v6};")
                writer.line(f"if ({_read_ip(user, to)})")
                writer.line("\tfault = 1;")
            if unix is not None:
                with writer.block(f"else if (family == {AF_UNIX})"):
                    self._store_unix(unix, length, user, to)
            writer.line("else")
            writer.line("\tfault = 1;")

    def _store_unix(self, address: str, length: str | None, user: int, to: str) -> None:
        """A path; or after a NUL an abstract name, which ends only by its length."""
        line = self.writer.line
        line(f"from = {address};")
        if length is not None:
            line(f"u64 size = (u64)({length}) - {_PATH_AT};")
            limited = f"(s64)size < 0 ? 0 : {_UNIX_PATH}"
            self._limit_size(_UNIX_PATH, limited, also="(s64)size < 0 || ")
            line(f"if (size && pp_read({user}, {to} + 4, size, from))")
            line("\tfault = 1;")
            return
        line("u8 first = 0;")
        line(f"if (pp_read({user}, &first, 1, from))")
        line("\tfault = 1;")
        path = _read_text(user, to, 4, _UNIX_PATH)
        name = _read_text(user, to, 5, _UNIX_PATH - 1)
        line(f"else if (first ? {path} : {name})")
        line("\tfault = 1;")


def _count_steps(kind: StringList | KernelPath) -> int:
    return _STEPS + kind.size // _PIECE


def _read_ip(user: int, to: str) -> str:
    v4, v6 = (f"pp_read({user}, {to} + 4, {size}, from)" for size in (4, 16))
    return f"family == {AF_INET} ? {v4} : {v6}"


def _read_text(user: int, to: str, at: int, size: int) -> str:
    return f"pp_read_str({user}, {to} + {at}, {size}, from + {at - 4}) < 0"
