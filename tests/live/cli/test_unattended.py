"""`probeplan run --unattended`: whatever becomes of it, one last line and one result say so."""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from orchestrator.run.report.host_identity import hash_machine_id
from orchestrator.run.unattended.boot_marker import place_marker
from tests.live.cli.test_run import ENVIRONMENT
from tests.support.bundled_runs import build_file
from tests.support.paths import ROOT
from tests.support.requirements import needs_a_kernel
from tests.support.results import checked_result
from tests.support.settling import until
from tests.support.unattended import StateHost, UnattendedEnd, hold_state_host

pytestmark = needs_a_kernel

PLAN = """\
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: calls, summary: for tests}
limits: {duration: 100ms, cpu: 100%}
probes:
  call:
    attach: tracepoint:syscalls:sys_enter_getppid
    metrics: {calls: {count: true}}
"""
DIGEST = hashlib.sha256(PLAN.encode()).hexdigest()
#: Calls without end, which do not leave the CPU to others.
BUSY = (
    sys.executable,
    "-c",
    "import os, select\nlook = select.poll().poll\nos.write(1, b'.')\nwhile True: look(0)",
)
#: Far less than these calls cost.
SCARCE = ("--limit", "duration=60s", "--limit", "cpu=0.01%")


@pytest.fixture
def host() -> Iterator[StateHost]:
    with hold_state_host() as host:
        yield host


@pytest.fixture
def plan(tmp_path: Path) -> str:
    (tmp_path / "calls.yaml").write_text(PLAN)
    return str(tmp_path / "calls.yaml")


@pytest.fixture
def hot_plan(tmp_path: Path) -> Path:
    """Of what `busy` does all the time."""
    (tmp_path / "hot.yaml").write_text(PLAN.replace("enter_getppid", "enter_poll"))
    return tmp_path / "hot.yaml"


@pytest.fixture
def busy() -> Iterator[None]:
    """Another process that makes calls all the time."""
    with subprocess.Popen(BUSY, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.read(1) == b"."
        yield
        process.kill()


def write_policy(folder: Path, rules: str) -> tuple[str, str]:
    """The options that apply a policy with these rules."""
    (folder / "policy.yaml").write_text(f"apiVersion: probeplan/v1\nkind: Policy\n{rules}\n")
    return "--policy", str(folder / "policy.yaml")


def reason(ended: UnattendedEnd) -> str:
    assert ended.last is not None
    return str(ended.last["reason"])


def merge(host: StateHost) -> dict[str, Any]:
    words = ("merge", str(host.state / "results"), "--format", "json")
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", *words],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        check=True,
    )
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def wait_until_armed(host: StateHost, process: "subprocess.Popen[bytes]") -> None:
    """It writes its first line once it is."""
    assert process.stdout is not None
    assert b"run.started" in process.stdout.readline()
    assert len(host.markers()) == 1


def test_a_run_that_is_made_leaves_its_result_and_no_marker(host: StateHost, plan: str) -> None:
    calls = (sys.executable, "-c", "import os\nfor _ in range(700): os.getppid()")
    options = ("--label", "r1", "--shard", "100%", "--expires", "2999-12-31", "--keep", "3")
    limits = ("--limit", "duration=60s", "--no-canary")
    ended = host.run(plan, *options, *limits, command=calls)
    assert ended.outcome == (0, "run.finished", "command")
    assert ended.last is not None
    assert ended.result is not None
    run_id = ended.last["run_id"]
    assert ended.last["result"] == f"/var/lib/probeplan/results/calls/{run_id}/result.json"
    assert ended.result["host_id"] == hash_machine_id(host.machine_id)
    assert ended.result["label"] == "r1"
    [metric] = ended.result["metrics"]
    assert metric["cells"][0]["value"] == 700
    directory = host.find(ended.last["result"]).parent
    assert {file.name for file in directory.iterdir()} >= {
        *("events.jsonl", "plan.yaml", "result.json")
    }
    assert directory.stat().st_mode & 0o777 == 0o700
    assert (host.markers(), host.quarantined()) == ([], None)


