"""Types the expressions of one hook, before the hooks of a probe are brought to common types."""

from collections.abc import Mapping
from typing import Literal

from orchestrator.compile.expressions import arithmetic
from orchestrator.compile.expressions.data_sources import DataSources
from orchestrator.compile.expressions.nodes import (
    READS,
    Builtin,
    Captured,
    Combination,
    Let,
    LetRef,
    Node,
    Noted,
    NoteValue,
    transform,
    walk,
)
from orchestrator.compile.expressions.notes import NoteShape
from orchestrator.compile.expressions.scope import HookScope, ScalarParam
from orchestrator.compile.expressions.types import Pointer, UnknownType
from orchestrator.compile.expressions.typing import Typer
from orchestrator.compile.point import Point, return_node
from orchestrator.compile.redact import Redactor
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.attach_kinds import KINDS
from orchestrator.plan.expression import syntax
from orchestrator.plan.expression.names import OF_TASK
from orchestrator.plan.expression.parse import parse
from orchestrator.plan.expression.syntax import Expr
from orchestrator.plan.findings import Position, plan_error
from orchestrator.plan.model import AttachItem, Metric, Note, Once, Outstanding, Plan, Probe
from orchestrator.values import dataclass

#: Builtins whose value at the entry is meant; the others are evaluated at the return.
_OF_ENTRY = frozenset({"pid", "tid", "uid", "gid", "comm", "cgroup", "task", "compat"})


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricDraft:
    """A metric's expressions at one hook."""

    key: tuple[Node, ...]
    value: Node | None
    where: Node | None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteDraft:
    """What one hook does to the note `name`: the parts of its key, and what a set keeps."""

    name: str
    role: Literal["set", "drop"]
    key: tuple[tuple[str, Node], ...]
    keep: Mapping[str, Node]


