"""Checks a plan against recorded kernels, as `explain` would: without root, and without running."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path

from orchestrator.kernel.facts import KernelFacts, load_facts
from orchestrator.plan.findings import Finding, HostError, PlanError
from orchestrator.plan.model import Plan
from orchestrator.policy.model import Policy
from orchestrator.run.prepare import prepare

__all__ = ["check_against_kernels"]


@cache
def _load_recorded(path: str) -> KernelFacts:
    """One recording serves all plans of a process: reading it takes most of the time."""
    return load_facts(Path(path))


def check_against_kernels(
    plan: Plan, facts_paths: Iterable[Path], policies: Sequence[Policy] = ()
) -> list[Finding]:
    """Why the plan cannot run on each recorded kernel under `policies`, by any backend; each
    message says on which. Raises OSError and RecordingError for a file that is no recording."""
    findings: list[Finding] = []
    for path in facts_paths:
        facts = _load_recorded(str(path))
        try:
            prepare(plan, facts, policies)
        except (PlanError, HostError) as error:
            findings += [
                replace(finding, message=f"on {facts.release}: {finding.message}")
                for finding in error.findings
            ]
    return findings