def test_runs_that_are_not_made_are_reported_and_merged_with_those_that_are(
    host: StateHost, plan: str, tmp_path: Path
) -> None:
    """One for each reason. Without a machine id a host is in no shard. The limits of a policy do
    not set a run that was not made apart from those that were."""
    limits = write_policy(tmp_path, "limits: {events: 1k}")
    assert host.run(plan, "--no-canary", *limits).outcome == (0, "run.finished", "duration")
    skipped = host.run(plan, "--shard", "0%", *limits)
    assert skipped.outcome == (0, "run.skipped", "skipped")
    assert reason(skipped) == "this host is not in the shard of 0%"
    expired = host.run(plan, "--expires", "2026-01-01", *limits)
    assert expired.outcome == (3, "run.refused", "refused")
    assert "error[PP260]" in expired.said
    running = host.state / "running"
    place_marker(running, plan_digest=DIGEST, plan_name="calls", run_id="0a" * 7, boot_id="old")
    assert host.run(plan, *limits).outcome == (3, "run.refused", "quarantined")
    [group] = merge(host)["groups"]
    assert {(one["state"], one["runs"]) for one in group["reasons"]} == {
        ("quarantined", 1),
        ("refused", 1),
        ("skipped", 1),
    }
    assert group["runs"] == 1
    assert host.quarantined() is not None
    shutil.rmtree(host.state / "quarantine")
    signers = tmp_path / "signers"
    signers.write_text("")
    unsigned = write_policy(tmp_path, f"signatures: {{required: true, signers: {signers}}}")
    refused = host.run(plan, *unsigned)
    assert refused.outcome == (3, "run.refused", "refused")
    assert "error[PP131]" in refused.said
    denied = write_policy(tmp_path, "deny_kinds: [tracepoint]")
    assert host.run(plan, *denied).outcome == (3, "run.refused", "refused")
    unknown = tmp_path / "unknown.yaml"
    unknown.write_text(PLAN.replace("sys_enter_getppid", "no_such_event"))
    assert host.run(str(unknown)).outcome == (3, "run.refused", "refused")
    host.set_machine_id("uninitialized")
    nameless = host.run(plan, "--shard", "100%")
    assert nameless.outcome == (0, "run.skipped", "skipped")
    assert "no machine id" in reason(nameless)
    assert (host.markers(), host.quarantined()) == ([], None)


def test_a_bundle_that_is_not_opened_is_reported_by_its_plan(
    host: StateHost, tmp_path: Path
) -> None:
    """Its signature is refused before its plan is read, which is then read to name it only."""
    bundle = tmp_path / "calls.ppb"
    build_file(bundle, PLAN.encode(), ["6.1"])
    unsigned = write_policy(tmp_path, f"signatures: {{required: true, signers: {tmp_path}/none}}")
    refused = host.run(str(bundle), *unsigned)
    assert refused.outcome == (3, "run.refused", "refused")
    assert refused.last is not None
    assert (refused.last["plan"], refused.last["plan_sha256"]) == ("calls", DIGEST)
    bundle.write_bytes(bundle.read_bytes()[:-40])
    torn = host.run(str(bundle), *unsigned)
    assert (torn.code, torn.last) == (3, None)


def fill(path: Path) -> None:
    """Make a file that takes what is left of its file system."""
    with path.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(4096)):
            pass
    assert path.stat().st_size > 0


