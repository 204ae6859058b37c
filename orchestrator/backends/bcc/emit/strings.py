"""Strings and IP addresses: compared in place, and read to their destination.

A string is an address until it is needed: a test reads only the bytes that decide it, and an
emitted string goes straight into the record. So every use of a definition that is a string reads it
again; a change by another thread between a test and the emission shows in the record.
"""

from collections.abc import Callable
from dataclasses import replace
from typing import assert_never

from orchestrator.backends.bcc.emit.context import CUT_BIT, EventContext
from orchestrator.backends.bcc.emit.notes.look import NoteLooks
from orchestrator.backends.bcc.emit.site import EmitError, given_where, is_user
from orchestrator.backends.bcc.emit.writer import CWriter
from orchestrator.compile.describe import describe_node
from orchestrator.compile.expressions.nodes import (
    Builtin,
    Captured,
    Either,
    Field,
    IpOf,
    LetRef,
    Load,
    Node,
    NoteValue,
    ReadString,
    SpanValue,
    StringTest,
    TextConst,
    ValueWhere,
)
from orchestrator.compile.expressions.types import COMM_SIZE, Int, Ip, Pointer, Str, Type, size_of
from orchestrator.values import dataclass

__all__ = ["StringAddress", "StringExpressions", "words_of"]

MOST_COMPARED = 128  # bytes of text in a test: they are read onto the BPF stack
_WORD = (1 << 64) - 1
MOST_SOUGHT = 16  # bytes of a text that may be anywhere in the string


@dataclass(frozen=True, slots=True, kw_only=True)
class StringAddress:
    """Where a string's bytes are: a C expression of an address, in user or kernel memory. `limit`:
    that of the most bytes of text, of type u64; "" where only a NUL ends it."""

    address: str
    user: bool = False
    limit: str = ""


