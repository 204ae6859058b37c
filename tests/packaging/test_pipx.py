"""The wheel, installed by pipx from a folder of wheels, without network; and by the role."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.packaging.test_wheel import ENVIRONMENT, tree, wheel
from tests.support.bundled_runs import build_file
from tests.support.netlab import Host, open_lab
from tests.support.projects import SUDO, find_project
from tests.support.rollouts import Rollouts

__all__ = ["tree", "wheel"]  # fixtures

pytestmark = pytest.mark.root

#: Debian's, for which bcc is installed.
PYTHON = "/usr/bin/python3"


@pytest.fixture(scope="module")
def wheels(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What docs/install.md has fetched on a machine with network: kept by pip's own cache."""
    folder = tmp_path_factory.mktemp("wheels")
    download = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "download"]
    download += ["--only-binary", ":all:", "--dest", str(folder)]
    subprocess.run([*download, str(wheel), "pip", "setuptools", "wheel"], check=True)
    return folder


@pytest.fixture(scope="module")
def place(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where pipx installed it, in a network namespace that has no network."""
    place = tmp_path_factory.mktemp("pipx")
    [wheel] = wheels.glob("probeplan-*.whl")
    run(
        *("unshare", "--net", "/usr/bin/pipx", "install", "--system-site-packages"),
        *("--python", PYTHON, f"--pip-args=--no-index --find-links={wheels}", str(wheel)),
        environment={
            "PIPX_HOME": str(place / "home"),
            "PIPX_BIN_DIR": str(place / "bin"),
            "PATH": f"{place}/bin:/usr/bin:/bin",
        },
    )
    return place


def run(*command: str, environment: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env={**ENVIRONMENT, **(environment or {})},
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout


def test_doctor_names_the_environment_and_the_distributions_bcc(place: Path) -> None:
    shown = json.loads(run(f"{place}/bin/probeplan", "doctor", "--json"))
    executable = Path(shown["python"]["executable"])
    assert executable.is_relative_to(place / "home")
    assert os.path.realpath(executable) == os.path.realpath(PYTHON)
    assert shown["bcc"]["module"] == "/usr/lib/python3/dist-packages/bcc/__init__.py"
    assert shown["features"]["bcc"]["state"] == "yes"


@pytest.mark.parametrize(
    ("backend", "plan"), [("bcc", "opens"), ("tracefs", "page-faults --set sample=1/1")]
)
def test_a_shipped_plan_runs(place: Path, backend: str, plan: str) -> None:
    words = ["run", *plan.split(), "--backend", backend, "--duration", "60s"]
    lines = run(f"{place}/bin/probeplan", *words, "--", "cat", "/etc/hostname").splitlines()
    records = [json.loads(line) for line in lines]
    seen = [record["comm"] for record in records if record["event"] == "event.recorded"]
    assert seen[-1] == "cat"
    assert (records[-1]["event"], records[-1]["complete"]) == ("run.finished", True)


def test_completion_and_man_pages_are_part_of_it(place: Path) -> None:
    assert "complete -o bashdefault" in run(f"{place}/bin/probeplan", "completion", "bash")
    assert [*place.glob("home/venvs/probeplan/share/man/man1/probeplan-run.1")]


# ---------------------------------------------------------------- by the role

CALLS = 700
CALLED = b"""
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: called, summary: for tests}
limits: {duration: 60s}
probes:
  call: {attach: syscall:sched_get_priority_max, metrics: {calls: {count: true}}}
"""
WORKLOAD = f"import os\nfor _ in range({CALLS}): os.sched_get_priority_max(0)"
USER, HOME = "deployer", "/var/deployer"
#: A user who may become root by Debian's sudo, and logs in with the lab's key alone.
_ADD_USER = f"""
cp -a "$0"/usr/. /usr/
cp -a "$0"/etc/. /etc/
echo '{USER} ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/{USER}
useradd --create-home --home-dir {HOME} --shell /bin/sh --password '*' {USER}
"""


def add_user(host: Host) -> None:
    words = host.command(["sh", "-ec", _ADD_USER, find_project(SUDO)])
    subprocess.run(words, check=True)


@pytest.mark.timeout(900)  # two minutes on a busy machine, where the wheels are fetched first
def test_the_role_installs_it_by_sudo_and_runs_a_bundle(wheels: Path, tmp_path: Path) -> None:
    """On a host that reaches no package index, by an ordinary user. Again, nothing changes."""
    bundle = build_file(tmp_path / "called.ppb", CALLED, ["6.1"], command=True)
    [wheel] = wheels.glob("probeplan-*.whl")
    archive = tmp_path / "wheels.tar"
    subprocess.run(["tar", "-cf", archive, "-C", wheels, "."], check=True)
    variables: dict[str, Any] = {
        "ansible_user": USER,
        "ansible_become": True,
        "ansible_remote_tmp": f"{HOME}/.ansible",
        "probeplan_command": ["probeplan"],
        "rollout_plan": str(bundle),
        "rollout_package": "pipx",
        "rollout_package_file": str(wheel),
        "rollout_package_wheels": str(archive),
        "rollout_workload": [PYTHON, "-c", WORKLOAD],
        "rollout_id": "bundled",
    }
    with open_lab(1) as lab:
        lab.hosts["host01"].copy_on_write("usr", "opt")
        add_user(lab.hosts["host01"])
        rollouts = Rollouts.prepare(lab, tmp_path)
        played = rollouts.play("probeplan.fleet.rollout", **variables)
        assert played.exit_code == 0, played.text
        result = rollouts.result("called", "bundled", "host01")
        variables |= {"rollout_run": False, "rollout_check": False}
        again = rollouts.play("probeplan.fleet.rollout", **variables)
        installed = rollouts.on("host01", ["readlink", "-f", "/usr/local/bin/probeplan"])
        owner = rollouts.on("host01", ["stat", "-c", "%U", f"{HOME}/.ansible"])
    assert result["run"]["complete"] is True
    assert result["bundle"]["file"] == "/etc/probeplan/plans/called.ppb"
    assert [cell["value"] for cell in result["metrics"][0]["cells"]] == [CALLS]
    assert (again.exit_code, again.changed()) == (0, set()), again.text
    assert installed.startswith("/opt/pipx/venvs/probeplan/bin/")
    assert owner == f"{USER}\n"
