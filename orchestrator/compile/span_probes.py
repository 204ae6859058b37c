"""The probes of spans: where spans begin and continue, and whether these probes can be attached."""

from collections.abc import Iterator, Mapping, Sequence

from orchestrator.compile.type_hook import HookDraft
from orchestrator.plan.findings import Finding, plan_error
from orchestrator.plan.model import Outstanding, Plan, Probe, Span, Target

__all__ = ["later_probes", "require_probes", "role_findings", "starting_probes"]

ProbeDrafts = Sequence[tuple[Probe, Sequence[HookDraft]]]


def later_probes(plan: Plan) -> frozenset[str]:
    """Probes at which a span continues or ends."""
    names = [
        name for span in plan.spans for name in (*span.via, *span.end, *span.cancel, *span.adding)
    ]
    return frozenset([*names, *(name for resource in plan.outstanding for name in resource.close)])


def starting_probes(plan: Plan) -> frozenset[str]:
    """Probes at which a span begins."""
    names = [name for span in plan.spans for name in span.start]
    return frozenset([*names, *(name for resource in plan.outstanding for name in resource.open)])


def role_findings(plan: Plan, drafts: ProbeDrafts) -> Iterator[Finding]:
    """A target is tested once in the life of a span, and not where it continues: a probe there
    cannot also record or count events of the target only."""
    if plan.target == Target(position=plan.target.position):
        return
    later = later_probes(plan)
    for probe, hooks in drafts:
        begins = probe.name in starting_probes(plan)
        notes = any(probe.name in (*note.set_by, *note.drop_by) for note in plan.notes)
        own = probe.emit is not None or bool(probe.metrics) or begins or notes
        if probe.name in later and own and any(hook.task != "none" for hook in hooks):
            yield Finding(
                code="PP063",
                message=f"{probe.name!r} continues a span, for which `target` was already tested, "
                "and also emits, counts, starts or notes something itself",
                position=probe.position,
                hint="make a second probe at the same attach point",
            )


def require_probes(span: Span | Outstanding, drafts: Mapping[str, object]) -> None:
    """Raise PlanError where none of a role's probes can be attached."""
    roles = [span.start, span.end] if isinstance(span, Span) else [span.open, span.close]
    roles += [one.of for one in span.add] if isinstance(span, Span) else []
    for names in roles:
        if not any(name in drafts for name in names):
            raise plan_error(
                "PP080",
                f"{span.name!r} needs {' or '.join(names)}, which cannot be attached here",
                span.position,
            )
