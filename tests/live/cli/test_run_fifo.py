"""`run --log FIFO`: the reader of the FIFO may be missing, end, and come back; the run goes on, and
its accounts are whole."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.faults.kernel_state import waited
from tests.support.paths import ROOT
from tests.support.product import Ran

HEAD = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: fifo, summary: for tests}
limits: {events: 100k, rate: 1M/s, duration: 60s, cpu: 100%}
probes:
"""
PROBE = (
    "  call: {attach: 'tracepoint:syscalls:sys_enter_getppid', EMITmetrics: {n: {count: true}}}\n"
)
EVENTS, METRIC = PROBE.replace("EMIT", "emit: {}, "), PROBE.replace("EMIT", "")
CALLS = 1000
#: Calls, waits until it may go on, and calls again.
TWICE = f"""
import os, sys
def call():
    for _ in range({CALLS}): os.getppid()
call()
open(sys.argv[1], "w").close()
open(sys.argv[2]).close()
call()
"""


@pytest.fixture
def fifo(tmp_path: Path) -> Path:
    os.mkfifo(tmp_path / "log.fifo")
    return tmp_path / "log.fifo"


@pytest.fixture(params=["bcc", "tracefs"])
def backend(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def start(fifo: Path, probe: str, *options: str, work: Sequence[str]) -> "subprocess.Popen[bytes]":
    plan = fifo.with_name("plan.yaml")
    plan.write_text(HEAD + probe)
    run = [sys.executable, "-m", "orchestrator.cli", "run", str(plan), "--no-progress"]
    words = [*run, "--log", str(fifo), *options, "--", "/usr/bin/python3", "-S", "-c", *work]
    return subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def end(run: "subprocess.Popen[bytes]") -> tuple[int, str]:
    """The exit code, and what it said."""
    _, errors = run.communicate(timeout=60)
    return run.returncode, errors.decode()


def run_once(fifo: Path, probe: str, *options: str) -> tuple[int, str]:
    return end(
        start(fifo, probe, *options, work=[f"import os\nfor _ in range({CALLS}): os.getppid()"])
    )


def result_of(out: Path) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((out / "result.json").read_text())
    return read


def test_without_a_reader_the_result_is_whole_and_the_lines_are_counted(
    fifo: Path, backend: str
) -> None:
    out = fifo.with_name("out")
    code, said = run_once(fifo, EVENTS, "--backend", backend, "--out", str(out))
    ran, run = Ran.of((out / "events.jsonl").read_bytes()), result_of(out)["run"]
    assert (code, run["complete"], run["delivered"]) == (0, True, CALLS)
    assert len(ran.data("call")) == CALLS
    assert ran.value("call", "n") == CALLS
    # The result was written before the last line.
    lines = (out / "events.jsonl").read_bytes().count(b"\n")
    assert (run["unread_lines"], ran.finished["unread_lines"]) == (lines - 1, lines - 1)
    assert f"no process reads {fifo}" in said
    assert f"{lines:,} lines were lost: no process read them from {fifo}" in said


def test_without_a_reader_or_a_result_the_records_are_lost_and_the_run_says_so(fifo: Path) -> None:
    code, said = run_once(fifo, EVENTS)
    assert code == 4
    assert f"{CALLS:,} records" in said


def test_a_plan_of_metrics_loses_nothing_that_it_counts(fifo: Path) -> None:
    assert run_once(fifo, METRIC)[0] == 0


def test_a_reader_may_end_and_another_one_come(fifo: Path, backend: str) -> None:
    """The run goes on without one. The second reader gets what the first left in the pipe and what
    is written from then on, in whole lines."""
    out, done, go = (fifo.with_name(name) for name in ("out", "done", "go"))
    os.mkfifo(done)
    os.mkfifo(go)
    first = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    work = [TWICE, str(done), str(go)]
    run = start(fifo, EVENTS, "--backend", backend, "--out", str(out), work=work)
    done.read_bytes()  # the first calls are made
    os.set_blocking(first, True)
    got = b""
    while got.count(b"\n") < CALLS // 2:
        got += os.read(first, 4096)
    os.close(first)
    events = out / "events.jsonl"
    assert waited(lambda: events.read_bytes().count(b'"event.recorded"') >= CALLS, 20)
    with fifo.open("rb") as last:
        go.write_bytes(b"")
        got += last.read()
    code, said = end(run)
    lines, read = (text.splitlines(keepends=True) for text in (events.read_bytes(), got))
    finished = json.loads(lines[-1])
    assert (code, finished["complete"], finished["delivered"]) == (0, True, 2 * CALLS), said
    assert read[-1] == lines[-1]
    assert set(read) <= set(lines)
    # A line that the end of the reader cut counts as lost, although the next one got its rest.
    assert len(lines) <= len(read) + finished["unread_lines"] <= len(lines) + 1


def test_what_is_no_fifo_is_appended_to_as_ever(fifo: Path) -> None:
    fifo.unlink()
    fifo.write_text("kept\n")
    assert run_once(fifo, METRIC)[0] == 0
    first, *rest = fifo.read_bytes().splitlines()
    assert first == b"kept"
    assert json.loads(rest[-1])["event"] == "run.finished"
