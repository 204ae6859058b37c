"""A plan and a kernel's facts to the backend-neutral program."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from typing import Any

from orchestrator.compile.drop_unused import drop_unused
from orchestrator.compile.expressions.nodes import Node
from orchestrator.compile.expressions.scope import ScalarParam
from orchestrator.compile.expressions.types import BOOL, BYTES, DURATION, S64, Int
from orchestrator.compile.layout import (
    lay_out_columns,
    lay_out_record,
    record_fields,
    record_size,
)
from orchestrator.compile.metrics import convert_to_form, make_metric_spec, make_metric_use
from orchestrator.compile.notes.lower import lower_note, make_note_use
from orchestrator.compile.notes.typed import type_plan
from orchestrator.compile.own_types.declared import add_own_types
from orchestrator.compile.program import (
    Body,
    CgroupOfPath,
    Emit,
    EntrySide,
    Hook,
    MetricSpec,
    NoteProgram,
    OnceSpec,
    ParamSlot,
    ProbeProgram,
    Program,
    ResolvedLeftOut,
    ResolvedTarget,
    SpanUse,
)
from orchestrator.compile.span_draft import SpanDraft, draft_spans
from orchestrator.compile.span_lower import LoweredSpan, NextNumbers, lower_span, uses_by_hook
from orchestrator.compile.span_probes import later_probes, role_findings, starting_probes
from orchestrator.compile.type_hook import HookDraft
from orchestrator.kernel.abi.cgroups import cgroup_id, find_cgroups
from orchestrator.kernel.abi.executables import find_executable
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import Finding, raise_findings
from orchestrator.plan.model import (
    SCALAR_PARAM_TYPES,
    Outstanding,
    Param,
    Plan,
    Probe,
    Span,
    Target,
    TaskKeys,
)
from orchestrator.values import dataclass

_PARAM_TYPES: Mapping[str, Int | None] = {
    "int": S64,
    "duration": DURATION,
    "bytes": BYTES,
    "bool": None,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Outline:
    """A probe with typed hooks, and its record and metrics laid out."""

    index: int
    probe: Probe
    drafts: Sequence[HookDraft]
    emit: Emit | None
    metrics: tuple[MetricSpec, ...]
    once: OnceSpec | None


def compile_plan(plan: Plan, facts: KernelFacts) -> Program:
    """The program of `plan` on the kernel that `facts` describe; pure but for reading facts.

    Raises PlanError when the plan itself is wrong, HostError when only this kernel or host lacks
    something; both carry all findings.
    """
    return _Lowering(plan, add_own_types(facts, plan.types)).lower_plan()


class _Lowering:
    """Numbers records and metrics across the probes and spans of one plan."""

    def __init__(self, plan: Plan, facts: KernelFacts) -> None:
        self.plan, self.facts = plan, facts
        self.metrics = 0
        self.emits: list[Emit] = []
        scalars = [p for p in plan.params.values() if p.type in SCALAR_PARAM_TYPES]
        self.slots = tuple(_make_slot(param, index) for index, param in enumerate(scalars))
        self.params = scalar_params(plan)

    def lower_plan(self) -> Program:
        raise_findings(list(_find_unset_params(self.plan)))
        typed = type_plan(self.plan, self.facts, self.params)
        drafts = typed.probes
        spans, wrong = draft_spans(self.plan, {probe.name: hooks for probe, hooks in drafts})
        raise_findings([*role_findings(self.plan, drafts), *wrong])
        probes = [
            self._outline_probe(number, *probe_drafts) for number, probe_drafts in enumerate(drafts)
        ]
        lowered = self._lower_spans(spans)
        uses = uses_by_hook(lowered)
        notes = {note.name: lower_note(note, typed.notes[note.name]) for note in self.plan.notes}
        return Program(
            name=self.plan.metadata.name,
            sha256=self.plan.sha256,
            limits=self.plan.limits,
            target=resolve_target(self.plan.target),
            params=self.slots,
            probes=tuple(self._finish_probe(outline, uses, notes) for outline in probes),
            spans=tuple(probe_drafts.span for probe_drafts in lowered),
            skipped=tuple(typed.skipped),
            record_size=record_size(self.emits),
            every_ns=self.plan.every_ns,
            kernel=self.facts.release,
            arch=self.facts.arch,
            notes=tuple(notes.values()),
        )

    def _lower_spans(
        self, drafts: Sequence[tuple[Span | Outstanding, SpanDraft]]
    ) -> list[LoweredSpan]:
        lowered: list[LoweredSpan] = []
        for span, draft in drafts:
            numbers = NextNumbers(span=len(lowered), emit=len(self.emits), metric=self.metrics)
            span_parts = lower_span(span, draft, numbers)
            self.emits += [span_parts.span.emit] if span_parts.span.emit is not None else []
            self.metrics += len(span_parts.span.metrics)
            lowered.append(span_parts)
        return lowered

    def _outline_probe(self, index: int, probe: Probe, drafts: Sequence[HookDraft]) -> _Outline:
        return _Outline(
            index=index,
            probe=probe,
            drafts=drafts,
            emit=self._lay_out_emit(probe, drafts),
            metrics=self._make_metrics(probe, drafts),
            once=_make_once(probe, drafts),
        )

    def _finish_probe(
        self,
        outline: _Outline,
        uses: Mapping[int, tuple[SpanUse, ...]],
        notes: Mapping[str, NoteProgram],
    ) -> ProbeProgram:
        probe = outline.probe
        later = probe.name in later_probes(self.plan) - starting_probes(self.plan)
        return ProbeProgram(
            index=outline.index,
            name=probe.name,
            sample=probe.sample,
            events=probe.events,
            rate=probe.rate,
            optional=probe.optional,
            emit=outline.emit,
            metrics=outline.metrics,
            once=outline.once,
            hooks=tuple(
                _make_hook(outline, draft, uses.get(draft.id, ()), notes, tests_target=not later)
                for draft in outline.drafts
            ),
        )

    def _lay_out_emit(self, probe: Probe, drafts: Sequence[HookDraft]) -> Emit | None:
        if probe.emit is None:
            return None
        fields = record_fields(probe.emit, [draft.emit for draft in drafts])
        has_task = all(draft.task != "none" for draft in drafts)
        emit = lay_out_record(len(self.emits), probe.name, fields, has_task, probe.position)
        self.emits.append(emit)
        return emit

    def _make_metrics(self, probe: Probe, drafts: Sequence[HookDraft]) -> tuple[MetricSpec, ...]:
        first = self.metrics
        self.metrics += len(probe.metrics)
        return tuple(
            make_metric_spec(first + i, probe.name, metric, [draft.metrics[i] for draft in drafts])
            for i, metric in enumerate(probe.metrics)
        )


def scalar_params(plan: Plan) -> dict[str, ScalarParam]:
    """The params that expressions name, by name, each with its slot and its declared type."""
    scalars = [p for p in plan.params.values() if p.type in SCALAR_PARAM_TYPES]
    return {p.name: ScalarParam(slot=i, type=_PARAM_TYPES[p.type]) for i, p in enumerate(scalars)}


def _find_unset_params(plan: Plan) -> Iterator[Finding]:
    for param in plan.params.values():
        if param.value is None:
            yield Finding(
                code="PP068",
                message=f"the param {param.name!r} has no default and is not set",
                position=param.position,
                hint=f"--set {param.name}=VALUE",
            )


def _make_hook(
    outline: _Outline,
    draft: HookDraft,
    spans: tuple[SpanUse, ...],
    notes: Mapping[str, NoteProgram],
    *,
    tests_target: bool,
) -> Hook:
    point = draft.point
    noted = tuple(make_note_use(one, notes) for one in draft.notes)
    body = replace(_make_body(outline, draft), spans=spans, notes=noted, tests_target=tests_target)
    return Hook(
        id=draft.id,
        probe=outline.index,
        kind=point.kind,
        label=point.label,
        body=drop_unused(body),
        position=draft.item.position,
        optional=draft.item.optional or outline.probe.optional,
        symbol=point.symbol,
        offset=point.offset,
        btf_id=point.btf_id,
        module=point.module,
        arguments=point.register_count,
        tracepoint=point.tracepoint,
        exit_tracepoint=point.exit_tracepoint,
        other_exit=point.other_exit,
        event=point.event,
        path=point.path,
        identity=point.identity,
        file_offset=point.file_offset,
        semaphore=point.semaphore,
        frequency=point.frequency,
        period_ns=point.period_ns,
        element=point.element,
        counter=point.counter,
        period=point.period,
    )


def _make_once(probe: Probe, drafts: Sequence[HookDraft]) -> OnceSpec | None:
    """Raises PlanError where its hooks do not agree on the type of a part of the key."""
    once = probe.once
    if once is None:
        return None
    key, size = lay_out_columns(once.by, [draft.once for draft in drafts], once.position)
    return OnceSpec(key=key, key_size=size, per_ns=once.per_ns or 0, keys=once.keys)


def _make_body(outline: _Outline, draft: HookDraft) -> Body:
    entry = EntrySide(where=draft.pushed, captures=draft.captures) if draft.point.paired else None
    return Body(
        lets=draft.lets,
        where=draft.where,
        emit=_emit_nodes(draft, outline.emit),
        metrics=tuple(
            make_metric_use(s, d) for s, d in zip(outline.metrics, draft.metrics, strict=True)
        ),
        entry=entry,
        task=draft.task,
        once=tuple(
            convert_to_form(node, part.form)
            for node, part in zip(draft.once, outline.once.key if outline.once else (), strict=True)
        ),
    )


def _emit_nodes(draft: HookDraft, emit: Emit | None) -> tuple[Node, ...]:
    if emit is None:
        return ()
    return tuple(convert_to_form(draft.emit[field.name], field.form) for field in emit.fields)


def _make_slot(param: Param, index: int) -> ParamSlot:
    value = param.value if isinstance(param.value, int) else 0
    return ParamSlot(
        name=param.name, slot=index, type=_PARAM_TYPES[param.type] or BOOL, value=int(value)
    )


def resolve_target(target: Target) -> ResolvedTarget:
    """The target with paths of cgroups and programs turned into what this host has there, None
    where it has nothing."""
    return ResolvedTarget(
        **_resolve_keys(target),
        exclude_self=target.exclude_self,
        left_out=ResolvedLeftOut(**_resolve_keys(target.left_out)),
    )


def _find_cgroups(path: str) -> Iterator[CgroupOfPath]:
    """What a path leads to; one with `*` to all that match it now, and to nothing by itself where
    none does."""
    found = find_cgroups(path) if path.endswith("*") else {}
    yield from found.items() if found else [(path, cgroup_id(path))]


def _resolve_keys(keys: TaskKeys[str, str]) -> dict[str, Any]:
    """All keys, by name."""
    return {each.name: getattr(keys, each.name) for each in fields(TaskKeys)} | {
        "cgroup": tuple(each for path in keys.cgroup for each in _find_cgroups(path)),
        "exe": tuple((path, find_executable(path)) for path in keys.exe),
        "patterns": tuple(path for path in keys.cgroup if path.endswith("*")),
    }