class StringExpressions:
    """String and IP nodes at one site. `number` makes the C expression of a number node.
    `store_captured` writes the statements for a captured value; False when the node is none.
    `notes` has what notes keep."""

    def __init__(
        self,
        context: EventContext,
        number: Callable[[Node], str],
        store_captured: Callable[[Node, str], bool],
        notes: NoteLooks,
    ) -> None:
        self.context, self.number, self.store_captured = context, number, store_captured
        self.notes = notes
        self.site, self.writer = context.site, context.writer

    # -- tests ---------------------------------------------------------------------------------

    def test_string(self, node: StringTest) -> str:
        """A C expression, 0 or 1. Raises EmitError for a text that is too long."""
        string, text = self._resolve_string(node.string), node.text
        if isinstance(string, Either):
            arms = (StringTest(node.op, arm, text) for arm in (string.yes, string.no))
            yes, no = map(self.test_string, arms)
            return f"({self.number(string.test)} ? {yes} : {no})"
        if isinstance(string, TextConst):
            return str(int(_test_constant(node, string.value)))
        assert isinstance(string.type, Str)
        if len(text) > string.type.size - 1:
            return "0"
        if len(text) > MOST_COMPARED:
            raise EmitError(f"a test of {len(text)} bytes; at most {MOST_COMPARED} are possible")
        at, size = self.find_address(string), string.type.size
        match node.op:
            case "equal":
                # One byte more than the text and its NUL, to notice a longer string.
                return _compare_text(at, min(len(text) + 2, size), text + b"\0")
            case "prefix":
                return _compare_text(at, len(text) + 1, text) if text else "1"
            case "suffix":
                return _test_suffix(at, size, text) if text else "1"
            case "contains":
                return _test_contains(at, size, text) if text else "1"
            case other:
                assert_never(other)

    # -- addresses -----------------------------------------------------------------------------

    def _resolve_string(self, node: Node) -> Node:
        """Follow definitions to the node that gives the string."""
        while isinstance(node, LetRef):
            node = self.site.body.lets[node.index].node
        if isinstance(node, Builtin) and node.name in ("func", "probe"):
            hook = self.site.hook
            name = hook.symbol or hook.event or hook.label
            assert isinstance(node.type, Str)
            return TextConst(name.encode()[: node.type.size - 1], node.type)
        return node

    def find_address(self, node: Node) -> StringAddress:
        """The bytes of a string node. Raises EmitError for one that has no single address."""
        match node:
            case ReadString(pointer=pointer, length=length):
                limit = "" if length is None else self._limit_text(length)
                return StringAddress(
                    address=self.number(pointer), user=is_user(pointer), limit=limit
                )
            case Load(base=base, offset=offset, member=member):
                address = self.site.numbers.member(self.number(base), member, offset)
                return StringAddress(address=address, user=is_user(base))
            case Field(field=field):
                return StringAddress(address=self.context.field_address(field))
            case Captured(index=index):
                guard = self.context.captured_guard(index)
                return StringAddress(address=f"({guard}(u64)frame->c{index})")
            case SpanValue(index=index):
                return StringAddress(
                    address=f"({self.context.kept_guard(node)}(u64)open->c{index})"
                )
            case NoteValue():
                return StringAddress(address=self.notes.find_address(node))
            case Builtin(name="comm"):
                return self._find_comm()
            case ValueWhere(subject=subject, value=value):
                inner = self.find_address(value)
                address = given_where(node, self.number(subject), "u64", inner.address)
                return replace(inner, address=address)
        raise EmitError(f"{describe_node(node)} has no address")

    def _limit_text(self, length: Node) -> str:
        text = self.number(length)
        if isinstance(length.type, Int) and length.type.signed:
            return f"({{ s64 wanted = {text}; wanted < 0 ? 0 : (u64)wanted; }})"
        return f"(u64)({text})"

    def _find_comm(self) -> StringAddress:
        task = self.site.body.task
        if task == "none":
            raise EmitError("`comm` has no value under `task: none`")
        if task is not None:
            return StringAddress(address=self.site.task_member("task", "comm"))
        self.declare_comm()
        return StringAddress(address="(u64)comm")

    def declare_comm(self) -> None:
        """Declare `comm`, the name of the current task; of another task, or of none, nothing."""
        if self.site.body.task is None and self.writer.once("comm"):
            self.writer.line("u64 comm[2] = {};")
            self.writer.line("pp_comm(comm, sizeof comm);")

    # -- reading into memory -------------------------------------------------------------------

    def store(self, node: Node, to: str, size: int) -> None:  # one case a kind
        """Statements that put a string or address into the `size` bytes at `to`; they set `fault`
        and `cut`."""
        node, writer = self._resolve_string(node), self.writer
        if size == size_of(Ip(0)) and isinstance(node.type, Ip) and node.type.version:
            writer.line(f"pp_zero({to}, {size});")
            writer.line(f"*(u32 *)({to}) = {node.type.version};")
            self.store(node, f"{to} + 4", size_of(node.type))
        elif isinstance(node, Either):
            test = self.number(node.test)
            with writer.block(f"if ({test})"):
                self.store(node.yes, to, size)
            with writer.block("else"):
                self.store(node.no, to, size)
        elif isinstance(node, TextConst):
            _store_text(writer, node.value, to)
        elif isinstance(node, Captured):
            guard = self.context.captured_guard(node.index)
            self._copy_kept("frame", guard, node.index, node.type, to)
        elif isinstance(node, SpanValue):
            guard = self.context.kept_guard(node)
            self._copy_kept("open", guard, node.index, node.type, to)
        elif isinstance(node, NoteValue):
            self.notes.copy(node, to)
        elif self.store_captured(node, to):
            pass
        elif isinstance(node.type, Ip):
            self._store_ip(node, to)
        elif isinstance(node, Builtin) and node.name == "comm" and self.site.body.task is None:
            self.store_comm(to)
        else:
            assert isinstance(node.type, Str)
            self._store_string(self.find_address(node), to, min(size, node.type.size))

    def store_comm(self, to: str) -> None:
        """The name that is declared already, or straight into its place."""
        if self.writer.knows("comm"):
            self.writer.line(f"__builtin_memcpy({to}, comm, {COMM_SIZE});")
        else:
            self.writer.line(f"pp_comm({to}, {COMM_SIZE});")

    def _copy_kept(self, frame: str, guard: str, index: int, kind: Type, to: str) -> None:
        """Frames are zeroed before they are filled, so that only zeros follow the NUL."""
        line = self.writer.line
        if guard:
            line(f"{guard.rstrip(', ')};")
        copy = "__builtin_memcpy" if isinstance(kind, Str | Ip) else "pp_copy"
        line(f"{copy}({to}, {frame}->c{index}, {size_of(kind)});")
        line(f"cut = {frame}->head.nulls >> {CUT_BIT + index} & 1;")

    def _store_string(self, at: StringAddress, to: str, size: int) -> None:
        user = int(at.user)
        with self.writer.block():
            line = self.writer.line
            line(f"u64 from = {at.address};")
            if at.limit:
                line(f"u64 limit = {at.limit}, bytes = limit;")
                line(_bound_bytes(size - 1))
                line(f"s64 got = pp_read_text({user}, {to}, bytes, from);")
            else:
                line(f"s64 got = pp_read_str({user}, {to}, {size}, from);")
            line("if (got < 0)")
            line("\tfault = 1;")
            line(f"else if (limit >= {size})" if at.limit else "else")
            line(f"\tcut = pp_was_cut({user}, got, {size}, from);")

    def _store_ip(self, node: Node, to: str) -> None:
        assert isinstance(node.type, Ip)
        size = 4 if node.type.version == 4 else 16
        match node:
            case IpOf(value=value) if isinstance(value.type, Pointer):
                address, user = self.number(value), is_user(value)
            case IpOf(value=value):
                self.writer.line(f"*(u32 *)({to}) = {self.number(value)};")
                return
            case Load(base=base, offset=offset, member=member):
                address = self.site.numbers.member(self.number(base), member, offset)
                user = is_user(base)
            case Field(field=field):
                address, user = self.context.field_address(field), False
            case _:
                raise EmitError(f"{describe_node(node)} is not a network address")
        self.writer.line(f"if (pp_read({int(user)}, {to}, {size}, {address}))")
        self.writer.line("\tfault = 1;")


