"""From a file to the two sides of its check."""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from orchestrator.check.document.fillings import fill_workload, fillings_of
from orchestrator.check.document.load import require_check
from orchestrator.check.model import Check, Workload
from orchestrator.check.sides import CheckSides, SideChoice
from orchestrator.plan.findings import Finding, PlanError
from orchestrator.plan.load import read_document

__all__ = ["load_sides"]


def load_sides(
    source: str | Path | bytes, choice: SideChoice, settings: Mapping[str, str]
) -> CheckSides:
    """The check with each of both values. Raises PlanError with every error of either, once."""
    sides: list[Check] = []
    findings: dict[str, Finding] = {}
    document, read = read_document(source)
    for value in choice.values:
        try:
            given = {**settings, choice.param: value}
            sides.append(require_check(document, list(read), settings=given, sided=True))
        except PlanError as error:
            found = (_place_at_option(finding, choice) for finding in error.findings)
            findings |= {str(finding): finding for finding in found}
    if findings:
        raise PlanError(findings.values())
    base, candidate = sides
    if base.plan != candidate.plan:
        message = f"the param {choice.param!r} changes the plan, by which both sides are measured"
        raise PlanError([_refuse_param(candidate, choice, message)])
    if len(set(choice.values)) == 2 and _fill(base) == _fill(candidate):
        message = f"nothing in the workload has the param {choice.param!r}: both sides are the same"
        raise PlanError([_refuse_param(candidate, choice, message)])
    return CheckSides(choice=choice, base=base, candidate=candidate)


def _fill(check: Check) -> Workload:
    return fill_workload(check.workload, fillings_of(check, scratch="", ops=1))


def _refuse_param(check: Check, choice: SideChoice, message: str) -> Finding:
    return Finding(
        code="PP212",
        message=message,
        position=check.params[choice.param].position,
        hint=f"write `$(params.{choice.param})` in `workload`, and not in `set`",
    )


def _place_at_option(finding: Finding, choice: SideChoice) -> Finding:
    """What is wrong with a value is a finding about `--ab`, which gave it."""
    if finding.position.file != f"--set {choice.param}":
        return finding
    return replace(finding, position=replace(finding.position, file=f"--ab {choice.param}"))
