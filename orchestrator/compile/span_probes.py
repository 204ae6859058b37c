"""The probes of spans: at which they begin and at which they go on, and whether they can."""

from collections.abc import Iterator, Mapping, Sequence

from orchestrator.compile.type_hook import HookDraft
from orchestrator.plan.findings import Finding, plan_error
from orchestrator.plan.model import Outstanding, Plan, Probe, Span, Target

__all__ = ["later_probes", "require_probes", "role_findings", "starting_probes"]

ProbeDrafts = Sequence[tuple[Probe, Sequence[HookDraft]]]


def later_probes(plan: Plan) -> frozenset[str]:
    """Probes at which a span goes on or ends."""
    names = [name for span in plan.spans for name in (*span.via, *span.end, *span.cancel)]
    return frozenset([*names, *(name for one in plan.outstanding for name in one.close)])


def starting_probes(plan: Plan) -> frozenset[str]:
    """Probes at which a span begins."""
    names = [name for span in plan.spans for name in span.start]
    return frozenset([*names, *(name for one in plan.outstanding for name in one.open)])


def role_findings(plan: Plan, drafts: ProbeDrafts) -> Iterator[Finding]:
    """A target is tested once in the life of a span, and so not where it goes on: a probe there
    cannot keep things of its own that are the target's alone."""
    if plan.target == Target(position=plan.target.position):
        return
    later = later_probes(plan)
    for probe, hooks in drafts:
        begins = probe.name in starting_probes(plan)
        own = probe.emit is not None or bool(probe.metrics) or begins
        if probe.name in later and own and any(hook.task != "none" for hook in hooks):
            yield Finding(
                code="PP063",
                message=f"{probe.name!r} goes on with a span, where `target` was tested "
                "already, and also begins something of its own",
                position=probe.position,
                hint="make a second probe at the same attach point",
            )


def require_probes(span: Span | Outstanding, drafts: Mapping[str, object]) -> None:
    """Raises PlanError where none of a role's probes is here."""
    roles = (span.start, span.end) if isinstance(span, Span) else (span.open, span.close)
    for names in roles:
        if not any(name in drafts for name in names):
            raise plan_error(
                "PP080",
                f"{span.name!r} needs {' or '.join(names)}, which cannot be attached here",
                span.position,
            )
