"""Unattended runs that are killed at any step: the plan is not put into quarantine, no marker
stays for the next boot, and what was whole stays whole."""

import itertools
import json
from typing import Any

import pytest

from tests.support.unattended import hold_state_host

PLAN = """\
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: kept, summary: for tests}
limits: {duration: 20ms, cpu: 100%}
target: {comm: [no-such-program]}
probes:
  call: {attach: 'tracepoint:syscalls:sys_enter_getppid', emit: {}, metrics: {n: {count: true}}}
"""
PROGRAM = "tests.live.run.unattended.killed_runs"
FIRST, EVERY = 3, 8


@pytest.fixture(scope="module")
def tries(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What was left after each kill, and last by the run that came through."""
    plan = tmp_path_factory.mktemp("plan") / "kept.yaml"
    plan.write_text(PLAN)
    with hold_state_host() as host:
        ended = host.python("-m", PROGRAM, str(plan), str(FIRST), str(EVERY))
    assert ended.code == 0, ended.err
    return [json.loads(line) for line in ended.out.splitlines()]


def test_the_marker_is_there_whenever_anything_is_attached(tries: list[dict[str, Any]]) -> None:
    """From before the first thing is made in the kernel until after the last is gone."""
    steps = tries[-1]["steps"]
    (run_id,) = (
        step.split()[1][:14] for step in steps if step.endswith(".journal") and "link" in step
    )
    placed = steps.index(f"os.rename {run_id}.json")
    removed = steps.index(f"os.remove {run_id}.json")
    made = [at for at, step in enumerate(steps) if f"/instances/probeplan-{run_id}" in step]
    assert len(made) > 20
    assert placed < made[0]
    assert made[-1] < removed < steps.index("os.rename result.json")


def test_a_run_that_is_killed_harms_no_plan(tries: list[dict[str, Any]]) -> None:
    assert len(tries) > 7
    assert [one["quarantine"] for one in tries] == [[]] * len(tries)


def test_the_marker_of_a_killed_run_goes_with_the_next_run_at_the_latest(
    tries: list[dict[str, Any]],
) -> None:
    """The watchdog removes it; where that was not running yet, the next run does."""
    for one in tries:
        markers = {name for name in one["running"] if not name.startswith(".")}
        assert markers <= {f"{run_id}.json" for run_id in one.get("begun", ())}
    attached = [one for one in tries[:-1] if "/instances/" in one["killed"]]
    assert len(attached) >= 3
    assert not any(name.endswith(".json") for one in attached for name in one["running"])


def test_what_is_whole_stays_whole(tries: list[dict[str, Any]]) -> None:
    """The newest result is that of the last run which came through, or was killed after it was
    written."""
    for before, after in itertools.pairwise(tries):
        newest = before["whole"][-1]
        assert newest in after["whole"]
    assert len(tries[-1]["whole"]) == 2  # --keep 2
    assert len(tries[-1]["torn"]) == 2
