"""The role and its playbooks on eight hosts with a real sshd: what a rollout does, what ends it.

One lab serves all; a playbook takes seconds, so each test looks at several facts of few of them.
"""

import json
import os
import shlex
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.collection import load_plugin
from tests.support.netlab import Lab, open_lab
from tests.support.paths import ROOT
from tests.support.product import build_load
from tests.support.requirements import needs_a_kernel
from tests.support.rollouts import COMMAND, Played, Rollouts
from tests.support.settling import until
from tests.support.stand_ins import build_stand_in
from tests.support.units import copy_units

pytestmark = [pytest.mark.root, needs_a_kernel]

HOSTS = tuple(f"host{number:02}" for number in range(1, 9))
CALLS = 1000
PLAN = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: calls, summary: Calls that no other program makes, owner: tests}
limits: {duration: 20s}
probes:
  call:
    attach: syscall:sched_get_priority_max
    metrics: {calls: {count: true}}
"""
EXAMPLE = ROOT / "examples" / "ansible"
INSTALLED = Path("/etc/probeplan/plans/calls.yaml")
ROLLOUT, WITHDRAW = "probeplan.fleet.rollout", "probeplan.fleet.withdraw"
COLLECT = "probeplan.fleet.collect"
#: All hosts of the lab run one kernel; their order in rings is drawn from their names.
ORDER: list[str] = [
    host
    for ring in load_plugin("filter.rings").make_rings(dict.fromkeys(HOSTS, "6.1"), [8], "calls")
    for host in ring["hosts"]
]


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with open_lab(len(HOSTS)) as lab:
        yield lab


@pytest.fixture(scope="module")
def rollouts(lab: Lab, tmp_path_factory: pytest.TempPathFactory) -> Rollouts:
    return Rollouts.prepare(lab, tmp_path_factory.mktemp("controller"))


@pytest.fixture(scope="module")
def plan(rollouts: Rollouts) -> Path:
    path = rollouts.folder / "calls.yaml"
    path.write_text(PLAN)
    return path


@pytest.fixture(scope="module")
def workload(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Makes `CALLS` calls."""
    return [str(build_load(tmp_path_factory.mktemp("load"))), "rare", str(CALLS)]


@pytest.fixture(scope="module")
def first(rollouts: Rollouts, plan: Path, workload: list[str]) -> Played:
    """The example's playbook and inventory, with a plan whose events are known."""
    return rollouts.play(
        str(EXAMPLE / "rollout.yml"),
        *("-i", str(EXAMPLE / "inventory.ini")),
        rollout_plan=str(plan),
        rollout_set={},
        rollout_workload=workload,
        rollout_id="first",
    )


def runs_of(rollouts: Rollouts, host: str) -> list[dict[str, Any]]:
    """The live and dead runs of a host."""
    return json.loads(rollouts.on(host, [*COMMAND, "status", "--json"]))


def is_live(rollouts: Rollouts, host: str) -> Callable[[], bool]:
    """Whether a run is attached there."""
    return lambda: any(run["probes_now"] for run in runs_of(rollouts, host))


def state_of(rollouts: Rollouts, host: str) -> str:
    """Every file that a rollout could change on a host, with its content's sum and its times."""
    places = ("/etc/probeplan", "/var/lib/probeplan", "/etc/systemd/system")
    look = 'find "$@" -type f -printf "%p %m %T@ " -exec sha256sum {} ";"'
    return rollouts.on(host, ["sh", "-c", look, "sh", *places])


# ---------------------------------------------------------------- a rollout


def test_a_rollout_gives_one_exact_answer_from_all_hosts(first: Played, rollouts: Rollouts) -> None:
    assert first.exit_code == 0, first.text
    merged = rollouts.merged("calls", "first")
    [group] = merged["groups"]
    [metric] = group["metrics"]
    assert [cell["value"] for cell in metric["cells"]] == [CALLS * len(HOSTS)]
    assert (merged["hosts"]["complete"], merged["missing"]) == (len(HOSTS), [])
    assert merged["expected"] == sorted(HOSTS)


