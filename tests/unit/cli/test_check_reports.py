"""`probeplan check`: reports that cannot be written are refused before anything is attached, and
those that can be are written once all is judged."""

import argparse
import importlib.metadata
import importlib.util
import json
import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.check.measuring.repeater import Interrupted
from orchestrator.check.model import Check
from orchestrator.check.report.check_report import CheckReport
from orchestrator.cli import main
from orchestrator.cli.check.command import _run_checks
from orchestrator.cli.check.github import report_to_github
from orchestrator.cli.check.report_files import write_reports
from orchestrator.plan.findings import PlanError, of_command_line
from tests.support.check_reports import all_reports, failed_report, ok_report, undecided_report

CHECK = """
apiVersion: probeplan/v1
kind: ProbeCheck
metadata: {name: same, summary: for tests}
plan: fsync
workload: {run: ['true']}
expect: {none: sync.calls == 0}
"""
OPTIONS = ("junit", "openmetrics", "bmf", "csv")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two folders with a check each, of one name; the working folder."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "check.yaml").write_text(CHECK)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def refusal(capsys: pytest.CaptureFixture[str], *args: str) -> str:
    """What is said of a command line that is refused; nothing was measured for it."""
    assert main(["check", *args]) == 2
    out, error = capsys.readouterr()
    assert out == ""
    return error


# ---------------------------------------------------------------- refused


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize(
    ("path", "why"), [("missing/report", "No such file"), ("two", "s a directory")]
)
def test_a_report_that_cannot_be_written_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], option: str, path: str, why: str
) -> None:
    error = refusal(capsys, "one", f"--{option}", path)
    assert f"{path!r}: " in error
    assert why in error


@pytest.mark.parametrize("option", ["openmetrics", "bmf", "csv"])
def test_checks_of_one_name_do_not_share_a_report(
    folder: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    error = refusal(capsys, "one", "two", f"--{option}", "report")
    assert "one/check.yaml and two/check.yaml are both named 'same'" in error
    assert not (folder / "report").exists()


def test_two_reports_do_not_share_a_file(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    error = refusal(capsys, "one", "--bmf", "report", "--csv", "./one/../report")
    assert "--bmf and --csv name the same file './one/../report'" in error


def test_a_series_with_other_columns_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "series.csv").write_text("time,commit,same.other\n1,2,3\n")
    error = refusal(capsys, "one", "--csv", "series.csv")
    assert "it has 'same.other', and it does not have 'same.none'" in error
    assert (folder / "series.csv").read_text() == "time,commit,same.other\n1,2,3\n"


def test_what_is_no_csv_is_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "series.csv").write_bytes(b"\xff\xfe\x00")
    assert "is no CSV file" in refusal(capsys, "one", "--csv", "series.csv")


def test_without_junitparser_it_is_said_what_to_install(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "junitparser" else find(name)
    )
    error = refusal(capsys, "one", "--junit", "report.xml")
    assert "junitparser >= 5, which is not installed" in error
    assert "pip install 'probeplan[check]'" in error


def test_an_old_junitparser_is_refused(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda _name: "4.1.0")
    assert "is too old (4.1.0)" in refusal(capsys, "one", "--junit", "report.xml")


# ---------------------------------------------------------------- written


def options(folder: Path, **changes: Any) -> argparse.Namespace:
    paths: dict[str, Any] = {name: str(folder / name) for name in OPTIONS}
    return argparse.Namespace(**{**paths, "out": None, "on_inconclusive": "fail", **changes})


def test_each_report_is_written_to_its_file(tmp_path: Path) -> None:
    assert write_reports(options(tmp_path), [ok_report(), failed_report()]) == []
    assert (tmp_path / "junit").read_bytes().startswith(b"<?xml version='1.0' encoding='")
    assert (tmp_path / "openmetrics").read_text().endswith("# EOF\n")
    assert list(json.loads((tmp_path / "bmf").read_text())) == ["good", "bad"]
    assert write_reports(options(tmp_path), [ok_report(), failed_report()]) == []
    assert [line.count(",") for line in (tmp_path / "csv").read_text().splitlines()] == [6] * 3


def test_a_row_that_would_not_be_whole_is_not_appended_and_that_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert write_reports(options(tmp_path), [ok_report(), undecided_report()]) == []
    assert not (tmp_path / "csv").exists()
    assert "nothing is appended" in capsys.readouterr().err
    assert (tmp_path / "junit").exists()


