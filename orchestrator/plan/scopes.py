"""Which definitions apply where, and which names they use."""

from collections.abc import Iterator, Mapping, Sequence

from orchestrator.plan.expression import names
from orchestrator.plan.expression.syntax import Call, Expr, Name, Number, children
from orchestrator.plan.findings import NOWHERE
from orchestrator.plan.model import AttachItem, Plan, Probe, Span
from orchestrator.values import dataclass

Definitions = Mapping[str, Expr]
#: The most levels of an expression with its definitions in place: all that follows goes down them.
MAX_LEVELS = 160
_KEY = Expr(text="", root=Number(0), position=NOWHERE)  # only the name of a key matters


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """The names that an expression may use. `kinds` are the attach kinds at which it is evaluated
    (empty: not known); `every`: it must be valid at all of them rather than at one; `task` is False
    where there is no task; `partial` has the names that only some attach points define. In a span,
    `span` has, for `start`, `via` and `end`, the names that its probes define (written after a
    dot), and for `sum` those of its sums, and the names of an event are unknown; elsewhere it is
    None."""

    definitions: Definitions
    kinds: frozenset[str] = frozenset()
    every: bool = True
    task: bool = True
    partial: frozenset[str] = frozenset()
    span: Mapping[str, frozenset[str]] | None = None

    def is_offered(self, by: frozenset[str]) -> bool:
        """True when the kinds of this scope offer what only the kinds `by` have."""
        return not self.kinds or (self.kinds <= by if self.every else bool(self.kinds & by))


def plan_scope(plan: Plan) -> Scope:
    """For the plan's own `let`, which is resolved in each probe and may use any probe's names."""
    merged: dict[str, Expr] = {}
    for probe in plan.probes:
        for item in probe.items:
            merged.update(item.let)
        merged.update(probe.let)
    return Scope(definitions={**merged, **plan.let})


def item_scope(plan: Plan, probe: Probe, item: AttachItem) -> Scope:
    """For the definitions of one attach item."""
    return Scope(
        definitions={**plan.let, **probe.let, **item.let},
        kinds=_attach_kinds((item,)),
        task="none" not in (item.task, probe.task if item.task is None else None),
    )


def probe_scope(plan: Plan, probe: Probe) -> Scope:
    """For the probe's own expressions: names that all its items define, or (attach_first) one."""
    join = set.union if probe.mode == "first" else set.intersection
    shared = join(*(set(item.let) for item in probe.items)) if probe.items else set()
    partial = {name for item in probe.items for name in item.let} - shared
    own = {name: expr for item in probe.items for name, expr in item.let.items() if name in shared}
    return Scope(
        definitions={**plan.let, **own, **probe.let},
        kinds=_attach_kinds(probe.items),
        every=probe.mode != "first",
        task=probe.task != "none",
        partial=frozenset(partial),
    )


def defines_name(plan: Plan, probe: Probe, name: str) -> bool:
    """Whether `name`, a part of a key, means something at the probe: a definition of it, of all or
    some of its attach points, or a builtin."""
    scope = probe_scope(plan, probe)
    head = name.split(".", maxsplit=1)[0]
    if head in scope.definitions or head in scope.partial:
        return True
    if head in names.OF_TASK:
        return scope.task
    return head in names.BUILTINS or names.ARGUMENT.fullmatch(head) is not None


def span_scope(plan: Plan, span: Span) -> Scope:
    """For a span's expressions: its definitions, names of its key, and its probes' names."""
    roles = {"start": span.start, "via": span.via, "end": span.end}
    named = {role: _shared_definitions(plan, probes) for role, probes in roles.items() if probes}
    own = {name: _KEY for name in span.key if "." not in name}
    if span.again == "nest":
        own["depth"] = _KEY
    named["sum"] = frozenset(one.name for one in span.add)
    return Scope(definitions={**own, **span.let}, span=named)


def _shared_definitions(plan: Plan, probes: Sequence[str]) -> frozenset[str]:
    """The definitions that all these probes have."""
    definitions = [
        set(probe_scope(plan, probe).definitions) for probe in plan.probes if probe.name in probes
    ]
    return frozenset(set.intersection(*definitions)) if definitions else frozenset()


def _attach_kinds(items: tuple[AttachItem, ...]) -> frozenset[str]:
    if any(item.deferred and item.text.startswith("$(") for item in items):
        return frozenset()
    return frozenset(item.kind for item in items)


def names_in(expr: Expr) -> Iterator[str]:
    """The bare names in an expression, without those of notes in noted(NOTE)."""
    waiting = [expr.root]
    while waiting:
        node = waiting.pop()
        if isinstance(node, Name):
            yield node.id
        elif not (isinstance(node, Call) and node.function == "noted"):
            waiting += children(node)


def names_used_by(name: str, definitions: Definitions) -> frozenset[str]:
    """All names that the definition `name` uses, through other definitions too."""
    used: set[str] = set()
    waiting = [name]
    while waiting:
        expr = definitions.get(waiting.pop())
        fresh = set(names_in(expr)) - used if expr else set()
        used |= fresh
        waiting += fresh
    return frozenset(used)


def is_too_deep(expr: Expr, definitions: Definitions) -> bool:
    """Whether `expr` nests deeper than MAX_LEVELS with its definitions in place, and none of these
    does by itself, so that a chain of them is reported once."""
    known: dict[str, int] = {}
    levels = _count_levels(expr, definitions, known)
    used = set(names_in(expr)) & known.keys()
    return levels > MAX_LEVELS >= max((known[name] for name in used), default=0)


def _count_levels(expr: Expr, definitions: Definitions, known: dict[str, int]) -> int:
    """How many levels `expr` has, a definition being one more than what it stands for. `known`:
    those of definitions; one that refers to itself, which is reported elsewhere, ends there."""
    deepest, waiting = 0, [(expr.root, 1)]
    while waiting:
        node, level = waiting.pop()
        if isinstance(node, Name) and node.id in definitions:
            level += _levels_of_definition(node.id, definitions, known)
        deepest = max(deepest, level)
        waiting += [(child, level + 1) for child in children(node)]
    return deepest


def _levels_of_definition(name: str, definitions: Definitions, known: dict[str, int]) -> int:
    if name not in known:
        known[name] = 0
        known[name] = _count_levels(definitions[name], definitions, known)
    return known[name]