def test_each_result_is_in_the_folder_of_its_host_and_nothing_else_was_fetched(
    first: Played, rollouts: Rollouts
) -> None:
    folder = rollouts.results / "calls" / "first" / "hosts"
    fetched = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert fetched == {f"{host}/result.json" for host in HOSTS}
    for host in HOSTS:
        result = rollouts.result("calls", "first", host)
        assert (result["run"]["host"], result["label"]) == (host, "TICKET-4711")


def test_the_first_ring_has_one_host_of_each_kernel_build(first: Played) -> None:
    assert '"msg": "1 complete"' in first.text
    assert '"msg": "7 complete"' in first.text
    assert first.text.index(f"changed: [{ORDER[0]}]") < first.text.index(f"changed: [{ORDER[1]}]")


def test_one_recording_is_kept_for_each_kernel_build(first: Played, rollouts: Rollouts) -> None:
    kernels = [path.name for path in (rollouts.results / "kernels").iterdir()]
    release = rollouts.on("host01", ["uname", "-r"]).strip()
    assert len(kernels) == 1
    assert release in kernels[0]
    look = "find /run/tmp /var/tmp -name *.facts.xz -o -name probeplan.*"
    assert rollouts.on(ORDER[0], look.split()) == ""


def test_a_second_rollout_of_the_same_plan_changes_nothing(
    first: Played, rollouts: Rollouts, plan: Path
) -> None:
    before = {host: state_of(rollouts, host) for host in HOSTS}
    played = rollouts.play(
        ROLLOUT, rollout_plan=str(plan), rollout_run=False, rollout_rings=["100%"]
    )
    assert (played.exit_code, played.changed()) == (0, set()), played.text
    assert set(played.recap) == set(HOSTS)
    assert {host: state_of(rollouts, host) for host in HOSTS} == before
    assert str(INSTALLED) in before["host01"]


def test_the_newest_results_that_hosts_keep_are_collected_and_merged(
    first: Played, rollouts: Rollouts
) -> None:
    played = rollouts.play(COLLECT, rollout_name="calls", rollout_id="kept")
    assert played.exit_code == 0, played.text
    assert rollouts.result("calls", "kept", "host01") == rollouts.result("calls", "first", "host01")
    [group] = rollouts.merged("calls", "kept")["groups"]
    assert [cell["value"] for cell in group["metrics"][0]["cells"]] == [CALLS * len(HOSTS)]


def test_check_and_diff_show_what_would_change_and_change_nothing(
    first: Played, rollouts: Rollouts, tmp_path: Path
) -> None:
    changed = tmp_path / "calls.yaml"
    too_large_to_go_along = "# a comment\n" * 6000
    changed.write_text(PLAN.replace("duration: 20s", "duration: 15s") + too_large_to_go_along)
    hosts = ORDER[:2]
    before = [state_of(rollouts, host) for host in hosts]
    options = ("--check", "--diff", "--limit", ",".join(hosts))
    played = rollouts.play(
        *(ROLLOUT, *options),
        rollout_plan=str(changed),
        rollout_rings=["100%"],
        rollout_schedule={"calendar": "daily"},
    )
    assert (played.exit_code, played.changed()) == (0, set(hosts)), played.text
    assert "-limits: {duration: 20s}\n+limits: {duration: 15s}" in played.text
    assert [state_of(rollouts, host) for host in hosts] == before


# ---------------------------------------------------------------- what ends it


def test_a_plan_that_a_kernel_does_not_support_stops_before_any_host(
    rollouts: Rollouts, tmp_path: Path
) -> None:
    bad = tmp_path / "bad.yaml"
    text = PLAN.replace("syscall:sched_get_priority_max", "tracepoint:sched:no_such_event")
    bad.write_text(text.replace("name: calls", "name: bad"))
    before = state_of(rollouts, "host01")
    played = rollouts.play(ROLLOUT, "--limit", "host01", rollout_plan=str(bad))
    assert played.exit_code == 2, played.text
    assert "bad: nothing serves x86_64-" in played.text
    assert "no_such_event" in played.text
    assert "Install the plan" not in played.text
    assert state_of(rollouts, "host01") == before


