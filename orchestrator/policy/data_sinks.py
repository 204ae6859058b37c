"""Where values that are evaluated at a hook leave the kernel, or decide what leaves it. Pure."""

from collections.abc import Iterator, Sequence
from typing import Literal

from orchestrator.compile.expressions.nodes import Node, Noted, NoteValue
from orchestrator.compile.program import (
    Body,
    Hook,
    KeptField,
    KeyField,
    MetricSpec,
    MetricUse,
    Presentation,
    Program,
    RecordField,
    SpanUse,
)
from orchestrator.compile.redact import walk_body
from orchestrator.values import dataclass

__all__ = ["DataSink", "find_data_sinks"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DataSink:
    """Where the value of `node` goes. `use`: `shown`, in a record or a key, as `presentation` says;
    `summed`, as the value of a metric; `tested`, so that it decides whether something is counted.
    `span`: the span at whose end it is evaluated."""

    what: str
    use: Literal["shown", "summed", "tested"]
    node: Node
    presentation: Presentation | None = None
    span: int | None = None


_Part = RecordField | KeyField | KeptField


def find_data_sinks(hook: Hook, program: Program) -> Iterator[DataSink]:
    """All sinks of what is evaluated at `hook`."""
    probe, body = program.probes[hook.probe], hook.body
    entry = body.entry.where if body.entry is not None else ()
    yield from (_tested("`where`", node) for node in (*entry, *body.where))
    if body.task is not None and body.task != "none":
        yield _tested("`task`", body.task)
    fields = probe.emit.fields if probe.emit is not None else ()
    yield from _shown("the field", fields, body.emit)
    yield from _find_metric_sinks(probe.metrics, body.metrics)
    yield from (_tested("the key of `once`", node) for node in body.once)
    for use in body.spans:
        yield from _find_span_sinks(use, program)
    yield from _find_note_sinks(body, program)


def _find_note_sinks(body: Body, program: Program) -> Iterator[DataSink]:
    """The keys by which notes are set, dropped and read: whether one is found shows in counts."""
    for use in body.notes:
        note = program.notes[use.note]
        for part, node in zip(note.key, use.key, strict=True):
            yield _tested(f"the key {part.name!r} of {note.name!r}", node)
    for look in walk_body(body):
        if isinstance(look, NoteValue | Noted):
            note = program.notes[look.note]
            for part, node in zip(note.key, look.key, strict=True):
                yield _tested(f"the key {part.name!r} of {note.name!r}", node)


def _find_span_sinks(use: SpanUse, program: Program) -> Iterator[DataSink]:
    span = program.spans[use.span]
    for part, node in zip(span.key, use.key, strict=True):
        yield _tested(f"the key {part.name!r} of {span.name!r}", node)
    if span.resource is not None:
        for index, node in use.kept:
            kept = span.kept[index]
            if index == span.resource.value:
                yield DataSink(what=f"the value of {span.name!r}", use="summed", node=node)
            else:
                yield from _shown("the key", (kept,), (node,))
    if use.role == "add":
        for index, node in use.kept:
            what = f"{span.kept[index].name!r} of {span.name!r}"
            yield DataSink(what=what, use="summed", node=node)
    if use.end is None:
        return
    yield from (_tested("`where`", node, use.span) for node in use.end.where)
    fields = span.emit.fields if span.emit is not None else ()
    yield from _shown("the field", fields, use.end.emit, use.span)
    yield from _find_metric_sinks(span.metrics, use.end.metrics, use.span)


def _find_metric_sinks(
    specs: Sequence[MetricSpec], uses: Sequence[MetricUse], span: int | None = None
) -> Iterator[DataSink]:
    for spec, use in zip(specs, uses, strict=True):
        yield from _shown("the key", spec.key, use.key, span)
        if use.value is not None:
            what = f"the metric {spec.name!r}"
            yield DataSink(what=what, use="summed", node=use.value, span=span)
        if use.where is not None:
            yield _tested(f"the condition of the metric {spec.name!r}", use.where, span)


def _shown(
    kind: str, parts: Sequence[_Part], nodes: Sequence[Node], span: int | None = None
) -> Iterator[DataSink]:
    for part, node in zip(parts, nodes, strict=True):
        yield DataSink(
            what=f"{kind} {part.name!r}",
            use="shown",
            node=node,
            presentation=part.presentation,
            span=span,
        )


def _tested(what: str, node: Node, span: int | None = None) -> DataSink:
    return DataSink(what=what, use="tested", node=node, span=span)
