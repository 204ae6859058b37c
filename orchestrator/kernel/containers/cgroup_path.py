"""The container that a cgroup's path names, as runtimes name cgroups.

Sources: runc, libcontainer/cgroups (PREFIX-ID.scope by systemd; SLICE:PREFIX:ID where a path for
systemd was given to the driver for cgroupfs); the kubelet, pkg/kubelet/cm/cgroup_manager_linux.go
(kubepods, podUID, with `_` for `-` under systemd); podman (libpod-ID.scope in machine.slice or
user.slice, /libpod_parent/libpod-ID); lxc, src/lxc/cgroups/cgroup.h (lxc.payload.NAME, earlier
lxc/NAME); systemd-nspawn (machine-NAME.scope, systemd-nspawn@NAME.service).
"""

import os
import re
from collections.abc import Sequence
from typing import NamedTuple

__all__ = ["ContainerPath", "parse_container_path"]

_RUNTIME, _ID = "(?P<runtime>docker|cri-containerd|crio|libpod|nerdctl)", "(?P<id>[0-9a-f]{64})"
_NAMED = re.compile(rf"{_RUNTIME}-{_ID}(\.scope)?")
_WITH_COLONS = re.compile(rf"[^:]*:{_RUNTIME}:{_ID}")
_BARE = re.compile(_ID)
_POD = re.compile(
    r"(.*-)?pod(?P<uid>[0-9a-f]{8}(?:[-_][0-9a-f]{4}){3}[-_][0-9a-f]{12}|[0-9a-f]{32})(\.slice.*)?"
)
_LXC = re.compile(r"lxc\.payload\.(?P<name>.+)")
_MACHINE = re.compile(r"machine-(?P<name>.+)\.scope")
_NSPAWN = re.compile(r"systemd-nspawn@(?P<name>.+)\.service")
_USER = re.compile(r"user-(?P<uid>\d{1,10})\.slice")
_ESCAPED = re.compile(rb"\\x([0-9a-f]{2})")
_SHOWN_AS = {"cri-containerd": "containerd", "crio": "cri-o", "libpod": "podman"}


class ContainerPath(NamedTuple):
    """What a path says of its container: `id` has 64 hexadecimal digits, or is the name that the
    runtime gives (`named`). `delegated`: others than root may have chosen the path; `user`: the
    user below whose slice it is (None: below none). `pod`: the uid of a pod of Kubernetes."""

    runtime: str
    id: str
    named: bool = False
    pod: str = ""
    delegated: bool = False
    user: int | None = None


def parse_container_path(path: str) -> ContainerPath | None:
    """The container whose cgroup is at `path`, below the mount of a hierarchy (v1 or v2), or above
    it; of nested ones the outermost. None: it is of no container."""
    parts = [part for part in path.split("/") if part]
    for index, part in enumerate(parts):
        found = _find_by_id(part, parts[:index]) or _find_by_name(part, parts[:index])
        if found is not None:
            return found
    return None


def _find_by_id(part: str, above: Sequence[str]) -> ContainerPath | None:
    pod = _find_pod([*above, part])
    match = _NAMED.fullmatch(part) or _WITH_COLONS.fullmatch(part)
    if match is not None:
        runtime = _SHOWN_AS.get(match["runtime"], match["runtime"])
    elif (match := _BARE.fullmatch(part)) is not None:
        runtime = "docker" if above[-1:] == ["docker"] else "kubernetes" if pod else "container"
    else:
        return None
    return _place(ContainerPath(runtime, match["id"], pod=pod), above)


def _find_by_name(part: str, above: Sequence[str]) -> ContainerPath | None:
    if (match := _LXC.fullmatch(part)) is not None:
        return _place(ContainerPath("lxc", match["name"], named=True), above)
    if above[-1:] in (["lxc"], ["lxc.payload"]):
        return _place(ContainerPath("lxc", part, named=True), above)
    match = _NSPAWN.fullmatch(part)
    if match is None and above[-1:] == ["machine.slice"]:
        match = _MACHINE.fullmatch(part)
    if match is None:
        return None
    name = _unescape(match["name"])
    if name.startswith("qemu-"):  # a virtual machine of libvirt
        return None
    return _place(ContainerPath("nspawn", name, named=True), above)


def _place(found: ContainerPath, above: Sequence[str]) -> ContainerPath:
    """A service or a scope may be delegated to what runs in it, and so is all of a user's slice:
    only where no such part is above did the system's own managers choose the path."""
    users = [int(match["uid"]) for part in above if (match := _USER.fullmatch(part))]
    delegated = any(part.endswith((".service", ".scope")) for part in above)
    user = users[0] if users else None
    return found._replace(delegated=delegated or user is not None, user=user)


def _find_pod(parts: Sequence[str]) -> str:
    """The uid of the pod, as Kubernetes writes it; "" for none."""
    for part in parts:
        if match := _POD.fullmatch(part):
            return match["uid"].replace("_", "-")
    return ""


def _unescape(name: str) -> str:
    """The name of a unit without systemd's escapes (systemd.unit(5)): `\\x2d` is a hyphen."""
    raw = _ESCAPED.sub(lambda match: bytes([int(match[1], 16)]), os.fsencode(name))
    return os.fsdecode(raw)
