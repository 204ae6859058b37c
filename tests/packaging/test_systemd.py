"""The Debian package where systemd runs: what it starts and ends, and what survives an upgrade."""

import json
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from orchestrator.kernel.abi.cgroups import cgroup2_mount
from tests.support.debian_roots import debian_root, find_root, make_newer
from tests.support.machines import Machine, boot_machine
from tests.support.stand_ins import build_stand_in

pytestmark = pytest.mark.root

PREPARE = "probeplan-prepare.service"
BEGUN = "Starting probeplan-prepare.service"
#: Nothing else that runs on this kernel meanwhile has this name.
COMM = f"pp{os.getpid()}"
CALLS = 500
PLAN = f"""
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {{name: NAME, summary: for tests}}
limits: {{duration: 10m, cpu: 100%}}
every: 200ms
target: {{comm: {COMM}}}
probes:
  call: {{attach: "syscall:sched_get_priority_max", metrics: {{n: {{count: true}}}}}}
"""
STATE = "/var/lib/probeplan"


@pytest.fixture(scope="module")
def layers(suite: str, package: Path, tmp_path_factory: pytest.TempPathFactory) -> Sequence[Path]:
    """A system with the package, which was installed where systemd did not run."""
    folder = tmp_path_factory.mktemp(suite)
    with debian_root(suite, folder) as root:
        root.install(package)
    return [folder / "upper", find_root(suite)]


@pytest.fixture
def machine(layers: Sequence[Path], tmp_path: Path) -> Iterator[Machine]:
    """A machine with the package. To prepare takes it no time."""
    with boot_machine(layers, tmp_path) as machine:
        machine.configure_unit(PREPARE, *prepare_by("/bin/true"))
        yield machine


def prepare_by(command: str) -> list[str]:
    """Settings of the unit; it gets processor time on a busy machine, too."""
    return ["CPUSchedulingPolicy=other", "Nice=0", "ExecStart=", f"ExecStart={command}"]


def await_prepared(machine: Machine, times: int) -> None:
    """Until the unit has ended its work for the last time of so many."""

    def has_ended() -> bool:
        shown = machine.show_unit(PREPARE, "SubState", "Job")
        return count_prepared(machine) == times and shown == {"SubState": "exited", "Job": ""}

    machine.wait_for(has_ended, f"{times} times", PREPARE)


def count_prepared(machine: Machine) -> int:
    """How often the unit was started since the boot."""
    machine.do("journalctl", "--sync")
    return machine.read_journal(PREPARE).count(BEGUN)


def enabled_units(machine: Machine) -> list[str]:
    words = ["list-unit-files", "--state=enabled", "--no-legend", "--no-pager", "probeplan*"]
    return machine.run("systemctl", *words).stdout.split()  # 1: there is none


def test_a_machine_ends_with_its_test_however_that_ends(suite: str, tmp_path: Path) -> None:
    """So that no process, mount or cgroup is left here, whatever the other tests find."""
    cgroups = cgroup2_mount()
    assert cgroups is not None
    ours = f"probeplan-tests-{os.getpid()}-*"
    with suppress(ZeroDivisionError), boot_machine([find_root(suite)], tmp_path) as machine:
        begun = machine.start("sleep", "1000")
        machine.do("systemd-run", "sleep", "1001")
        assert len(list(cgroups.glob(ours))) == 1
        raise ZeroDivisionError
    assert begun.wait(timeout=60) != 0
    begun.communicate()
    assert list(cgroups.glob(ours)) == []
    assert str(tmp_path) not in Path("/proc/self/mounts").read_text()
    with pytest.raises(AssertionError, match="the machine is down"):
        machine.do("true")


# ---------------------------------------------------------------- prepare


def test_prepare_compiles_when_bcc_is_installed(machine: Machine, tmp_path: Path) -> None:
    """By dpkg's trigger."""
    machine.configure_unit(PREPARE, *prepare_by("/usr/bin/probeplan prepare opens"))
    path = "usr/lib/python3/dist-packages/bcc/new.py"
    machine.install(build_stand_in(tmp_path, "bcc", {path: ""}))
    await_prepared(machine, 1)
    assert "1 plans: 1 prepared" in machine.read_journal(PREPARE)
    assert machine.do("ls", "/var/cache/probeplan")


