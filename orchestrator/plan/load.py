"""From a file to a `Plan`, with all findings at once."""

from collections.abc import Mapping, Set
from pathlib import Path
from typing import Any

from orchestrator.plan.build import Overrides, build_plan
from orchestrator.plan.document.document_paths import Data, DocumentPath
from orchestrator.plan.document.finding_collector import FindingCollector
from orchestrator.plan.document.parse import parse_document
from orchestrator.plan.document.schema import check_schema
from orchestrator.plan.document.source import read_source
from orchestrator.plan.findings import Finding, PlanError, has_errors
from orchestrator.plan.model import Plan
from orchestrator.plan.semantics import check_meaning

_NONE: Mapping[str, str] = {}


def load_plan(
    source: str | Path | bytes,
    *,
    settings: Mapping[str, str] = _NONE,
    target: Mapping[str, str] = _NONE,
    limits: Mapping[str, str] = _NONE,
) -> Plan:
    """A plan that is ready to be compiled, from a path (`-`: standard input) or from bytes.

    `settings`, `target` and `limits` are what `--set`, `--target` and `--limit` gave, as text.
    Raises PlanError with every error; required params must have a value (PP068).
    """
    overrides = Overrides(settings=settings, target=target, limits=limits)
    plan, findings = _read_plan(source, overrides, thorough=False)
    if plan is not None:
        refused = {finding.position.file for finding in findings if finding.code == "PP067"}
        findings = [*findings, *_find_unset_params(plan, refused)]
    if plan is None or has_errors(findings):
        raise PlanError(finding for finding in findings if finding.severity == "error")
    return plan


def check_plan(
    source: str | Path | bytes,
    *,
    settings: Mapping[str, str] = _NONE,
    target: Mapping[str, str] = _NONE,
    limits: Mapping[str, str] = _NONE,
) -> tuple[Plan | None, list[Finding]]:
    """Every finding about a plan, in order of place, and the plan if there is no error.

    Required params need no value; attach points that wait for one are `deferred`.
    """
    overrides = Overrides(settings=settings, target=target, limits=limits)
    plan, findings = _read_plan(source, overrides, thorough=True)
    ordered = sorted(findings, key=lambda finding: (finding.position, finding.code))
    return (None if has_errors(findings) else plan), ordered


def _read_plan(
    source: str | Path | bytes, overrides: Overrides, *, thorough: bool
) -> tuple[Plan | None, list[Finding]]:
    try:
        content, file = (source, "<plan>") if isinstance(source, bytes) else read_source(source)
    except PlanError as error:
        return None, list(error.findings)
    document, findings = parse_document(content, file)
    if document is None:
        return None, findings
    faults = check_schema(document, thorough=thorough)
    findings = _first_causes(findings, [finding for _, finding in faults])
    if any(finding.code in ("PP035", "PP036") for finding in findings):
        return None, findings  # another language: further findings would mislead
    refused_paths = frozenset(path for path, _ in faults) | document.lost
    collector = FindingCollector(document=document, refused_paths=refused_paths)
    data: Any = _prune_refused(document.data, (), refused_paths)
    plan = build_plan(data, collector, overrides)
    check_meaning(plan, data, collector)
    return plan, _first_causes(findings, collector.findings)


def _first_causes(before: list[Finding], after: list[Finding]) -> list[Finding]:
    """Both, without later findings at a position where an earlier stage found the cause."""
    known = {finding.position for finding in before if finding.position.line}
    return [*before, *(finding for finding in after if finding.position not in known)]


def _prune_refused(value: Data, path: DocumentPath, refused_paths: frozenset[DocumentPath]) -> Data:
    """`value` without the parts that the schema refused."""
    if isinstance(value, dict):
        kept = {key: item for key, item in value.items() if (*path, key) not in refused_paths}
        return {
            key: _prune_refused(item, (*path, key), refused_paths) for key, item in kept.items()
        }
    if isinstance(value, list):
        if any((*path, index) in refused_paths for index in range(len(value))):
            return []  # the other indexes would no longer match their paths
        return [
            _prune_refused(item, (*path, index), refused_paths) for index, item in enumerate(value)
        ]
    return value


def _find_unset_params(plan: Plan, refused: Set[str]) -> list[Finding]:
    """Required params without a value, but for those whose value from `--set` was refused."""
    return [
        Finding(
            code="PP068",
            message=f"the param {param.name!r} has no value",
            position=param.position,
            hint=f"give it one: --set {param.name}=…"
            + (f"  ({param.summary})" if param.summary else ""),
        )
        for param in plan.params.values()
        if param.value is None and f"--set {param.name}" not in refused
    ]
