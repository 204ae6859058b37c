"""Types the expressions of a plan's probes without a kernel, each with its findings."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field, replace
from functools import partial

from orchestrator.compile.alternatives import complete_item
from orchestrator.compile.expressions.nodes import ShownAs
from orchestrator.compile.expressions.notes import KeptShape, NoteShape, open_shape
from orchestrator.compile.expressions.scope import ScalarParam
from orchestrator.compile.expressions.types import Type
from orchestrator.compile.kernel_free.points import make_no_facts, make_point
from orchestrator.compile.kernel_free.typers import KernelFreeTyper
from orchestrator.compile.lower import scalar_params
from orchestrator.compile.own_types.declared import add_own_types
from orchestrator.compile.type_hook import (
    HookDraft,
    draft_metric,
    draft_notes,
    make_redactor,
    make_scope,
    split_conjunction,
    type_once,
    type_task,
)
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.expression.syntax import Expr
from orchestrator.plan.findings import Finding, PlanError
from orchestrator.plan.model import AttachItem, Plan, Probe
from orchestrator.plan.notes.uses import order_notes
from orchestrator.values import dataclass

__all__ = ["TypedProbe", "type_probes"]


@dataclass(slots=True)
class TypedProbe:
    """A probe at its items: the findings of each, drafts of those that have none, and by item the
    arguments, as written, whose types only a kernel can say."""

    probe: Probe
    findings: list[tuple[AttachItem, tuple[Finding, ...]]] = field(default_factory=list)
    drafts: list[HookDraft] = field(default_factory=list)
    unseen: set[tuple[str, str]] = field(default_factory=set)


def type_probes(plan: Plan) -> Sequence[TypedProbe]:
    """All probes of a plan. Items that wait for the value of a param are left out."""
    facts, params = add_own_types(make_no_facts(), plan.types), scalar_params(plan)
    notes = _infer_notes(plan, facts, params)
    return [_type_probe(plan, probe, facts, params, notes) for probe in plan.probes]


def _infer_notes(
    plan: Plan, facts: KernelFacts, params: Mapping[str, ScalarParam]
) -> dict[str, NoteShape]:
    """The notes with the types of what they keep, as far as no kernel decides them."""
    shapes = {
        note.name: open_shape(index, note.name, note.key, tuple(note.keep), note.position)
        for index, note in enumerate(plan.notes)
    }
    for note in order_notes(plan):  # what a note keeps may be of those before it
        items = [(p, item) for p in plan.probes if p.name in note.set_by for item in p.items]
        if any(item.deferred for _, item in items):
            continue
        drafts = [_begin_draft(plan, p, item, facts, params, shapes)[0] for p, item in items]
        known = {
            name: kept if kind is None else KeptShape(type=kind)
            for name, kept in shapes[note.name].kept.items()
            for kind in [_find_common_type(drafts, note.keep[name])]
        }
        shapes[note.name] = replace(shapes[note.name], kept=known)
    return shapes


def _find_common_type(drafts: Sequence[HookDraft], expr: Expr) -> Type | None:
    """The type of what is kept, if it is the same at all attach points of which a kernel may take
    one; None: a kernel decides it, or how it is shown."""
    try:
        nodes = [draft.typer.type_expression(expr) for draft in drafts]
    except PlanError:
        return None  # which is found where the note is set
    types = {node.type for node in nodes}
    is_shown = any(isinstance(node, ShownAs) for node in nodes)
    return types.pop() if len(types) == 1 and not is_shown else None


def _type_probe(
    plan: Plan,
    probe: Probe,
    facts: KernelFacts,
    params: Mapping[str, ScalarParam],
    notes: Mapping[str, NoteShape],
) -> TypedProbe:
    typed = TypedProbe(probe)
    for item in probe.items:
        if item.deferred:
            continue
        try:
            draft, unseen = _begin_draft(plan, probe, item, facts, params, notes)
        except PlanError as error:
            typed.findings.append((item, error.findings))
            continue
        found = tuple(_type_parts(plan, probe, draft))
        typed.findings.append((item, found))
        typed.drafts += [] if found else [draft]
        typed.unseen |= {(item.text, name) for name in unseen}
    return typed


def _begin_draft(  # noqa: PLR0913  # what a hook is typed from
    plan: Plan,
    probe: Probe,
    item: AttachItem,
    facts: KernelFacts,
    params: Mapping[str, ScalarParam],
    notes: Mapping[str, NoteShape],
) -> tuple[HookDraft, set[str]]:
    """A draft with nothing typed, and the set to which typing adds what it cannot see."""
    point = make_point(complete_item(item, probe), facts)
    task = item.task if item.task is not None else probe.task
    typer = KernelFreeTyper(make_scope(plan, probe, item, point, facts, 0, params, task, notes))
    draft = HookDraft(
        id=id(item),  # spans need a number that no other hook has
        item=item,
        point=point,
        typer=typer,
        redactor=make_redactor(probe, point, typer),
        pushed=(),
        where=(),
        emit={},
        metrics=(),
        task="none" if task == "none" else None,
    )
    return draft, typer.unseen


def _type_parts(plan: Plan, probe: Probe, draft: HookDraft) -> Iterator[Finding]:
    """The findings of everything that the probe evaluates at an attach point."""
    typer = draft.typer
    task = draft.item.task if draft.item.task is not None else probe.task
    parts: list[Callable[[], object]] = [
        *(partial(typer.type_condition, term) for term in split_conjunction(probe.where)),
        *(partial(typer.type_expression, expr) for expr in (probe.emit or {}).values()),
        *(partial(draft_metric, typer, draft.redactor, metric) for metric in probe.metrics),
        *(partial(type_once, typer, draft.redactor, one) for one in (probe.once,) if one),
        partial(draft_notes, plan, probe, typer, draft.redactor),
        partial(type_task, typer, task),
    ]
    for part in parts:
        try:
            part()
        except PlanError as error:
            yield from error.findings
