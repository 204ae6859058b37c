"""A disk that is full when an unattended run begins, or gets full while it writes."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.folders import names_in
from tests.support.unattended import StateHost, hold_state_host

BLOCK = 4096
BLOCKS = 64
PLAN = """\
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: kept, summary: for tests}
limits: {duration: 100ms, cpu: 100%}
target: {comm: [no-such-program]}
probes:
  call: {attach: 'tracepoint:syscalls:sys_enter_getppid', emit: {}, metrics: {n: {count: true}}}
"""


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("plan") / "kept.yaml"
    file.write_text(PLAN)
    return str(file)


@pytest.fixture(scope="module")
def host(plan: str) -> Iterator[StateHost]:
    """A small file system that has one whole result."""
    with hold_state_host(f"{BLOCKS * BLOCK}") as held:
        first = held.probeplan("run", plan, "--unattended", "--backend", "tracefs")
        assert first.code == 0, first.err
        yield held


def fill_up(root: Path, *, but: int) -> Path:
    """A file that takes all blocks but so many."""
    filler = root / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(bytes(BLOCK))
        except OSError:
            size = os.lseek(file.fileno(), 0, os.SEEK_CUR) - but * BLOCK
        file.truncate(size)
    return filler


@pytest.mark.parametrize("blocks", [0, 1])
def test_a_run_that_cannot_keep_its_result_ends_with_4_and_leaves_the_last_whole_one(
    host: StateHost, plan: str, blocks: int
) -> None:
    """There is room for nothing, or for the plan."""
    whole = host.results("kept")[0] / "result.json"
    before = whole.read_bytes()
    last = run_on_full_disk(host, plan, blocks)
    assert last["event"] in ("run.finished", "run.refused")
    assert last["result"] is None
    assert whole.read_bytes() == before
    assert [path.parent for path in host.state.rglob("result.json")] == [whole.parent]


def test_a_log_that_does_not_fit_is_said_by_the_result_that_does(
    host: StateHost, plan: str
) -> None:
    """There is room for the plan, the program and a part of the log: whether the result fits then,
    the last line says, and one that is whole is there in any case."""
    (before,) = (path.parent.name for path in host.state.rglob("result.json"))
    last = run_on_full_disk(host, plan, 3)
    assert last["event"] == "run.finished"
    (whole,) = host.state.rglob("result.json")
    kept = json.loads(whole.read_text())["run"]
    if last["result"] is None:
        assert kept["run_id"] == before
    else:
        assert last["result"].endswith(f"/results/kept/{kept['run_id']}/result.json")
        assert (kept["run_id"], kept["exit_code"]) == (last["run_id"], 4)


def run_on_full_disk(host: StateHost, plan: str, blocks: int) -> dict[str, Any]:
    """The last line of a run for which so many blocks are left, and which ends with 4."""
    filler = fill_up(host.state, but=blocks)
    try:
        ran = host.probeplan("run", plan, "--unattended", "--keep", "1", "--backend", "tracefs")
    finally:
        filler.unlink()
    assert ran.code == 4, ran.err
    assert ran.last["exit_code"] == 4
    assert "No space left on device" in ran.err
    assert names_in(host.state / "running") == []
    assert names_in(host.state / "quarantine") == []
    return ran.last


def test_once_there_is_room_again_a_run_keeps_its_result_and_the_older_ones_go(
    host: StateHost, plan: str
) -> None:
    """Of those that could not be written the newest is left, to be looked at."""
    ran = host.probeplan("run", plan, "--unattended", "--keep", "1", "--backend", "tracefs")
    assert ran.code == 0, ran.err
    runs = {run.name for run in host.results("kept")}  # ids of one second are in no order
    assert ran.last["run_id"] in runs
    assert len(runs) == 2
    (whole,) = host.state.rglob("result.json")
    assert json.loads(whole.read_text())["run"]["run_id"] == ran.last["run_id"]
