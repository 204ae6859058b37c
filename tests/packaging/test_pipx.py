"""The wheel, installed by pipx from a folder of wheels, without network."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.packaging.test_wheel import ENVIRONMENT, tree, wheel

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
