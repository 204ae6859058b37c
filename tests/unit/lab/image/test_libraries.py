"""What programs need to start, as the dynamic loader itself sees it."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from orchestrator.lab.errors import LabError
from orchestrator.lab.image.file_tree import FileTree
from orchestrator.lab.image.libraries import list_interpreters, list_libraries
from orchestrator.lab.image.programs import add_libraries, add_program

SOURCE = b"int f(void) { return 0; } int main(void) { return 0; }"


def build(folder: Path, *arguments: str) -> None:
    command = ["gcc", "-x", "c", "-", "-x", "none", *arguments]
    subprocess.run(command, input=SOURCE, cwd=folder, check=True)


@pytest.mark.parametrize("name", ["ls", "git", "gcc", sys.executable])
def test_the_libraries_are_those_that_the_loader_loads(name: str) -> None:
    program = Path(shutil.which(name) or "").resolve()
    listed = subprocess.check_output(["ldd", program], text=True).splitlines()
    loaded = {line.split()[0] for line in listed if not line.strip().startswith("linux-vdso")}
    found = list_libraries([program])
    assert {Path(one.name).name for one in found} == {Path(one).name for one in loaded}
    assert all(one.path.is_file() for one in found)


def test_a_library_is_found_by_the_folder_that_its_program_names(tmp_path: Path) -> None:
    (tmp_path / "lib").mkdir()
    build(tmp_path, "-shared", "-fPIC", "-o", "lib/libours.so", "-Wl,-soname,libours.so")
    flags = "-Wl,--no-as-needed,-rpath,$ORIGIN/lib"
    build(tmp_path, flags, "-o", "program", "lib/libours.so")
    found = {one.name: one.path for one in list_libraries([tmp_path / "program"])}
    assert found["libours.so"] == tmp_path / "lib/libours.so"


def test_a_missing_library_is_named_with_who_needs_it(tmp_path: Path) -> None:
    build(tmp_path, "-shared", "-fPIC", "-o", "libgone.so", "-Wl,-soname,libgone.so.7")
    build(tmp_path, "-Wl,--no-as-needed", "-o", "program", "libgone.so")
    with pytest.raises(
        LabError, match=r"/program needs the library libgone.so.7, which is neither"
    ):
        list_libraries([tmp_path / "program"])


def test_a_static_program_needs_nothing(tmp_path: Path) -> None:
    build(tmp_path, "-static", "-o", "program")
    assert list_libraries([tmp_path / "program"]) == []


def test_a_script_needs_its_interpreter(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/bin/sh -e\n")
    assert list_interpreters(script, "/usr/bin") == [Path("/bin/sh")]
    script.write_text(f"#!{shutil.which('env')} -S python3 -u\n")
    assert list_interpreters(script, "/usr/bin")[1] == Path("/usr/bin/python3")


def test_what_a_script_lacks_is_named(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text("#!/no/such/interpreter\n")
    with pytest.raises(LabError, match="needs its interpreter /no/such/interpreter, which is not"):
        list_interpreters(script, "/usr/bin")
    script.write_text("#!/usr/bin/env no-such-program\n")
    with pytest.raises(LabError, match="'no-such-program' is not in /usr/bin"):
        list_interpreters(script, "/usr/bin")


def test_a_script_that_is_its_own_interpreter_comes_to_an_end(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(f"#!{script}\n")
    assert set(list_interpreters(script, "")) == {script}


def test_a_program_comes_with_its_libraries() -> None:
    tree = FileTree()
    add_program(tree, Path("/bin/ls"), "")
    libc = next(one.path for one in list_libraries([Path("/bin/ls")]) if one.name == "libc.so.6")
    assert str(Path("/bin/ls").resolve()) in tree
    assert str(libc.resolve()) in tree


def test_a_program_at_another_path_finds_the_libraries_of_its_own_folder(tmp_path: Path) -> None:
    """As a Python that is built with a shared library has it."""
    (tmp_path / "lib").mkdir()
    build(tmp_path, "-shared", "-fPIC", "-o", "lib/libours.so", "-Wl,-soname,libours.so")
    flags = "-Wl,--no-as-needed,-rpath,$ORIGIN/lib"
    build(tmp_path, flags, "-o", "program", "lib/libours.so")
    stays, moves = FileTree(), FileTree()
    add_libraries(stays, [tmp_path / "program"])
    add_libraries(moves, [tmp_path / "program"], moved=True)
    links = [path for path in moves.list_paths() if path not in stays]
    assert [Path(link).name for link in links] == ["libours.so"]
    libc = next(one.path for one in list_libraries([Path("/bin/ls")]) if one.name == "libc.so.6")
    assert Path(links[0]).parent == libc.resolve().parent