def test_a_report_that_fails_does_not_keep_the_others_from_being_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    changed = options(tmp_path, junit=str(tmp_path / "gone" / "report"))
    assert write_reports(changed, all_reports()[:2]) == [2]
    assert "gone/report'" in capsys.readouterr().err
    assert (tmp_path / "bmf").exists()


# ---------------------------------------------------------------- all checks


class Course:
    """Stands for an invocation: runs what is given for each check."""

    def __init__(self, *ends: CheckReport | Exception, received: int | None = None) -> None:
        self._ends, self._received, self._ran = list(ends), received, 0

    def run(self, _check: Check) -> CheckReport:
        end = self._ends[self._ran]
        self._ran += 1
        if isinstance(end, Exception):
            raise end
        return end

    @property
    def signals(self) -> SimpleNamespace:
        return SimpleNamespace(received=self._received if self._ran else None)


def course(*ends: CheckReport | Exception, received: int | None = None) -> list[Any]:
    checks = [report.check for report in all_reports()[:3]]
    reports, code = _run_checks(checks, Course(*ends, received=received))
    return [*(report.trouble or report.verdict is not None for report in reports), code]


def test_a_check_that_cannot_be_measured_has_a_report_that_says_why() -> None:
    error = PlanError([of_command_line("no such probe")])
    assert course(ok_report(), error, ok_report()) == [
        True,
        "<command line>: error[PP092]: no such probe",
        True,
        0,
    ]


def test_after_an_interruption_no_check_is_missing_from_the_reports() -> None:
    left_out = "the invocation was interrupted before"
    assert course(Interrupted(signal.SIGINT)) == ["it was interrupted", left_out, left_out, 130]
    assert course(ok_report(), received=15) == [True, left_out, left_out, 143]


# ---------------------------------------------------------------- GitHub


def test_a_step_of_github_gets_annotations_and_a_summary(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "summary").write_text("before\n")
    environment = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_WORKSPACE": str(tmp_path),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary"),
    }
    report_to_github(all_reports(), "fail", environment)
    out, error = capsys.readouterr()
    assert out == ""
    assert [line.partition(" ")[0] for line in error.splitlines()] == ["::error"] * 5 + [
        "::warning"
    ]
    assert all(" file=check.yaml,line=" in line for line in error.splitlines())
    assert (tmp_path / "summary").read_text().startswith("before\n### good: An example\n")


def test_what_is_wrong_with_a_check_is_annotated_where_it_is(
    folder: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(folder))
    (folder / "one" / "check.yaml").write_text(CHECK.replace("sync.calls", "::sink.calls"))
    error = refusal(capsys, "one", "two")
    [line] = [line for line in error.splitlines() if line.startswith("::")]
    assert line.startswith("::error file=one/check.yaml,line=7,col=")
    assert ",title=PP" in line
    many = "".join(f"  e{number}: sink.calls == 0\n" for number in range(30))
    (folder / "one" / "check.yaml").write_text(
        CHECK.replace("{none: sync.calls == 0}", f"\n{many}")
    )
    lines = [line for line in refusal(capsys, "one").splitlines() if line.startswith("::")]
    assert len(lines) == 10
    assert lines[-1].endswith("::and 21 more; `probeplan lint` reports all of them")
    monkeypatch.delenv("GITHUB_ACTIONS")
    assert "\n::" not in refusal(capsys, "one")


def test_the_summary_keeps_to_the_room_that_the_step_has_left(tmp_path: Path) -> None:
    summary = tmp_path / "summary"
    summary.write_bytes(b"x" * 999_999)
    environment = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(summary)}
    report_to_github(all_reports(), "fail", environment)
    assert summary.stat().st_size == 999_999


def test_a_summary_that_cannot_be_written_is_a_note(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    environment = {"GITHUB_ACTIONS": "true", "GITHUB_STEP_SUMMARY": str(tmp_path / "no" / "file")}
    report_to_github([ok_report()], "fail", environment)
    assert "note: the summary of the step was not written" in capsys.readouterr().err


@pytest.mark.parametrize("value", [None, "false", "1"])
def test_elsewhere_nothing_is_annotated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], value: str | None
) -> None:
    environment = {"GITHUB_STEP_SUMMARY": str(tmp_path / "summary")}
    report_to_github(
        all_reports(), "fail", environment | ({"GITHUB_ACTIONS": value} if value else {})
    )
    assert capsys.readouterr().err == ""
    assert not (tmp_path / "summary").exists()
