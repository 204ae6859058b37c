"""A plan's name on the command line: a path, standard input, or a shipped plan."""

from pathlib import Path

import pytest

from orchestrator.plan.findings import PlanError
from orchestrator.run import shipped
from orchestrator.run.shipped import find_plan, shipped_plans, site_plans


@pytest.mark.parametrize("name", ["-", "plans/x.yaml", "x.yaml", "x.yml", "/no/such/file"])
def test_what_looks_like_a_path_is_one(name: str) -> None:
    assert find_plan(name) == name


def test_a_bare_word_is_a_shipped_plan() -> None:
    assert Path(find_plan("slow-io")) == shipped_plans()["slow-io"]


def test_a_file_of_that_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "slow-io").write_text("")
    assert find_plan("slow-io") == "slow-io"


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The site's folder."""
    monkeypatch.setattr(shipped, "SITE_PLANS", tmp_path)
    return tmp_path


def test_the_site_s_plans_and_bundles_have_names_too(site: Path) -> None:
    for name in ("ours.yaml", "packed.ppb", "both.ppb", "both.yaml", "ours.yaml.sig", "README"):
        (site / name).write_text("")
    assert find_plan("ours") == str(site / "ours.yaml")
    assert find_plan("packed") == str(site / "packed.ppb")
    assert find_plan("both") == str(site / "both.yaml")
    assert set(site_plans()) == {"ours", "packed", "both"}


def test_the_site_s_plan_of_a_shipped_one_s_name_comes_first(site: Path) -> None:
    (site / "slow-io.yaml").write_text("")
    assert find_plan("slow-io") == str(site / "slow-io.yaml")
    assert Path(find_plan("vfs-reads")) == shipped_plans()["vfs-reads"]


def test_a_site_without_plans_has_none(site: Path) -> None:
    site.rmdir()
    assert site_plans() == {}


def test_a_misspelled_name_gets_a_suggestion() -> None:
    with pytest.raises(PlanError, match=r"(?s)no shipped plan 'slow-oi'.*slow-io"):
        find_plan("slow-oi")


def test_shipped_names_are_unique() -> None:
    """A name in two folders would hide one of the plans."""
    plans = shipped_plans()
    [root] = {path.parents[1] for path in plans.values()}
    assert len(list(root.rglob("*.yaml"))) == len(plans)


def test_a_shipped_plan_is_found_by_its_name_and_a_path_stays_a_path(tmp_path) -> None:
    name, path = next(iter(shipped_plans().items()))
    assert find_plan(name) == str(path)
    assert find_plan("some/where.yaml") == "some/where.yaml"
    assert find_plan("-") == "-"


def test_a_plan_that_is_nowhere_gets_a_suggestion() -> None:
    name = next(iter(shipped_plans()))
    with pytest.raises(PlanError, match=f"did you mean '{name}'"):
        find_plan(name[:-1] + "x")
