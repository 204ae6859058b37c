"""Lowers typed spans and outstanding resources to the program's."""

from collections.abc import Iterable, Mapping, Sequence

from orchestrator.cells.buckets import Buckets
from orchestrator.compile.expressions.nodes import Node
from orchestrator.compile.expressions.notes import flatten_key
from orchestrator.compile.expressions.types import Int, size_of
from orchestrator.compile.layout import (
    lay_out_columns,
    lay_out_key,
    lay_out_record,
    record_fields,
    record_form,
)
from orchestrator.compile.metrics import convert_to_form, make_metric_spec, make_metric_use
from orchestrator.compile.program import (
    ROLE_ORDER,
    Emit,
    KeptField,
    MetricSpec,
    Resource,
    SpanEnd,
    SpanProgram,
    SpanRole,
    SpanUse,
)
from orchestrator.compile.span_draft import SpanDraft
from orchestrator.plan.findings import plan_error
from orchestrator.plan.model import Outstanding, Span
from orchestrator.values import dataclass

__all__ = ["LoweredSpan", "NextNumbers", "lower_span", "uses_by_hook"]

_ROLES: tuple[SpanRole, ...] = ("end", "cancel", "start", "via", "add")


@dataclass(frozen=True, slots=True, kw_only=True)
class NextNumbers:
    """The next free numbers: of a span, a record and a metric."""

    span: int
    emit: int
    metric: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LoweredSpan:
    """A span of the program, and by hook its parts in the span."""

    span: SpanProgram
    uses: Mapping[int, tuple[SpanUse, ...]]


def lower_span(plan: Span | Outstanding, draft: SpanDraft, numbers: NextNumbers) -> LoweredSpan:
    """The span of the program. Raises PlanError where its hooks do not agree on a type."""
    parts = {hook: _flatten_keys(keys) for hook, keys in draft.keys.items()}
    names = [name for name, _ in next(iter(parts.values()))]
    if any([name for name, _ in part] != names for part in parts.values()):
        message = f"the key of the span {draft.name!r} has not the same parts at all probes"
        raise plan_error("PP090", message, draft.position)
    keys = [[node for _, node in part] for part in parts.values()]
    key, size = lay_out_columns(names, keys, draft.position)
    kept = tuple(
        KeptField(
            name=value.name,
            role=value.role,
            type=value.type,
            form=record_form(value.type, value.name, draft.position),
            size=size_of(value.type),
            presentation=value.presentation,
        )
        for value in draft.kept
    )
    emit, metrics = _made_at_end(plan, draft, numbers)
    span = SpanProgram(
        index=numbers.span,
        name=draft.name,
        key=key,
        key_size=size,
        kept=kept,
        again=plan.again if isinstance(plan, Span) else "replace",
        max_open=plan.max_open,
        open_at_end=isinstance(plan, Span) and plan.open_at_end,
        timed=draft.timed,
        has_via=bool(draft.hooks["via"]),
        tests_target=any(hook.task == "none" for hook in draft.hooks["start"]),
        emit=emit,
        metrics=metrics,
        position=draft.position,
        resource=_make_resource(plan, draft) if isinstance(plan, Outstanding) else None,
    )
    return LoweredSpan(span=span, uses=_make_uses(span, draft, parts))


def _flatten_keys(keys: Iterable[tuple[str, Node]]) -> list[tuple[str, Node]]:
    return [part for name, node in keys for part in flatten_key(name, node)]


def _made_at_end(
    plan: Span | Outstanding, draft: SpanDraft, numbers: NextNumbers
) -> tuple[Emit | None, tuple[MetricSpec, ...]]:
    if isinstance(plan, Outstanding):
        return None, ()
    ends = list(draft.ends.values())
    emit = None
    if plan.emit is not None:
        fields = record_fields(plan.emit, [end.emit for end in ends])
        has_task = all(hook.task != "none" for hook in draft.hooks["end"])
        emit = lay_out_record(numbers.emit, plan.name, fields, has_task, plan.position)
    return emit, tuple(
        make_metric_spec(numbers.metric + i, plan.name, metric, [end.metrics[i] for end in ends])
        for i, metric in enumerate(plan.metrics)
    )


def _make_resource(plan: Outstanding, draft: SpanDraft) -> Resource:
    names = [value.name for value in draft.kept]
    by = tuple(names.index(f"start.{name}") for name in plan.by)
    fields = [
        (name, draft.kept[index].type, draft.kept[index].presentation)
        for name, index in zip(plan.by, by, strict=True)
    ]
    key, size = lay_out_key(fields, draft.position)
    kind = draft.kept[0].type
    unit = kind.unit if isinstance(kind, Int) else ""
    shown = MetricSpec(
        index=-1,
        probe=plan.name,
        name="open",
        kind="sum",
        key=key,
        key_size=size,
        keys=plan.max_open,
        buckets=Buckets(),
        signed=isinstance(kind, Int) and kind.signed,
        unit="ns" if unit == "duration" else unit,
        top=plan.top,
    )
    return Resource(value=0, by=by, min_age_ns=plan.min_age_ns, shown=shown)


# ---------------------------------------------------------------- uses


def _make_uses(
    span: SpanProgram, draft: SpanDraft, parts: Mapping[int, Sequence[tuple[str, Node]]]
) -> dict[int, tuple[SpanUse, ...]]:
    uses: dict[int, tuple[SpanUse, ...]] = {}
    for role in _ROLES:
        for hook in draft.hooks[role]:
            nodes = [node for _, node in parts[hook.id]]
            use = SpanUse(
                span=span.index,
                role=role,
                key=tuple(convert_to_form(n, f.form) for n, f in zip(nodes, span.key, strict=True)),
                kept=_kept_nodes(span, draft, role, hook.id),
                end=_make_end(span, draft, hook.id) if role == "end" else None,
                samplable=role == "start" and span.again != "keep",
            )
            uses[hook.id] = (*uses.get(hook.id, ()), use)
    return uses


def _kept_nodes(
    span: SpanProgram, draft: SpanDraft, role: SpanRole, hook: int
) -> tuple[tuple[int, Node], ...]:
    return tuple(
        (index, convert_to_form(value.nodes[hook], span.kept[index].form))
        for index, value in enumerate(draft.kept)
        if value.role == role and hook in value.nodes
    )


def _make_end(span: SpanProgram, draft: SpanDraft, hook: int) -> SpanEnd:
    end = draft.ends[hook]
    fields = span.emit.fields if span.emit is not None else ()
    return SpanEnd(
        where=end.where,
        emit=tuple(convert_to_form(end.emit[field.name], field.form) for field in fields),
        metrics=tuple(
            make_metric_use(s, d) for s, d in zip(span.metrics, end.metrics, strict=True)
        ),
    )


def uses_by_hook(spans: Sequence[LoweredSpan]) -> dict[int, tuple[SpanUse, ...]]:
    """The parts of each hook in all spans, ends first."""
    by_hook: dict[int, list[SpanUse]] = {}
    for span in spans:
        for hook, uses in span.uses.items():
            by_hook.setdefault(hook, []).extend(uses)
    return {
        hook: tuple(sorted(uses, key=lambda use: ROLE_ORDER[use.role]))
        for hook, uses in by_hook.items()
    }
