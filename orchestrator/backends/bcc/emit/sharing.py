"""What several blocks of one event use, evaluated before them: one event has one value of each
definition, and of what changes while it is handled (the clock, stacks, names, cgroups)."""

from collections.abc import Iterable, Sequence

from orchestrator.backends.bcc.design.hook_nodes import walk_deep
from orchestrator.backends.bcc.emit.expressions import Expressions
from orchestrator.compile.body_nodes import metric_top_nodes, note_top_nodes, span_top_nodes
from orchestrator.compile.expressions.nodes import Builtin, LetRef, Node, Seen, SpanValue
from orchestrator.compile.expressions.types import U64, StackId, Stored
from orchestrator.compile.program import Body, SpanEnd

__all__ = ["blocks_of", "blocks_of_end", "share_values"]

Blocks = Sequence[Sequence[Node]]
_CLOCK = Builtin("now", U64)
_OF_CLOCK = ("now", "elapsed", "open_for")
#: What has a value only where an open span was found.
_OF_SPAN = ("open_for", "depth")


def blocks_of(body: Body) -> Blocks:
    """The outermost nodes of each thing that is done with an event that was kept: its record, each
    metric, and its part in each span and note."""
    return [
        [*body.once, *body.emit],
        *(list(metric_top_nodes(use)) for use in body.metrics),
        *(list(span_top_nodes(use)) for use in body.spans),
        *(list(note_top_nodes(use)) for use in body.notes),
    ]


def blocks_of_end(end: SpanEnd) -> Blocks:
    """The same of what is done where a span ends."""
    return [end.emit, *(list(metric_top_nodes(use)) for use in end.metrics)]


def share_values(e: Expressions, blocks: Blocks, *, at_end: bool = False) -> None:
    """Statements that evaluate what more than one of the blocks uses. `at_end`: an open span was
    found, so that what it keeps has values."""
    body = e.site.body
    uses = [_parts_of(block, body) for block in blocks]
    shared = {part for parts in uses for part in parts if sum(part in used for used in uses) > 1}
    for builtin in _in_order(shared):
        e.declare_moment(builtin)
    for index, let in enumerate(body.lets):
        if index not in shared or isinstance(let.node.type, Stored):
            continue
        if at_end or not any(map(_is_of_span, walk_deep(let.node, body, captures=False))):
            e.number(LetRef(index, let.name, let.node.type))


def _parts_of(block: Iterable[Node], body: Body) -> frozenset[int | Builtin]:
    """The definitions (by index) and builtins that a block uses, through one another."""
    parts = [part for top in block for part in walk_deep(top, body, captures=False)]
    lets = (part.index for part in parts if isinstance(part, LetRef))
    builtins = (part for part in parts if isinstance(part, Builtin))
    return frozenset((*lets, *(_CLOCK if one.name in _OF_CLOCK else one for one in builtins)))


def _is_of_span(node: Node) -> bool:
    is_age = isinstance(node, Builtin) and node.name in _OF_SPAN
    return is_age or isinstance(node, SpanValue | Seen)


def _in_order(parts: Iterable[int | Builtin]) -> Sequence[Builtin]:
    """The builtins, so that the same plan makes the same program; stacks are last."""
    found = [part for part in parts if isinstance(part, Builtin)]
    return sorted(found, key=lambda one: (isinstance(one.type, StackId), one.name, one.depth))
