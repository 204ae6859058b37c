"""Names of cgroups: seen once, kept for good; hostile names are text."""

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.compile.program import Presentation
from orchestrator.kernel.abi import cgroup_names
from orchestrator.kernel.abi.cgroup_names import CgroupNames
from orchestrator.output.forms import NUMBER_TEXTS


@pytest.fixture
def names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CgroupNames:
    """Of a tree in which each look sees what there is."""
    monkeypatch.setattr(cgroup_names, "_EVERY_S", 0.0)
    (tmp_path / "a.slice/b.service").mkdir(parents=True)
    return CgroupNames(tmp_path)


def test_a_name_is_kept_after_the_cgroup_is_gone(names: CgroupNames, tmp_path: Path) -> None:
    inner = tmp_path / "a.slice/b.service"
    number = inner.stat().st_ino
    names.look()
    inner.rmdir()
    assert names.find_name(number) == "/a.slice/b.service"
    assert names.find_name(tmp_path.stat().st_ino) == "/"


def test_one_that_is_new_is_looked_up_and_one_that_never_was_is_unknown(
    names: CgroupNames, tmp_path: Path
) -> None:
    names.look()
    (tmp_path / "new").mkdir()
    assert names.find_name((tmp_path / "new").stat().st_ino) == "/new"
    assert names.find_name(1) is None
    assert CgroupNames(None).find_name(1) is None


def test_looks_for_cgroups_that_are_not_there_are_bounded(
    names: CgroupNames, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who makes and removes cgroups all the time must not keep a run busy."""
    monkeypatch.setattr(cgroup_names, "_AT_ONCE_S", 0.0)
    limited = CgroupNames(tmp_path)
    (tmp_path / "new").mkdir()
    assert limited.find_name((tmp_path / "new").stat().st_ino) is None
    limited.look()
    assert limited.find_name((tmp_path / "new").stat().st_ino) == "/new"


def test_looks_take_a_twentieth_of_the_time_however_often_one_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a made-up clock: each look takes 100 ms, each question that is not one 1 ms."""
    now = [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    limited = CgroupNames(tmp_path)
    looks = []

    def look_at_all() -> None:
        now[0] += 0.1
        looks.append(now[0])
        limited._looked = now[0]

    monkeypatch.setattr(limited, "_look_at_all", look_at_all)
    while now[0] < 100:
        limited.find_name(1)
        now[0] += 0.001
    assert 0.04 < 0.1 * len(looks) / now[0] < 0.06


@pytest.fixture
def shown(names: CgroupNames, monkeypatch: pytest.MonkeyPatch) -> Callable[[int, str], str | None]:
    monkeypatch.setattr(cgroup_names, "shared_cgroup_names", lambda: names)
    return lambda number, pattern: NUMBER_TEXTS["cgroup"](
        number, Presentation(form="cgroup", prefix=pattern)
    )


def test_a_pattern_shows_its_group_and_a_path_without_it_is_whole(
    shown: Callable[[int, str], str | None], tmp_path: Path
) -> None:
    number = (tmp_path / "a.slice/b.service").stat().st_ino
    assert shown(number, "") == "/a.slice/b.service"
    assert shown(number, r"([^/]+)\.service$") == "b"
    assert shown(number, "docker-(.*)") == "/a.slice/b.service"
    assert shown(1, "") == "unknown (1)"


def test_a_long_and_hostile_name_is_bounded_text(
    shown: Callable[[int, str], str | None], tmp_path: Path
) -> None:
    folder = tmp_path / ("\x1b[31m" + "x" * 240) / ("y" * 250) / ("z" * 250)
    folder.mkdir(parents=True)
    text = shown(folder.stat().st_ino, "")
    assert text is not None
    assert len(text) == 512
