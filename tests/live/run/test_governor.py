"""limits.cpu: what costs more than its budget is sampled lower, then detached, then ended; and the
accounts add up all the same."""

import math
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from tests.live.cli.test_run import BACKENDS, ENVIRONMENT, left_by
from tests.support.product import ROOT, Ran, check_accounts
from tests.support.requirements import needs_a_kernel

pytestmark = needs_a_kernel

#: Calls in bursts, each followed by a pause of 8 ms, or `even`, for a machine of any speed: by one
#: twice as long as a burst in which every call is counted, so that getting to the probe alone stays
#: far below the budget, and for several times as long as the governor takes to act. Then, if asked
#: for, calls without pause. The number of bursts is written to a file.
_WORKLOAD = """
import os, sys, time
bursts, flood = map(int, sys.argv[1:3])
is_even = sys.argv[3] == "even"
call = os.getppid
pause = 1.0 if is_even else 0.008
number = 0
until = time.monotonic() + ({seconds} if is_even else 0)
while number < bursts or time.monotonic() < until:
    start = time.perf_counter()
    for _ in range({burst}):
        call()
    if is_even and number < 5:
        pause = min(pause, 2 * (time.perf_counter() - start))
    time.sleep(pause)
    number += 1
with open(sys.argv[4], "w") as file:
    file.write(str(number))
for _ in range(flood):
    call()
"""
BURST, EVEN_SECONDS = 2000, 8
#: Work enough that getting to the probe is the least of it.
METRICS = "".join(
    f"\n      m{number}: {{histogram: 'pid * {number + 1}', by: [comm, pid, tid]}}"
    for number in range(24)
)
PLAN = f"""
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {{name: governed, summary: for tests}}
limits: {{duration: 60s, cpu: CPU, memory: 128MiB}}
probes:
  call:
    attach: tracepoint:syscalls:sys_enter_getppid
    metrics:
      calls: {{count: true}}
      by_comm: {{count: true, by: [comm]}}
      total: {{sum: '7'}}{METRICS}
"""
TWO = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: governed, summary: for tests}
limits: {duration: 60s, cpu: CPU}
probes:
  call: {attach: 'tracepoint:syscalls:sys_enter_getppid', metrics: {calls: {count: true}}}
  user: {attach: 'uprobe:libc.so.6:getppid', metrics: {calls: {count: true}}}
"""


def governed(
    folder: Path,
    plan: str,
    cpu: str,
    bursts: int,
    flood: int,
    *options: str,
    codes: tuple[int, ...] = (0,),
    pauses: str = "fixed",
) -> tuple[Ran, Any]:
    (folder / "plan.yaml").write_text(plan.replace("CPU", cpu))
    script = _WORKLOAD.format(burst=BURST, seconds=EVEN_SECONDS)
    words = [sys.executable, "-m", "orchestrator.cli", "run", str(folder / "plan.yaml"), *options]
    made = str(folder / "bursts")
    workload = [sys.executable, "-c", script, str(bursts), str(flood), pauses, made]
    done = subprocess.run(
        [*words, "--no-progress", "--", *workload],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert done.returncode in codes, done.stderr.decode()
    ran = Ran.of(done.stdout)
    if done.returncode == 0:
        check_accounts(ran)
    assert left_by(ran.finished["run_id"]) == []
    return ran, ran.of_kind("governor.stepped")


def test_over_budget_sampling_is_lowered_and_weighted_counts_stay_right(tmp_path: Path) -> None:
    """Each step says why. What is kept counts for what is not: all of three metrics estimate the
    true number of calls, to within eight standard deviations of such gaps."""
    ran, steps = governed(tmp_path, PLAN, "12%", 300, 0, "--backend", "bcc", pauses="even")
    assert {step["action"] for step in steps} == {"sample"}, steps
    first, last = steps[0], steps[-1]
    assert (first["probe"], first["sample_before"], first["budget"]) == ("call", 1, 0.12)
    assert first["cost"] > 0.12
    assert first["hit_ns"] > 0
    assert first["hits_per_s"] > 0
    for before, after in pairwise(steps):
        assert after["sample_before"] == before["sample"] < after["sample"]
    side, calls = ran.side("call"), int((tmp_path / "bursts").read_text()) * BURST
    assert side["fired"] - side["not_target"] == calls
    assert side["sampled_out"] > calls / 4
    bound = 8 * math.sqrt(calls * last["sample"] / 3) + 4 * last["sample"]
    assert abs(ran.value("call", "calls") - calls) < bound
    assert abs(sum(cell["value"] for cell in ran.cells("call", "by_comm")) - calls) < bound
    assert ran.value("call", "total") == 7 * ran.value("call", "calls")
    assert ran.finished["outcome"] == "command"


def test_where_sampling_is_not_enough_the_probe_goes_and_then_the_run(tmp_path: Path) -> None:
    """The command floods after a while: getting to the probe alone is then too expensive."""
    ran, steps = governed(tmp_path, PLAN, "8%", 150, 10_000_000, "--backend", "bcc", codes=(4,))
    actions = [step["action"] for step in steps]
    assert actions == ["sample"] * (len(actions) - 2) + ["detach", "stop"]
    assert len(actions) > 2
    assert ran.finished["outcome"] == "cost"
    reached = [(one["limit"], one["action"]) for one in ran.of_kind("limit.reached")]
    assert reached == [("cpu", "detach"), ("cpu", "stop")]


@pytest.mark.parametrize("backend", BACKENDS)
def test_the_dearest_probe_goes_first(tmp_path: Path, backend: str) -> None:
    """A uprobe costs a trap, a tracepoint next to nothing. What the probe that is gone counted up
    to then stays in the ledger, and the other one goes on."""
    bursts = 80
    ran, steps = governed(tmp_path, TWO, "15%", bursts, 0, "--backend", backend, codes=(4,))
    assert [(step["action"], step["probe"]) for step in steps] == [("detach", "user")]
    assert steps[0]["sample"] is None
    assert 0 < ran.value("user", "calls") < ran.value("call", "calls") == bursts * BURST
    assert (ran.finished["complete"], ran.finished["counted"]) == (False, "part")
    assert "user: limits.cpu (15% of one CPU) detached it" in ran.finished["incomplete_because"][0]
    assert ran.finished["outcome"] == "command"


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_flood_over_a_tiny_budget_ends_the_run(tmp_path: Path, backend: str) -> None:
    """It is no success for one who asked for a minute: 4, whatever `incomplete` allows."""
    ran, steps = governed(tmp_path, TWO, "0.1%", 0, 4_000_000, "--backend", backend, codes=(4,))
    assert [step["action"] for step in steps] == ["detach", "detach", "stop"]
    assert [step["probe"] for step in steps] == ["user", "call", None]
    assert (ran.finished["outcome"], ran.finished["complete"]) == ("cost", False)
    assert "limits.cpu (0.1% of one CPU) ended the run" in ran.finished["incomplete_because"][0]


def test_within_its_budget_nothing_is_done(tmp_path: Path) -> None:
    ran, steps = governed(tmp_path, PLAN, "100%", 80, 0, "--backend", "bcc")
    assert steps == []
    assert ran.value("call", "calls") == 80 * BURST
    limit = ran.of_kind("run.started")[0]["limits"]["cpu"]
    assert limit == {"value": 1.0, "enforced_by": "user", "from": "plan"}
