"""From a file to a `Check`, with all findings at once."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from orchestrator.check.document.build import build_check
from orchestrator.check.model import Check
from orchestrator.plan.document.parse import Document
from orchestrator.plan.document.schema import CHECK_SCHEMA
from orchestrator.plan.findings import Finding, PlanError, has_errors
from orchestrator.plan.load import check_content, join_findings, order_findings, read_document

__all__ = ["find_repeated_names", "inspect_check", "is_check", "load_check", "require_check"]

_NONE: Mapping[str, str] = {}


def is_check(document: Document) -> bool:
    """Whether a document says that it is a check."""
    return document.data.get("kind") == "ProbeCheck"


def load_check(source: str | Path | bytes, *, settings: Mapping[str, str] = _NONE) -> Check:
    """A check that is ready to be measured, from a path (`-`: standard input) or from bytes.

    `settings` is what `--set` gave, as text. Raises PlanError with every error; required params
    must have a value (PP068).
    """
    document, findings = read_document(source)
    return require_check(document, findings, settings=settings)


def require_check(
    document: Document | None,
    findings: list[Finding],
    *,
    settings: Mapping[str, str] = _NONE,
    sided: bool = False,
) -> Check:
    """The check that a document means, ready to be measured. Raises as `load_check`. `sided`: its
    `baseline` is another side, measured along with it, and not a stored one."""
    check = None
    if document is not None:
        check, findings = inspect_check(document, findings, settings=settings, sided=sided)
    if check is not None:
        findings = [*findings, *_find_unset_params(check)]
    if check is None or has_errors(findings):
        raise PlanError(finding for finding in findings if finding.severity == "error")
    return check


def inspect_check(
    document: Document,
    findings: list[Finding],
    *,
    settings: Mapping[str, str] = _NONE,
    sided: bool | None = None,
) -> tuple[Check | None, list[Finding]]:
    """The check that a document means, if there is no error, and every finding in order of place,
    with the `findings` from reading it. Required params need no value. `sided`: as in
    `build_check`."""
    content = check_content(document, findings, CHECK_SCHEMA, thorough=True)
    if content.data is None:
        return None, order_findings(content.findings)
    collector = content.collector
    check = build_check(content.data, collector, settings, sided=sided)
    every = join_findings(content.findings, collector.findings)
    return (None if has_errors(every) else check), order_findings(every)


def _find_unset_params(check: Check) -> list[Finding]:
    return [
        Finding(
            code="PP068",
            message=f"the param {param.name!r} has no value",
            position=param.position,
            hint=f"give it one: --set {param.name}=…",
        )
        for param in check.params.values()
        if param.value is None
    ]


def find_repeated_names(checks: Iterable[Check]) -> list[Finding]:
    """Checks that would share a baseline: of one name in one folder, or with the same file."""
    findings: list[Finding] = []
    firsts: dict[Path, Check] = {}
    for check in checks:
        for place in dict.fromkeys((check.here / f"{check.name}.baseline.json", check.baseline)):
            first = firsts.setdefault(place.absolute(), check)
            if first.path != check.path:
                findings.append(_report_repeated(check, first))
                break
    return findings


def _report_repeated(check: Check, first: Check) -> Finding:
    return Finding(
        code="PP210",
        message=f"{first.path} is a check {check.name!r} with the same baseline"
        if first.name == check.name
        else f"{first.path}, the check {first.name!r}, has the same baseline",
        position=check.position,
        hint="give each check of a folder its own name",
    )
