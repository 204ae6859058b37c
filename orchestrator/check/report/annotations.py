"""Annotations of a pull request on GitHub: what is not ok, at the lines of the expectations. Pure.

GitHub shows at most ten of each level for a step, and drops the others without a word: so there are
nine, the worst first, and one that says how many more there are.
"""

import os.path
from collections.abc import Iterator, Sequence

from orchestrator.check.report.check_report import (
    CheckReport,
    InconclusiveRule,
    find_standing,
    list_texts,
)
from orchestrator.output.workflow_commands import AnnotationLevel, format_annotation
from orchestrator.plan.findings import Finding, Position
from orchestrator.values import dataclass

__all__ = ["list_annotations", "list_finding_annotations"]

_MOST = 9
_LONGEST = 4000  # characters of a message; GitHub cuts what is far longer
#: The worst first.
_RANKS = ("fail", "unmeasured", "workload", "inconclusive", "warning")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Remark:
    rank: int
    level: AnnotationLevel
    title: str
    message: str
    position: Position


def list_annotations(
    reports: Sequence[CheckReport], rule: InconclusiveRule, *, folder: str, workspace: str
) -> Iterator[str]:
    """The lines that annotate. Files are relative to the `workspace`, which GitHub knows them by;
    the checks have them relative to the working `folder`."""
    found = [remark for report in reports for remark in _list_remarks(report, rule)]
    found.sort(key=lambda remark: remark.rank)
    more = "the summary of the step has all of them"
    yield from _show_worst(found, more, folder, workspace)


def list_finding_annotations(
    findings: Sequence[Finding], *, folder: str, workspace: str
) -> Iterator[str]:
    """The lines for what is wrong with checks that could not be read; as `list_annotations`."""
    found = [_remark_from_finding(finding) for finding in findings]
    yield from _show_worst(found, "`probeplan lint` reports all of them", folder, workspace)


def _show_worst(found: Sequence[_Remark], more: str, folder: str, workspace: str) -> Iterator[str]:
    for remark in found[:_MOST]:
        yield format_annotation(
            remark.level,
            _shorten(remark.message),
            title=remark.title,
            position=_place_in(remark.position, folder, workspace),
        )
    if len(found) > _MOST:
        message = f"and {len(found) - _MOST} more; {more}"
        yield format_annotation(found[_MOST].level, message, title="probeplan check")


def _remark_from_finding(finding: Finding) -> _Remark:
    hint = f"\nhint: {finding.hint}" if finding.hint else ""
    return _Remark(
        rank=0,
        level=finding.severity,
        title=finding.code,
        message=finding.message + hint,
        position=finding.position,
    )


def _list_remarks(report: CheckReport, rule: InconclusiveRule) -> Iterator[_Remark]:
    if report.verdict is None:
        yield _Remark(
            rank=_RANKS.index("unmeasured"),
            level="error",
            title=report.check.name,
            message=f"not measured: {report.trouble}",
            position=report.check.position,
        )
    for judged in report.judged:
        standing = find_standing(judged, rule)
        if standing == "ok":
            continue
        expectation = judged.expectation
        level: AnnotationLevel = "warning" if standing == "warning" else "error"
        yield _Remark(
            rank=_RANKS.index("warning" if standing == "warning" else judged.verdict),
            level=level,
            title=f"{report.check.name}: {expectation.name}: {judged.verdict}",
            message="\n".join(list_texts(judged)) or judged.verdict,
            position=expectation.position,
        )


def _shorten(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]} …"


def _place_in(position: Position, folder: str, workspace: str) -> Position | None:
    """The place as seen from the workspace; None for what is no file, and for what is outside."""
    if position.file == "-" or position.file.startswith("<"):
        return None
    path = os.path.relpath(os.path.join(folder, position.file), workspace)  # noqa: PTH118  # pure
    if path.split("/", 1)[0] == "..":
        return None
    return Position(file=path, line=position.line, column=position.column)
