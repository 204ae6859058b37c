"""The canary: where a plan is attached to hot places, a second's count reports beforehand whether
it would break limits.cpu."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.cli.test_run import BACKENDS, ENVIRONMENT
from tests.support.product import ROOT, Ran, check_accounts
from tests.support.requirements import needs_a_kernel

pytestmark = needs_a_kernel

#: About 50,000 calls a second that hardly anyone else makes.
_YIELD = """
import os, time
while True:
    for _ in range(500):
        os.sched_yield()
    time.sleep(.01)
"""
PLAN = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: canary, summary: for tests}
limits: {duration: 3s, cpu: 0.01%}
probes:
  yield:
    attach: tracepoint:syscalls:sys_enter_sched_yield
    metrics: {calls: {count: true}}
"""


def run(
    plan: Path, *options: str, command: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    words = [sys.executable, "-m", "orchestrator.cli", "run", str(plan), "--no-progress", *options]
    return subprocess.run(
        [*words, *(("--", *command) if command else ())],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


@pytest.fixture
def plan(tmp_path: Path) -> Path:
    (tmp_path / "plan.yaml").write_text(PLAN)
    return tmp_path / "plan.yaml"


@pytest.fixture
def busy() -> Iterator[None]:
    """A host on which the place is hot."""
    process = subprocess.Popen([sys.executable, "-c", _YIELD])
    yield
    process.kill()
    process.wait()


def read_proposal(refused: "subprocess.CompletedProcess[str]") -> int:
    """The limits.cpu, in per cent, that a refusal names."""
    [percent] = re.findall(r"`limits.cpu: (\d+)%` would fit", refused.stderr)
    return int(percent)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.usefixtures("busy")
def test_a_plan_that_is_too_hot_is_refused_with_a_proposal_that_runs(
    plan: Path, backend: str
) -> None:
    """Nothing was attached in full, and nothing is left; the proposal's own figure is enough."""
    refused = run(plan, "--backend", backend)
    assert refused.returncode == 3
    assert "error[PP095]: the plan would take" in refused.stderr
    assert not Ran.of(refused.stdout).of_kind("probe.attached")
    for _ in range(10):  # another second of a busy host may have more such calls
        percent = read_proposal(refused)
        done = run(plan, "--backend", backend, "--limit", f"cpu={percent}%")
        if done.returncode != 3 or read_proposal(done) <= percent:
            break
        refused = done
    assert done.returncode == 0, done.stderr
    ran = Ran.of(done.stdout)
    check_accounts(ran)
    reported = ran.of_kind("run.started")[0]["canary"]
    assert 0.0001 < reported["cost"] <= percent / 100
    assert reported["probes"]["yield"]["hits_per_s"] > 1000
    assert ran.value("yield", "calls") > 1000


@pytest.mark.usefixtures("busy")
def test_without_a_canary_the_governor_is_left(plan: Path) -> None:
    done = run(plan, "--no-canary")
    ran = Ran.of(done.stdout)
    assert ran.of_kind("run.started")[0]["canary"] == {"skipped": "the run was not asked for one"}
    assert ran.finished["outcome"] == "cost"


def test_a_command_has_not_begun_when_a_canary_would_look(plan: Path) -> None:
    ran = Ran.of(run(plan, "--limit", "cpu=100%", command=("true",)).stdout)
    assert ran.of_kind("run.started")[0]["canary"] == {
        "skipped": "the command would not have started"
    }
