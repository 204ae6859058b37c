"""export: what it reads, where it writes, how it ends, and its exit codes."""

import importlib.util
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import main
from tests.support.export_records import json_lines, metric_record, number_cell, run_of

RUN = run_of("a", metric_record([number_cell(5)]), metric_record([number_cell(5)], total=True))
CALLS = 'probeplan_calls_total{plan="p",probe="read"}'


def start(*words: str | Path, **options: Any) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "orchestrator.cli", "export", *map(str, words)]
    return subprocess.Popen(command, stderr=subprocess.PIPE, **options)


def calls_in(folder: Path) -> Sequence[str]:
    text = (folder / "probeplan-p.prom").read_text()
    return [line.split()[1] for line in text.splitlines() if line.startswith(CALLS)]


def test_a_file_is_read_to_its_end(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(json_lines(RUN) + b"torn")
    assert main(["export", str(log), "--textfile", str(tmp_path)]) == 0
    assert calls_in(tmp_path) == ["5.0"]
    text = (tmp_path / "probeplan-p.prom").read_text()
    assert 'probeplan_export_lines_skipped_total{plan="p",reason="torn"} 1.0' in text


def test_standard_input_is_read_to_its_end(tmp_path: Path) -> None:
    process = start("--textfile", tmp_path, stdin=subprocess.PIPE)
    _, errors = process.communicate(json_lines(RUN))
    assert (process.returncode, errors) == (0, b"")
    assert calls_in(tmp_path) == ["5.0"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_fifo_is_read_until_a_signal_and_has_several_writers(
    tmp_path: Path, number: signal.Signals
) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    process = start(fifo, "--textfile", tmp_path, "--interval", "100ms")
    for name in "abc":
        with fifo.open("wb") as log:  # waits until it is read
            log.write(json_lines({**record, "run_id": name} for record in RUN))
    process.send_signal(number)
    _, errors = process.communicate()
    assert (process.returncode, errors) == (0, b"")
    assert calls_in(tmp_path) == ["15.0"]


def test_an_endpoint_says_where_it_listens(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    log.write_bytes(json_lines(RUN))
    assert main(["export", str(log), "--listen", "0"]) == 0
    assert "listening on http://127.0.0.1:" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code", "error"),
    [
        (["LOG"], 2, "there is nowhere to export to"),
        (["gone", "--listen", "0"], 2, "'gone' cannot be read: No such file"),
        (["/", "--listen", "0"], 2, "'/' cannot be read: it is a directory"),
        (["LOG", "--textfile", "gone"], 2, "'gone' cannot be written to: No such file"),
        (["LOG", "--textfile", "LOG"], 2, "cannot be written to: Not a directory"),
        (["LOG", "--listen", "x"], 2, "--listen x: 'x' does not end with a port"),
        (["LOG", "--listen", "192.0.2.1:0"], 3, "cannot listen on 192.0.2.1:0: Cannot assign"),
        (["LOG", "--listen", "0", "--max-series", "0"], 2, "'0' is no number from 1"),
        (["LOG", "--listen", "0", "--interval", "1ms"], 2, "'1ms' is less than 100ms"),
        (["LOG", "--listen", "0", "--buckets-per-octave", "3"], 2, "invalid choice: "),
    ],
)
def test_what_cannot_be_used_is_named(
    words: list[str], code: int, error: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    log = tmp_path / "log"
    log.write_bytes(json_lines(RUN))
    assert main(["export", *(str(log) if word == "LOG" else word for word in words)]) == code
    assert error in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--textfile", "--listen"])
def test_without_its_library_the_error_says_what_to_install(
    option: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if "prometheus" in name else find(name)
    )
    log = tmp_path / "log"
    log.write_bytes(json_lines(RUN))
    value = {"--textfile": str(tmp_path), "--listen": "0"}[option]
    assert main(["export", str(log), option, value]) == 3
    errors = capsys.readouterr().err
    assert f"{option} needs the package prometheus-client, which is not installed" in errors
    assert "pip install 'probeplan[export]'" in errors


def test_last_values_that_cannot_be_written_are_exit_code_4(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    process = start(fifo, "--textfile", folder)
    with fifo.open("wb") as log:
        folder.rmdir()
        log.write(json_lines(RUN))
    process.terminate()
    _, errors = process.communicate()
    assert process.returncode == 4
    assert b"the last values were not written" in errors
