"""Checks a plan against recorded kernels, as `explain` would: without root, and without running."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import cache
from typing import Any

from orchestrator.backends.protocol import Backend
from orchestrator.kernel.facts import KernelFacts
from orchestrator.kernel.recorded.profiles import load_named
from orchestrator.plan.findings import Finding, HostError, PlanError, Position
from orchestrator.plan.model import Plan
from orchestrator.policy.model import Policy
from orchestrator.run.prepare import prepare

__all__ = ["check_against_kernels"]


@cache
def _load_recorded(name: str) -> KernelFacts:
    """One recording serves all plans of a process: reading it takes most of the time."""
    return load_named(name)


def check_against_kernels(
    plan: Plan,
    kernels: Iterable[str],
    policies: Sequence[Policy] = (),
    backends: Mapping[str, Backend[Any]] | None = None,
) -> list[Finding]:
    """Why the plan cannot run on each recorded kernel, a file or the name of a profile, under
    `policies`, by any backend, and warnings about optional attach points that no kernel takes
    because of a name that it does not know; each message says on which kernel. Signatures are not
    looked at: they are the same for all kernels. `backends`: those of a bundle (None: all there
    are); a kernel that only a later one of them serves is warned of. Raises OSError, and
    RecordingError for a file that is no recording and for an unknown profile."""
    policies = [replace(policy, signatures=None) for policy in policies]
    findings: list[Finding] = []
    doubts: list[tuple[Position, Finding]] = []
    taken: set[Position] = set()
    for name in kernels:
        facts = _load_recorded(name)
        try:
            prepared = prepare(plan, facts, policies, backends=backends)
        except (PlanError, HostError) as error:
            findings += [_on_kernel(facts, finding) for finding in error.findings]
            continue
        program = prepared.program
        if backends is not None:
            findings += _warn_of_refused(facts, prepared.choice.refused)
        taken |= {hook.position for hook in program.hooks}
        doubts += [
            (skipped.position, _on_kernel(facts, finding))
            for skipped in program.skipped
            for finding in skipped.doubts
        ]
    return findings + [finding for position, finding in doubts if position not in taken]


def _warn_of_refused(facts: KernelFacts, refused: Mapping[str, Sequence[Finding]]) -> list[Finding]:
    return [
        replace(_on_kernel(facts, finding), severity="warning")
        for reasons in refused.values()
        for finding in reasons
    ]


_TRIMMED = "or it was left out of this recording, as far types are: record a host"


def _on_kernel(facts: KernelFacts, finding: Finding) -> Finding:
    """The finding, with the kernel that it is about, and a doubt where the kernel may have what
    its recording lacks."""
    hint = finding.hint
    if finding.code == "PP082" and facts.trimmed and not hint.startswith("did you mean"):
        hint = f"{hint}; {_TRIMMED}" if hint else f"check the spelling, {_TRIMMED}"
    return replace(finding, message=f"on {facts.release}: {finding.message}", hint=hint)
