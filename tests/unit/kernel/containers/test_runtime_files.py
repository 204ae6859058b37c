"""What runtimes keep about their containers, and what is no such file."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from orchestrator.kernel.containers.runtime_files import NO_NAME, RuntimeName, read_runtime_name

ID = "4f797c539e6c745de61a93ca3ff892358ecbcaccd8414d5db545c38428142970"
DOCKER = f"var/lib/docker/containers/{ID}/config.v2.json"
TASKS = "run/containerd/io.containerd.runtime.v2.task"
CRIO = f"run/containers/storage/overlay-containers/{ID}/userdata/config.json"
PODMAN = "var/lib/containers/storage/overlay-containers/containers.json"


def keep(root: Path, path: str, content: Any) -> Path:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(content if isinstance(content, str) else json.dumps(content))
    return file


def test_docker_keeps_a_name_with_a_slash(tmp_path: Path) -> None:
    keep(tmp_path, DOCKER, {"ID": ID, "Name": "/web", "Config": {"Labels": {}}})
    assert read_runtime_name(ID, tmp_path) == RuntimeName("web", "", "runtime")
    assert read_runtime_name("0" * 64, tmp_path) == NO_NAME


def test_containerd_keeps_annotations_of_kubernetes(tmp_path: Path) -> None:
    notes = {
        "io.kubernetes.cri.container-name": "nginx",
        "io.kubernetes.cri.container-type": "container",
        "io.kubernetes.cri.sandbox-name": "web-0",
        "io.kubernetes.cri.sandbox-namespace": "shop",
    }
    keep(tmp_path, f"{TASKS}/k8s.io/{ID}/config.json", {"hostname": "x", "annotations": notes})
    assert read_runtime_name(ID, tmp_path) == RuntimeName("nginx", "shop/web-0", "runtime")
    notes["io.kubernetes.cri.container-type"] = "sandbox"
    del notes["io.kubernetes.cri.container-name"]
    keep(tmp_path, f"{TASKS}/k8s.io/{ID}/config.json", {"annotations": notes})
    assert read_runtime_name(ID, tmp_path) == RuntimeName("POD", "shop/web-0", "runtime")


def test_crio_and_podman_have_one_store(tmp_path: Path) -> None:
    """That of CRI-O has names in which the pod's is, which its bundle says apart."""
    stored = [{"id": ID, "names": ["k8s_nginx_web-0_shop_uid_0"]}, {"id": "x", "names": ["y"]}]
    keep(tmp_path, PODMAN, stored)
    assert read_runtime_name(ID, tmp_path) == NO_NAME
    notes = {
        "io.kubernetes.container.name": "nginx",
        "io.kubernetes.pod.name": "web-0",
        "io.kubernetes.pod.namespace": "shop",
    }
    keep(tmp_path, CRIO, {"annotations": notes})
    assert read_runtime_name(ID, tmp_path) == RuntimeName("nginx", "shop/web-0", "runtime")
    keep(tmp_path, PODMAN, [{"id": ID, "names": ["brave_curie"]}])
    Path(tmp_path / CRIO).unlink()
    assert read_runtime_name(ID, tmp_path) == RuntimeName("brave_curie", "", "runtime")


def test_a_hostname_is_marked_and_comes_last(tmp_path: Path) -> None:
    keep(tmp_path, f"{TASKS}/moby/{ID}/config.json", {"hostname": ID[:12]})
    assert read_runtime_name(ID, tmp_path) == NO_NAME  # docker's own: it says nothing
    keep(tmp_path, f"{TASKS}/moby/{ID}/config.json", {"hostname": "db"})
    assert read_runtime_name(ID, tmp_path) == RuntimeName("db", "", "hostname")
    keep(tmp_path, PODMAN, [{"id": ID, "names": ["web"]}])
    assert read_runtime_name(ID, tmp_path) == RuntimeName("web", "", "runtime")


@pytest.mark.parametrize(
    "content",
    [
        *("", "{", "[]", "null", "[" * 100_000, '{"Name": 3}', '{"Name": "/"}'),
        '{"Name": "/\\u0000"}',
        *('{"Name": "/a\\u001b[31m"}', '{"Name": "/\\ud800"}', '{"Name": "/..\\n"}'),
        '{"Name": "/' + "x" * 300 + '", "Config": {"Labels": 3}}',
        '{"Name": "/web", "x": "' + "x" * (4 << 20) + '"}',
    ],
)  # fmt: skip
def test_what_is_no_name_is_left_out(tmp_path: Path, content: str) -> None:
    keep(tmp_path, DOCKER, content)
    assert read_runtime_name(ID, tmp_path) == NO_NAME


def test_links_and_pipes_are_not_read(tmp_path: Path) -> None:
    """A pipe that no one writes would never answer."""
    other = keep(tmp_path, "other.json", {"Name": "/web"})
    path = tmp_path / DOCKER
    path.parent.mkdir(parents=True)
    path.symlink_to(other)
    assert read_runtime_name(ID, tmp_path) == NO_NAME
    path.unlink()
    os.mkfifo(path)
    assert read_runtime_name(ID, tmp_path) == NO_NAME


