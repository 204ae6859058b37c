"""cgroup v2 paths and the ids that bpf_get_current_cgroup_id() returns for them."""

import os
import re
from pathlib import Path


def cgroup2_mount(root: Path = Path("/")) -> Path | None:
    """Where the cgroup v2 hierarchy is mounted, under `root`; None where it is not."""
    try:
        mounts = (root / "proc/self/mounts").read_bytes()
    except OSError:
        return None
    for line in mounts.split(b"\n"):
        words = line.split(b" ")
        if len(words) > 2 and words[2] == b"cgroup2":
            return root / os.fsdecode(_unescape(words[1])).lstrip("/")
    return None


def _unescape(name: bytes) -> bytes:
    """White space, `\\` and `#` are written as octal numbers (fs/proc_namespace.c, mangle)."""
    return re.sub(rb"\\([0-7]{3})", lambda match: bytes([int(match[1], 8) & 0xFF]), name)


def split_pattern(pattern: str) -> tuple[int, str]:
    """The level of the cgroups that match `pattern`, which ends with `*` (1: below the root), and
    how their paths begin, as the kernel writes them."""
    *parents, name = pattern.removesuffix("*").split("/")
    above = [part for part in parents if part]
    return len(above) + 1, "/" + "/".join([*above, name])


def matches_pattern(path: str, pattern: str) -> bool:
    """Whether the cgroup at `path` is one of those that `find_cgroups` looks for."""
    level, begin = split_pattern(pattern)
    parts = [part for part in path.split("/") if part]
    return len(parts) == level and ("/" + "/".join(parts)).startswith(begin)


def find_cgroups(pattern: str, root: Path = Path("/")) -> dict[str, int]:
    """The cgroups that there are whose path begins as `pattern`, which ends with `*`, by their
    paths below the mount, in order: those of its level, not the ones below them."""
    mount = cgroup2_mount(root)
    parent, _, name = pattern.removesuffix("*").rpartition("/")
    if mount is None or ".." in Path(pattern).parts:
        return {}
    found = {}
    try:
        with os.scandir(mount / parent.lstrip("/")) as entries:
            for entry in entries:
                if entry.name.startswith(name) and entry.is_dir(follow_symlinks=False):
                    found[f"{parent}/{entry.name}"] = entry.inode()
    except OSError:  # there is no such parent
        return {}
    return dict(sorted(found.items()))


def cgroup_id(path: str, root: Path = Path("/")) -> int | None:
    """The id of a cgroup named by its path below the cgroup v2 mount; None where there is none.

    The id is the inode number of its directory (kernfs: fs/kernfs/dir.c, kernfs_id()).
    """
    mount = cgroup2_mount(root)
    if mount is None or ".." in Path(path).parts:
        return None
    try:
        return (mount / path.lstrip("/")).stat().st_ino
    except OSError:
        return None
