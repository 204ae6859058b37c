"""`probeplan run FILE.ppb` on this kernel, by programs that were compiled for others: exact counts
on a host that has no compiler, with pids that the builder did not know, and what it does where the
bundle has no program."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.live.cli.test_run import ENVIRONMENT
from tests.support.bundled_runs import HIDDEN, NO_COMPILER, build_file
from tests.support.paths import ROOT
from tests.support.product import Ran, build_load, check_accounts
from tests.support.recorded import HEAD
from tests.support.requirements import needs_a_kernel
from tests.support.results import checked_result
from tests.support.settling import until

N = 300
OTHER_KERNELS = ("6.1", "6.12")
#: Calls of no other program. Tracefs can do the first probe alone.
CALLS = b"""\
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: rare, summary: for tests}
limits: {events: 10k, rate: 1000k/s, duration: 60s}
probes:
  call:
    attach: syscall:sched_get_priority_max
    emit: {policy: args.policy}
    metrics: {calls: {count: true}}
"""
#: Where the parent is in task_struct differs from kernel to kernel.
PLAN = (
    CALLS
    + b"""\
  end:
    attach: rawtracepoint:sched_process_exit
    emit: {parent: args.p.real_parent.tgid}
"""
)

pytestmark = needs_a_kernel


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bundles")


@pytest.fixture(scope="module")
def for_commands(folder: Path) -> str:
    return str(build_file(folder / "commands.ppb", PLAN, OTHER_KERNELS, command=True))


@pytest.fixture(scope="module")
def for_pids(folder: Path) -> str:
    return str(build_file(folder / "pids.ppb", PLAN, OTHER_KERNELS, target={"pid": ["1"]}))


@pytest.fixture(scope="module")
def load(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(build_load(tmp_path_factory.mktemp("load")))


class Started:
    """`run FILE.ppb` in the background, where there is no compiler; it logs into `log`."""

    def __init__(self, log: Path, *arguments: str, command: tuple[str, ...] = ()) -> None:
        self.log = log
        words = [sys.executable, "-m", "orchestrator.cli", "run", *arguments, "--log", str(log)]
        self.process = subprocess.Popen(
            [*NO_COMPILER, *words, "--no-progress", *(("--", *command) if command else ())],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=ROOT,
            env=ENVIRONMENT,
        )

    def wait_armed(self) -> None:
        """Records are written once all is armed."""
        assert until(lambda: self.process.poll() is not None or self._has_a_line())
        assert self.process.poll() is None, self.process.communicate()[1]

    def _has_a_line(self) -> bool:
        return self.log.exists() and b"\n" in self.log.read_bytes()

    def finish(self, exit_code: int = 0) -> Ran:
        """What it logged, once it has ended; its accounts are right."""
        ran = self.end(exit_code)
        check_accounts(ran)
        return ran

    def end(self, exit_code: int = 0) -> Ran:
        """The same, also of a run that ends before its time."""
        _, errors = self.process.communicate(timeout=60)
        assert self.process.returncode == exit_code, errors
        return Ran.of(self.log.read_bytes())


def mapped_files(pid: int) -> set[str]:
    """The files that a process and its descendants have mapped, apart from probeplan's own."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    lines = Path(f"/proc/{pid}/maps").read_text().splitlines()
    own = {line.split(maxsplit=5)[5] for line in lines if len(line.split(maxsplit=5)) == 6}
    return own.union(*(mapped_files(int(child)) for child in children))


# ---------------------------------------------------------------- without a compiler


def test_a_host_without_a_compiler_counts_exactly_with_programs_of_other_kernels(
    for_commands: str, load: str, tmp_path: Path
) -> None:
    run = Started(tmp_path / "log", for_commands, command=(load, "-w", "rare", str(N)))
    assert run.process.stdout is not None
    assert run.process.stdin is not None
    ready = run.process.stdout.readline()
    assert b"ready" in ready, run.process.communicate()[1]
    files = mapped_files(run.process.pid)
    run.process.stdin.write(b"\n")
    ran = run.finish()
    assert any("libc.so" in file for file in files)
    assert not [file for file in files if any(name in file for name in HIDDEN)]
    assert ran.data("call") == [{"policy": 0}] * N
    assert ran.data("end") == [{"parent": run.process.pid}]
    assert ran.value("call", "calls") == N
    [started] = ran.of_kind("run.started")
    assert started["backend"] == "bcc"
    assert started["bundle"]["file"] == for_commands
    assert len(started["bundle"]["key"]) == 64