def test_prepare_runs_when_a_kernel_comes_or_goes_and_not_for_other_packages(
    machine: Machine, tmp_path: Path
) -> None:
    """Once each."""
    machine.install(build_stand_in(tmp_path, "kernel", {"boot/vmlinuz-9.9.9": ""}))
    await_prepared(machine, 1)
    machine.do("dpkg", "--purge", "kernel")
    await_prepared(machine, 2)
    machine.install(build_stand_in(tmp_path, "other", {"usr/lib/python3/new.py": ""}))
    await_prepared(machine, 2)


def test_prepare_runs_once_a_boot_which_does_not_wait_for_it(
    layers: Sequence[Path], tmp_path: Path
) -> None:
    """Also when its target is started again. The boot has ended when `boot_machine` returns."""
    wait = "/bin/sh -c 'until [ -e /go ]; do sleep 0.1; done'"
    with boot_machine(layers, tmp_path) as machine:
        machine.configure_unit(PREPARE, *prepare_by(wait))
        machine.do("systemctl", "enable", PREPARE)
        assert enabled_units(machine)[0] == PREPARE
    with boot_machine(layers, tmp_path) as machine:
        assert machine.show_unit(PREPARE, "SubState") == {"SubState": "running"}
        machine.do("touch", "/go")
        await_prepared(machine, 1)
        machine.do("systemctl", "start", "multi-user.target", "graphical.target")
        await_prepared(machine, 1)


def test_nothing_is_enabled_by_an_installation_or_the_first_boot_of_an_image(
    machine: Machine,
) -> None:
    """Which enables all that no preset disables."""
    assert enabled_units(machine) == []
    machine.do("systemctl", "preset-all", "--preset-mode=enable-only")
    assert enabled_units(machine) == []


# ---------------------------------------------------------------- upgrade, removal


def add_plan(machine: Machine, name: str, more: str = "") -> None:
    """A plan of the site."""
    machine.write_file(f"/etc/probeplan/plans/{name}.yaml", PLAN.replace("NAME", name) + more)


def configure_run(machine: Machine, name: str, backend: str) -> None:
    """How the instance of the plan's name runs it: with a result in STATE."""
    options = f"--backend {backend} --out {STATE}/{name}"
    machine.configure_unit(f"probeplan@{name}.service", f'Environment="OPTIONS={options}"')


def await_armed(machine: Machine, name: str) -> None:
    look = f"grep -q '\"run.started\"' {STATE}/{name}/events.jsonl"
    unit = f"probeplan@{name}.service"
    machine.wait_for(lambda: machine.run("sh", "-c", look).returncode == 0, name, unit)


def call(machine: Machine) -> None:
    """The workload: CALLS calls by a process called COMM."""
    code = (
        f"import os; open('/proc/self/comm', 'w').write('{COMM}')\n"
        f"for _ in range({CALLS}): os.sched_get_priority_max(0)"
    )
    machine.do("python3", "-c", code)


def read_counts(machine: Machine, name: str) -> list[int]:
    """What a run has counted, which lost nothing."""
    result: dict[str, Any] = json.loads(machine.do("cat", f"{STATE}/{name}/result.json"))
    assert result["run"]["complete"] is True
    return [cell["value"] for metric in result["metrics"] for cell in metric["cells"]]


def test_live_runs_and_timers_survive_an_upgrade(
    machine: Machine, package: Path, tmp_path: Path
) -> None:
    """As a service, with bcc, and as a plain process, with tracefs. Nothing of the newer release
    can be imported: what runs needs nothing of it."""
    newer = make_newer(package, tmp_path, "99.0")
    add_plan(machine, "served")
    configure_run(machine, "served", "bcc")
    add_plan(machine, "plain", f"stop_when: total(call.n) >= {2 * CALLS}\n")
    units = ["probeplan@served.service", "probeplan-once@served.timer"]
    machine.do("systemctl", "start", *units)
    words = ["--backend", "tracefs", "--out", f"{STATE}/plain"]
    plain = machine.start("probeplan", "run", "plain", *words)
    for name in ("served", "plain"):
        await_armed(machine, name)
    before = machine.show_unit(units[0], "MainPID", "InvocationID")
    call(machine)
    machine.install(newer)
    assert "of the newer release" in machine.run("probeplan", "--version").stderr
    call(machine)
    assert machine.show_unit(units[0], "MainPID", "InvocationID") == before
    assert machine.do("systemctl", "is-active", *units).split() == ["active", "active"]
    await_prepared(machine, 1)
    _, errors = plain.communicate(timeout=240)
    assert (plain.returncode, errors) == (0, "")
    machine.do("systemctl", "stop", units[0])
    assert machine.show_unit(units[0], "Result")["Result"] == "success"
    for name in ("served", "plain"):
        assert read_counts(machine, name) == [2 * CALLS]


