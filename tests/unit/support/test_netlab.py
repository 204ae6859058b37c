"""Hosts of a lab are reached, cut off and killed as real ones are, and nothing of them is left."""

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.netlab import Host, Lab, open_lab, processes_in
from tests.support.paths import ROOT
from tests.support.settling import until

pytestmark = pytest.mark.root


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with open_lab(2) as lab:
        yield lab


def over_ssh(lab: Lab, host: str, command: str) -> "subprocess.CompletedProcess[str]":
    known = f"UserKnownHostsFile={lab.folder}/known_hosts"
    options = ["-o", known, "-o", "ConnectTimeout=2", "-o", "BatchMode=yes"]
    argv = ["ssh", "-i", lab.folder / "key", *options, f"root@{lab.hosts[host].address}", command]
    return subprocess.run(lab.command(argv), capture_output=True, text=True, check=False)


def test_each_host_has_its_own_name_machine_and_state(lab):
    look = "hostname; cat /etc/machine-id; ls -A /var/lib/probeplan; touch /var/lib/probeplan/$0"
    for name, host in lab.hosts.items():
        done = over_ssh(lab, name, look)
        assert done.stdout.split() == [name, host.machine_id], done.stderr
    assert len({host.machine_id for host in lab.hosts.values()}) == len(lab.hosts)


def test_ansible_reaches_every_host_and_writes_into_the_folder_of_the_lab(lab):
    ansible = [Path(sys.executable).parent / "ansible", "fleet", "-i", lab.inventory]
    done = subprocess.run(
        lab.command([*ansible, "-m", "ansible.builtin.command", "-a", "hostname"]),
        env=lab.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert {line for line in done.stdout.splitlines() if line in lab.hosts} == set(lab.hosts)
    assert (lab.folder / "ansible").is_dir()
    assert list((lab.folder / "sockets").iterdir())


def test_a_host_that_is_cut_off_runs_on_and_is_reached_again_when_restored(lab):
    lab.cut("host01")
    assert over_ssh(lab, "host01", "true").returncode == 255
    inside = lab.hosts["host01"].command(["hostname"])
    assert subprocess.check_output(inside, text=True) == "host01\n"
    lab.restore("host01")
    assert over_ssh(lab, "host01", "true").returncode == 0


def test_no_process_is_left_in_a_killed_host(lab):
    host = lab.hosts["host02"]
    with subprocess.Popen(host.command(["setsid", "sleep", "1000"])) as sleeping:
        assert until(lambda: sleeping.pid in host.processes())
        lab.kill("host02")
        assert host.processes() == []
        assert sleeping.wait() == -signal.SIGKILL
    assert over_ssh(lab, "host01", "true").returncode == 0


def test_nothing_is_left_of_a_lab_whose_test_failed():
    mounts = Path("/proc/mounts").read_text()
    hosts: list[Host] = []
    with pytest.raises(ZeroDivisionError):
        fail_in_a_lab(hosts)
    assert [host.processes() for host in hosts] == [[], []]
    assert Path("/proc/mounts").read_text() == mounts
    assert not Path("/etc/left").exists()
    assert not Path("/var/lib/probeplan/left").exists()


def fail_in_a_lab(hosts: list[Host]) -> None:
    with open_lab(1) as lab:
        hosts += [lab.control, lab.hosts["host01"]]
        touch = ["touch", "/etc/left", "/var/lib/probeplan/left"]
        subprocess.run(lab.hosts["host01"].command(touch), check=True)
        raise ZeroDivisionError


def test_hosts_end_with_the_process_that_started_them(tmp_path):
    script = (
        "import sys\n"
        "from tests.support.netlab import open_lab\n"
        "with open_lab(1) as lab:\n"
        "    print(lab.folder, lab.control.network, lab.hosts['host01'].network, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    argv = [sys.executable, "-c", script]
    environment = {"TMPDIR": str(tmp_path), "HOME": str(Path.home()), "PATH": "/usr/sbin:/usr/bin"}
    with subprocess.Popen(
        argv, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        _, *networks = process.stdout.readline().split()
        assert [bool(processes_in(network)) for network in networks] == [True, True]
        process.kill()
    assert until(lambda: not any(map(processes_in, networks)))
