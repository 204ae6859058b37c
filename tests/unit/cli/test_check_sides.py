"""`probeplan check --ab`: what is refused before anything is attached."""

import signal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from orchestrator.check.measuring import measure
from orchestrator.check.times import rank_test
from orchestrator.cli import main
from orchestrator.cli.check.sides import run_sides
from orchestrator.plan.findings import PlanError, of_command_line
from tests.support.sides import two_sides

CHECK = """
apiVersion: probeplan/v1
kind: ProbeCheck
metadata: {name: same, summary: for tests}
params: {build: {type: path}}
plan: fsync
workload: {run: [$(params.build)]}
expect: {bound: THAT}
"""


def refuse(folder: Path, that: str, *options: str) -> None:
    (folder / "check.yaml").write_text(CHECK.replace("THAT", that))
    assert main(["check", str(folder), *options]) == 2


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--ab", "build=old,new", "--update", "new"), "--ab compares two"),
        (("--ab", "build=old,new", "--set", "build=x"), "both give the param 'build'"),
        (("--ab", "bild=old,new"), "no param 'bild'"),
        (("--ab", "build=old,n e w"), "--ab build"),
    ],
)
def test_what_does_not_go_with_two_sides(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    words: str,
) -> None:
    monkeypatch.delenv("CI", raising=False)
    refuse(tmp_path, "sync.calls <= baseline", *options)
    assert words in capsys.readouterr().err


@pytest.mark.parametrize("value", ["build", "build=old", "=old,new", "build=a,b,c", "build=a,"])
def test_a_param_and_two_values_are_needed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], value: str
) -> None:
    refuse(tmp_path, "sync.calls <= baseline", "--ab", value)
    assert "NAME=A,B" in capsys.readouterr().err


def test_times_need_scipy_before_anything_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(rank_test, "find_spec", lambda _name: None)
    refuse(tmp_path, "workload.wall <= 1.1 * baseline", "--ab", "build=old,new")
    error = capsys.readouterr().err
    assert "scipy, which is not installed" in error
    assert "pip install 'probeplan[check]'" in error


def test_a_time_without_two_sides_names_the_option(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    refuse(tmp_path, "workload.wall <= 1.1 * baseline", "--set", "build=old")
    error = capsys.readouterr().err
    assert "PP208" in error
    assert "--ab NAME=A,B" in error


def an_invocation(received: signal.Signals | None = None) -> Any:
    return SimpleNamespace(
        args=SimpleNamespace(backend="auto", on_inconclusive="fail"),
        facts=SimpleNamespace(arch="x86_64"),
        policies=(),
        signals=SimpleNamespace(received=received),
    )


def test_an_interruption_leaves_a_report_of_every_check() -> None:
    checks = [two_sides("write.calls <= baseline") for _ in range(2)]
    reports, code = run_sides(checks, an_invocation(signal.SIGINT))
    assert code == 128 + signal.SIGINT
    assert [report.trouble for report in reports] == ["the invocation was interrupted"] * 2
    assert [report.verdict for report in reports] == [None] * 2


def test_a_check_that_cannot_be_measured_is_reported_with_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def prepare(*_args: Any, **_options: Any) -> None:
        raise PlanError([of_command_line("no such thing")])

    monkeypatch.setattr(measure, "prepare_check", prepare)
    checks = [two_sides("write.calls <= baseline") for _ in range(2)]
    reports, code = run_sides(checks, an_invocation())
    assert code == 0
    for report in reports:
        assert (report.verdict, report.exit_codes) == (None, (2,))
        assert "no such thing" in report.trouble
    assert "no such thing" in capsys.readouterr().err
