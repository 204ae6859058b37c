"""The target's tasks stay the target, and no others become it, while threads take other numbers and
numbers go to other tasks. On both backends."""

import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.support.paths import ROOT
from tests.support.product import Ran, check_accounts, run_cli

PLAN = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: following, summary: for tests}
limits: {duration: 1m, events: 100k, rate: 1M/s, cpu: 100%}
probes:
  call: {attach: "syscall:getppid", emit: {}}
"""


backends = pytest.mark.parametrize("backend", ["bcc", "tracefs"])


@pytest.fixture
def plan(tmp_path: Path) -> str:
    path = tmp_path / "plan.yaml"
    path.write_text(PLAN)
    return str(path)


def wait_for(path: Path) -> None:
    while not path.exists():
        time.sleep(0.001)


class Alongside:
    """A run without a command, from when its probes are armed until Ctrl-C."""

    def __init__(self, *arguments: str) -> None:
        words = [sys.executable, "-m", "orchestrator.cli", "run", *arguments, "--no-progress"]
        self._run = subprocess.Popen(
            words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert self._run.stdout is not None
        self._first = self._run.stdout.readline()
        assert self._first, self._run.communicate()[1]

    def end(self) -> Ran:
        self._run.send_signal(signal.SIGINT)
        out, errors = self._run.communicate(timeout=60)
        assert out, errors
        ran = Ran.of(self._first + out)
        check_accounts(ran)
        return ran


def take_number(tasks: Path, number: str) -> None:
    """An unrelated process gets this number and makes calls."""
    steps = ["as", number, "name", "stranger", "getppid", "5"]
    subprocess.run([str(tasks), *steps], check=True, timeout=60)


def comms(ran: Ran) -> list[str]:
    return [record["comm"] for record in ran.of_kind("event.recorded")]


@backends
def test_a_command_stays_the_target_when_a_thread_of_it_execs(
    backend: str, plan: str, tasks: Path
) -> None:
    """The thread, what it executes, and the children of that."""
    steps = "getppid 1 thread getppid 2 execve getppid 3 forks 4 getppid 1 thread execve getppid 1"
    ran = run_cli(plan, "--backend", backend, command=[str(tasks), *steps.split()])
    assert len(comms(ran)) == 1 + 2 + 3 + 4 * 2
    assert ran.finished["ledger"]["children_lost"] == 0


@backends
def test_a_stranger_with_the_number_of_a_thread_that_executed_is_not_the_target(
    backend: str, plan: str, tasks: Path, tmp_path: Path
) -> None:
    number, done = tmp_path / "number", tmp_path / "done"

    def be_strange() -> None:
        wait_for(number)
        take_number(tasks, number.read_text().strip())
        done.touch()

    strange = threading.Thread(target=be_strange, daemon=True)
    strange.start()
    steps = ["thread", "tid", str(number), "execve", "getppid", "2", "wait", str(done)]
    ran = run_cli(plan, "--backend", backend, command=[str(tasks), *steps])
    strange.join()
    assert comms(ran) == [tasks.name] * 2


def started(tasks: Path, steps: Sequence[str]) -> "subprocess.Popen[bytes]":
    return subprocess.Popen([str(tasks), *steps])


def during(arguments: Sequence[str], act: Callable[[], None]) -> Ran:
    run = Alongside(*arguments)
    act()
    return run.end()


@backends
def test_a_thread_that_is_named_is_the_target_under_its_new_number(
    backend: str, plan: str, tasks: Path, tmp_path: Path
) -> None:
    """`target.tid` of a thread that then executes a program; and its number is not another's."""
    number, go = tmp_path / "number", tmp_path / "go"
    steps = ["thread", "tid", str(number), "wait", str(go), "getppid", "2", "execve", "getppid"]
    process = started(tasks, [*steps, "3"])
    wait_for(number)
    thread = number.read_text().strip()

    def act() -> None:
        go.touch()
        assert process.wait(60) == 0
        take_number(tasks, thread)

    ran = during([plan, "--backend", backend, "--target", f"tid={thread}"], act)
    assert comms(ran) == [tasks.name] * 5


@backends
def test_a_process_that_is_named_is_not_the_next_one_with_its_number(
    backend: str, plan: str, tasks: Path, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    process = started(tasks, ["wait", str(go), "getppid", "3", "thread", "execve", "getppid", "2"])

    def act() -> None:
        go.touch()
        assert process.wait(60) == 0
        take_number(tasks, str(process.pid))

    ran = during([plan, "--backend", backend, "--target", f"pid={process.pid}"], act)
    assert comms(ran) == [tasks.name] * 5


@backends
def test_a_process_that_does_not_exist_yet_is_awaited(backend: str, plan: str, tasks: Path) -> None:
    """The first process with the number is meant."""
    with subprocess.Popen(["true"]) as gone:
        free = gone.pid
    ran = during(
        [plan, "--backend", backend, "--target", f"pid={free}"],
        lambda: take_number(tasks, str(free)),
    )
    assert comms(ran) == ["stranger"] * 5


@backends
def test_a_record_has_the_name_that_its_task_had_then(backend: str, plan: str, tasks: Path) -> None:
    """Before and after it takes another one, and of what it executes; none is read later."""
    steps = "name first getppid 3 name second getppid 2 execve getppid 1 forks 2 getppid 1"
    steps += " thread name other getppid 1 execve getppid 1"
    ran = run_cli(plan, "--backend", backend, command=[str(tasks), *steps.split()])
    by_name = {name: comms(ran).count(name) for name in comms(ran)}
    assert by_name == {"first": 3, "second": 2, tasks.name: 1 + 2 + 2, "other": 2}
