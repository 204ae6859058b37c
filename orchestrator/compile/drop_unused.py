"""Drops definitions and captures that no expression uses, and renumbers the others."""

from collections.abc import Iterable
from dataclasses import replace

from orchestrator.compile.body_nodes import top_nodes, transform_body
from orchestrator.compile.expressions.nodes import Captured, Let, LetRef, Node, walk
from orchestrator.compile.program import Body, EntrySide


def drop_unused(body: Body) -> Body:
    """The body with only the lets and captures that its where, emit, metrics and task use."""
    lets = _used_lets(top_nodes(body), body.lets)
    let_numbers = {old: new for new, old in enumerate(lets)}
    kept = [body.lets[index] for index in lets]
    captures = _used_captures([*top_nodes(body), *(let.node for let in kept)])
    capture_numbers = {old: new for new, old in enumerate(captures)}

    def renumber(node: Node) -> Node:
        match node:
            case LetRef(index=index):
                return replace(node, index=let_numbers[index])
            case Captured(index=index):
                return replace(node, index=capture_numbers[index])
            case _:
                return node

    entry = body.entry
    if entry is not None:
        entry = EntrySide(where=entry.where, captures=tuple(entry.captures[i] for i in captures))
    return replace(transform_body(replace(body, lets=tuple(kept)), renumber), entry=entry)


def _used_lets(roots: Iterable[Node], lets: tuple[Let, ...]) -> list[int]:
    """Indexes of the lets in use, through one another, in an order in which each comes after
    those that it uses (the Typer numbers them so)."""
    used: set[int] = set()
    waiting = list(roots)
    while waiting:
        for part in walk(waiting.pop()):
            if isinstance(part, LetRef) and part.index not in used:
                used.add(part.index)
                waiting.append(lets[part.index].node)
    return sorted(used)


def _used_captures(nodes: Iterable[Node]) -> list[int]:
    return sorted(
        {part.index for node in nodes for part in walk(node) if isinstance(part, Captured)}
    )
