"""Checks the types of a plan without a kernel, and says what that leaves unchecked."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from orchestrator.compile.kernel_free.points import needs_kernel
from orchestrator.compile.kernel_free.probes import TypedProbe, type_probes
from orchestrator.compile.kernel_free.typers import OF_SEVERAL, KernelFreeSpanTyper
from orchestrator.compile.span_draft import draft_spans
from orchestrator.plan.findings import HOST_CODES, Finding
from orchestrator.plan.load import order_findings
from orchestrator.plan.model import AttachItem, Plan, Probe
from orchestrator.values import dataclass

__all__ = ["Unchecked", "check_without_kernel"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Unchecked:
    """What only a kernel can say of a plan: attach points that may not be there, and arguments
    (and return values) whose types are not known. Each is counted once for each probe."""

    attach_points: int = 0
    arguments: int = 0


def check_without_kernel(plan: Plan) -> tuple[list[Finding], Unchecked]:
    """What no kernel takes, by the compiler's typing: types and units that do not fit. An error is
    one on every kernel; at an attach point that some kernels do without, it is a warning."""
    typed = type_probes(plan)
    findings = [finding for one in typed for finding in _judge_probe(one)]
    findings += _check_spans(plan, typed)
    findings.sort(key=lambda finding: finding.severity == "error")  # an error outdoes a warning
    unique = {(finding.code, finding.position): finding for finding in findings}
    return order_findings(unique.values()), _count_unchecked(typed)


def _judge_probe(typed: TypedProbe) -> Iterator[Finding]:
    """Errors where every kernel refuses the probe; else warnings, which name the attach point."""
    probe = typed.probe
    everywhere = _find_common(typed) if not any(item.deferred for item in probe.items) else set()
    for item, found in typed.findings:
        for finding in found:
            if finding.code in HOST_CODES:
                continue
            always = (finding.code, finding.position) in everywhere and not probe.optional
            certain = _is_always_attached(probe, item) or (always and not _are_optional(probe))
            yield finding if certain else _soften(finding, item)


def _find_common(typed: TypedProbe) -> set[object]:
    """The codes and places of what is wrong at all attach points of the probe."""
    places = [{(one.code, one.position) for one in found} for _, found in typed.findings]
    return set.intersection(*places) if places else set()  # type: ignore[arg-type]  # of tuples


def _are_optional(probe: Probe) -> bool:
    return all(item.optional for item in probe.items)


def _is_always_attached(probe: Probe, item: AttachItem) -> bool:
    """Whether no kernel does without this item, or refuses the plan for it."""
    is_only_one = probe.mode != "first" or len(probe.items) == 1
    return is_only_one and not (item.optional or item.tag or probe.optional)


def _soften(finding: Finding, item: AttachItem) -> Finding:
    message = f"where {item.text} is attached: {finding.message}"
    return replace(finding, severity="warning", message=message)


def _check_spans(plan: Plan, typed: Sequence[TypedProbe]) -> Iterator[Finding]:
    drafts = {one.probe.name: one.drafts for one in typed if one.drafts}
    _, findings = draft_spans(plan, drafts, KernelFreeSpanTyper)
    certain = all(_is_always_attached(one.probe, item) for one in typed for item in one.probe.items)
    for finding in findings:
        if finding.code not in HOST_CODES | OF_SEVERAL:
            yield finding if certain else replace(finding, severity="warning")


def _count_unchecked(typed: Sequence[TypedProbe]) -> Unchecked:
    points = {
        (one.probe.name, item.text)
        for one in typed
        for item in one.probe.items
        if item.deferred or needs_kernel(item)
    }
    return Unchecked(attach_points=len(points), arguments=sum(len(one.unseen) for one in typed))
