"""What of this host a check's workload has in a machine."""

import os
import pwd
import subprocess
from pathlib import Path

import pytest

from orchestrator.check.document.load import load_check
from orchestrator.check.machine.workload_files import add_workload_files, list_missed_files
from orchestrator.lab.errors import LabError
from orchestrator.lab.image.file_tree import FileTree
from orchestrator.plan.findings import PlanError


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with a script, and data."""
    (tmp_path / "job").write_text("#!/bin/sh\n")
    (tmp_path / "job").chmod(0o755)
    (tmp_path / "data/__pycache__").mkdir(parents=True)
    (tmp_path / "data/rows").write_text("1")
    (tmp_path / "data/__pycache__/old").write_text("2")
    return tmp_path


def pack(here: Path, workload: str, files: str = "[]") -> FileTree:
    (here / "check.yaml").write_text(
        "apiVersion: probeplan/v1\nkind: ProbeCheck\n"
        "metadata: {name: example, summary: An example}\nplan: fsync\n"
        f"workload: {{{workload}}}\nmachine: {{kernel: debian:6.1, files: {files}}}\n"
        "expect: {few: sync.calls <= 1}\n"
    )
    check = load_check(str(here / "check.yaml"))
    assert check.machine is not None
    tree = FileTree()
    tree.make_file("/etc/passwd", b"")
    add_workload_files(tree, check, check.machine)
    return tree


def read_packed(tree: FileTree, folder: Path, path: str) -> str:
    subprocess.run(["cpio", "-i", "--quiet"], input=tree.pack(), cwd=folder, check=True)
    return (folder / path.lstrip("/")).read_text()


def test_a_script_has_its_interpreter_and_the_libraries_of_that(here: Path) -> None:
    tree = pack(here, "run: [./job]")
    assert {str(here / "job"), str(Path("/bin/sh").resolve())} <= set(tree.list_paths())
    assert any("libc.so.6" in path for path in tree.list_paths())


def test_each_command_of_a_workload_is_there(here: Path) -> None:
    tree = pack(here, "run: [./job], setup: [[rm, a]], teardown: [[ls]], witness: [cat]")
    names = {Path(path).name for path in tree.list_paths()}
    assert {"rm", "ls", "cat", "job"} <= names


def test_other_files_are_there_only_if_they_are_named(here: Path) -> None:
    assert str(here / "data/rows") not in pack(here, "run: [./job, data/rows]")
    tree = pack(here, "run: [./job]", "[data]")
    assert str(here / "data/rows") in tree
    assert str(here / "data/__pycache__") not in tree


def test_a_program_that_setup_makes_need_not_be_there_yet(here: Path) -> None:
    assert str(here) in pack(here, "run: [$(scratch)/made], setup: [[./job]]")


def test_a_missing_program_is_a_finding_at_the_workload(here: Path) -> None:
    with pytest.raises(
        PlanError, match=r"check.yaml:5:1: error.*'no-such-program' cannot be started"
    ):
        pack(here, "run: [no-such-program]")


def test_a_missing_file_is_named(here: Path) -> None:
    with pytest.raises(LabError, match=f"{here}/gone cannot be packed: No such file"):
        pack(here, "run: [./job]", "[gone]")


def test_the_user_of_a_workload_is_known_there(here: Path, tmp_path: Path) -> None:
    name = next(user.pw_name for user in pwd.getpwall() if user.pw_uid not in (0, os.getuid()))
    (tmp_path / "unpacked").mkdir()
    known = read_packed(
        pack(here, f"run: [./job], user: {name}"), tmp_path / "unpacked", "/etc/passwd"
    )
    assert known.splitlines()[0].startswith("root:x:0:")
    assert known.splitlines()[1].startswith(f"{name}:x:")


def test_files_that_a_workload_missed_are_named(here: Path) -> None:
    """Those of this host that its last output names, once each, and no others."""
    tree = pack(here, "run: [./job]")
    rows, nothing = here / "data/rows", here / "nothing"
    output = (
        f"{here}/job: line 1: {rows}: No such file or directory\n"
        f"cannot open '{rows}', see {nothing} or x{rows}. It is {rows}."
    )
    assert list_missed_files(tree, output) == [str(rows)]
    assert list_missed_files(tree, "/" + "x" * 5000 + " \udcff/\udcff") == []
