"""Checks the types of a plan without a kernel, and says what that leaves unchecked."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import field, replace
from functools import partial

from orchestrator.compile.alternatives import complete_item
from orchestrator.compile.expressions.data_sources import DataSources
from orchestrator.compile.kernel_free.points import make_no_facts, make_point, needs_kernel
from orchestrator.compile.kernel_free.typers import KernelFreeSpanTyper, KernelFreeTyper
from orchestrator.compile.lower import scalar_params
from orchestrator.compile.redact import Redactor
from orchestrator.compile.span_draft import draft_spans
from orchestrator.compile.type_hook import (
    HookDraft,
    draft_metric,
    make_scope,
    split_conjunction,
    type_task,
)
from orchestrator.plan.attach_kinds import KINDS
from orchestrator.plan.findings import HOST_CODES, Finding, PlanError
from orchestrator.plan.model import AttachItem, Plan, Probe
from orchestrator.values import dataclass

__all__ = ["Unchecked", "check_without_kernel"]

#: Codes of spans that depend on which attach points a kernel offers.
_OF_SEVERAL = frozenset({"PP090"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchecked:
    """What only a kernel can say of a plan: attach points that may not be there, and arguments
    (and return values) whose types are not known. Each is counted once for each probe."""

    attach_points: int = 0
    arguments: int = 0


@dataclass(slots=True)
class _Typed:
    """A probe at all its items: the findings of each, and drafts of those without any."""

    probe: Probe
    findings: list[tuple[AttachItem, tuple[Finding, ...]]] = field(default_factory=list)
    drafts: list[HookDraft] = field(default_factory=list)


def check_without_kernel(plan: Plan) -> tuple[list[Finding], Unchecked]:
    """What no kernel takes, by the compiler's typing: types that do not fit, and units. An error is
    one on every kernel; at an attach point that some kernels do not take, it is a warning."""
    typed = _type_probes(plan)
    findings = [finding for one in typed for finding in _judge_probe(one)]
    findings += _check_spans(plan, typed)
    unique = {(finding.code, finding.position): finding for finding in reversed(findings)}
    return sorted(unique.values(), key=lambda f: (f.position, f.code)), _count_unchecked(typed)


def _type_probes(plan: Plan) -> list[_Typed]:
    facts, params = make_no_facts(), scalar_params(plan)
    typed, number = [], 0
    for probe in plan.probes:
        one = _Typed(probe)
        for item in probe.items:
            if item.deferred:
                continue
            number += 1
            try:
                point = make_point(complete_item(item, probe), facts)
            except PlanError as error:
                one.findings.append((item, error.findings))
                continue
            task = item.task if item.task is not None else probe.task
            typer = KernelFreeTyper(make_scope(plan, probe, item, point, facts, 0, params, task))
            sources = DataSources(KINDS[item.kind], None, facts, typer.lets, typer.captures)
            draft = HookDraft(
                id=number,
                item=item,
                point=point,
                typer=typer,
                redactor=Redactor(probe.redact, sources, typer.captures),
                pushed=(),
                where=(),
                emit={},
                metrics=(),
                task=None if task != "none" else "none",
            )
            found = tuple(_type_parts(probe, draft))
            one.findings.append((item, found))
            one.drafts += [] if found else [draft]
        typed.append(one)
    return typed


def _type_parts(probe: Probe, draft: HookDraft) -> Iterator[Finding]:
    """The findings of everything that the probe evaluates at an attach point."""
    typer = draft.typer
    parts: list[Callable[[], object]] = [
        *(partial(typer.type_condition, term) for term in split_conjunction(probe.where)),
        *(partial(typer.type_expression, expr) for expr in (probe.emit or {}).values()),
        *(partial(draft_metric, typer, draft.redactor, metric) for metric in probe.metrics),
    ]
    task = draft.item.task if draft.item.task is not None else probe.task
    parts.append(partial(type_task, typer, task))
    for part in parts:
        try:
            part()
        except PlanError as error:
            yield from error.findings


# ---------------------------------------------------------------- what is certain


def _judge_probe(typed: _Typed) -> Iterator[Finding]:
    """Errors where every kernel refuses the probe; else warnings, which name the attach point."""
    probe = typed.probe
    everywhere = (
        set.intersection(
            *({(one.code, one.position) for one in found} for _, found in typed.findings)
        )
        if typed.findings
        else set()
    )
    deferred = any(item.deferred for item in probe.items)
    for item, found in typed.findings:
        for finding in found:
            if finding.code in HOST_CODES:
                continue
            always = (finding.code, finding.position) in everywhere and not deferred
            certain = not probe.optional and (always or _is_always_attached(probe, item))
            yield finding if certain else _soften(finding, item)


def _is_always_attached(probe: Probe, item: AttachItem) -> bool:
    """Whether no kernel goes without this item, or refuses the plan."""
    is_only_one = probe.mode != "first" or len(probe.items) == 1
    return is_only_one and not item.optional and not item.tag and not probe.optional


def _soften(finding: Finding, item: AttachItem) -> Finding:
    return replace(
        finding, severity="warning", message=f"where {item.text} is attached: {finding.message}"
    )


# ---------------------------------------------------------------- spans


def _check_spans(plan: Plan, typed: Sequence[_Typed]) -> Iterator[Finding]:
    drafts = {one.probe.name: one.drafts for one in typed if one.drafts}
    _, findings = draft_spans(plan, drafts, KernelFreeSpanTyper)
    certain = all(_is_always_attached(one.probe, item) for one in typed for item in one.probe.items)
    for finding in findings:
        if finding.code not in HOST_CODES | _OF_SEVERAL:
            yield finding if certain else replace(finding, severity="warning")


# ---------------------------------------------------------------- what is left


def _count_unchecked(typed: Sequence[_Typed]) -> Unchecked:
    items = {
        (one.probe.name, item.text)
        for one in typed
        for item in one.probe.items
        if item.deferred or needs_kernel(item)
    }
    unseen = {
        (one.probe.name, draft.item.text, name)
        for one in typed
        for draft in one.drafts
        for name in getattr(draft.typer, "unseen", ())
    }
    return Unchecked(attach_points=len(items), arguments=len(unseen))
