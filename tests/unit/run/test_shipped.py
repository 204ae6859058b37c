"""A plan's name on the command line: a path, standard input, or a shipped plan."""

from pathlib import Path

import pytest

from orchestrator.plan.findings import PlanError
from orchestrator.run.shipped import find_plan, shipped_plans


@pytest.mark.parametrize("name", ["-", "plans/x.yaml", "x.yaml", "x.yml", "/no/such/file"])
def test_what_looks_like_a_path_is_one(name: str) -> None:
    assert find_plan(name) == name


def test_a_bare_word_is_a_shipped_plan() -> None:
    assert Path(find_plan("slow-io")) == shipped_plans()["slow-io"]


def test_a_file_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "slow-io").write_text("")
    assert find_plan("slow-io") == "slow-io"


def test_a_misspelled_name_gets_a_suggestion() -> None:
    with pytest.raises(PlanError, match=r"(?s)no shipped plan 'slow-oi'.*slow-io"):
        find_plan("slow-oi")


def test_shipped_names_are_unique() -> None:
    """A name in two folders would hide one of the plans."""
    plans = shipped_plans()
    [root] = {path.parents[1] for path in plans.values()}
    assert len(list(root.rglob("*.yaml"))) == len(plans)