def test_a_host_that_refuses_ends_the_rollout_and_later_rings_are_untouched(
    rollouts: Rollouts, tmp_path: Path
) -> None:
    plan = tmp_path / "strict.yaml"
    plan.write_text(PLAN.replace("name: calls", "name: strict"))
    rings = load_plugin("filter.rings").make_rings(
        dict.fromkeys(ORDER[:3], ""), [1, 2, 3], "strict"
    )
    order = [host for ring in rings for host in ring["hosts"]]
    strict = order[1]
    head = "apiVersion: probeplan/v1\nkind: Policy\nsummary: No system calls\nowner: tests\n"
    policy = head + "deny_kinds: [syscall]\n"
    rollouts.on(strict, ["sh", "-c", 'printf "%s" "$1" >/etc/probeplan/policy.yaml', "sh", policy])
    try:
        played = rollouts.play(
            *(ROLLOUT, "--limit", ",".join(order)),
            rollout_plan=str(plan),
            rollout_run=False,
            rollout_check=False,
            rollout_rings=[1, 2, 3],
        )
    finally:
        rollouts.on(strict, ["rm", "/etc/probeplan/policy.yaml"])
    assert played.exit_code == 2, played.text
    assert "1 refused, at most 0 allowed (rollout_max_refused)" in played.text
    assert f"{strict}: Install the plan" in played.text
    installed = [host for host in order if "/strict.yaml" in state_of(rollouts, host)]
    assert installed == order[:1]


def test_a_full_disk_of_the_controller_fails_the_host_and_names_it(
    first: Played, rollouts: Rollouts, plan: Path, workload: list[str], tmp_path: Path
) -> None:
    """The file system is in the mount namespace of the controller, and goes with it."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", tmp_path]
    subprocess.run(rollouts.lab.control.command(mount), check=True)
    played = rollouts.play(
        *(ROLLOUT, "--limit", "host01"),
        rollout_plan=str(plan),
        rollout_workload=workload,
        rollout_results=str(tmp_path),
        rollout_check=False,
    )
    assert played.exit_code == 2, played.text
    assert "1 failed, at most 0 allowed (rollout_max_failed)" in played.text
    assert "host01: Run the plan once: the result was not kept: " in played.text
    assert "No space left on device" in played.text


#: A play that has the role as docs/rollout.md shows it.
OWN_PLAY = """
- hosts: fleet
  gather_facts: false
  tasks:
    - ansible.builtin.import_role:
        name: probeplan.fleet.rollout
"""


def test_a_play_of_ones_own_is_one_ring_and_names_a_host_whose_disk_is_full(
    first: Played, rollouts: Rollouts, plan: Path, workload: list[str]
) -> None:
    """The other host's result is merged."""
    own = rollouts.folder / "own.yml"
    own.write_text(OWN_PLAY)
    full = ["mount", "-t", "tmpfs", "-o", "size=20k,mode=700", "tmpfs", "/var/lib/probeplan"]
    rollouts.on("host04", full)
    fill = "head -c 12k /dev/zero >/var/lib/probeplan/fill"
    rollouts.on("host04", ["sh", "-c", fill])
    try:
        played = rollouts.play(
            *(str(own), "--limit", "host04,host05"),
            rollout_plan=str(plan),
            rollout_workload=workload,
            rollout_check=False,
            rollout_id="own",
        )
    finally:
        rollouts.on("host04", ["umount", "/var/lib/probeplan"])
    assert played.exit_code == 2, played.text
    assert "at most 0 allowed" in played.text
    assert "host04: " in played.text
    assert "No space left on device" in played.text
    merged = rollouts.merged("calls", "own")
    assert (merged["hosts"]["complete"], merged["missing"]) == (1, ["host04"])
    assert rollouts.result("calls", "own", "host05")["metrics"][0]["cells"][0]["value"] == CALLS


