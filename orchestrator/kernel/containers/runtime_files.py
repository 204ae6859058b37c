"""What runtimes keep on disk about their containers: names and pods.

Only files of the system's own runtimes are read, which root writes; no daemon is asked. What is in
them is chosen by others all the same: sizes are bounded, links are not followed, and a text that is
no name is left out.
"""

import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

__all__ = ["NO_NAME", "RuntimeName", "read_runtime_name"]

_MOST_BYTES = 4 << 20
#: Of containers, pods and hosts: docker and podman [a-zA-Z0-9_.-], Kubernetes and hosts RFC 1123.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,252}")
_STATES = ("run/containerd", "run/k3s/containerd", "var/snap/microk8s/common/run/containerd")
_STORES = ("run/containers/storage", "var/lib/containers/storage")
#: Annotations of containerd (internal/cri/annotations), of the kubelet (pkg/kubelet/types), which
#: CRI-O copies, and of nerdctl.
_CONTAINER = ("io.kubernetes.cri.container-name", "io.kubernetes.container.name", "nerdctl/name")
_POD = ("io.kubernetes.cri.sandbox-name", "io.kubernetes.pod.name")
_NAMESPACE = ("io.kubernetes.cri.sandbox-namespace", "io.kubernetes.pod.namespace")
_SANDBOX = ("io.kubernetes.cri.container-type", "io.kubernetes.cri-o.ContainerType")


class RuntimeName(NamedTuple):
    """A container's name, the pod that it is in (NAMESPACE/NAME), and where the name is from:
    `runtime`, or `hostname` where only that is known; "" for what is not known."""

    name: str = ""
    pod: str = ""
    source: str = ""


NO_NAME = RuntimeName()


def read_runtime_name(number: str, root: Path = Path("/")) -> RuntimeName:
    """What there is about the container with this id, of 64 hexadecimal digits."""
    hostname = NO_NAME
    for found in _read_all(number, root):
        if found.source != "hostname":
            return found
        hostname = hostname if hostname.name else found
    return hostname


def _read_all(number: str, root: Path) -> Iterator[RuntimeName]:
    yield from _read_docker(root / "var/lib/docker/containers" / number / "config.v2.json")
    for state in _STATES:
        for space in ("k8s.io", "default", "moby"):
            task = root / state / "io.containerd.runtime.v2.task" / space / number
            yield from _read_bundle(task / "config.json", number)
    for store in _STORES:
        folder = root / store / "overlay-containers"
        yield from _read_stored(folder / "containers.json", number)
        yield from _read_stored(folder / "volatile-containers.json", number)
        yield from _read_bundle(folder / number / "userdata/config.json", number)


def _read_docker(path: Path) -> Iterator[RuntimeName]:
    """moby, daemon/container: the name has a slash before it; cri-dockerd's pods are labels."""
    kept = _as_mapping(_read_json(path))
    labels = _as_mapping(_as_mapping(kept.get("Config")).get("Labels"))
    name = _find_name(labels, _CONTAINER) or _as_name(kept.get("Name"), "/")
    if name:
        yield RuntimeName(name, _find_pod(labels), "runtime")


def _read_bundle(path: Path, number: str) -> Iterator[RuntimeName]:
    """The runtime's configuration (opencontainers/runtime-spec, config.md)."""
    kept = _as_mapping(_read_json(path))
    notes = _as_mapping(kept.get("annotations"))
    name, pod = _find_name(notes, _CONTAINER), _find_pod(notes)
    if not name and pod and any(notes.get(key) == "sandbox" for key in _SANDBOX):
        name = "POD"  # as the kubelet calls the container that holds a pod's namespaces
    hostname = _as_name(kept.get("hostname"))
    if name or pod:
        yield RuntimeName(name, pod, "runtime")
    elif hostname and not number.startswith(hostname):
        yield RuntimeName(hostname, "", "hostname")


def _read_stored(path: Path, number: str) -> Iterator[RuntimeName]:
    """containers/storage, containers.go: all containers of podman and CRI-O, with their names. The
    names of CRI-O's have the pod's in them, and their bundles say it better."""
    kept = _read_json(path)
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


def _read_json(path: Path) -> object:
    """None for what is not there, is no regular file, is too large or is no JSON."""
    try:
        opened = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError):
        return None
    with os.fdopen(opened, "rb") as file:
        try:
            status = os.fstat(opened)
            if not stat.S_ISREG(status.st_mode) or status.st_size > _MOST_BYTES:
                return None
            return json.loads(file.read(_MOST_BYTES))
        except (OSError, ValueError, RecursionError):
            return None
