"""What runtimes keep on disk about their containers: names and pods.

No daemon is asked. What is in the files is chosen by others (`kept_files`), and a text that is no
name is left out.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from orchestrator.kernel.containers.kept_files import (
    ReadFile,
    find_home,
    read_system_files,
    read_user_files,
)

__all__ = ["NO_NAME", "RuntimeName", "read_runtime_name"]

#: Of containers, pods and hosts: docker and podman [a-zA-Z0-9_.-], Kubernetes and hosts RFC 1123.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,252}")
_STATES = ("run/containerd", "run/k3s/containerd", "var/snap/microk8s/common/run/containerd")
_STORES = ("run/containers/storage", "var/lib/containers/storage")
_DRIVERS = ("overlay", "vfs", "btrfs", "zfs")  # of containers/storage, the usual ones
_DOCKER = ("var/lib/docker", "var/snap/docker/common/var-lib-docker")
#: Annotations of containerd (internal/cri/annotations), of the kubelet (pkg/kubelet/types), which
#: CRI-O copies, and of nerdctl.
_CONTAINER = ("io.kubernetes.cri.container-name", "io.kubernetes.container.name", "nerdctl/name")
_POD = ("io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name")
_NAMESPACE = ("io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace")
_SANDBOX = ("io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType")


class RuntimeName(NamedTuple):
    """A container's name, the pod that it is in (NAMESPACE/NAME), and where the name is from:
    `runtime`, or `user` where that is a user's own, or `hostname` where only that is known; "" for
    what is not known."""

    name: str = ""
    pod: str = ""
    source: str = ""


NO_NAME = RuntimeName()


def read_runtime_name(number: str, root: Path = Path("/"), user: int | None = None) -> RuntimeName:
    """What there is about the container with this id, of 64 hexadecimal digits: of the system's
    runtimes, or of those of this user."""
    hostname = NO_NAME
    found = _read_of_system(number, root) if not user else _read_of_user(number, root, user)
    for name in found:
        if name.source != "hostname":
            return name
        hostname = hostname if hostname.name else name
    return hostname


def _read_of_system(number: str, root: Path) -> Iterator[RuntimeName]:
    read = read_system_files(root)
    for folder in _list_docker_folders(read):
        yield from _read_docker(read, f"{folder}/containers/{number}/config.v2.json")
    for state in _STATES:
        for space in ("k8s.io", "default", "moby"):
            task = f"{state}/io.containerd.runtime.v2.task/{space}/{number}"
            yield from _read_bundle(read, f"{task}/config.json", number)
    yield from _read_stores(read, number, _STORES)


def _read_of_user(number: str, root: Path, user: int) -> Iterator[RuntimeName]:
    """What the user's own runtimes keep, in their usual places; names are marked as the user's."""
    home = find_home(user, root)
    found: list[RuntimeName] = []
    if home is not None:
        read = read_user_files(home, user, root)
        docker = f".local/share/docker/containers/{number}/config.v2.json"
        found += _read_docker(read, docker)
        found += _read_stores(read, number, (".local/share/containers/storage",))
    read = read_user_files(root / f"run/user/{user}", user, root)
    found += _read_stores(read, number, ("containers",))
    yield from (one._replace(source="user", pod="") for one in found if one.source == "runtime")


def _list_docker_folders(read: ReadFile) -> Iterator[str]:
    """Where docker keeps its containers: `data-root` of its configuration, before 17.05 `graph`."""
    kept = _as_mapping(read("etc/docker/daemon.json"))
    for folder in (kept.get("data-root"), kept.get("graph")):
        if isinstance(folder, str) and folder.startswith("/") and "\0" not in folder:
            yield folder.lstrip("/")
    yield from _DOCKER


def _read_stores(read: ReadFile, number: str, stores: Iterable[str]) -> Iterator[RuntimeName]:
    """Those of containers/storage, one for each driver."""
    for folder in (f"{store}/{driver}-containers" for store in stores for driver in _DRIVERS):
        yield from _read_stored(read, f"{folder}/containers.json", number)
        yield from _read_stored(read, f"{folder}/volatile-containers.json", number)
        yield from _read_bundle(read, f"{folder}/{number}/userdata/config.json", number)


def _read_docker(read: ReadFile, path: str) -> Iterator[RuntimeName]:
    """moby, daemon/container: the name has a slash before it; cri-dockerd's pods are labels."""
    kept = _as_mapping(read(path))
    labels = _as_mapping(_as_mapping(kept.get("Config")).get("Labels"))
    name = _find_name(labels, _CONTAINER) or _as_name(kept.get("Name"), "/")
    if name:
        yield RuntimeName(name, _find_pod(labels), "runtime")


def _read_bundle(read: ReadFile, path: str, number: str) -> Iterator[RuntimeName]:
    """The runtime's configuration (opencontainers/runtime-spec, config.md)."""
    kept = _as_mapping(read(path))
    notes = _as_mapping(kept.get("annotations"))
    name, pod = _find_name(notes, _CONTAINER), _find_pod(notes)
    if not name and pod and any(notes.get(key) == "sandbox" for key in _SANDBOX):
        name = "POD"  # as the kubelet calls the container that holds a pod's namespaces
    hostname = _as_name(kept.get("hostname"))
    if name or pod:
        yield RuntimeName(name, pod, "runtime")
    elif hostname and not number.startswith(hostname):
        yield RuntimeName(hostname, "", "hostname")


def _read_stored(read: ReadFile, path: str, number: str) -> Iterator[RuntimeName]:
    """containers/storage, containers.go: all containers of podman and CRI-O, with their names. The
    names of CRI-O's have the pod's in them, and their bundles say it better."""
    kept = read(path)
    for one in kept if isinstance(kept, list) else ():
        entry = _as_mapping(one)
        names = entry.get("names")
        if entry.get("id") == number and isinstance(names, list) and names:
            name = _as_name(names[0])
            if name and not name.startswith("k8s_"):
                yield RuntimeName(name, "", "runtime")


def _find_pod(notes: Mapping[str, Any]) -> str:
    name, space = _find_name(notes, _POD), _find_name(notes, _NAMESPACE)
    return f"{space}/{name}" if name and space else name


def _find_name(notes: Mapping[str, Any], keys: tuple[str, ...]) -> str:
    return next((name for key in keys if (name := _as_name(notes.get(key)))), "")


def _as_name(value: object, before: str = "") -> str:
    text = value.removeprefix(before) if isinstance(value, str) else ""
    return text if _NAME.fullmatch(text) else ""


def _as_mapping(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}