UNITS = (
    "probeplan@served.service",
    "probeplan-once@served.timer",
    "probeplan-export@served.socket",
)
FAILING = "probeplan-once@missing.service"
INSTANCES = Path("/sys/kernel/tracing/instances")


@contextmanager
def dead_run(machine: Machine) -> Iterator[set[str]]:
    """A run that was killed with its watchdog; the tracefs instances that it has left. They are
    this machine's, and go with the block."""
    add_plan(machine, "dead")
    words = ["--backend", "tracefs", "--out", f"{STATE}/dead"]
    machine.do("systemd-run", "--unit=dead", "probeplan", "run", "dead", *words)
    await_armed(machine, "dead")
    [journal] = machine.do("grep", "-l", "^plan dead$", "-r", "/run/probeplan").split()
    made: Counter[str] = Counter()
    for line in machine.do("cat", journal).splitlines():
        if match := re.fullmatch(r"([+-]) instance (\S+)", line):
            made[match[2]] += 1 if match[1] == "+" else -1
    instances = {name for name, number in made.items() if number}
    machine.do("systemctl", "kill", "--signal=KILL", "dead.service")
    try:
        yield instances
    finally:
        for name in instances & instances_now():
            (INSTANCES / name).rmdir()


def instances_now() -> set[str]:
    return {path.name for path in INSTANCES.iterdir()}


def list_processes(machine: Machine) -> list[str]:
    """The words of command lines that name probeplan."""
    look = "cat /proc/[0-9]*/cmdline | tr '\\0' '\\n'"
    return [word for word in machine.run("sh", "-c", look).stdout.split() if "probeplan" in word]


def test_a_removal_ends_all_that_units_run_and_a_purge_leaves_no_file(
    suite: str, package: Path, tmp_path: Path
) -> None:
    """Instances that are enabled, one that has failed, what prepares, and what a dead run left in
    the kernel. The removal keeps what the administrator has written, and results."""
    with ExitStack() as stack:
        machine = stack.enter_context(boot_machine([find_root(suite)], tmp_path))
        before = machine.list_files()
        machine.install(package)
        add_plan(machine, "served")
        configure_run(machine, "served", "bcc")
        machine.configure_unit(PREPARE, "Nice=19")
        machine.do("systemctl", "enable", PREPARE)
        machine.do("systemctl", "enable", "--now", *UNITS)
        await_armed(machine, "served")
        assert machine.run("systemctl", "start", FAILING).returncode == 1
        left = stack.enter_context(dead_run(machine))
        active = machine.do("systemctl", "is-active", PREPARE, *UNITS)
        assert active.split() == ["active"] * 4
        assert left
        assert left <= instances_now()
        assert list_processes(machine)
        machine.do("dpkg", "--remove", "probeplan")
        assert list_processes(machine) == []
        units = machine.do("systemctl", "list-units", "--all", "--no-legend", "probeplan*")
        assert units == ""
        assert enabled_units(machine) == []
        assert not left & instances_now()
        assert machine.do("find", "/run", "-name", "probeplan*") == ""
        kept = machine.do("find", "/etc", "/var/lib/probeplan", "-name", "*served*").split()
        assert sorted(kept) == [
            "/etc/probeplan/plans/served.yaml",
            "/etc/systemd/system/probeplan@served.service.d",
            f"{STATE}/served",
        ]
        machine.do("dpkg", "--purge", "probeplan")
        assert machine.list_files() == before
