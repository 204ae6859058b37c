"""`probeplan check`: what is refused before anything is attached."""

from pathlib import Path

import pytest

from orchestrator.cli import main

CHECK = """
apiVersion: probeplan/v1
kind: ProbeCheck
metadata: {name: same, summary: for tests}
plan: fsync
workload: {run: ['true']}
expect: {none: sync.calls == 0}
"""


@pytest.mark.parametrize("value", ["true", "1", "True"])
def test_ci_writes_no_baseline_unless_it_is_told_to(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    value: str,
) -> None:
    monkeypatch.setenv("CI", value)
    (tmp_path / "check.yaml").write_text(CHECK)
    assert main(["check", str(tmp_path), "--update", "new"]) == 2
    assert "--ci-writes" in capsys.readouterr().err


def test_the_findings_of_all_checks_are_said_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        text = CHECK.replace("same", name).replace("sync.calls", f"{name}.calls")
        (tmp_path / f"{name}.yaml").write_text(text)
    assert main(["check", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "one.yaml:7:" in error
    assert "two.yaml:7:" in error


def test_two_checks_of_one_name_in_a_folder_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("one", "two"):
        (tmp_path / f"{name}.yaml").write_text(CHECK)
    assert main(["check", str(tmp_path)]) == 2
    assert "PP210" in capsys.readouterr().err


def test_a_folder_without_a_check_does_not_pass(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", str(tmp_path)]) == 2
    assert "there is no check" in capsys.readouterr().err