def test_a_host_that_is_cut_off_ends_its_run_alone_and_the_rollout(
    first: Played, rollouts: Rollouts, plan: Path
) -> None:
    """Ring 1 has one host, ring 2 two, and one of these is lost while its run goes on."""
    hosts = ORDER[:4]
    lost = hosts[1]
    playing = rollouts.start(
        *(ROLLOUT, "--limit", ",".join(hosts)),
        rollout_plan=str(plan),
        rollout_limits={"duration": "5s"},
        rollout_check=False,
        rollout_id="cut",
        rollout_rings=[1, 3, 4],
    )
    assert until(is_live(rollouts, lost), 60)
    rollouts.lab.cut(lost)
    try:
        played = rollouts.finish(playing)
        assert runs_of(rollouts, lost) == []
        assert rollouts.on(lost, [*COMMAND, "cleanup"]) == "nothing to clean up\n"
    finally:
        rollouts.lab.restore(lost)
    assert played.exit_code == 2, played.text
    assert "1 unreachable, at most 0 allowed (rollout_max_unreachable)" in played.text
    assert f"{lost}: run: " in played.text
    assert rollouts.merged("calls", "cut")["missing"] == [lost]
    assert rollouts.merged("calls", "cut")["hosts"]["complete"] == 2
    assert hosts[3] not in {path.name for path in (rollouts.results / "calls/cut/hosts").iterdir()}


def test_a_host_that_dies_ends_the_rollout_and_what_its_run_left_is_cleaned_up(
    first: Played, rollouts: Rollouts, plan: Path
) -> None:
    """The run, its watchdog and sshd are killed at once: the host's next look at its journals
    removes what is in the kernel. Its next run is made: that processes die is no harm of a plan."""
    hosts = ORDER[:4]
    dead = hosts[1]
    playing = rollouts.start(
        *(ROLLOUT, "--limit", ",".join(hosts)),
        rollout_plan=str(plan),
        rollout_limits={"duration": "5s"},
        rollout_backend="tracefs",
        rollout_check=False,
        rollout_id="dead",
        rollout_rings=[1, 3, 4],
    )
    assert until(is_live(rollouts, dead), 60)
    [run] = runs_of(rollouts, dead)
    instances = Path("/sys/kernel/tracing/instances")
    rollouts.lab.kill_processes(dead)
    try:
        assert list(instances.glob(f"probeplan-{run['run_id']}*"))
        again = ["run", str(INSTALLED), "--unattended", "--duration", "50ms", "--no-progress"]
        lines = rollouts.on(dead, [*COMMAND, *again]).splitlines()
        assert list(instances.glob(f"probeplan-{run['run_id']}*")) == []
        assert runs_of(rollouts, dead) == []
        played = rollouts.finish(playing)
    finally:
        rollouts.lab.start_sshd(dead)
    assert json.loads(lines[-1])["outcome"] == "duration"
    assert rollouts.on(dead, ["ls", "/var/lib/probeplan/running"]) == ""
    assert played.exit_code == 2, played.text
    assert "1 unreachable, at most 0 allowed (rollout_max_unreachable)" in played.text
    assert rollouts.merged("calls", "dead")["missing"] == [dead]
    assert rollouts.merged("calls", "dead")["hosts"]["complete"] == 2
    assert hosts[3] not in {path.name for path in (rollouts.results / "calls/dead/hosts").iterdir()}


# ---------------------------------------------------------------- two at once, and none


def test_of_two_rollouts_at_once_the_second_is_skipped_and_absent_leaves_nothing(
    first: Played, rollouts: Rollouts, plan: Path
) -> None:
    """The first is then interrupted with Ctrl-C: its run goes on until it is withdrawn."""
    limit = ("--limit", "host01")
    known = {"rollout_plan": str(plan), "rollout_check": False}
    long = rollouts.start(ROLLOUT, *limit, **known, rollout_limits={"duration": "5m"})
    assert until(is_live(rollouts, "host01"), 60)
    second = rollouts.play(ROLLOUT, *limit, **known, rollout_id="second")
    assert second.exit_code == 0, second.text
    assert '"msg": "1 skipped"' in second.text
    result = rollouts.result("calls", "second", "host01")
    assert result["run"]["outcome"] == "skipped"
    assert rollouts.merged("calls", "second")["hosts"]["skipped"] == 1
    os.killpg(long.pid, signal.SIGINT)
    interrupted = rollouts.finish(long)
    assert interrupted.exit_code != 0, interrupted.text
    assert "PLAY RECAP" not in interrupted.text
    assert is_live(rollouts, "host01")()
    withdrawn = rollouts.play(WITHDRAW, *limit, rollout_name="calls")
    assert (withdrawn.exit_code, withdrawn.changed()) == (0, {"host01"}), withdrawn.text
    assert until(lambda: runs_of(rollouts, "host01") == [], 20)
    assert str(INSTALLED) not in state_of(rollouts, "host01")


