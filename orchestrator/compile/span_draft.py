"""The expressions of a span, typed at the hooks of its probes.

A span's expressions are evaluated at its end, in the scope of the end's hook: the values of the
start and the via that they name are kept in the open span until then.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import field, replace

from orchestrator.compile.expressions.arithmetic import require_integer
from orchestrator.compile.expressions.data_sources import SourcedNode
from orchestrator.compile.expressions.members import read_member
from orchestrator.compile.expressions.nodes import (
    Builtin,
    Node,
    Seen,
    SpanValue,
    may_be_null,
)
from orchestrator.compile.expressions.types import DURATION, Int, Type
from orchestrator.compile.expressions.typing import Typer
from orchestrator.compile.expressions.vocabulary import UNITS, find_constant
from orchestrator.compile.layout import merge_presentations, show_as, unify_types
from orchestrator.compile.program import Presentation, SpanRole
from orchestrator.compile.span_probes import require_probes
from orchestrator.compile.type_hook import HookDraft, MetricDraft, draft_metric, split_conjunction
from orchestrator.plan.expression import syntax
from orchestrator.plan.expression.parse import parse
from orchestrator.plan.expression.syntax import Expr
from orchestrator.plan.findings import Finding, PlanError, Position, plan_error
from orchestrator.plan.model import Outstanding, Plan, Span, SpanSum
from orchestrator.plan.nearest import suggest_or_list
from orchestrator.values import dataclass

__all__ = ["EndDraft", "KeptDraft", "SpanDraft", "draft_spans"]

DraftsByProbe = Mapping[str, Sequence[HookDraft]]  # of each probe, by its name
_ROLES = ("start", "via", "end", "cancel")
#: Whose values a span's expressions name.
_NAMED: Mapping[str, SpanRole] = {"start": "start", "via": "via", "end": "end"}


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptDraft:
    """A value that is kept: its node by hook, the common type and how it is shown."""

    name: str
    role: SpanRole
    type: Type
    nodes: Mapping[int, Node]
    presentation: Presentation | None
    nullable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class EndDraft:
    """The expressions of a span at one hook where it ends."""

    where: tuple[Node, ...]
    emit: Mapping[str, Node]
    metrics: tuple[MetricDraft, ...]


@dataclass(slots=True, kw_only=True)
class SpanDraft:
    """A span while it is typed: its hooks by role, the parts of its key by hook, what is kept,
    and the expressions at its ends. An outstanding resource is a span without expressions at its
    ends."""

    name: str
    position: Position
    hooks: Mapping[str, tuple[HookDraft, ...]]
    keys: Mapping[int, tuple[tuple[str, Node], ...]]
    nests: bool = False
    kept: list[KeptDraft] = field(default_factory=list)
    ends: dict[int, EndDraft] = field(default_factory=dict)
    timed: bool = False

    def keep_value(
        self, role: SpanRole, text: str, position: Position, computed: Expr | None = None
    ) -> Node:
        """The value `text` of the hooks of `role` as the end sees it; where `computed` is given,
        that, under the name `text`. Raises PlanError."""
        name = f"{role}.{text}"
        for index, kept in enumerate(self.kept):
            if kept.name == name:
                return _seen_at_end(index, kept)
        expr = parse(text, position) if computed is None else computed
        nodes = {
            d.id: d.redactor.redact_node(
                d.typer.type_expression(expr) if computed is None else d.typer.type_shared(expr)
            )
            for d in self.hooks[role]
        }
        drafts = {draft.id: draft for draft in self.hooks[role]}
        value = KeptDraft(
            name=name,
            role=role,
            type=unify_types([node.type for node in nodes.values()], name, position),
            nodes=nodes,
            presentation=merge_presentations(list(nodes.values())),
            nullable=role == "via" or any(_may_be_null_at(n, drafts[h]) for h, n in nodes.items()),
        )
        self.kept.append(value)
        return _seen_at_end(len(self.kept) - 1, value)

    def keep_sum(self, one: SpanSum, hooks: Sequence[HookDraft]) -> None:
        """Keep a sum of what the events of `hooks` add. Raises PlanError."""
        place = one.value.position
        nodes = {
            draft.id: require_integer(draft.typer.type_expression(one.value), place, "sum")
            for draft in hooks
        }
        kind = unify_types([node.type for node in nodes.values()], one.name, place)
        self.kept.append(
            KeptDraft(
                name=f"sum.{one.name}",
                role="add",
                type=Int(64, kind.signed, kind.unit) if isinstance(kind, Int) else kind,
                nodes=nodes,
                presentation=None,
                nullable=False,
            )
        )

    def find_sum(self, name: str) -> Node | None:
        """The sum `name` as the end sees it; None where there is none."""
        kept = enumerate(self.kept)
        return next((_seen_at_end(i, one) for i, one in kept if one.name == f"sum.{name}"), None)

    def kept_nodes(self, index: int) -> Sequence[SourcedNode]:
        """What each hook keeps as the value `index`, with the sources of that hook."""
        kept = self.kept[index]
        return [
            (draft.redactor.sources, kept.nodes[draft.id])
            for draft in self.hooks[kept.role]
            if draft.id in kept.nodes
        ]


def _seen_at_end(index: int, kept: KeptDraft) -> Node:
    value = SpanValue(index, kept.type, kept.nullable, kept.name)
    return show_as(value, kept.type, kept.presentation)


def _may_be_null_at(node: Node, draft: HookDraft) -> bool:
    """Whether the value may be unreadable where it is kept."""
    return may_be_null(node, [let.node for let in draft.lets], draft.captures)


class SpanTyper(Typer):
    """Types a span's expressions at one of its ends, in addition to the hook's own expressions."""

    def __init__(self, hook: HookDraft, span: SpanDraft, let: Mapping[str, Expr]) -> None:
        scope = replace(hook.typer.scope, definitions=let, has_elapsed=True, paired=False)
        super().__init__(scope)
        self.hook, self.span = hook, span
        self.lets, self.captures = hook.typer.lets, hook.typer.captures
        self.weights = hook.typer.weights
        self._keys = dict(span.keys[hook.id])

    def _type_name(self, node: syntax.Name) -> Node:
        name = node.id
        if name in self.scope.definitions:
            return self._type_definition(name, node)
        if name in self._keys:
            return self._keys[name]
        if name == "elapsed":
            self.span.timed = True
            return Builtin("open_for", DURATION)
        if name == "depth" and self.span.nests:
            return Builtin("depth", Int(32, signed=False))
        value = UNITS.get(name) or find_constant(name, self.scope.facts)
        if value is None:
            raise plan_error(
                "PP087",
                f"the name {name!r} is not known in the span {self.span.name!r}",
                self._position_of(node),
                suggest_or_list(
                    name, (*self.scope.definitions, *self._keys, "start", "via", "end")
                ),
            )
        return value

    def _type_member(self, node: syntax.MemberOf) -> Node:
        head, names = _split_path(node)
        role = _NAMED.get(head)
        if role is not None and names:
            taken = 2 if names[0] == "args" and len(names) > 1 else 1
            place = self._position_of(node)
            value = self._of_probe(role, ".".join(names[:taken]), place)
            for name in names[taken:]:
                value = read_member(self.scope.facts, value, name, place)
            return value
        if head == "sum" and len(names) == 1:
            total = self.span.find_sum(names[0])
            if total is not None:
                return total
        return super()._type_member(node)

    def _of_probe(self, role: SpanRole, text: str, place: Position) -> Node:
        if role == "end":
            return self.hook.redactor.redact_node(
                self.hook.typer.type_expression(parse(text, place))
            )
        if not self.span.hooks[role]:
            raise plan_error("PP087", f"the span {self.span.name!r} has no `{role}`", place)
        return self.span.keep_value(role, text, place)

    def _type_call(self, node: syntax.Call) -> Node:
        return Seen() if node.function == "seen" else super()._type_call(node)


SpanTyperMaker = Callable[[HookDraft, SpanDraft, Mapping[str, Expr]], SpanTyper]


def _split_path(node: syntax.MemberOf) -> tuple[str, list[str]]:
    """(`start`, [`args`, `count`]) of start.args.count; ("", []) of a member of something else."""
    names = [node.name]
    base = node.base
    while isinstance(base, syntax.MemberOf):
        names.append(base.name)
        base = base.base
    return (base.id, names[::-1]) if isinstance(base, syntax.Name) else ("", [])


# ---------------------------------------------------------------- spans


def draft_spans(
    plan: Plan, drafts: DraftsByProbe, make_typer: SpanTyperMaker = SpanTyper
) -> tuple[list[tuple[Span | Outstanding, SpanDraft]], list[Finding]]:
    """All spans of the plan that can be typed, and the findings of the others."""
    typed: list[tuple[Span | Outstanding, SpanDraft]] = []
    findings: list[Finding] = []
    spans: tuple[Span | Outstanding, ...] = (*plan.spans, *plan.outstanding)
    for span in spans:
        try:
            require_probes(span, drafts)
            typed.append((span, _draft_one(span, drafts, make_typer)))
        except PlanError as error:
            findings += error.findings
    return typed, findings


def _draft_one(
    span: Span | Outstanding, drafts: DraftsByProbe, make_typer: SpanTyperMaker
) -> SpanDraft:
    if isinstance(span, Span):
        return _draft_span(span, drafts, make_typer)
    return _draft_outstanding(span, drafts)


def _draft_span(span: Span, drafts: DraftsByProbe, make_typer: SpanTyperMaker) -> SpanDraft:
    """The span, typed at all its hooks. Raises PlanError."""
    named = {role: getattr(span, role) for role in _ROLES} | {"add": span.adding}
    draft = _begin_draft(span.name, span.position, named, span.key, drafts)
    draft.timed, draft.nests = span.open_at_end, span.again == "nest"
    for one in span.add:
        draft.keep_sum(one, [hook for probe in one.of for hook in drafts.get(probe, ())])
    for hook in draft.hooks["end"]:
        typer = make_typer(hook, draft, span.let)
        redactor = hook.redactor.with_kept(draft.kept_nodes)
        draft.ends[hook.id] = EndDraft(
            where=tuple(map(typer.type_condition, split_conjunction(span.where))),
            emit={
                name: redactor.redact_node(typer.type_expression(expr))
                for name, expr in (span.emit or {}).items()
            },
            metrics=tuple(draft_metric(typer, redactor, metric) for metric in span.metrics),
        )
    return draft


def _draft_outstanding(resource: Outstanding, drafts: DraftsByProbe) -> SpanDraft:
    """The draft of an outstanding resource: `value` is kept first, then `by`."""
    named = {"start": resource.open, "end": resource.close, "via": (), "cancel": (), "add": ()}
    draft = _begin_draft(resource.name, resource.position, named, resource.key, drafts)
    draft.timed = True
    _keep_value(draft, resource)
    for name in resource.by:
        draft.keep_value("start", name, resource.position, resource.computed.get(name))
    for hook in draft.hooks["end"]:
        draft.ends[hook.id] = EndDraft(where=(), emit={}, metrics=())
    return draft


def _keep_value(span_draft: SpanDraft, resource: Outstanding) -> None:
    place = resource.value.position
    nodes = {
        draft.id: require_integer(draft.typer.type_expression(resource.value), place, "value")
        for draft in span_draft.hooks["start"]
    }
    drafts = {draft.id: draft for draft in span_draft.hooks["start"]}
    span_draft.kept.append(
        KeptDraft(
            name="value",
            role="start",
            type=unify_types([node.type for node in nodes.values()], "value", place),
            nodes=nodes,
            presentation=None,
            nullable=any(_may_be_null_at(node, drafts[hook]) for hook, node in nodes.items()),
        )
    )


def _begin_draft(
    name: str,
    position: Position,
    named: Mapping[str, Sequence[str]],
    key: Sequence[str],
    drafts: DraftsByProbe,
) -> SpanDraft:
    hooks = {
        role: tuple(draft for probe in probes for draft in drafts.get(probe, ()))
        for role, probes in named.items()
    }
    every = {draft.id: draft for hooks_of_role in hooks.values() for draft in hooks_of_role}
    keys = {number: _type_key(draft, key, position) for number, draft in every.items()}
    return SpanDraft(name=name, position=position, hooks=hooks, keys=keys)


def _type_key(
    draft: HookDraft, names: Sequence[str], position: Position
) -> tuple[tuple[str, Node], ...]:
    """The parts of a span's key at one hook, each by its name."""
    return tuple((name, draft.typer.type_expression(parse(name, position))) for name in names)
