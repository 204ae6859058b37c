"""Annotations: at the line of the expectation, the worst first, no more than GitHub shows."""

from dataclasses import replace

import pytest

from orchestrator.check.report.annotations import list_annotations
from orchestrator.check.report.check_report import CheckReport, InconclusiveRule
from orchestrator.plan.findings import Position
from tests.support.check_reports import (
    all_reports,
    broken_report,
    failed_report,
    hostile_report,
    ok_report,
    repeated,
    undecided_report,
    unmeasured_report,
)


def annotations(
    *reports: CheckReport,
    rule: InconclusiveRule = "fail",
    folder: str = "/w/repo",
    workspace: str = "/w/repo",
) -> list[str]:
    return list(list_annotations(reports, rule, folder=folder, workspace=workspace))


def at(report: CheckReport, file: str) -> CheckReport:
    """The report with its only expectation in another file."""
    assert report.verdict is not None
    [judged] = report.verdict.expectations
    position = replace(judged.expectation.position, file=file)
    judged = replace(judged, expectation=replace(judged.expectation, position=position))
    return replace(report, verdict=replace(report.verdict, expectations=(judged,)))


def test_a_failure_is_at_its_expectation() -> None:
    report = failed_report()
    lines = report.check.source.decode().splitlines()
    first, _ = annotations(report)
    position = report.check.expectations[0].position
    assert lines[position.line - 1].strip().startswith("e1:")
    assert first.startswith(
        f"::error file=check.yaml,line={position.line},col={position.column},"
        "title=bad%3A e1%3A fail::write.calls <= 5: 9 was measured, the bound is 5"
    )


def test_the_worst_is_first_and_what_only_warns_is_last() -> None:
    reports = [*reversed(all_reports())]
    found = [
        line.partition(" ")[0] + line.partition("title=")[2][:30] for line in annotations(*reports)
    ]
    assert [text.partition("%3A")[0].partition("::n")[0] for text in found] == [
        "::errorhostile",
        "::errorbad",
        "::errorunmeasured",
        "::errorbroken",
        "::errorundecided",
        "::warningbad",
    ]


def test_what_is_ok_is_not_annotated() -> None:
    assert annotations(ok_report()) == []


def test_what_is_inconclusive_warns_where_it_does_not_fail() -> None:
    [line] = annotations(undecided_report(), rule="warn")
    assert line.startswith("::warning ")
    [line] = annotations(broken_report(), rule="warn")
    assert line.startswith("::error ")


@pytest.mark.parametrize(
    ("failing", "shown", "last"),
    [
        (9, 9, "title=bad8"),
        (10, 10, "::error title=probeplan check::and 1 more; "),
        (250, 10, "::error title=probeplan check::and 241 more; "),
    ],
)
def test_nine_are_shown_and_the_number_of_the_others(failing: int, shown: int, last: str) -> None:
    lines = annotations(*repeated(hostile_report("bad"), failing))
    assert len(lines) == shown
    assert last in lines[-1]


@pytest.mark.parametrize(
    ("folder", "file", "place"),
    [
        ("/w/repo", "checks/a.yaml", "file=checks/a.yaml,"),
        ("/w/repo/sub", "a.yaml", "file=sub/a.yaml,"),
        ("/w/repo/sub", "../a.yaml", "file=a.yaml,"),
        ("/elsewhere", "/w/repo/a.yaml", "file=a.yaml,"),
        ("/w/repo", "..a/a.yaml", "file=..a/a.yaml,"),
        ("/elsewhere", "a.yaml", "title="),
        ("/w/repo", "-", "title="),
        ("/w/repo", "<command line>", "title="),
        ("/w/repo", "-a.yaml", "file=-a.yaml,"),
    ],
)
def test_files_are_as_the_workspace_has_them(folder: str, file: str, place: str) -> None:
    [line] = annotations(at(undecided_report(), file), folder=folder)
    assert line.startswith(f"::error {place}")


def test_hostile_text_makes_no_command() -> None:
    report = at(hostile_report(), "a\n::error::.yaml")
    for line in annotations(report, unmeasured_report(trouble="x\n::warning::y")):
        assert line.isprintable()
        assert line.count("::") == 2 + line.partition("::")[2].partition("::")[2].count("::")
        assert "##[" not in line


def test_a_long_message_is_cut() -> None:
    [line] = annotations(unmeasured_report(trouble="y" * 100_000))
    assert len(line) < 5000


def test_a_check_that_was_not_measured_is_at_its_name() -> None:
    report = unmeasured_report()
    place = Position(file="c.yaml", line=3, column=12)
    [line] = annotations(replace(report, check=replace(report.check, position=place)))
    assert line == "::error file=c.yaml,line=3,col=12,title=unmeasured::not measured: no such probe"
