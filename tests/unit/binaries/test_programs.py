"""Programs are found where execvp finds them."""

import os
import shutil
from pathlib import Path

import pytest

from orchestrator.binaries.programs import find_program


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[Path, Path]:
    """Two folders of PATH: a file that is no program in the first, programs in both, and a folder
    by a program's name."""
    first, second = tmp_path / "first", tmp_path / "second"
    for folder in (first, second):
        folder.mkdir()
        (folder / "both").write_text("")
        (folder / "both").chmod(0o755)
    (first / "text").write_text("")
    (second / "text").write_text("")
    (second / "text").chmod(0o755)
    (first / "folder").mkdir()
    monkeypatch.setenv("PATH", f"{first}{os.pathsep}{second}")
    return first, second


def test_the_first_file_in_path_that_can_be_executed_is_found(folders: tuple[Path, Path]) -> None:
    first, second = folders
    assert find_program("both") == first / "both"
    assert find_program("text") == second / "text"
    assert find_program("folder") is None
    assert find_program("missing") is None


def test_a_path_is_not_looked_for(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = folders
    assert find_program(str(second / "both")) == second / "both"
    assert find_program(str(first / "text")) is None
    monkeypatch.chdir(second.parent)
    assert find_program("second/both") == Path("second/both")


@pytest.mark.parametrize("name", ["both", "text", "folder", "missing", "./both", "", "sh"])
@pytest.mark.parametrize("path", ["first:second", "second:first", ":first", ""])
def test_it_is_what_shutil_finds(
    folders: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, name: str, path: str
) -> None:
    monkeypatch.chdir(folders[0].parent)
    monkeypatch.setenv("PATH", path)
    known = shutil.which(name)
    assert find_program(name) == (None if known is None else Path(known))
