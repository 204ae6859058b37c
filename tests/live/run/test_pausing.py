"""Probes switched off and on while a run goes on: what happens meanwhile is not seen, everything
else is, to the unit; and `status` reports what it is reported by the run itself."""

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from tests.live.cli.test_run import BACKENDS, left_by, probeplan, rest
from tests.live.run.test_concurrency import N, Workload
from tests.support.product import Ran, check_accounts
from tests.support.requirements import needs_a_kernel

pytestmark = needs_a_kernel
PLAN = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: pausing, summary: for tests}
limits: {events: 10k, rate: 1000k/s, duration: 60s, cpu: 100%}
probes:
  call:
    attach: syscall:getppid
    emit: {got: retval}
    metrics: {calls: {count: true}}
  user:
    attach: uprobe:libc.so.6:getppid
    emit: {}
    metrics: {calls: {count: true}}
"""


def output(*arguments: str) -> str:
    process = probeplan(*arguments)
    out, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    return out.decode()


def started(folder: Path, pid: int, backend: str) -> tuple["subprocess.Popen[bytes]", str]:
    """A run of plan.yaml that is armed, and its id; it logs into `folder`."""
    words = ("--target", f"pid={pid}", "--backend", backend, "--log", str(folder / "log"))
    run = probeplan("run", str(folder / "plan.yaml"), *words)
    while not (folder / "log").exists() or b"\n" not in (folder / "log").read_bytes():
        assert run.poll() is None
        time.sleep(0.01)
    return run, json.loads((folder / "log").read_bytes().splitlines()[0])["run_id"]


def ended(run: "subprocess.Popen[bytes]", folder: Path) -> Ran:
    run.send_signal(signal.SIGINT)
    rest(run)
    return Ran.of((folder / "log").read_bytes())


def status(run_id: str) -> dict[str, Any]:
    [run] = [one for one in json.loads(output("status", "--json")) if one["run_id"] == run_id]
    return dict(run)


@pytest.mark.parametrize("backend", BACKENDS)
def test_what_happens_at_a_paused_probe_is_not_seen_and_all_else_is(
    tmp_path: Path, backend: str
) -> None:
    """One probe by itself, then all, then all again on. Being asked for, it does not make the run
    incomplete."""
    (tmp_path / "plan.yaml").write_text(PLAN)
    workload = Workload()
    run, run_id = started(tmp_path, workload.pid, backend)
    workload.call()
    assert output("pause", run_id, "user") == f"{run_id} (pausing): paused user\n"
    workload.call()
    assert output("pause", run_id[:-1]) == f"{run_id} (pausing): paused call\n"
    workload.call()
    reported = status(run_id)
    assert [(one["probe"], one["paused"], one["recorded"]) for one in reported["probes_now"]] == [
        ("call", True, 2 * N),
        ("user", True, N),
    ]
    assert (reported["delivered"], reported["lost"]) == (3 * N, 0)
    [place] = reported["probes_now"][1]["attached"]
    assert place["to"].startswith("uprobe:")
    assert "event" in place["mechanism"]
    assert output("resume", run_id) == f"{run_id} (pausing): resumed call, user\n"
    workload.call()
    ran = ended(run, tmp_path)
    workload.close()
    check_accounts(ran)
    assert (len(ran.data("call")), len(ran.data("user"))) == (3 * N, 2 * N)
    assert (ran.value("call", "calls"), ran.value("user", "calls")) == (3 * N, 2 * N)
    kinds = [(one["event"], one["probe"]) for one in ran.lines if one["event"][-3:] in _SWITCHES]
    assert kinds == [
        ("probe.paused", "user"),
        ("probe.paused", "call"),
        ("probe.resumed", "call"),
        ("probe.resumed", "user"),
    ]
    paused = ran.finished["paused_ns"]
    assert 0 < paused["call"] < paused["user"] < ran.finished["duration_ns"]
    resumed = {one["probe"]: one["paused_ns"] for one in ran.of_kind("probe.resumed")}
    assert paused == resumed
    assert left_by(run_id) == []
    assert not list(Path("/run/probeplan").glob(f"{run_id}*"))


_SWITCHES = ("sed", "med")  # probe.paused, probe.resumed


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_call_that_outlasts_a_pause_is_not_paired_with_a_later_one(
    tmp_path: Path, backend: str
) -> None:
    """A call whose return went by unseen would else be the beginning of the next one's."""
    plan = PLAN.replace("syscall:getppid", "syscall:nanosleep").replace(
        "{got: retval}", "{took: elapsed}"
    )
    (tmp_path / "plan.yaml").write_text(plan.partition("  user:")[0])
    workload = Sleeper()
    run, run_id = started(tmp_path, workload.pid, backend)
    workload.wakes()  # and sleeps again: this entry is seen, its return is not
    output("pause", run_id)
    workload.wakes()
    workload.wakes()  # this entry is not seen, its return is
    output("resume", run_id)
    workload.wakes()
    workload.wakes()
    ran = ended(run, tmp_path)
    workload.close()
    check_accounts(ran)
    assert ran.side("call", "return")["unpaired"] >= 1
    longest = max(one["took"] for one in ran.data("call"))
    assert longest < ran.finished["paused_ns"]["call"]