def test_docker_may_keep_all_elsewhere(tmp_path: Path) -> None:
    """As `data-root` of its configuration says; one that is no path is left out."""
    keep(tmp_path, "etc/docker/daemon.json", {"data-root": "/srv/docker", "graph": "x\0"})
    keep(tmp_path, f"srv/docker/containers/{ID}/config.v2.json", {"Name": "/moved"})
    assert read_runtime_name(ID, tmp_path) == RuntimeName("moved", "", "runtime")
    keep(tmp_path, "etc/docker/daemon.json", {"data-root": 3})
    assert read_runtime_name(ID, tmp_path) == NO_NAME


@pytest.mark.parametrize("driver", ["vfs", "btrfs", "zfs"])
def test_podman_has_a_store_for_each_driver(tmp_path: Path, driver: str) -> None:
    path = f"var/lib/containers/storage/{driver}-containers/containers.json"
    keep(tmp_path, path, [{"id": ID, "names": ["web"]}])
    assert read_runtime_name(ID, tmp_path) == RuntimeName("web", "", "runtime")


# ---------------------------------------------------------------- a user's own

STORED = "home/u/.local/share/containers/storage/overlay-containers/containers.json"
NAMED = [{"id": ID, "names": ["shop"]}]


@pytest.fixture
def user(tmp_path: Path) -> int:
    """This user, whose home is on a file system of this host."""
    number = os.getuid() or 1
    keep(tmp_path, "etc/passwd", f"root:x:0:0::/root:/bin/sh\nu:x:{number}:1::/home/u:/bin/sh\n")
    keep(tmp_path, "proc/self/mounts", "rootfs / ext4 rw 0 0\nnfs /home/far nfs4 rw 0 0\n")
    (tmp_path / "home/u").mkdir(parents=True)
    return number


def own(path: Path, user: int) -> Path:
    if os.getuid() == 0:
        os.chown(path, user, user)
    return path


def test_a_users_runtimes_keep_names_in_the_home(tmp_path: Path, user: int) -> None:
    """They are marked; what the system's runtimes keep is not read for a user's, nor otherwise."""
    own(keep(tmp_path, STORED, NAMED), user)
    keep(tmp_path, DOCKER, {"Name": "/system"})
    assert read_runtime_name(ID, tmp_path, user) == RuntimeName("shop", "", "user")
    assert read_runtime_name(ID, tmp_path) == RuntimeName("system", "", "runtime")
    Path(tmp_path / STORED).unlink()
    assert read_runtime_name(ID, tmp_path, user) == NO_NAME
    docker = f"home/u/.local/share/docker/containers/{ID}/config.v2.json"
    own(keep(tmp_path, docker, {"Name": "/rootless"}), user)
    assert read_runtime_name(ID, tmp_path, user) == RuntimeName("rootless", "", "user")


def test_what_a_user_keeps_in_memory_is_read_too(tmp_path: Path, user: int) -> None:
    path = f"run/user/{user}/containers/overlay-containers/volatile-containers.json"
    own(keep(tmp_path, path, NAMED), user)
    assert read_runtime_name(ID, tmp_path, user) == RuntimeName("shop", "", "user")


def test_a_users_links_lead_nowhere(tmp_path: Path, user: int) -> None:
    """Neither as the file nor as any folder on the way, nor where they stay in the home."""
    kept = own(keep(tmp_path, STORED, NAMED), user)
    elsewhere = tmp_path / "home/u/kept"
    kept.rename(elsewhere)
    kept.symlink_to(elsewhere)
    assert read_runtime_name(ID, tmp_path, user) == NO_NAME
    kept.unlink()
    elsewhere.rename(kept)
    assert read_runtime_name(ID, tmp_path, user).name == "shop"
    share = tmp_path / "home/u/.local"
    share.rename(tmp_path / "home/u/moved")
    share.symlink_to("moved")
    assert read_runtime_name(ID, tmp_path, user) == NO_NAME


@pytest.mark.root
def test_a_file_in_the_home_that_is_not_the_users_is_not_read(tmp_path: Path, user: int) -> None:
    """A hard link to root's, for instance."""
    os.chown(keep(tmp_path, STORED, NAMED), user + 1, 0)
    assert read_runtime_name(ID, tmp_path, user) == NO_NAME


@pytest.mark.parametrize(
    "content",
    [
        json.dumps([*NAMED, "x" * (1 << 20)]),
        '[{"id": "' + ID + '", "names": ["a\\u001b[31m"]}]',
        "[",
    ],
)
def test_a_users_files_are_bounded_and_their_texts_are_names(
    tmp_path: Path, user: int, content: str
) -> None:
    own(keep(tmp_path, STORED, content), user)
    assert read_runtime_name(ID, tmp_path, user) == NO_NAME


@pytest.mark.parametrize("mounts", ["nfs /home nfs4 rw 0 0\n", "x /home/u fuse.sshfs rw 0 0\n"])
def test_a_home_that_others_serve_is_not_touched(
    tmp_path: Path, user: int, mounts: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They may never answer."""
    own(keep(tmp_path, STORED, NAMED), user)
    keep(tmp_path, "proc/self/mounts", f"rootfs / ext4 rw 0 0\n{mounts}")
    opened: list[str] = []
    before = os.open

    def note(path: str, *rest: object, **named: object) -> int:
        opened.append(str(path))
        return before(path, *rest, **named)

    monkeypatch.setattr(os, "open", note)
    assert read_runtime_name(ID, tmp_path, user) == NO_NAME
    assert not [path for path in opened if "home/u" in path]
