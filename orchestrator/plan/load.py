"""From a file to a `Plan`, with all findings at once."""

from collections.abc import Iterable, Mapping, Set
from pathlib import Path
from typing import Any

from orchestrator.plan.build import Overrides, build_plan
from orchestrator.plan.document.document_paths import Data, DocumentPath
from orchestrator.plan.document.finding_collector import FindingCollector
from orchestrator.plan.document.parse import Document, parse_document
from orchestrator.plan.document.schema import PLAN_SCHEMA, check_schema
from orchestrator.plan.document.source import read_source
from orchestrator.plan.findings import Finding, PlanError, has_errors
from orchestrator.plan.model import Plan
from orchestrator.plan.naming.additions import add_to_plan
from orchestrator.plan.semantics import check_meaning
from orchestrator.values import dataclass

_NONE: Mapping[str, str] = {}


def load_plan(
    source: str | Path | bytes,
    *,
    settings: Mapping[str, str] = _NONE,
    target: Mapping[str, str] = _NONE,
    limits: Mapping[str, str] = _NONE,
    additions: Mapping[str, str] = _NONE,
) -> Plan:
    """A plan that is ready to be compiled, from a path (`-`: standard input) or from bytes.

    `settings`, `target` and `limits` are what `--set`, `--target` and `--limit` gave, as text;
    `additions` what `--by` and `--enrich` gave, by the option's name.
    Raises PlanError with every error; required params must have a value (PP068).
    """
    overrides = Overrides(settings=settings, target=target, limits=limits, additions=additions)
    return _require_plan(*read_document(source), overrides)


def load_plan_of(  # noqa: PLR0913  # a keyword for each option
    content: bytes,
    file: str,
    *,
    settings: Mapping[str, str] = _NONE,
    target: Mapping[str, str] = _NONE,
    limits: Mapping[str, str] = _NONE,
    additions: Mapping[str, str] = _NONE,
) -> Plan:
    """As `load_plan`, from bytes that were read already, which findings call `file`."""
    overrides = Overrides(settings=settings, target=target, limits=limits, additions=additions)
    return _require_plan(*parse_document(content, file), overrides)


def _require_plan(document: Document | None, findings: list[Finding], overrides: Overrides) -> Plan:
    plan = None
    if document is not None:
        plan, findings = plan_from_document(document, findings, overrides, thorough=False)
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
    additions: Mapping[str, str] = _NONE,
) -> tuple[Plan | None, list[Finding]]:
    """Every finding about a plan, in order of place, and the plan if there is no error.

    Required params need no value; attach points that wait for one are `deferred`.
    """
    document, findings = read_document(source)
    if document is None:
        return None, order_findings(findings)
    overrides = Overrides(settings=settings, target=target, limits=limits, additions=additions)
    return _check(document, findings, overrides)


def check_document(  # noqa: PLR0913  # a keyword for each option
    document: Document,
    findings: list[Finding],
    *,
    settings: Mapping[str, str] = _NONE,
    target: Mapping[str, str] = _NONE,
    limits: Mapping[str, str] = _NONE,
    additions: Mapping[str, str] = _NONE,
) -> tuple[Plan | None, list[Finding]]:
    """As `check_plan`, of a document that has been read, with the `findings` from that."""
    overrides = Overrides(settings=settings, target=target, limits=limits, additions=additions)
    return _check(document, findings, overrides)


def _check(
    document: Document, findings: list[Finding], overrides: Overrides
) -> tuple[Plan | None, list[Finding]]:
    plan, findings = plan_from_document(document, findings, overrides)
    return (None if has_errors(findings) else plan), order_findings(findings)


def order_findings(findings: Iterable[Finding]) -> list[Finding]:
    """Findings in order of place."""
    return sorted(findings, key=lambda finding: (finding.position, finding.code))


def read_document(source: str | Path | bytes) -> tuple[Document | None, list[Finding]]:
    """The document at a path (`-`: standard input) or in bytes, whatever its kind. Without one the
    findings say why."""
    try:
        content, file = (source, "<plan>") if isinstance(source, bytes) else read_source(source)
    except PlanError as error:
        return None, list(error.findings)
    return parse_document(content, file)


def plan_from_document(
    document: Document, findings: list[Finding], overrides: Overrides, *, thorough: bool = True
) -> tuple[Plan | None, list[Finding]]:
    """The plan that a document means, where it means one, and `findings` with those about it."""
    checked = check_content(document, findings, PLAN_SCHEMA, thorough=thorough)
    if checked.data is None:
        return None, checked.findings
    collector = checked.collector
    plan = build_plan(checked.data, collector, overrides)
    plan = add_to_plan(plan, overrides.additions, collector)
    check_meaning(plan, checked.data, collector)
    return plan, join_findings(checked.findings, collector.findings)


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckedContent:
    """What the schema left of a document: its `data` (None: the document is of another language),
    a collector for what is found later, and the findings so far."""

    data: Any
    collector: FindingCollector
    findings: list[Finding]


def check_content(
    document: Document, findings: list[Finding], schema: str, *, thorough: bool
) -> CheckedContent:
    """Compare a document with a schema, and take away what the schema refuses."""
    faults = check_schema(document, schema, thorough=thorough)
    findings = join_findings(findings, [finding for _, finding in faults])
    refused_paths = frozenset(path for path, _ in faults) | document.lost
    collector = FindingCollector(document=document, refused_paths=refused_paths)
    # Of another language: further findings would mislead.
    foreign = any(finding.code in ("PP035", "PP036") for finding in findings)
    data: Any = None if foreign else _prune_refused(document.data, (), refused_paths)
    return CheckedContent(data=data, collector=collector, findings=findings)


def join_findings(before: list[Finding], after: list[Finding]) -> list[Finding]:
    """Both lists, without later findings at a position where an earlier stage found the cause."""
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
