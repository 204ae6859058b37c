"""Which notes an expression, a probe or another note reads."""

from collections.abc import Iterator, Mapping, Sequence

from orchestrator.plan.expression.syntax import (
    Call,
    Expr,
    MemberOf,
    Name,
    SyntaxNode,
    walk,
)
from orchestrator.plan.findings import NOWHERE
from orchestrator.plan.model import Metric, Note, Once, Outstanding, Plan, Probe
from orchestrator.plan.scopes import Definitions, names_in, probe_scope

__all__ = ["find_circle", "list_dependencies", "notes_used_by", "order_notes"]


def notes_used_by(
    plan: Plan, probe: Probe, exprs: Sequence[Expr] | None = None, names: Sequence[str] = ()
) -> frozenset[str]:
    """The notes that a probe reads, through its definitions too: in `exprs` (None: in all of its
    own expressions, definitions included) and in the definitions `names`."""
    definitions = {**probe_scope(plan, probe).definitions}
    for item in probe.items:
        definitions = {**item.let, **definitions}
    own = list(_list_expressions(plan, probe)) if exprs is None else list(exprs)
    own += map(_expression_of_label, names)
    return frozenset(_walk_uses(own, definitions))


def _list_expressions(plan: Plan, probe: Probe) -> Iterator[Expr]:
    """What is evaluated at the probe's events."""
    tasks = (probe.task, *(item.task for item in probe.items))
    yield from (task for task in tasks if isinstance(task, Expr))
    if probe.where is not None:
        yield probe.where
    yield from (probe.emit or {}).values()
    for metric in probe.metrics:
        yield from (expr for expr in (metric.value, metric.where) if expr is not None)
    yield from (one.value for span in plan.spans for one in span.add if probe.name in one.of)
    opened = [one for one in plan.outstanding if probe.name in one.open]
    yield from (one.value for one in opened)
    once = [] if probe.once is None else [probe.once]
    owners: list[Metric | Once | Outstanding] = [*probe.metrics, *once, *opened]
    for owner in owners:
        for label in owner.by:
            yield owner.computed.get(label) or _expression_of_label(label)
    for item in probe.items:
        yield from item.let.values()
    yield from probe.let.values()


def _expression_of_label(label: str) -> Expr:
    """A dotted name as the expression that it is; its place is the metric's."""
    head, *members = label.split(".")
    node: SyntaxNode = Name(head)
    for member in members:
        node = MemberOf(node, member)
    return Expr(text=label, root=node, position=NOWHERE)


def _walk_uses(exprs: Sequence[Expr], definitions: Definitions) -> Iterator[str]:
    seen: set[str] = set()
    waiting = list(exprs)
    while waiting:
        expr = waiting.pop()
        for name in set(names_in(expr)) & definitions.keys() - seen:
            seen.add(name)
            waiting.append(definitions[name])
        for node in walk(expr.root):
            match node:
                case MemberOf(base=Name(id="note"), name=name) if "note" not in definitions:
                    yield name
                case Call(function="noted", args=(Name(id=name), *_)):
                    yield name


def list_dependencies(plan: Plan) -> Mapping[str, frozenset[str]]:
    """By note, the notes that what it keeps and its key are computed of."""
    return {note.name: _depends_on(plan, note) for note in plan.notes}


def _depends_on(plan: Plan, note: Note) -> frozenset[str]:
    exprs = tuple(note.keep.values())
    probes = [p for p in plan.probes if p.name in (*note.set_by, *note.drop_by)]
    used: frozenset[str] = frozenset()
    return used.union(*(notes_used_by(plan, probe, exprs, note.key) for probe in probes))


def find_circle(plan: Plan) -> tuple[str, ...]:
    """The names of notes that depend on each other in a circle; () where none do."""
    needs = list_dependencies(plan)
    return next(filter(None, (_find_way_back(name, needs) for name in needs)), ())


def _find_way_back(start: str, needs: Mapping[str, frozenset[str]]) -> tuple[str, ...]:
    """The shortest way from a note to itself; () where there is none."""
    ways: dict[str, tuple[str, ...]] = {start: (start,)}
    waiting = [start]
    while waiting:
        here = waiting.pop(0)
        for name in sorted(needs[here] & needs.keys()):
            if name == start:
                return ways[here]
            if name not in ways:
                ways[name] = (*ways[here], name)
                waiting.append(name)
    return ()


def order_notes(plan: Plan) -> list[Note]:
    """The notes, each after those that it depends on. They are not in a circle."""
    needs, known = list_dependencies(plan), {note.name: note for note in plan.notes}
    ordered: dict[str, Note] = {}

    def add(note: Note) -> None:
        for name in sorted(needs[note.name]):
            if name in known and name not in ordered:
                add(known[name])
        ordered[note.name] = note

    for note in plan.notes:
        add(note)
    return list(ordered.values())
