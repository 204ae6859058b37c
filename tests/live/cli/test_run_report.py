"""`run --report`: the page of the run that ends."""

import re
import sys
from pathlib import Path

import pytest

from tests.live.cli.test_run import BACKENDS, ran
from tests.support.requirements import needs_a_kernel

pytestmark = needs_a_kernel

PLAN = """\
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: parents, summary: Questions for a parent}
limits: {duration: 60s, events: 10k, rate: 1M/s, cpu: 100%}
every: 100ms
probes:
  call:
    attach: tracepoint:syscalls:sys_enter_getppid
    emit: {}
    metrics: {calls: {count: true, by: [comm]}}
"""
#: Calls, some of them in later windows.
WORK = """
import os, time
for _ in range(3):
    for _ in range(200): os.getppid()
    time.sleep(0.3)
"""


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    file = tmp_path / "plan.yaml"
    file.write_text(PLAN)
    return file


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("keeps_result", [False, True])
def test_the_page_has_what_the_log_has(plan: Path, backend: str, keeps_result: bool) -> None:
    page = plan.with_name("page.html")
    out = ["--out", str(plan.with_name("out"))] if keeps_result else []
    code, lines, _ = ran(
        *("run", str(plan), "--backend", backend, "--report", str(page), *out),
        *("--", sys.executable, "-c", WORK),
    )
    assert code == 0
    records = sum(line["event"] == "event.recorded" for line in lines)
    text = page.read_text()
    assert "getppid" in text
    assert re.search(rf"The first 200; {records - 200:,} more", text)
    assert 'data-chart="line"' in text or 'data-chart="heat"' in text
    assert "metadata: {name: parents" in text


def test_a_page_that_cannot_be_written_is_refused_before_attaching(plan: Path) -> None:
    code, lines, said = ran("run", str(plan), "--report", str(plan / "page.html"))
    assert (code, lines) == (2, [])
    assert "the report" in said


def test_a_failure_to_write_at_the_end_is_reported(plan: Path) -> None:
    """/dev/full takes nothing; the log has everything all the same."""
    code, lines, said = ran(
        *("run", str(plan), "--report", "/dev/full", "--", sys.executable, "-c", WORK)
    )
    assert code == 4
    assert lines[-1]["event"] == "run.finished"
    assert lines[-1]["exit_code"] == 0
    assert "the report '/dev/full' could not be written: No space left on device" in said
