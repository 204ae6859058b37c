"""Checks a plan against recorded kernels, without root and without running them."""

from collections.abc import Iterable
from dataclasses import replace
from functools import cache
from pathlib import Path

from orchestrator.compile.lower import compile_plan
from orchestrator.kernel.facts import KernelFacts, load_facts
from orchestrator.plan.findings import Finding, HostError, PlanError
from orchestrator.plan.model import Plan


@cache
def _load_recorded(path: str) -> KernelFacts:
    """One recording serves all plans of a process: reading it takes most of the time."""
    return load_facts(Path(path))


def check_against_kernels(plan: Plan, facts_paths: Iterable[Path]) -> list[Finding]:
    """The findings of resolving and compiling `plan` on each recorded kernel; each message says
    which. Raises OSError and RecordingError for a file that is no recording."""
    findings: list[Finding] = []
    for path in facts_paths:
        facts = _load_recorded(str(path))
        try:
            compile_plan(plan, facts)
        except (PlanError, HostError) as error:
            findings += [
                replace(finding, message=f"on {facts.release}: {finding.message}")
                for finding in error.findings
            ]
    return findings
