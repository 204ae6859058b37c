"""`probeplan report`: results on disk in, one page out."""

import json
from pathlib import Path

import pytest

from orchestrator.cli import main
from tests.support.report_runs import (
    cell,
    log_lines,
    make_metric,
    recorded_document,
    windows_of,
    write_directory,
)

METRIC = make_metric("calls", [cell(2, comm="a"), cell(1, comm="b")])
ATTACHED = {
    "event": "probe.attached",
    "probe": "read",
    "to": "syscall:read",
    "mechanism": "fentry",
    "target": "ksys_read",
}
EVENT = {"event": "event.recorded", "probe": "read", "data": {"path": "/etc/hosts"}}


@pytest.fixture
def result(tmp_path: Path) -> Path:
    lines = log_lines([ATTACHED, EVENT, *windows_of(METRIC, 4)])
    document = recorded_document()
    document["metrics"].append(METRIC)
    document["run"]["armed_at"] = "2026-11-27T14:30:00.000000000Z"
    return write_directory(tmp_path / "result", document, lines, "# a plan\n")


def test_a_directory_becomes_a_page(result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    page = result.parent / "page.html"
    assert main(["report", str(result), "-o", str(page)]) == 0
    text = page.read_text()
    for words in ("ksys_read", "/etc/hosts", "# a plan", 'data-chart="heat"'):
        assert words in text
    assert f"wrote {page}" in capsys.readouterr().err


def test_the_page_goes_to_standard_output(
    result: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert main(["report", str(result / "result.json"), "-o", "-"]) == 0
    assert capfdbinary.readouterr().out.startswith(b"<!DOCTYPE html>")


def test_a_result_without_its_log_says_so(result: Path) -> None:
    (result / "events.jsonl").unlink()
    page = result.parent / "page.html"
    assert main(["report", str(result), "-o", str(page)]) == 0
    assert "The log is not at hand" in page.read_text()


def test_a_log_that_is_elsewhere_is_named(result: Path) -> None:
    log = result.parent / "run.jsonl"
    (result / "events.jsonl").rename(log)
    page = result.parent / "page.html"
    assert main(["report", str(result), "--log", str(log), "-o", str(page)]) == 0
    assert "/etc/hosts" in page.read_text()


def test_torn_lines_are_counted_on_the_page(result: Path) -> None:
    with (result / "events.jsonl").open("ab") as log:
        log.write(log_lines([EVENT])[0][:-20] + b"\nno JSON\n")
    page = result.parent / "page.html"
    assert main(["report", str(result), "-o", str(page)]) == 0
    assert "2 lines of" in page.read_text()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"{", "torn"),
        (b"[]", "no JSON object"),
        (json.dumps({"format": "probeplan-merge/1"}).encode(), "merge of results"),
        (json.dumps({"format": "probeplan-result/9"}).encode(), "probeplan-result/9"),
    ],
)
def test_what_is_no_result_is_refused(
    tmp_path: Path, content: bytes, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "result.json"
    file.write_bytes(content)
    assert main(["report", str(file), "-o", str(tmp_path / "page.html")]) == 2
    said = capsys.readouterr().err
    assert str(file) in said
    if words != "torn":
        assert words in said
    assert not (tmp_path / "page.html").exists()


def test_a_directory_without_a_result_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(tmp_path)]) == 2
    assert "probeplan run --out DIR" in capsys.readouterr().err


def test_a_page_that_cannot_be_written_is_refused_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", str(tmp_path / "none"), "-o", str(tmp_path / "no" / "page.html")]) == 2
    assert "the report" in capsys.readouterr().err


def test_two_results_are_compared(result: Path) -> None:
    page = result.parent / "page.html"
    assert main(["report", str(result), str(result / "result.json"), "-o", str(page)]) == 0
    text = page.read_text()
    assert "2 runs compared" in text
    assert "Records of read in B" in text
    assert "read.calls: over time, by window, in each run" in text


def test_a_compared_result_without_its_log_says_so(result: Path) -> None:
    alone = result.parent / "alone.json"
    alone.write_bytes((result / "result.json").read_bytes())
    page = result.parent / "page.html"
    assert main(["report", str(result), str(alone), "-o", str(page)]) == 0
    text = page.read_text()
    assert "B: The log is not at hand" in text
    assert "Records of read in A" in text
    assert "B has no windows of it." in text


@pytest.mark.parametrize(
    ("words", "said"), [((), "at most 8 are compared"), (("--log", "x"), "--log is of one run")]
)
def test_what_several_results_cannot_have_is_refused(
    result: Path, words: tuple[str, ...], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    page = str(result.parent / "page.html")
    assert main(["report", *[str(result)] * 9, "-o", page, *words]) == 2
    assert said in capsys.readouterr().err
