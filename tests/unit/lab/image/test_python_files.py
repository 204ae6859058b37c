"""The Python of guests."""

import json
import subprocess
from pathlib import Path

import pytest

from orchestrator.lab.errors import LabError
from orchestrator.lab.image.file_tree import FileTree
from orchestrator.lab.image.python_files import (
    GUEST_PACKAGES,
    GUEST_PYTHON,
    add_packages,
    add_python,
)


def test_the_python_runs_without_its_sources_and_the_hosts_library(tmp_path: Path) -> None:
    """From another place: nothing says where its library is."""
    tree = FileTree()
    add_python(tree)
    add_packages(tree, ["yaml"])
    subprocess.run(["cpio", "-i", "--quiet"], input=tree.pack(), cwd=tmp_path, check=True)
    code = (
        "import bz2, ctypes, json, subprocess, sys, yaml\n"
        "print(json.dumps([sys.path, json.__file__, yaml.__file__, yaml.safe_load('1')]))"
    )
    python, packages = (tmp_path / path.lstrip("/") for path in (GUEST_PYTHON, GUEST_PACKAGES))
    answer = subprocess.check_output(
        [python, "-S", "-P", "-c", code], env={"PYTHONPATH": str(packages)}
    )
    path, module, package, loaded = json.loads(answer)
    assert all(place.startswith(str(tmp_path)) for place in path)
    assert module.endswith("json/__init__.pyc")
    assert package == str(packages / "yaml/__init__.pyc")
    assert loaded == 1


def test_modules_compile_to_the_same_bytes_each_time(tmp_path: Path) -> None:
    def digest() -> str:
        tree = FileTree()
        add_packages(tree, ["yaml", "json"])
        return tree.digest()

    assert digest() == digest()


def test_a_package_that_is_not_installed_is_named() -> None:
    with pytest.raises(LabError, match="the Python package no_such_package is not installed"):
        add_packages(FileTree(), ["no_such_package"])