def test_a_full_disk_ends_the_run_and_leaves_the_last_whole_result(plan: str) -> None:
    with hold_state_host("256k") as host:
        whole = host.run(plan, "--no-canary", "--keep", "1")
        assert whole.outcome == (0, "run.finished", "duration")
        fill(host.state / "fill")
        failed = host.run(plan, "--no-canary", "--keep", "1")
        assert failed.code == 4
        assert failed.last is not None
        assert (failed.last["event"], failed.last["result"]) == ("run.finished", None)
        assert whole.last is not None
        assert checked_result(host.find(whole.last["result"]).parent) == whole.result
        assert host.markers() == []


def test_an_invalid_plan_or_command_line_leaves_nothing(host: StateHost, plan: str) -> None:
    for options in (("--set", "nope=1"), ("--out", "x"), ("--shard", "5"), ("--expires", "soon")):
        ended = host.run(plan, *options)
        assert (ended.code, ended.last) == (2, None)
    assert not (host.state / "results" / "calls").exists()
    alone = host.finish(host.start(plan, "--keep", "5"))
    assert (alone.code, alone.last) == (2, None)
    assert "--keep is for unattended runs" in alone.said


def can_write(fifo: Path, writers: ExitStack) -> bool:
    """Whether a process reads it; from then on it waits for what `writers` write."""
    try:
        writers.callback(os.close, os.open(fifo, os.O_WRONLY | os.O_NONBLOCK))
    except OSError:
        return False
    return True


def test_a_run_that_is_ended_before_it_begins_is_reported(
    host: StateHost, plan: str, tmp_path: Path
) -> None:
    """It waits for a policy when the signal comes; limits are those of the other one."""
    policy = tmp_path / "policy.fifo"
    os.mkfifo(policy)
    limits = write_policy(tmp_path, "limits: {events: 1k}")
    process = host.start(plan, "--unattended", *limits, "--policy", str(policy))
    with ExitStack() as writers:
        assert until(lambda: can_write(policy, writers))
        process.send_signal(signal.SIGTERM)
        ended = host.finish(process)
    assert ended.outcome == (143, "run.skipped", "skipped")
    assert reason(ended) == "SIGTERM came before the run began"
    assert ended.result is not None
    assert ended.result["settings"]["limits"]["events"]["value"] == 1000
    assert host.markers() == []
    assert host.quarantined() is None


_FAULTY = """\
import sys
from orchestrator import cli
from orchestrator.run import choice, prepare
def fail(*_arguments, **_options): raise LookupError("no such thing")
prepare.choose_backend = fail
sys.exit(cli.main(sys.argv[1:]))
"""


def test_a_fault_of_the_program_is_reported_as_every_end(host: StateHost, plan: str) -> None:
    """It fails while it prepares the run."""
    words = ("run", plan, "--unattended", "--backend", "tracefs")
    ended = host.finish(host.start_python("-c", _FAULTY, *words))
    assert ended.outcome == (6, "run.refused", "refused")
    assert reason(ended) == "internal error: LookupError: no such thing"
    assert "internal error: LookupError: no such thing\n  hint: this is a fault of" in ended.said
    assert ended.said.count("internal error") == 1
    assert host.markers() == []


def test_of_two_at_once_one_is_skipped_and_a_killed_one_is_no_harm(
    host: StateHost, plan: str, tmp_path: Path
) -> None:
    """By the plan's lock, or by a policy's max_runs where another plan runs. After a kill -9 the
    watchdog removes the marker, and the next run is made."""
    going_on = host.start(plan, "--unattended", "--no-canary", "--limit", "duration=60s")
    wait_until_armed(host, going_on)
    second = host.run(plan)
    assert second.outcome == (0, "run.skipped", "skipped")
    assert reason(second) == "another unattended run of this plan on this host is still going"
    other = tmp_path / "other.yaml"
    other.write_text(PLAN.replace("name: calls", "name: other"))
    third = host.run(str(other), *write_policy(tmp_path, "max_runs: 1"))
    assert third.outcome == (0, "run.skipped", "skipped")
    assert "the maximum number of runs is live already" in reason(third)
    assert len(host.markers()) == 1
    going_on.send_signal(signal.SIGKILL)
    going_on.communicate()
    assert until(lambda: not host.markers())
    assert host.run(plan, "--no-canary").outcome == (0, "run.finished", "duration")
    assert host.quarantined() is None


