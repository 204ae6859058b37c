"""Containers of cgroups: looked up once, kept, one text for each."""

import json
from pathlib import Path

import pytest

from orchestrator.kernel.abi import cgroup_names
from orchestrator.kernel.abi.cgroup_names import CgroupNames
from orchestrator.kernel.containers import container_names
from orchestrator.kernel.containers.container_names import Container, ContainerNames
from orchestrator.kernel.containers.runtime_files import NO_NAME, RuntimeName

ID, OTHER = "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970", "ab" * 32
USER = "user.slice/user-1000.slice/user@1000.service"


@pytest.fixture
def cgroups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The mount of cgroup v2."""
    monkeypatch.setattr(cgroup_names, "_EVERY_S", 0.0)
    monkeypatch.setattr(cgroup_names, "_AT_ONCE_S", 60.0)  # on a slow machine, too
    (tmp_path / "cgroup").mkdir()
    return tmp_path / "cgroup"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The host's files: one container of docker has a name."""
    kept = tmp_path / f"root/var/lib/docker/containers/{ID}/config.v2.json"
    kept.parent.mkdir(parents=True)
    kept.write_text(json.dumps({"Name": "/web"}))
    own = tmp_path / "root/proc/self/cgroup"
    own.parent.mkdir(parents=True)
    own.write_text("1:name=systemd:/\n0::/\n")
    return tmp_path / "root"


def make(cgroups: Path, path: str) -> int:
    (cgroups / path).mkdir(parents=True)
    return (cgroups / path).stat().st_ino


def text_of(names: ContainerNames, number: int) -> str:
    found = names.find_container(number)
    assert isinstance(found, Container)
    return found.text


def test_all_cgroups_of_a_container_have_its_text(cgroups: Path, root: Path) -> None:
    names = ContainerNames(CgroupNames(cgroups), root)
    outer = make(cgroups, f"system.slice/docker-{ID}.scope")
    inner = make(cgroups, f"system.slice/docker-{ID}.scope/init")
    other = make(cgroups, f"docker/{OTHER}")
    assert text_of(names, outer) == text_of(names, inner) == f"web ({ID[:12]})"
    assert text_of(names, other) == f"docker {OTHER[:12]}"
    assert text_of(names, make(cgroups, "lxc.payload.db")) == "lxc db"
    assert names.find_container(cgroups.stat().st_ino) is None
    assert names.unknown == 0


def test_its_facts(cgroups: Path, root: Path) -> None:
    names = ContainerNames(CgroupNames(cgroups), root)
    found = names.find_container(make(cgroups, f"docker/{ID}"))
    assert isinstance(found, Container)
    assert found.facts == {
        "id": ID, "name": "web", "pod": None, "runtime": "docker", "name_from": "runtime",
    }  # fmt: skip


def test_what_was_seen_is_known_when_runtime_and_cgroup_have_removed_it(
    cgroups: Path, root: Path
) -> None:
    names = ContainerNames(CgroupNames(cgroups), root)
    number = make(cgroups, f"docker/{ID}")
    names.look()
    (cgroups / f"docker/{ID}").rmdir()
    (root / f"var/lib/docker/containers/{ID}/config.v2.json").unlink()
    assert text_of(names, number) == f"web ({ID[:12]})"


def test_one_that_was_never_seen_is_unknown_and_counted_once(cgroups: Path, root: Path) -> None:
    names = ContainerNames(CgroupNames(cgroups), root)
    number = make(cgroups, f"docker/{ID}")
    (cgroups / f"docker/{ID}").rmdir()
    assert [names.find_container(number), names.find_container(number)] == ["unknown"] * 2
    assert names.unknown == 1


def test_where_v1_has_the_controllers_a_cgroup_of_none_is_unknown(
    cgroups: Path, root: Path
) -> None:
    """There a container may have none in v2."""
    (root / "proc/self/cgroup").write_text("4:memory:/docker/x\n1:name=systemd:/\n0::/\n")
    names = ContainerNames(CgroupNames(cgroups), root)
    assert names.find_container(cgroups.stat().st_ino) == "unknown"
    assert text_of(names, make(cgroups, f"docker/{ID}")) == f"web ({ID[:12]})"


def test_a_user_cannot_take_the_name_of_a_container(cgroups: Path, root: Path) -> None:
    names = ContainerNames(CgroupNames(cgroups), root)
    number = make(cgroups, f"{USER}/docker-{ID}.scope")
    assert text_of(names, number) == f"docker {ID[:12]} of user 1000"
    of_service = make(cgroups, f"system.slice/x.service/docker-{ID}.scope")
    assert text_of(names, of_service) == f"docker {ID[:12]}"


def test_a_name_that_a_user_keeps_is_shown_as_that_users(
    cgroups: Path, root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ids that the user keeps nothing about are looked for so many times, and not for ever."""
    asked: list[str] = []

    def read(number: str, _root: Path, user: int | None = None) -> RuntimeName:
        asked.append(number)
        return RuntimeName("shop", "", "user") if (number, user) == (ID, 1000) else NO_NAME

    monkeypatch.setattr(container_names, "read_runtime_name", read)
    monkeypatch.setattr(container_names, "_MOST_ABSENT", 3)
    names = ContainerNames(CgroupNames(cgroups), root)
    found = names.find_container(make(cgroups, f"{USER}/user.slice/libpod-{ID}.scope"))
    assert isinstance(found, Container)
    assert found.text == f"shop ({ID[:12]}) of user 1000"
    assert found.facts["name_from"] == "user"
    for number in range(5):
        text_of(names, make(cgroups, f"{USER}/libpod-{number:064x}.scope"))
    assert len(asked) == 1 + 3
    other = USER.replace("1000", "1001")
    text_of(names, make(cgroups, f"{other}/libpod-{7:064x}.scope"))
    assert len(asked) == 1 + 3 + 1