class Sleeper(Workload):
    """Sleeps 300 ms at a time, and reports each time that it wakes."""

    CODE = (
        "import ctypes, os, sys\nlibc = ctypes.CDLL(None)\n"
        "while True:\n    libc.syscall(35, (ctypes.c_long * 2)(0, 300_000_000), None)\n"
        "    print(flush=True)"
    )

    def wakes(self) -> None:
        """The next time, whatever it reported before."""
        assert self.process.stdout is not None
        pipe = self.process.stdout.fileno()
        os.set_blocking(pipe, False)
        with contextlib.suppress(BlockingIOError):
            os.read(pipe, 65536)
        os.set_blocking(pipe, True)
        assert os.read(pipe, 65536)

    def close(self) -> None:
        self.process.kill()
        super().close()


def test_a_probe_or_run_that_is_not_there_is_told(tmp_path: Path) -> None:
    (tmp_path / "plan.yaml").write_text(PLAN)
    run, run_id = started(tmp_path, os.getpid(), "tracefs")
    for arguments, reported in ((("pause", run_id, "cal"), "its probes are call, user"),
                            (("resume", "x"), "there is no live run 'x'")):  # fmt: skip
        process = probeplan(*arguments)
        _, errors = process.communicate(timeout=60)
        assert (process.returncode, reported in errors.decode()) == (2, True), errors
    ended(run, tmp_path)


NOTES = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: pausing, summary: for tests, requires: "1.1"}
limits: {events: 10k, rate: 1000k/s, duration: 60s, cpu: 100%}
let: {k: args.pid}
probes:
  setter: {attach: "tracepoint:syscalls:sys_enter_getpgid"}
  reader: {attach: "tracepoint:syscalls:sys_enter_getsid", emit: {k: k, twice: note.held.twice}}
notes:
  held: {set: setter, key: [k], keep: {twice: 2 * args.pid}}
"""


class Named(Workload):
    """Makes the system call that it is given with each number of a range."""

    CODE = (
        "import contextlib, os, sys\nfor line in sys.stdin:\n"
        "    name, first, end = line.split()\n"
        "    for number in range(int(first), int(end)):\n"
        "        with contextlib.suppress(OSError): getattr(os, name)(number)\n"
        "    print(flush=True)"
    )

    def make(self, name: str, first: int, end: int) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{name} {first} {end}\n")
        self.process.stdin.flush()
        assert self.process.stdout.readline() == "\n"


def test_notes_outlast_the_pause_of_a_reader_and_not_that_of_a_setter(tmp_path: Path) -> None:
    """What was kept is read while the setter is paused, and forgotten when it is resumed, since
    another might have been set: it is counted as dropped. Nothing of it makes a run incomplete."""
    (tmp_path / "plan.yaml").write_text(NOTES)
    workload = Named()
    run, run_id = started(tmp_path, workload.pid, "bcc")
    workload.make("getpgid", 1000, 1020)
    output("pause", run_id, "reader")
    workload.make("getsid", 1000, 1020)
    output("resume", run_id, "reader")
    workload.make("getsid", 1000, 1020)
    output("pause", run_id, "setter")
    workload.make("getpgid", 1020, 1030)
    workload.make("getsid", 1000, 1030)
    output("resume", run_id, "setter")
    workload.make("getsid", 1000, 1020)
    workload.make("getpgid", 1000, 1005)
    ran = ended(run, tmp_path)
    workload.close()
    check_accounts(ran)
    counts = {name: n for name, n in ran.finished["ledger"]["notes"]["held"].items() if n}
    assert counts == {
        "set": 20 + 5, "dropped": 20, "kept": 5, "found": 20 + 20, "missed": 10 + 20,
    }  # fmt: skip
    kept = [(k, 2 * k) for k in range(1000, 1020)]
    new, gone = [(k, None) for k in range(1020, 1030)], [(k, None) for k in range(1000, 1020)]
    assert [(one["k"], one["twice"]) for one in ran.data("reader")] == [*kept, *kept, *new, *gone]
    assert ran.finished["complete"] is True
    assert list(ran.finished["paused_ns"]) == ["setter", "reader"]