def test_nothing_of_the_compiler_is_there_in_such_a_host() -> None:
    """The test above would prove nothing otherwise."""
    words = [sys.executable, "-m", "orchestrator.cli", "doctor", "--json"]
    done = subprocess.run(
        [*NO_COMPILER, *words], cwd=ROOT, env=ENVIRONMENT, capture_output=True, check=True
    )
    assert json.loads(done.stdout)["features"]["bcc"]["state"] == "no"


def test_two_pids_are_filled_into_one_program(for_pids: str, load: str, tmp_path: Path) -> None:
    """Neither is the builder's; both processes call, and each run counts its own."""
    keys = set()
    for turn, calls in enumerate((N, N + 7)):
        with (
            subprocess.Popen([load, "-w", "rare", str(calls)], **_PIPES) as ours,
            subprocess.Popen([load, "-w", "rare", "5"], **_PIPES) as other,
        ):
            log = tmp_path / f"log-{turn}"
            run = Started(log, for_pids, "--target", f"pid={ours.pid}")
            run.wait_armed()
            for process in (other, ours):
                process.communicate(b"\n", timeout=60)
            run.process.send_signal(signal.SIGINT)
            ran = run.finish(130)
        assert ran.value("call", "calls") == calls
        assert {line["pid"] for line in ran.of_kind("event.recorded")} == {ours.pid}
        assert ran.data("end") == [{"parent": os.getpid()}]
        keys.add(ran.of_kind("run.started")[0]["bundle"]["key"])
    assert len(keys) == 1


def test_hot_places_are_counted_first_by_the_program_of_the_bundle(tmp_path: Path) -> None:
    """The canary takes the run's own. The run ends at its fifth event."""
    plan = f"{HEAD}probes: {{p: {{attach: 'tracepoint:sched:sched_switch', emit: {{}}}}}}\n"
    file = build_file(tmp_path / "hot.ppb", plan.encode(), OTHER_KERNELS)
    limits = ("--limit", "events=5", "--limit", "incomplete=allow", "--limit", "cpu=100%")
    ran = Started(tmp_path / "log", str(file), *limits).end()
    [started] = ran.of_kind("run.started")
    assert started["canary"]["probes"]["p"]["hits_per_s"] > 0
    assert started["backend"] == "bcc"


_PIPES: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}


# ---------------------------------------------------------------- no program


def ran_with(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", "run", *arguments, "--no-progress"],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_setting_that_was_not_built_is_named_and_nothing_is_attached(
    for_commands: str,
) -> None:
    done = ran_with(for_commands, "--target", "pid=1", "--backend", "bcc")
    assert done.returncode == 3
    assert done.stdout == ""
    assert "error[PP244]" in done.stderr
    assert "target: wanted 1 pid, not probeplan itself" in done.stderr
    assert "there it is not probeplan itself" in done.stderr
    assert "probeplan facts" in done.stderr


def test_without_a_program_tracefs_is_taken_and_the_log_says_why(load: str, tmp_path: Path) -> None:
    """Runs with a command were not built."""
    file = build_file(tmp_path / "plain.ppb", CALLS, OTHER_KERNELS)
    done = ran_with(str(file), "--out", str(tmp_path / "out"), "--", load, "rare", str(N))
    assert done.returncode == 0, done.stderr
    ran = Ran.of(done.stdout)
    assert ran.value("call", "calls") == N
    [started] = ran.of_kind("run.started")
    assert started["backend"] == "tracefs"
    [reason] = started["refused_backends"]["bcc"]
    assert reason["code"] == "PP244"
    assert "descendants of the target: wanted followed" in reason["reason"]
    assert started["bundle"]["key"] is None
    assert "note: this run is on tracefs, and not on bcc" in done.stderr
    assert checked_result(tmp_path / "out")["bundle"] == started["bundle"]