def _test_constant(node: StringTest, value: bytes) -> bool:
    """The outcome of a test of a string that is known here."""
    match node.op:
        case "equal":
            return value == node.text
        case "prefix":
            return value.startswith(node.text)
        case "suffix":
            return value.endswith(node.text)
        case "contains":
            return node.text in value
        case other:
            assert_never(other)


def words_of(text: bytes) -> list[tuple[int, int]]:
    """`text` as little-endian u64 words, each with the mask of the bytes that it has."""
    parts = (text[at : at + 8] for at in range(0, len(text), 8))
    return [(int.from_bytes(part, "little"), (1 << 8 * len(part)) - 1) for part in parts]


def _bound_bytes(most: int) -> str:
    """Statements that bound `bytes`, twice: the compiler drops a test that it knows the outcome of,
    and the verifier, on another path, does not know it."""
    bound = f"if (bytes > {most}) bytes = {most};"
    return f"{bound} PP_OPAQUE(bytes); {bound}"


def _require_end(at: StringAddress, what: str) -> None:
    if at.limit:
        raise EmitError(
            f"{what} in a text of a length that the event gives: only its beginning can be tested"
        )


def _test_suffix(at: StringAddress, size: int, text: bytes) -> str:
    _require_end(at, "a search at the end")
    words, length, user = -(-len(text) // 8), len(text), int(at.user)
    return (
        f"({{ u64 from = {at.address}; s64 length = pp_length({user}, from, {size}); "
        f"u64 w[{words}] = {{}}; if (length < 0) fault = 1; "
        f"length >= {length} && pp_read({user}, w, {length}, from + length - {length})"
        f" == 0 && {_compare_words(text)}; }})"
    )


def _test_contains(at: StringAddress, size: int, text: bytes) -> str:
    _require_end(at, "a search")
    if len(text) > MOST_SOUGHT:
        raise EmitError(
            f"a search for a text of {len(text)} bytes; at most {MOST_SOUGHT} are possible"
        )
    sought, mask = (int.from_bytes(part) for part in (text, b"\xff" * len(text)))
    words = (sought >> 64, mask >> 64, sought & _WORD, mask & _WORD)
    pattern = ", ".join(f"{word:#x}ULL" for word in words)
    return f"pp_holds({int(at.user)}, {at.address}, {size}, {pattern}, &fault)"


def _compare_words(text: bytes) -> str:
    tests = [
        f"(w[{i}] & {mask:#x}ULL) == {word:#x}ULL" for i, (word, mask) in enumerate(words_of(text))
    ]
    return f"({' && '.join(tests)})"


def _compare_text(at: StringAddress, size: int, text: bytes) -> str:
    words = -(-max(size, len(text)) // 8)
    if at.limit:
        return (
            f"({{ u64 w[{words}] = {{}}, bytes = {at.limit}; {_bound_bytes(size - 1)} "
            f"if (pp_read_text({int(at.user)}, w, bytes, {at.address}) < 0) "
            f"fault = 1; {_compare_words(text)}; }})"
        )
    return (
        f"({{ u64 w[{words}] = {{}}; if (pp_read_str({int(at.user)}, w, {size}, {at.address}) < 0) "
        f"fault = 1; {_compare_words(text)}; }})"
    )


def _store_text(writer: CWriter, text: bytes, to: str) -> None:
    """`text` and a NUL by the widest stores that fit, as numbers."""
    left, at = text + b"\0", 0
    while left:
        width = next(w for w in (8, 4, 2, 1) if w <= len(left))
        number = int.from_bytes(left[:width], "little")
        writer.line(f"*(u{width * 8} *)({to} + {at}) = {number:#x}ULL;")
        left, at = left[width:], at + width
