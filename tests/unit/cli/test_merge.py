"""merge: what it prints and keeps, and its exit codes."""

import json
from pathlib import Path

import pytest

from orchestrator.cli import main
from tests.support.fleet import a_result, write_results


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """Results of three hosts."""
    return write_results(tmp_path / "results", [a_result(number) for number in (1, 2, 3)])


def merge(*words: str | Path) -> int:
    return main(["merge", *map(str, words)])


def test_a_whole_fleet_is_added_with_0(results: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert merge(results) == 0
    shown = capsys.readouterr()
    assert shown.out.startswith("3 hosts: 3 complete\n")
    assert shown.err == ""


def test_a_torn_file_is_listed_with_4_and_0_if_that_is_allowed(
    results: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    torn = results / "host02" / f"{2:014x}" / "result.json"
    torn.write_text(torn.read_text()[:-100])
    assert merge(results) == 4
    shown = capsys.readouterr()
    assert f"not added: 1 file\n  {torn}: torn, or not JSON: " in shown.out
    assert "1 file was not added" in shown.err
    assert merge(results, "--allow-torn") == 0
    shown = capsys.readouterr()
    assert "not added: 1 file" in shown.out
    assert shown.err == ""


def test_missing_hosts_are_listed_with_4(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where torn files are allowed."""
    hosts = tmp_path / "hosts.txt"
    hosts.write_text("# all\nhost01\n\nhost02  # new\nhost03\n")
    assert merge(results, "--expect", hosts) == 0
    hosts.write_text(hosts.read_text() + "host04\n")
    assert merge(results, "--expect", hosts, "--allow-torn") == 4
    assert "missing: 1 of 4 expected hosts: host04" in capsys.readouterr().out


def test_json_is_the_merge_and_can_be_merged(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard output, or in the directory of -o, which may be among the results."""
    assert merge(results, "--format", "json") == 0
    printed = capsys.readouterr().out
    assert json.loads(printed)["format"] == "probeplan-merge/1"
    for _ in range(2):
        assert merge(results, "-o", results / "merged") == 0
    kept = results / "merged" / "merged.json"
    assert kept.read_text() == printed
    capsys.readouterr()
    assert merge(kept, "--format", "json", "-o", tmp_path / "again") == 0
    assert (tmp_path / "again" / "merged.json").read_text() == printed
    assert capsys.readouterr().out == "", "it is in the file"


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("/nowhere",), "'/nowhere' cannot be read: No such file or directory"),
        ((".",), "there is no *.json below"),
        (("results", "--expect", "/nowhere"), "'/nowhere' cannot be read"),
        (("results", "--expect", "empty"), "'empty' names no host"),
        (("results", "-o", "empty"), "'empty' cannot be written to"),
        (("results", "--format", "parquet"), "name a directory: -o DIR"),
    ],
)
def test_what_a_user_can_get_wrong_ends_with_2(
    words: tuple[str, ...],
    why: str,
    results: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (results.parent / "none").mkdir()
    monkeypatch.chdir(results.parent / "none" if words == (".",) else results.parent)
    Path("empty").write_text("# none\n")
    assert merge(*words) == 2
    assert why in capsys.readouterr().err
