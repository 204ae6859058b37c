"""Dropping what no expression uses: definitions and captures are numbered anew."""

from collections.abc import Iterable
from dataclasses import replace

from orchestrator.compile.nodes import Captured, LetRef, Node, transform, walk
from orchestrator.compile.program import Body, EntrySide, Let, MetricUse


def tidy(body: Body) -> Body:
    """The same body with only the lets and captures that its where, emit, metrics and task use."""
    lets = _used_lets(_roots(body), body.lets)
    let_numbers = {old: new for new, old in enumerate(lets)}
    kept = [body.lets[index] for index in lets]
    captures = _used_captures([*_roots(body), *(let.node for let in kept)])
    capture_numbers = {old: new for new, old in enumerate(captures)}

    def renumber(node: Node) -> Node:
        match node:
            case LetRef(index=index):
                return replace(node, index=let_numbers[index])
            case Captured(index=index):
                return replace(node, index=capture_numbers[index])
            case _:
                return node

    return _rebuilt(body, kept, captures, renumber)


def _roots(body: Body) -> list[Node]:
    parts: list[Node | None] = [*body.where, *body.emit]
    for use in body.metrics:
        parts += [*use.key, use.value, use.where]
    if body.task != "none":
        parts.append(body.task)
    return [part for part in parts if part is not None]


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


def _rebuilt(body: Body, lets: list[Let], captures: list[int], change) -> Body:  # type: ignore[no-untyped-def]
    def new(node: Node) -> Node:
        return transform(node, change)

    def use(old: MetricUse) -> MetricUse:
        return replace(
            old,
            key=tuple(map(new, old.key)),
            value=None if old.value is None else new(old.value),
            where=None if old.where is None else new(old.where),
        )

    entry = body.entry
    if entry is not None:
        kept = tuple(entry.captures[index] for index in captures)
        entry = EntrySide(where=entry.where, captures=kept)
    return replace(
        body,
        lets=tuple(replace(let, node=new(let.node)) for let in lets),
        where=tuple(map(new, body.where)),
        emit=tuple(map(new, body.emit)),
        metrics=tuple(map(use, body.metrics)),
        entry=entry,
        task=body.task if body.task is None or body.task == "none" else new(body.task),
    )
