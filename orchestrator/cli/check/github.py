"""What a step of GitHub Actions shows of checks: annotations, and the summary of the step."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from orchestrator.cli.messages import print_annotations, print_note
from orchestrator.plan.findings import PlanError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from orchestrator.check.report.check_report import CheckReport, InconclusiveRule

__all__ = ["findings_on_github", "report_to_github"]


def report_to_github(
    reports: "Sequence[CheckReport]", rule: "InconclusiveRule", environment: Mapping[str, str]
) -> None:
    """Annotate and append the summary, where a step of GitHub Actions runs us; else do nothing.

    No option asked for these, so that they fail nothing: a note says what went wrong.
    """
    if environment.get("GITHUB_ACTIONS") != "true":
        return
    from orchestrator.check.report.annotations import list_annotations

    here, workspace = _find_folders(environment)
    print_annotations(list_annotations(reports, rule, folder=here, workspace=workspace))
    if summary := environment.get("GITHUB_STEP_SUMMARY", ""):
        try:
            _append_summary(summary, reports)
        except OSError as error:
            print_note(f"the summary of the step was not written: {summary!r}: {error.strerror}")


@contextmanager
def findings_on_github(environment: Mapping[str, str]) -> Iterator[None]:
    """Annotate also what is wrong with checks that cannot be read; the error is passed on."""
    try:
        yield
    except PlanError as error:
        if environment.get("GITHUB_ACTIONS") == "true":
            from orchestrator.check.report.annotations import list_finding_annotations

            here, workspace = _find_folders(environment)
            print_annotations(
                list_finding_annotations(error.findings, folder=here, workspace=workspace)
            )
        raise


def _find_folders(environment: Mapping[str, str]) -> tuple[str, str]:
    """The working folder and the workspace."""
    here = os.path.realpath(".")
    return here, os.path.realpath(environment.get("GITHUB_WORKSPACE") or here)


def _append_summary(path: str, reports: "Sequence[CheckReport]") -> None:
    from orchestrator.check.report.step_summary import MOST_BYTES, make_summary
    from orchestrator.output.append_locked import append_locked

    append_locked(path, lambda content: make_summary(reports, MOST_BYTES - len(content)))
