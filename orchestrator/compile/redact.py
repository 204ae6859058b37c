"""Redacts text that is user data, where a plan or a policy asks for it.

`orchestrator.compile.expressions.data_sources` decides what is user data. Numbers are shown as they
are; a policy that protects user data refuses them (`orchestrator.policy.user_data`).
"""

import os
from collections.abc import Callable, Iterator, MutableSequence, Sequence
from dataclasses import replace
from typing import TypeVar

from orchestrator.compile.body_nodes import top_nodes
from orchestrator.compile.expressions.data_sources import DataSources, SourcedNode, address_of_read
from orchestrator.compile.expressions.nodes import (
    Captured,
    Either,
    Field,
    LetRef,
    Load,
    Node,
    NoteValue,
    ReadBytes,
    ReadString,
    ShownAs,
    ValueWhere,
    walk,
)
from orchestrator.compile.expressions.types import Buffer, Endpoint, Str, StringList, size_of
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
from orchestrator.plan.model import Redact

__all__ = ["Redactor", "draw_salts", "find_kernel_reads", "walk_body"]

_SALT_BYTES = 16
#: What may hold the contents of user memory; numbers and IP addresses are not redacted.
_TEXTS = (Str, Buffer, StringList, Endpoint)


class Redactor:
    """Applies a probe's `redact` at one attach point. `captures` grows where a string is kept from
    entry to return in another size."""

    def __init__(
        self, redact: Redact | None, sources: DataSources, captures: MutableSequence[Node]
    ) -> None:
        self._redact, self.sources, self._captures = redact, sources, captures

    def with_kept(self, kept: Callable[[int], Sequence[SourcedNode]]) -> "Redactor":
        """The redactor of a span's end at this attach point; `kept` gives the nodes that the span
        keeps."""
        return Redactor(self._redact, self.sources.with_kept(kept), self._captures)

    def redact_node(self, node: Node) -> Node:
        """`node`, which is emitted or part of a key, redacted where the probe requires it."""
        if (
            self._redact is None
            or not isinstance(node.type, _TEXTS)
            or not self.sources.origins(node)
        ):
            return node
        if isinstance(node, ShownAs) and node.hashed:
            return node
        if self._redact.kind == "hash":
            return ShownAs(node, node.type, hashed=True)
        if isinstance(node.type, Buffer):
            return self._cut_string(node, self._redact.size)
        if isinstance(node.type, StringList | Endpoint):  # whose first bytes would reveal too much
            return ShownAs(node, node.type, hashed=True)
        return self._cut_string(node, self._redact.size + 1)  # and its closing NUL

    def _cut_string(self, node: Node, size: int) -> Node:
        """The same string, read to at most `size` bytes. A definition keeps its size for the
        conditions that test it, and is read a second time."""
        if not isinstance(node.type, Str | Buffer) or node.type.size <= size:
            return node
        match node:
            case Captured(index=index):
                return self._capture(self._cut_string(self._captures[index], size))
            case ShownAs(type=Buffer(text=True)):
                cut = self._cut_string(node.value, size)
                assert isinstance(cut.type, Buffer)
                return ShownAs(cut, replace(cut.type, text=True))
            case LetRef() | ShownAs():
                [(_, value)] = self.sources.referents(node) or ()
                return self._cut_string(value, size)
            case Either(yes=yes, no=no):
                arms = self._cut_string(yes, size), self._cut_string(no, size)
                longest = max((arm.type for arm in arms), key=size_of)
                return replace(node, yes=arms[0], no=arms[1], type=longest)
            case ValueWhere(value=value):
                return replace(node, value=self._cut_string(value, size), type=Str(size))
            case ReadString() | Load() | Field():
                return replace(node, type=Str(size))
            case ReadBytes():
                return replace(node, type=Buffer(size))
            case NoteValue():  # kept whole by a probe that does not redact
                return ShownAs(node, node.type, hashed=True)
            case _:
                return node

    def _capture(self, node: Node) -> Captured:
        if node not in self._captures:
            self._captures.append(node)
        return Captured(self._captures.index(node), node.type)


# ---------------------------------------------------------------- of a program


def find_kernel_reads(hook: Hook) -> Iterator[Node]:
    """The parts of what is evaluated at `hook` that read memory behind a kernel pointer."""
    for node in walk_body(hook.body):
        at = address_of_read(node)
        if at is not None and getattr(at.type, "space", "kernel") == "kernel":
            yield node


def walk_body(body: Body) -> Iterator[Node]:
    """Every node that is evaluated at a hook, with its definitions and what its entry keeps."""
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
