"""The nodes that are evaluated at a hook, and which of them can fail."""

from collections.abc import Iterator

from orchestrator.compile.body_nodes import top_nodes
from orchestrator.compile.expressions import nodes
from orchestrator.compile.expressions.nodes import Captured, LetRef, Node, walk
from orchestrator.compile.program import Body

__all__ = ["may_be_null", "nodes_at_hook", "walk_deep"]


def may_be_null(node: Node, body: Body) -> bool:
    """Whether evaluating `node` at a hook with this body can fail."""
    captures = body.entry.captures if body.entry is not None else ()
    return nodes.may_be_null(node, [let.node for let in body.lets], captures)


def nodes_at_hook(body: Body) -> Iterator[Node]:
    """Every node that is evaluated at a hook, including definitions and captured values. A node
    that is used twice is yielded twice."""
    for top in top_nodes(body):
        yield from walk_deep(top, body)
    if body.entry is not None:
        for top in (*body.entry.where, *body.entry.captures):
            yield from walk_deep(top, body)


def walk_deep(top: Node, body: Body, *, captures: bool = True) -> Iterator[Node]:
    """`top` and everything below it, through definitions, and through `captures` to what was
    evaluated at the entry."""
    for node in walk(top):
        yield node
        if isinstance(node, LetRef):
            yield from walk_deep(body.lets[node.index].node, body, captures=captures)
        elif captures and isinstance(node, Captured) and body.entry is not None:
            yield from walk_deep(body.entry.captures[node.index], body)