#: The release of the language in which `retval` has its type by debug information (language, rule
#: 12): before, it was a u64 on all hosts.
_RETURNS_DESCRIBED = (1, 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class HookDraft:
    """One hook, typed. `typer` and `redactor` serve the spans that use the hook: what they type is
    added to its definitions and captures, of which some may end up unused."""

    id: int
    item: AttachItem
    point: Point
    typer: Typer
    redactor: Redactor
    pushed: tuple[Node, ...]
    where: tuple[Node, ...]
    emit: Mapping[str, Node]
    metrics: tuple[MetricDraft, ...]
    task: Node | Literal["none"] | None
    notes: tuple[NoteDraft, ...] = ()
    once: tuple[Node, ...] = ()

    @property
    def lets(self) -> tuple[Let, ...]:
        """The definitions typed so far."""
        return tuple(self.typer.lets)

    @property
    def captures(self) -> tuple[Node, ...]:
        """What is kept from the entry, so far."""
        return tuple(self.typer.captures)


def type_hook(  # noqa: PLR0913  # what a hook is typed from
    plan: Plan,
    probe: Probe,
    item: AttachItem,
    point: Point,
    facts: KernelFacts,
    number: int,
    func_number: int,
    params: Mapping[str, ScalarParam],
    notes: Mapping[str, NoteShape],
) -> HookDraft:
    """Type everything that the probe evaluates at `point`. `func_number` is what `func` is in
    keys; `notes`: what it may read, by name. Raises PlanError."""
    task = item.task if item.task is not None else probe.task
    scope = make_scope(plan, probe, item, point, facts, func_number, params, task, notes)
    typer = Typer(scope)
    where = tuple(map(typer.type_condition, split_conjunction(probe.where)))
    redactor = make_redactor(probe, point, typer)
    emit = {
        name: redactor.redact_node(typer.type_expression(expr))
        for name, expr in (probe.emit or {}).items()
    }
    metrics = tuple(draft_metric(typer, redactor, metric) for metric in probe.metrics)
    noted = draft_notes(plan, probe, typer, redactor)
    once = () if probe.once is None else type_once(typer, redactor, probe.once)
    whose = type_task(typer, task)
    pushed, kept = _push_down(where, typer) if point.paired else ((), where)
    return HookDraft(
        id=number,
        item=item,
        point=point,
        typer=typer,
        redactor=redactor,
        pushed=pushed,
        where=kept,
        emit=emit,
        metrics=metrics,
        task=whose,
        notes=noted,
        once=once,
    )


def make_scope(  # noqa: PLR0913  # as type_hook, and whose event it is
    plan: Plan,
    probe: Probe,
    item: AttachItem,
    point: Point,
    facts: KernelFacts,
    func_number: int,
    params: Mapping[str, ScalarParam],
    task: Expr | Literal["none"] | None,
    notes: Mapping[str, NoteShape],
) -> HookScope:
    """The names of the probe's expressions at `point`. Raises PlanError where its events would be
    those of the task that reads an iterator."""
    in_reader = point.traits.site == "iterator"
    if in_reader and task is None:
        message = f"`task: current` has no meaning at {point.label}: probeplan itself runs there"
        hint = "leave out `task`: the event is that of the task that is shown"
        raise plan_error("PP088", message, item.position, hint)
    knows_returns = plan.metadata.is_written_for(_RETURNS_DESCRIBED)
    return HookScope(
        facts=facts if point.types is None else facts.with_own_types(point.types),
        label=point.label,
        arguments=point.arguments,
        why_unnamed=point.why_unnamed,
        positional=point.positional,
        retval=return_node(point),
        describe_return=point.describe_return if knows_returns else lambda _position: None,
        paired=point.paired,
        has_task=task != "none",
        is_running_task=task is None,
        in_reader=in_reader,
        shows_task=in_reader and isinstance(task, Expr) and _is_shown_task(task.root),
        has_elapsed=point.paired,
        probe=probe.name,
        func=point.func,
        func_number=func_number,
        params=params,
        definitions={**plan.let, **probe.let, **item.let},
        labels=plan.labels,
        notes=notes,
    )


def _is_shown_task(node: syntax.SyntaxNode) -> bool:
    match node:
        case syntax.MemberOf(syntax.Name("args"), "task"):
            return True
        case _:
            return False


def make_redactor(probe: Probe, point: Point, typer: Typer) -> Redactor:
    """What redacts at `point` what `typer` types there."""
    shapes = {shape.index: shape for shape in typer.scope.notes.values()}
    sources = DataSources(
        KINDS[point.kind],
        point.tracepoint,
        typer.scope.facts,
        typer.lets,
        typer.captures,
        noted=lambda note, index: [*shapes[note].kept.values()][index].behind,
        of_running_task=typer.scope.is_running_task or not typer.scope.has_task,
    )
    return Redactor(probe.redact, sources, typer.captures)


def draft_notes(
    plan: Plan, probe: Probe, typer: Typer, redactor: Redactor
) -> tuple[NoteDraft, ...]:
    """What the probe does to the plan's notes, as `typer` sees it: drops, then sets. Raises
    PlanError."""
    drops = [note for note in plan.notes if probe.name in note.drop_by]
    sets = [note for note in plan.notes if probe.name in note.set_by]
    return (
        *(_draft_note(note, "drop", typer, {}) for note in drops),
        *(_draft_note(note, "set", typer, _keep(note, typer, redactor)) for note in sets),
    )


def _draft_note(
    note: Note, role: Literal["set", "drop"], typer: Typer, keep: Mapping[str, Node]
) -> NoteDraft:
    key = tuple(typer.type_key(note.key, note.position))
    return NoteDraft(name=note.name, role=role, key=key, keep=keep)


def _keep(note: Note, typer: Typer, redactor: Redactor) -> dict[str, Node]:
    return {
        name: redactor.redact_node(typer.type_expression(expr)) for name, expr in note.keep.items()
    }


def split_conjunction(where: Expr | None) -> tuple[Expr, ...]:
    """The terms of a top-level `and`, each with its place."""
    if where is None:
        return ()
    if isinstance(where.root, syntax.Logic) and where.root.op == "and":
        return tuple(
            Expr(text=where.text, root=operand, position=where.position)
            for operand in where.root.operands
        )
    return (where,)


def draft_metric(typer: Typer, redactor: Redactor, metric: Metric) -> MetricDraft:
    """The metric's expressions, typed by `typer`. Raises PlanError."""
    names = [name for name in metric.by if name != "none"]
    key = tuple(redactor.redact_node(type_key_part(typer, metric, name)) for name in names)
    where = typer.type_condition(metric.where) if metric.where is not None else None
    if metric.value is None:
        return MetricDraft(key=key, value=None, where=where)
    if metric.kind == "count":
        also = typer.type_condition(metric.value)
        both = also if where is None else Combination("and", (where, also))
        return MetricDraft(key=key, value=None, where=both)
    value = arithmetic.require_integer(
        typer.type_expression(metric.value), metric.value.position, metric.kind
    )
    return MetricDraft(key=key, value=value, where=where)


def type_once(typer: Typer, redactor: Redactor, once: Once) -> tuple[Node, ...]:
    """The key of `once`. Raises PlanError."""
    return tuple(redactor.redact_node(type_key_part(typer, once, name)) for name in once.by)


def type_key_part(typer: Typer, owner: Metric | Outstanding | Once, label: str) -> Node:
    """The part `label` of a key, as `typer` sees it. Raises PlanError."""
    expr = owner.computed.get(label)
    if expr is None:
        return typer.type_expression(parse(label, owner.position))
    return typer.type_shared(expr)


def type_task(typer: Typer, task: Expr | Literal["none"] | None) -> Node | Literal["none"] | None:
    """The task that an event belongs to, as the plan says it. Raises PlanError."""
    if task is None or task == "none":
        return task
    node = typer.type_expression(task)
    if isinstance(node.type, UnknownType):
        return node
    btf = typer.scope.facts.btf
    if (
        isinstance(node.type, Pointer)
        and btf is not None
        and (node.type.target == btf.struct("task_struct"))
    ):
        return _of_running_task(node, typer, task.position)
    raise plan_error(
        "PP084",
        f"`task` needs a pointer to a task_struct, not a {node.type}",
        task.position,
        "e.g. `task: args.next`, or `task: none`",
    )


def _of_running_task(node: Node, typer: Typer, position: Position) -> Node:
    """`node`, which names the event's task, where `task` is the running one. Raises PlanError for
    other names of the event's task: whose they are, the expression itself says."""

    def change(part: Node) -> Node:
        is_task = isinstance(part, Builtin) and part.name == "task"
        return Builtin("running_task", part.type) if is_task else part

    changed = transform(node, change)
    for part in walk(_unfold_lets(changed, typer)):
        if isinstance(part, Builtin) and part.name in OF_TASK:
            raise plan_error(
                "PP088",
                f"`{part.name}` has no meaning here: it is of the task that this expression names",
                position,
                "of the running task write `task`, without a definition: `task.real_parent`",
            )
    return changed


# ---------------------------------------------------------------- push-down


def _push_down(where: tuple[Node, ...], typer: Typer) -> tuple[tuple[Node, ...], tuple[Node, ...]]:
    """(terms that can be evaluated at the entry, in terms of the entry; the others)."""
    pushed, kept = [], []
    for term in where:
        open_term = _unfold_lets(term, typer)
        if _is_known_at_entry(open_term):
            pushed.append(transform(open_term, lambda node: _replace_captures(node, typer)))
        else:
            kept.append(term)
    return tuple(pushed), tuple(kept)


def _unfold_lets(node: Node, typer: Typer) -> Node:
    def unfold(part: Node) -> Node:
        if isinstance(part, LetRef):
            return _unfold_lets(typer.lets[part.index].node, typer)
        return part

    return transform(node, unfold)


def _is_known_at_entry(node: Node) -> bool:
    """Whether the node reads memory and notes only inside captures, and uses no value of the
    return."""
    return not any(
        isinstance(part, (*READS, NoteValue, Noted))
        or (isinstance(part, Builtin) and part.name not in _OF_ENTRY)
        for part in walk(node)
    )


def _replace_captures(node: Node, typer: Typer) -> Node:
    return typer.captures[node.index] if isinstance(node, Captured) else node