def test_a_schedule_is_written_as_drop_ins_and_withdrawn_without_those_of_others(
    rollouts: Rollouts, plan: Path, tmp_path: Path
) -> None:
    """systemd does not run there, as in an image that is being built: the timer is enabled only."""
    units = "/etc/systemd/system"
    copy_units(tmp_path)
    rollouts.on("host02", ["sh", "-c", f"cp {tmp_path}/* {units}"])
    scheduled = {
        "rollout_plan": str(plan),
        "rollout_check": False,
        "rollout_run": False,
        "rollout_schedule": {"calendar": "*-*-* 04:00 UTC", "splay": "30min"},
        "rollout_label": "two words",
        "rollout_shard": "5%",
    }
    limit = ("--limit", "host02")
    played = rollouts.play(ROLLOUT, *limit, **scheduled)
    assert (played.exit_code, played.changed()) == (0, {"host02"}), played.text
    assert rollouts.play(ROLLOUT, *limit, **scheduled).changed() == set()

    service, timer = (f"{units}/probeplan-once@calls.{kind}.d" for kind in ("service", "timer"))
    assert "\nEnvironment=PLAN=/etc/probeplan/plans/calls.yaml\n" in rollouts.on(
        "host02", ["cat", f"{service}/rollout.conf"]
    )
    verify = ["systemd-analyze", "verify", "--man=no", "probeplan-once@calls.timer"]
    assert rollouts.on("host02", verify) == ""
    enabled = rollouts.on("host02", ["ls", f"{units}/timers.target.wants"])
    assert "probeplan-once@calls.timer" in enabled.split()

    rollouts.on("host02", ["touch", f"{timer}/theirs.conf"])
    withdrawn = rollouts.play(WITHDRAW, *limit, rollout_name="calls")
    assert (withdrawn.exit_code, withdrawn.changed()) == (0, {"host02"}), withdrawn.text
    left = rollouts.on("host02", ["find", units, "/etc/probeplan", "-name", "*calls*"])
    assert left == f"{timer}\n"
    assert rollouts.on("host02", ["ls", timer]) == "theirs.conf\n"


# ---------------------------------------------------------------- probeplan itself


def test_a_debian_package_is_installed_once_and_used(
    rollouts: Rollouts, plan: Path, tmp_path: Path
) -> None:
    """A package whose command is probeplan of this source tree; /usr of the host is a copy."""
    rollouts.lab.hosts["host03"].copy_on_write("usr", "opt")
    file = build_package(tmp_path)
    package = {
        "rollout_package": "deb",
        "rollout_package_file": str(file),
        "rollout_plan": str(plan),
        "rollout_run": False,
        "rollout_check": False,
        "probeplan_command": ["probeplan"],
    }
    played = rollouts.play(ROLLOUT, "--limit", "host03", **package)
    assert played.exit_code == 0, played.text
    status = ["dpkg-query", "-W", "-f", "${Status} ${Version}", "probeplan"]
    assert rollouts.on("host03", status) == "install ok installed 0.1.0"
    assert str(INSTALLED) in state_of(rollouts, "host03")
    sent = rollouts.on("host03", ["find", "/opt/probeplan-packages", "-printf", "%u %m %f\n"])
    assert sent.splitlines() == ["root 755 probeplan-packages", f"root 644 {file.name}"]
    assert rollouts.play(ROLLOUT, "--limit", "host03", **package).changed() == set()


def build_package(folder: Path) -> Path:
    command = f"""#!/bin/sh\nexec {shlex.join(COMMAND)} "$@"\n"""
    return build_stand_in(folder, "probeplan", {"usr/bin/probeplan": command})