@pytest.mark.usefixtures("busy")
def test_a_plan_that_the_governor_stopped_is_refused_until_it_is_changed(
    host: StateHost, hot_plan: Path
) -> None:
    ended = host.run(str(hot_plan), *SCARCE, "--no-canary")
    assert ended.outcome == (4, "run.finished", "cost")
    entry = host.quarantined()
    assert entry is not None
    assert ended.last is not None
    assert entry["cause"] == "governor"
    assert entry["plan_digest"] == hashlib.sha256(hot_plan.read_bytes()).hexdigest()
    assert entry["run_id"] == ended.last["run_id"]
    refused = host.run(str(hot_plan))
    assert refused.outcome == (3, "run.refused", "quarantined")
    assert "limits.cpu ended its run" in reason(refused)
    assert "error[PP261]" in refused.said
    hot_plan.write_text(PLAN)
    assert host.run(str(hot_plan), "--no-canary").outcome == (0, "run.finished", "duration")
    assert host.markers() == []


@pytest.mark.usefixtures("busy")
def test_a_plan_that_the_canary_stopped_is_refused(host: StateHost, hot_plan: Path) -> None:
    ended = host.run(str(hot_plan), *SCARCE)
    assert ended.outcome == (3, "run.finished", "error")
    entry = host.quarantined()
    assert entry is not None
    assert entry["cause"] == "canary"
    assert host.run(str(hot_plan)).outcome == (3, "run.refused", "quarantined")
    assert host.markers() == []


def test_a_plan_that_ran_when_the_host_went_down_is_refused(host: StateHost, plan: str) -> None:
    """Even where the plan that comes next is another one. Its marker is of another boot."""
    running = host.state / "running"
    place_marker(running, plan_digest=DIGEST, plan_name="calls", run_id="0a" * 7, boot_id="old")
    refused = host.run(plan)
    assert refused.outcome == (3, "run.refused", "quarantined")
    assert "the host went down while it ran (run 0a0a0a0a0a0a0a)" in reason(refused)
    assert host.markers() == []
    entry = host.quarantined()
    assert entry is not None
    assert (entry["cause"], entry["boot_id"]) == ("host went down", "old")


def test_the_oldest_results_go(host: StateHost, plan: str) -> None:
    """Of runs that were made, and of those that were not, one stays each."""
    made = [host.run(plan, "--no-canary", "--keep", "1") for _ in range(2)]
    unmade = [host.run(plan, "--shard", "0%", "--keep", "1") for _ in range(2)]
    kept = {path.name for path in (host.state / "results" / "calls").iterdir()}
    lasts = [ended.last for ended in (*made[1:], *unmade[1:]) if ended.last is not None]
    assert kept == {last["run_id"] for last in lasts}


#: `probeplan` whose report of a run fails.
FAULTY = """\
import sys
from orchestrator.run.ending import run_end
def fail(*_given): raise RuntimeError("broken")
run_end.finish_run = fail
from orchestrator.cli import main
sys.exit(main())
"""


def test_a_fault_in_the_report_of_a_run_is_its_last_line_and_exit_code(
    host: StateHost, plan: str
) -> None:
    """Nothing is left, and the plan has done no harm."""
    ended = host.python("-c", FAULTY, "run", plan, "--unattended")
    last = ended.last
    assert (ended.code, last["event"]) == (6, "run.finished")
    assert (last["exit_code"], last["outcome"]) == (6, "error")
    assert "broken" in last["error"]
    assert "internal error: RuntimeError: broken" in ended.err
    assert last["result"] is None
    assert (host.markers(), host.quarantined()) == ([], None)
    assert host.run(plan).outcome == (0, "run.finished", "duration")
