"""What a step of GitHub Actions shows of checks: annotations, and the summary of the step."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from orchestrator.cli.messages import print_annotations, print_note

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.check.report.check_report import CheckReport, InconclusiveRule

__all__ = ["report_to_github"]


def report_to_github(
    reports: "Sequence[CheckReport]", rule: "InconclusiveRule", environment: Mapping[str, str]
) -> None:
    """Annotate and append the summary, where a step of GitHub Actions runs us; else do nothing.

    No option asked for these, so that they fail nothing: a note says what went wrong.
    """
    if environment.get("GITHUB_ACTIONS") != "true":
        return
    _print_annotations(reports, rule, environment.get("GITHUB_WORKSPACE", ""))
    if summary := environment.get("GITHUB_STEP_SUMMARY", ""):
        try:
            _append_summary(summary, reports)
        except OSError as error:
            print_note(f"the summary of the step was not written: {summary!r}: {error.strerror}")


def _print_annotations(
    reports: "Sequence[CheckReport]", rule: "InconclusiveRule", workspace: str
) -> None:
    """On standard error, which the runner reads, too: standard output has JSON lines."""
    from orchestrator.check.report.annotations import list_annotations

    here = os.path.realpath(".")
    lines = list_annotations(
        reports, rule, folder=here, workspace=os.path.realpath(workspace or here)
    )
    print_annotations(lines)


def _append_summary(path: str, reports: "Sequence[CheckReport]") -> None:
    from orchestrator.check.report.step_summary import MOST_BYTES, make_summary
    from orchestrator.output.append_locked import append_locked

    append_locked(path, lambda content: make_summary(reports, MOST_BYTES - len(content)))
