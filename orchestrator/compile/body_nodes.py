"""Walks and transforms all expressions of a hook's body."""

from collections.abc import Callable, Iterator
from dataclasses import replace

from orchestrator.compile.expressions.nodes import Builtin, Node, UserSymbol, transform, walk
from orchestrator.compile.expressions.types import StackId
from orchestrator.compile.program import Body, MetricUse, NoteUse, SpanEnd, SpanUse

__all__ = ["metric_top_nodes", "needs_stacks", "note_top_nodes", "span_top_nodes", "top_nodes"]
__all__ += ["transform_body"]


def top_nodes(body: Body) -> Iterator[Node]:
    """The outermost nodes of what is evaluated at the hook itself: filters, record, metrics, spans,
    notes and task; not its definitions, nor what its entry keeps."""
    yield from (*body.where, *body.emit, *body.once)
    for metric in body.metrics:
        yield from metric_top_nodes(metric)
    for span in body.spans:
        yield from span_top_nodes(span)
    for note in body.notes:
        yield from note_top_nodes(note)
    if body.task is not None and body.task != "none":
        yield body.task


def needs_stacks(body: Body) -> bool:
    """Whether a stack is taken at the hook: directly, in a definition, or at its entry."""
    places = [*top_nodes(body), *(let.node for let in body.lets)]
    places += body.entry.captures if body.entry is not None else ()
    parts = (node for place in places for node in walk(place))
    return any(
        isinstance(node, Builtin | UserSymbol) and isinstance(node.type, StackId) for node in parts
    )


def metric_top_nodes(use: MetricUse) -> Iterator[Node]:
    """The outermost nodes of one metric."""
    yield from use.key
    yield from (node for node in (use.value, use.where) if node is not None)


def span_top_nodes(use: SpanUse) -> Iterator[Node]:
    """The outermost nodes of one part in a span."""
    yield from (*use.key, *(node for _, node in use.kept))
    if use.end is not None:
        yield from (*use.end.where, *use.end.emit)
        for metric in use.end.metrics:
            yield from metric_top_nodes(metric)


def note_top_nodes(use: NoteUse) -> Iterator[Node]:
    """The outermost nodes of what sets or drops a note."""
    yield from (*use.key, *(node for _, node in use.kept))


def transform_body(body: Body, change: Callable[[Node], Node]) -> Body:
    """The body with each node passed through `change` (see nodes.transform); its definitions too,
    but not what its entry holds."""

    def new(node: Node) -> Node:
        return transform(node, change)

    return replace(
        body,
        lets=tuple(replace(let, node=new(let.node)) for let in body.lets),
        where=tuple(map(new, body.where)),
        emit=tuple(map(new, body.emit)),
        metrics=tuple(_transform_metric(use, new) for use in body.metrics),
        spans=tuple(_transform_span(use, new) for use in body.spans),
        notes=tuple(_transform_note(use, new) for use in body.notes),
        once=tuple(map(new, body.once)),
        task=body.task if body.task is None or body.task == "none" else new(body.task),
    )


def _transform_metric(use: MetricUse, new: Callable[[Node], Node]) -> MetricUse:
    return replace(
        use,
        key=tuple(map(new, use.key)),
        value=None if use.value is None else new(use.value),
        where=None if use.where is None else new(use.where),
    )


def _transform_span(use: SpanUse, new: Callable[[Node], Node]) -> SpanUse:
    return replace(
        use,
        key=tuple(map(new, use.key)),
        kept=tuple((index, new(node)) for index, node in use.kept),
        end=None if use.end is None else _transform_end(use.end, new),
    )


def _transform_note(use: NoteUse, new: Callable[[Node], Node]) -> NoteUse:
    kept = tuple((index, new(node)) for index, node in use.kept)
    return replace(use, key=tuple(map(new, use.key)), kept=kept)


def _transform_end(end: SpanEnd, new: Callable[[Node], Node]) -> SpanEnd:
    return SpanEnd(
        where=tuple(map(new, end.where)),
        emit=tuple(map(new, end.emit)),
        metrics=tuple(_transform_metric(use, new) for use in end.metrics),
    )
