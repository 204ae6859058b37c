"""The Debian package, installed in minimal systems of the oldest and the newest Debian."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli import COMMANDS
from tests.support.debian_roots import (
    DebianRoot,
    build_package,
    debian_root,
    make_newer,
)
from tests.support.units import UNITS

pytestmark = pytest.mark.root

BACKENDS = [("bcc", "opens"), ("tracefs", "page-faults --set sample=1/1")]


@pytest.fixture(scope="module")
def installed(
    suite: str, package: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[DebianRoot]:
    """A system with the package, with all that it recommends."""
    with debian_root(suite, tmp_path_factory.mktemp(suite)) as root:
        root.install(package)
        yield root


def records(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def commands_seen(root: DebianRoot, plan: str, backend: str) -> list[str]:
    """The commands of the records of a run of `cat`, which lost none."""
    command = ["probeplan", "run", *plan.split(), "--backend", backend, "--duration", "60s"]
    seen = records(root.do(*command, "--", "cat", "/etc/hostname"))
    assert seen[-1]["event"] == "run.finished"
    assert seen[-1]["complete"] is True
    return [record["comm"] for record in seen if record["event"] == "event.recorded"]


def test_no_command_reaches_this_machines_own_system(tmp_path: Path) -> None:
    """Not even where nothing is mounted: packages are purged in these roots."""
    done = DebianRoot(tmp_path, os.getpid()).run("true")
    assert done.returncode == 127
    assert "chroot: failed to run command" in done.stderr


def test_the_same_tree_gives_the_same_package(package: Path, tmp_path: Path) -> None:
    assert build_package(tmp_path).read_bytes() == package.read_bytes()


def test_lintian_finds_no_fault(package: Path) -> None:
    changes = package.parent.glob("*.changes")
    done = subprocess.run(
        ["lintian", "--allow-root", "--fail-on=error,warning", "--tag-display-limit=0", *changes],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize(("backend", "plan"), BACKENDS)
def test_a_shipped_plan_runs(installed: DebianRoot, backend: str, plan: str) -> None:
    """By name; on the releases of the libraries that this Debian has."""
    assert commands_seen(installed, plan, backend)[-1] == "cat"


def test_doctor_names_debians_python_and_bcc(installed: DebianRoot) -> None:
    shown = json.loads(installed.do("probeplan", "doctor", "--json"))
    version = installed.do("python3", "-c", "import sys; print(sys.version.split()[0])").strip()
    assert shown["python"] == {"version": version, "executable": "/usr/bin/python3"}
    assert shown["bcc"]["module"] == "/usr/lib/python3/dist-packages/bcc/__init__.py"
    assert shown["features"]["bcc"]["state"] == "yes"
    assert shown["probeplan"]["folder"] == "/usr/lib/python3/dist-packages/orchestrator"


def test_a_plan_is_prepared(installed: DebianRoot) -> None:
    assert installed.do("probeplan", "prepare", "opens") == "1 plans: 1 prepared\n"


def test_lint_finds_nothing_in_the_shipped_plans(installed: DebianRoot) -> None:
    installed.do("probeplan", "lint", "/usr/lib/python3/dist-packages/orchestrator/plans")
    installed.do("probeplan", "lint", "slow-io", "--kernel", "all")


def test_results_are_merged_without_orjson_too(installed: DebianRoot) -> None:
    out = "/var/log/result"
    installed.do("probeplan", "run", "page-faults", "--duration", "100ms", "--out", out)
    merged = json.loads(installed.do("probeplan", "merge", out, "--format", "json"))
    assert merged["format"].startswith("probeplan-merge/")


def test_every_command_has_its_man_page(installed: DebianRoot) -> None:
    found = installed.do("man", "--where", *(f"probeplan-{name}" for name in COMMANDS))
    assert len(found.split()) == len(COMMANDS)
    assert "kernel probes as code" in installed.do("man", "probeplan")


def test_bash_finds_the_completion(installed: DebianRoot) -> None:
    script = (
        "source /usr/share/bash-completion/bash_completion; "
        "_completion_loader probeplan || __load_completion probeplan; complete -p probeplan; "
        "COMP_WORDS=(probeplan run vfs-re); COMP_CWORD=2; _probeplan; echo ${COMPREPLY[@]}"
    )
    shown = installed.do("bash", "-c", script).splitlines()
    assert shown == ["complete -o bashdefault -F _probeplan probeplan", "vfs-reads"]


def test_units_and_the_administrators_folder_are_there(installed: DebianRoot) -> None:
    units = installed.do("ls", "/usr/lib/systemd/system").split()
    assert {unit.name for unit in UNITS.iterdir()} <= set(units)
    assert installed.do("ls", "/etc/probeplan") == "plans\n"


def test_without_a_compiler_plans_run_on_tracefs_and_others_say_what_is_missing(
    suite: str, package: Path, tmp_path: Path
) -> None:
    """As where recommended packages are left out. It is installed by apt from a folder, as offline
    hosts do: with two packages that it depends on, and without network."""
    with debian_root(suite, tmp_path) as root:
        recommended = ["python3-bpfcc", "python3-capstone", "python3-orjson"]
        root.do("dpkg", "--purge", *recommended[: 2 if suite == "bookworm" else 3])
        root.install_offline(package, root.take_out("python3-structlog", "python3-jsonschema"))
        assert commands_seen(root, "page-faults --set sample=1/1", "auto")[-1] == "cat"
        refused = root.run("probeplan", "run", "opens", "--backend", "bcc")
        assert refused.returncode == 3
        assert "python3-bpfcc" in refused.stderr
        assert "bcc: none that /usr/bin/python3 finds" in root.do("probeplan", "doctor")


def test_a_live_run_survives_an_upgrade_and_a_purge_leaves_nothing(
    suite: str, package: Path, tmp_path: Path
) -> None:
    """Nothing of the newer release can be imported: the run needs nothing of it."""
    newer = make_newer(package, tmp_path, "99.0")
    folder = tmp_path / "root"
    folder.mkdir()
    with debian_root(suite, folder) as root:
        before = root.list_files()
        root.install(package)
        wait = "touch /armed; until [ -e /go ]; do sleep 0.1; done; cat /etc/hostname >/null"
        words = ["run", "opens", "--out", "/var/lib/probeplan/r", "--duration", "120s", "--"]
        root.do("mkdir", "-p", "/var/lib/probeplan")
        run = root.start("probeplan", *words, "sh", "-c", wait)
        root.do("sh", "-c", "until [ -e /armed ]; do sleep 0.1; done")
        root.install(newer)
        assert "of the newer release" in root.run("probeplan", "--version").stderr
        root.do("touch", "/go")
        out, errors = run.communicate(timeout=120)
        assert (run.returncode, errors) == (0, "")
        root.do("rm", "/armed", "/go", "/null")
        finished = records(out)[-1]
        assert (finished["event"], finished["complete"]) == ("run.finished", True)
        result = json.loads(root.do("cat", "/var/lib/probeplan/r/result.json"))
        assert result["run"]["complete"] is True
        root.do("dpkg", "--remove", "probeplan")
        root.do("dpkg", "--purge", "probeplan")
        assert root.list_files() == before
