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
