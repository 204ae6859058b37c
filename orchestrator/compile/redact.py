"""Finds strings from user memory, and redacts them.

The contents of user memory are what people type and send; names that the kernel itself keeps (comm,
file names in its caches) are not. A string that the kernel has copied is the kernel's.
"""

import os
from collections.abc import Iterator, MutableSequence, Sequence
from dataclasses import replace
from typing import TypeVar

from orchestrator.compile.body_nodes import top_nodes
from orchestrator.compile.expressions.nodes import (
    READS,
    Captured,
    Either,
    EndpointOf,
    FamilyIp,
    Field,
    IpOf,
    Let,
    LetRef,
    Load,
    Node,
    ReadBytes,
    ReadString,
    ReadStrings,
    ShownAs,
    walk,
)
from orchestrator.compile.expressions.types import (
    Buffer,
    Endpoint,
    Pointer,
    Str,
    StringList,
    size_of,
)
from orchestrator.compile.point import Point
from orchestrator.compile.program import (
    Body,
    Hook,
    KeptField,
    KeyField,
    ProbeProgram,
    Program,
    RecordField,
    SpanProgram,
)
from orchestrator.kernel.tracepoints import Tracepoint
from orchestrator.plan.attach_kinds import KINDS
from orchestrator.plan.model import Redact

__all__ = ["Redactor", "draw_salts", "find_memory_reads", "find_user_reads"]

_SALT_BYTES = 16
#: What may hold the contents of user memory; numbers and IP addresses are not redacted.
_TEXTS = (Str, Buffer, StringList, Endpoint)


def _is_user(node: Node, tracepoint: Tracepoint | None, in_user_code: bool) -> bool:
    """True when `node` itself, not what it is computed from, is read from user memory."""
    match node:
        case ReadString(pointer=at) | Load(base=at):
            return in_user_code or getattr(at.type, "space", "kernel") == "user"
        case ReadBytes(pointer=at) | ReadStrings(pointer=at) | EndpointOf(v4=at):
            return in_user_code or getattr(at.type, "space", "kernel") == "user"
        case IpOf(value=at) | FamilyIp(v4=at) if isinstance(at.type, Pointer):
            return in_user_code or at.type.space == "user"
        case Field(type=Str()):  # later kernels record what a system call's argument points to
            return tracepoint is not None and tracepoint.category == "syscalls"
        case _:
            return False


class Redactor:
    """Applies a probe's `redact` at one attach point. `captures` grows where a string is kept from
    entry to return in another size."""

    def __init__(
        self,
        redact: Redact | None,
        point: Point,
        lets: Sequence[Let],
        captures: MutableSequence[Node],
    ) -> None:
        self._redact, self._point = redact, point
        self._lets, self._captures = lets, captures

    def redact_node(self, node: Node) -> Node:
        """`node`, which is emitted or part of a key, redacted where the probe requires it."""
        if (
            self._redact is None
            or not isinstance(node.type, _TEXTS)
            or not self._is_from_user(node)
        ):
            return node
        if self._redact.kind == "hash":
            return ShownAs(node, node.type, hashed=True)
        if isinstance(node.type, Buffer):
            return self._cut_string(node, self._redact.size)
        if isinstance(node.type, StringList | Endpoint):  # whose first bytes would reveal too much
            return ShownAs(node, node.type, hashed=True)
        return self._cut_string(node, self._redact.size + 1)  # and its closing NUL

    def _is_from_user(self, node: Node) -> bool:
        """True when the string may come from user memory."""
        match node:
            case LetRef() | Captured():
                return self._is_from_user(self._resolve_reference(node))
            case ShownAs(value=value):
                return self._is_from_user(value)
            case Either(yes=yes, no=no):
                return self._is_from_user(yes) or self._is_from_user(no)
            case _:
                in_user_code = KINDS[self._point.kind].takes_user_pointers
                return _is_user(node, self._point.tracepoint, in_user_code)

    def _resolve_reference(self, node: LetRef | Captured) -> Node:
        if isinstance(node, Captured):
            return self._captures[node.index]
        return self._lets[node.index].node

    def _cut_string(self, node: Node, size: int) -> Node:
        """The same string, read to at most `size` bytes. A definition keeps its size for the
        conditions that test it, and is read a second time."""
        if not isinstance(node.type, Str | Buffer) or node.type.size <= size:
            return node
        match node:
            case LetRef():
                return self._cut_string(self._resolve_reference(node), size)
            case Captured():
                return self._capture(self._cut_string(self._resolve_reference(node), size))
            case ShownAs(value=value):
                return self._cut_string(value, size)
            case Either(yes=yes, no=no):
                arms = self._cut_string(yes, size), self._cut_string(no, size)
                longest = max((arm.type for arm in arms), key=size_of)
                return replace(node, yes=arms[0], no=arms[1], type=longest)
            case ReadString() | Load() | Field():
                return replace(node, type=Str(size))
            case ReadBytes():
                return replace(node, type=Buffer(size))
            case _:
                return node

    def _capture(self, node: Node) -> Captured:
        if node not in self._captures:
            self._captures.append(node)
        return Captured(self._captures.index(node), node.type)


# ---------------------------------------------------------------- of a program


def find_user_reads(hook: Hook) -> Iterator[Node]:
    """The parts of what is evaluated at `hook` that read user memory."""
    for node in _walk_body(hook.body):
        tracepoint = hook.tracepoint
        if _is_user(node, tracepoint, hook.traits.takes_user_pointers):
            yield node


def find_memory_reads(hook: Hook) -> Iterator[Node]:
    """The parts of what is evaluated at `hook` that read memory behind any pointer."""
    for node in _walk_body(hook.body):
        through_pointer = isinstance(node, IpOf) and isinstance(node.value.type, Pointer)
        if isinstance(node, READS) or through_pointer:
            yield node


def _walk_body(body: Body) -> Iterator[Node]:
    roots = [*(let.node for let in body.lets), *top_nodes(body)]
    if body.entry is not None:
        roots += [*body.entry.where, *body.entry.captures]
    for root in roots:
        yield from walk(root)


_Part = TypeVar("_Part", RecordField, KeyField, KeptField)
_Maker = TypeVar("_Maker", ProbeProgram, SpanProgram)


def draw_salts(program: Program) -> Program:
    """The program with a new salt for its hashed strings: one for each run."""
    salt = os.urandom(_SALT_BYTES)

    def fields(parts: tuple[_Part, ...]) -> tuple[_Part, ...]:
        return tuple(
            replace(part, presentation=replace(part.presentation, salt=salt))
            if part.presentation is not None and part.presentation.hashed
            else part
            for part in parts
        )

    def salt_maker(maker: _Maker) -> _Maker:
        emit = None if maker.emit is None else replace(maker.emit, fields=fields(maker.emit.fields))
        metrics = tuple(replace(metric, key=fields(metric.key)) for metric in maker.metrics)
        return replace(maker, emit=emit, metrics=metrics)

    def salt_span(span: SpanProgram) -> SpanProgram:
        return replace(salt_maker(span), kept=fields(span.kept))

    return replace(
        program,
        probes=tuple(map(salt_maker, program.probes)),
        spans=tuple(map(salt_span, program.spans)),
    )
