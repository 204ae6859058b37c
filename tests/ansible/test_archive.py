"""The collection as an archive: built and installed without a network."""

import json
import os
import subprocess
import tarfile
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.collection import SOURCE, copy_collection, program
from tests.support.paths import ROOT

pytestmark = pytest.mark.slow

MODULES = ("facts", "plan", "run")


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, str]:
    """Without a way out: what is fetched is asked of a port that no one listens at."""
    home = tmp_path_factory.mktemp("home")
    nowhere = "http://127.0.0.1:9"
    return dict(
        os.environ, HOME=str(home), ANSIBLE_HOME=str(home), http_proxy=nowhere, https_proxy=nowhere
    )


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory, environment: Mapping[str, str]) -> Path:
    source = copy_collection(tmp_path_factory.mktemp("collections"))
    target = tmp_path_factory.mktemp("archive")
    _run(["collection", "build", str(source), "--output-path", str(target)], environment)
    (made,) = target.iterdir()
    return made


def _run(words: list[str], environment: Mapping[str, str]) -> None:
    done = subprocess.run(
        [program("ansible-galaxy"), *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_its_version_is_the_products(archive: Path) -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert archive.name == f"probeplan-fleet-{version}.tar.gz"


def test_it_has_both_licences(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        names = set(tar.getnames())
        manifest = json.load(tar.extractfile("MANIFEST.json"))
    assert {"LICENSE", "COPYING", "README.md", "meta/runtime.yml"} <= names
    assert manifest["collection_info"]["license"] == ["Apache-2.0", "GPL-3.0-or-later"]
    assert not [name for name in names if name.endswith(".pyc")]


def test_only_action_plugins_are_under_the_gpl() -> None:
    licences = {
        path.relative_to(SOURCE).as_posix(): line.split()[-1]
        for path in SOURCE.rglob("*.py")
        for line in path.read_text().splitlines()
        if line.startswith("# SPDX-License-Identifier: ")
    }
    assert set(licences) == {path.relative_to(SOURCE).as_posix() for path in SOURCE.rglob("*.py")}
    gpl = [name for name, licence in licences.items() if licence == "GPL-3.0-or-later"]
    assert sorted(gpl) == ["plugins/action/plan.py", "plugins/action/run.py"]
    assert set(licences.values()) == {"Apache-2.0", "GPL-3.0-or-later"}


def test_it_installs_and_its_modules_are_documented(
    archive: Path, environment: Mapping[str, str], tmp_path: Path
) -> None:
    words = ["collection", "install", "--offline", str(archive), "-p", str(tmp_path)]
    _run(words, environment)
    done = subprocess.run(
        [program("ansible-doc"), "--json", *(f"probeplan.fleet.{name}" for name in MODULES)],
        env={**environment, "ANSIBLE_COLLECTIONS_PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    documents = json.loads(done.stdout)
    assert set(documents) == {f"probeplan.fleet.{name}" for name in MODULES}
    for document in documents.values():
        assert document["examples"].strip()
        assert document["return"]
