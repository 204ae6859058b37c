"""Runs that are hindered: by each other, by a full disk, a closed pipe, a storm of processes, and
names that do not fit into a line."""

import json
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.cli import TRACEPOINT, UPROBE, caller, first_event, gone, plan_of, probeplan, rest
from tests.faults.kernel_state import left_by, waited
from tests.support.binaries import compile_to
from tests.support.paths import WORKLOADS
from tests.support.product import Ran

backends = pytest.mark.parametrize("backend", ["bcc", "tracefs"])
CHILDREN = 10_000


@backends
def test_two_runs_of_one_plan_do_not_disturb_each_other(backend: str, tmp_path: Path) -> None:
    """Started at once, both see everything; one is killed, and the other goes on."""
    with caller() as pid:
        plan = plan_of(tmp_path, UPROBE, pid)
        runs = [probeplan("run", plan, "--backend", backend) for _ in range(3)]
        try:
            killed = first_event(runs[0])["run_id"]
            for run in runs[1:]:
                first_event(run)
            runs[0].kill()
            assert waited(lambda: not left_by(killed), 10.0), left_by(killed)
            reported = []
            for run in runs[1:]:
                first_event(run)
                run.send_signal(signal.SIGINT)
                reported.append(rest(run))
        finally:
            for run in runs:
                gone(run)
    assert len({one.finished["run_id"] for one in reported} | {killed}) == 3
    assert {one.finished["complete"] for one in reported} <= {True, "unknown"}


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """64 KiB."""
    place = tmp_path / "small"
    place.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "probeplan-test", place], check=True)
    yield place
    subprocess.run(["umount", place], check=True)


@backends
def test_a_full_disk_ends_the_run_and_is_told(
    backend: str, tmp_path: Path, small_disk: Path
) -> None:
    """Exit code 4: records were lost, and not one of the lines is torn."""
    out = small_disk / "out"
    log = tmp_path / "log"
    with caller() as pid:
        run = probeplan(
            "run", plan_of(tmp_path, UPROBE, pid), "--backend", backend,
            "--out", str(out), "--log", str(log),
        )  # fmt: skip
        try:
            _, errors = run.communicate(timeout=60)
        finally:
            gone(run)
    assert run.returncode == 4, errors
    assert b"No space left on device" in errors
    run_id = Ran.of(log.read_bytes()).lines[0]["run_id"]
    assert left_by(run_id) == []
    kept = (out / "events.jsonl").read_bytes()
    assert len(kept) > 10_000
    assert all(json.loads(line)["run_id"] == run_id for line in kept.splitlines())


@backends
def test_a_closed_log_pipe_ends_the_run(backend: str, tmp_path: Path) -> None:
    """As `probeplan run … | head -3` does."""
    with caller() as pid:
        run = probeplan("run", plan_of(tmp_path, UPROBE, pid), "--backend", backend)
        try:
            run_id = first_event(run)["run_id"]
            assert run.stdout is not None
            run.stdout.close()
            assert run.wait(timeout=30) in (0, 4, 141)
            assert left_by(run_id) == []
            assert run.stderr is not None
            assert b"Traceback" not in run.stderr.read()
        finally:
            gone(run)


@pytest.fixture(scope="session")
def forks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    program = tmp_path_factory.mktemp("forks") / "forks"
    return compile_to(program, WORKLOADS / "forks.c")


COUNTED = """
  born: {attach: 'tracepoint:sched:sched_process_fork', metrics: {n: {count: true}}}
  call: {attach: 'tracepoint:syscalls:sys_enter_getppid', metrics: {n: {count: true}}}
"""


def test_ten_thousand_short_lived_processes_are_counted_exactly(
    tmp_path: Path, forks: Path
) -> None:
    """Each child of the command is followed from its birth."""
    plan = Path(plan_of(tmp_path, COUNTED, 1))
    plan.write_text(plan.read_text().replace("target: {pid: [1]}\n", ""))
    command = ["--", str(forks), str(CHILDREN)]
    ran = rest(probeplan("run", str(plan), "--backend", "bcc", *command))
    assert ran.finished["command_status"] == 0
    counted = ran.value("call", "n"), ran.value("born", "n")
    lost = ran.finished["ledger"]["children_lost"]
    assert (counted == (CHILDREN, CHILDREN) and lost == 0) or ran.finished["complete"] is False
    assert counted == (CHILDREN, CHILDREN), (counted, lost)


ODD = "a\"b\\\nc'd\te"


@backends
def test_a_task_name_with_newlines_and_quotes_is_one_line(backend: str, tmp_path: Path) -> None:
    """It is escaped by JSON's rules, and comes out as it is."""
    with caller(ODD) as pid:
        run = probeplan("run", plan_of(tmp_path, TRACEPOINT, pid), "--backend", backend)
        try:
            event = first_event(run)
            run.send_signal(signal.SIGINT)
            ran = rest(run)
        finally:
            gone(run)
    shown = ODD.replace("\\", "\\\\")
    assert event["comm"] == shown
    assert {line["comm"] for line in ran.of_kind("event.recorded")} <= {shown}
