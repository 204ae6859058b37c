"""Strings and addresses: comparing them in place and reading them to where they are wanted.

A string is an address until it is needed: a test reads only the bytes that decide it, an emitted
string goes straight into the record. So a definition that is a string is read by each of its users;
what a thread changes between a test and the emission shows in the record.
"""

from collections.abc import Callable
from dataclasses import dataclass

from orchestrator.backends.bcc.emit.captured import store as store_captured
from orchestrator.backends.bcc.emit.nodes import CUT_BIT, EmitError, Expressions, is_user
from orchestrator.backends.bcc.emit.writer import Writer
from orchestrator.compile.describe import describe
from orchestrator.compile.expressions.nodes import (
    Builtin,
    Captured,
    Either,
    Field,
    IpOf,
    Kept,
    LetRef,
    Load,
    Node,
    ReadString,
    StringTest,
    TextConst,
)
from orchestrator.compile.expressions.types import Ip, Pointer, Str, Type, size_of

MOST_COMPARED = 128  # bytes of text in a test: they lie on the BPF stack
_WORD = (1 << 64) - 1
MOST_SOUGHT = 16  # bytes of a text that is looked for anywhere


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a string's bytes are: a C expression of an address, in user or kernel memory."""

    address: str
    user: bool = False


class Strings:
    """String nodes at the site of `expressions`."""

    def __init__(self, expressions: Expressions) -> None:
        self.e = expressions

    # -- tests ---------------------------------------------------------------------------------

    def test(self, node: StringTest) -> str:
        """A C expression, 0 or 1."""
        string, text = self._resolved(node.string), node.text
        if isinstance(string, Either):
            arms = (StringTest(node.op, arm, text) for arm in (string.yes, string.no))
            yes, no = map(self.test, arms)
            return f"({self.e.number(string.test)} ? {yes} : {no})"
        if isinstance(string, TextConst):
            return str(int(_holds(node.op, string.value, text)))
        assert isinstance(string.type, Str)
        if len(text) > string.type.size - 1:
            return "0"
        if len(text) > MOST_COMPARED:
            raise EmitError(f"a test of {len(text)} bytes; at most {MOST_COMPARED} are possible")
        return getattr(self, f"_{node.op}")(self.place(string), string.type.size, text)  # type: ignore[no-any-return]  # the four tests

    def _equal(self, at: Place, size: int, text: bytes) -> str:
        # One byte more than the text and its NUL shows a longer string.
        return _compared(at, min(len(text) + 2, size), text + b"\0")

    def _prefix(self, at: Place, size: int, text: bytes) -> str:
        return _compared(at, len(text) + 1, text) if text else "1"

    def _suffix(self, at: Place, size: int, text: bytes) -> str:
        if not text:
            return "1"
        words, length = -(-len(text) // 8), len(text)
        return (
            f"({{ u64 from = {at.address}; s64 length = pp_length({int(at.user)}, from, {size}); "
            f"u64 w[{words}] = {{}}; if (length < 0) fault = 1; "
            f"length >= {length} && pp_read({int(at.user)}, w, {length}, from + length - {length})"
            f" == 0 && {_equal_words(text)}; }})"
        )

    def _contains(self, at: Place, size: int, text: bytes) -> str:
        if not text:
            return "1"
        if len(text) > MOST_SOUGHT:
            raise EmitError(
                f"a text of {len(text)} bytes is looked for anywhere in a string; "
                f"at most {MOST_SOUGHT} are possible"
            )
        sought, mask = (int.from_bytes(part) for part in (text, b"\xff" * len(text)))
        words = (sought >> 64, mask >> 64, sought & _WORD, mask & _WORD)
        pattern = ", ".join(f"{word:#x}ULL" for word in words)
        return f"pp_holds({int(at.user)}, {at.address}, {size}, {pattern}, &fault)"

    # -- places --------------------------------------------------------------------------------

    def _resolved(self, node: Node) -> Node:
        """Through definitions to what a string is."""
        while isinstance(node, LetRef):
            node = self.e.site.body.lets[node.index].node
        if isinstance(node, Builtin) and node.name in ("func", "probe"):
            hook = self.e.site.hook
            name = hook.symbol or hook.event or hook.label
            assert isinstance(node.type, Str)
            return TextConst(name.encode()[: node.type.size - 1], node.type)
        return node

    def place(self, node: Node) -> Place:
        """The bytes of a string node. Raises EmitError for one that has no single place."""
        match node:
            case ReadString(pointer=pointer):
                return Place(address=self.e.number(pointer), user=is_user(pointer))
            case Load(base=base, offset=offset):
                return Place(address=f"({self.e.number(base)} + {offset}ULL)", user=is_user(base))
            case Field(field=field):
                return Place(address=self.e.field_address(field))
            case Captured(index=index):
                return Place(address=f"({self.e.captured_guard(index)}(u64)frame->c{index})")
            case Kept(index=index):
                return Place(address=f"({self.e.kept_guard(node)}(u64)open->c{index})")
            case Builtin(name="comm"):
                return self._comm()
        raise EmitError(f"{describe(node)} has no address")

    def _comm(self) -> Place:
        task = self.e.site.body.task
        if task == "none":
            raise EmitError("`comm` means nothing under `task: none`")
        if task is not None:
            return Place(address=f"(task + {self.e.site.task_offsets['comm']}ULL)")
        if self.e.writer.once("comm"):
            self.e.writer.line("u64 comm[2] = {};")
            self.e.writer.line("pp_comm(comm, sizeof comm);")
        return Place(address="(u64)comm")

    # -- reading into memory -------------------------------------------------------------------

    def store(self, node: Node, to: str, size: int) -> None:
        """Statements that put a string or address at `to`; they set `fault` and `cut`."""
        node, writer = self._resolved(node), self.e.writer
        if size == size_of(Ip(0)) and isinstance(node.type, Ip) and node.type.version:
            writer.line(f"pp_zero({to}, {size});")
            writer.line(f"*(u32 *)({to}) = {node.type.version};")
            self.store(node, f"{to} + 4", size_of(node.type))
        elif isinstance(node, Either):
            test = self.e.number(node.test)
            with writer.block(f"if ({test})"):
                self.store(node.yes, to, size)
            with writer.block("else"):
                self.store(node.no, to, size)
        elif isinstance(node, TextConst):
            _store_text(writer, node.value, to)
        elif isinstance(node, Captured):
            guard = self.e.captured_guard(node.index)
            self._copy_kept("frame", guard, node.index, node.type, to)
        elif isinstance(node, Kept):
            guard = self.e.kept_guard(node)
            self._copy_kept("open", guard, node.index, node.type, to)
        elif store_captured(self.e, node, to):
            pass
        elif isinstance(node.type, Ip):
            self._store_ip(node, to)
        elif isinstance(node, Builtin) and node.name == "comm" and self.e.site.body.task is None:
            writer.line(f"pp_comm({to}, 16);")
        else:
            assert isinstance(node.type, Str)
            self._store_string(self.place(node), to, min(size, node.type.size))

    def _copy_kept(self, frame: str, guard: str, index: int, kind: Type, to: str) -> None:
        """Frames are zeroed before they are filled, so that nothing lies behind the NUL."""
        line = self.e.writer.line
        if guard:
            line(f"{guard.rstrip(', ')};")
        copy = "__builtin_memcpy" if isinstance(kind, Str | Ip) else "pp_copy"
        line(f"{copy}({to}, {frame}->c{index}, {size_of(kind)});")
        line(f"cut = {frame}->head.nulls >> {CUT_BIT + index} & 1;")

    def _store_string(self, at: Place, to: str, size: int) -> None:
        user = int(at.user)
        with self.e.writer.block():
            line = self.e.writer.line
            line(f"u64 from = {at.address};")
            line(f"s64 got = pp_read_str({user}, {to}, {size}, from);")
            line("if (got < 0)")
            line("\tfault = 1;")
            line("else")
            line(f"\tcut = pp_was_cut({user}, got, {size}, from);")

    def _store_ip(self, node: Node, to: str) -> None:
        assert isinstance(node.type, Ip)
        size = 4 if node.type.version == 4 else 16
        match node:
            case IpOf(value=value) if isinstance(value.type, Pointer):
                address, user = self.e.number(value), is_user(value)
            case IpOf(value=value):
                self.e.writer.line(f"*(u32 *)({to}) = {self.e.number(value)};")
                return
            case Load(base=base, offset=offset):
                address, user = f"{self.e.number(base)} + {offset}ULL", is_user(base)
            case Field(field=found):
                address, user = self.e.field_address(found), False
            case _:
                raise EmitError(f"{describe(node)} is no address of the network")
        self.e.writer.line(f"if (pp_read({int(user)}, {to}, {size}, {address}))")
        self.e.writer.line("\tfault = 1;")


def _holds(op: str, value: bytes, text: bytes) -> bool:
    tests: dict[str, Callable[[bytes], bool]] = {
        "equal": value.__eq__,
        "prefix": value.startswith,
        "suffix": value.endswith,
        "contains": value.__contains__,
    }
    return bool(tests[op](text))


def words_of(text: bytes) -> list[tuple[int, int]]:
    """`text` as little-endian u64 words, each with the mask of the bytes that it has."""
    parts = (text[at : at + 8] for at in range(0, len(text), 8))
    return [(int.from_bytes(part, "little"), (1 << 8 * len(part)) - 1) for part in parts]


def _equal_words(text: bytes) -> str:
    tests = [
        f"(w[{i}] & {mask:#x}ULL) == {word:#x}ULL" for i, (word, mask) in enumerate(words_of(text))
    ]
    return f"({' && '.join(tests)})"


def _compared(at: Place, size: int, text: bytes) -> str:
    words = -(-max(size, len(text)) // 8)
    return (
        f"({{ u64 w[{words}] = {{}}; if (pp_read_str({int(at.user)}, w, {size}, {at.address}) < 0) "
        f"fault = 1; {_equal_words(text)}; }})"
    )


def _store_text(writer: Writer, text: bytes, to: str) -> None:
    """`text` and a NUL by the widest stores that fit, as numbers."""
    left, at = text + b"\0", 0
    while left:
        width = next(w for w in (8, 4, 2, 1) if w <= len(left))
        number = int.from_bytes(left[:width], "little")
        writer.line(f"*(u{width * 8} *)({to} + {at}) = {number:#x}ULL;")
        left, at = left[width:], at + width
