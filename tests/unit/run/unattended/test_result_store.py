"""The store of results: the directory that a run gets."""

import stat
from pathlib import Path

import pytest

from orchestrator.run.unattended.result_pruning import Keep, prune_results
from orchestrator.run.unattended.result_store import ResultStore
from tests.support.folders import names_in


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "lib" / "results"


def test_a_run_has_a_private_directory_of_this_name(root: Path) -> None:
    store = ResultStore(root)
    path = store.make_run("plan", "a1")
    assert path == root / "plan" / "a1"
    modes = [stat.S_IMODE(one.stat().st_mode) for one in (root, path.parent, path)]
    assert modes == [0o700, 0o700, 0o700]
    with pytest.raises(FileExistsError, match="a1"):
        store.make_run("plan", "a1")
    store.close()


@pytest.mark.parametrize("name", ["", "..", ".x", "a/b"])
def test_a_name_is_of_one_directory(root: Path, name: str) -> None:
    store = ResultStore(root)
    with pytest.raises(ValueError, match="no name"):
        store.make_run(name, "a1")
    with pytest.raises(ValueError, match="no name"):
        store.make_run("plan", name)


def test_a_plans_directory_that_is_a_link_is_not_used(root: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    root.mkdir(parents=True, mode=0o700)
    (root / "plan").symlink_to(tmp_path / "elsewhere")
    store = ResultStore(root)
    with pytest.raises(OSError):  # noqa: PT011
        store.make_run("plan", "a1")
    with pytest.raises(OSError):  # noqa: PT011
        prune_results(root / "plan", Keep(runs=1, bytes=None))
    assert names_in(tmp_path / "elsewhere") == []
