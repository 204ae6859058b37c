"""cgroup v2 paths and the ids that bpf_get_current_cgroup_id() returns for them."""

from pathlib import Path


def cgroup2_mount(root: Path = Path("/")) -> Path | None:
    """Where the cgroup v2 hierarchy is mounted, under `root`; None where it is not."""
    try:
        mounts = (root / "proc/self/mounts").read_text()
    except OSError:
        return None
    for line in mounts.splitlines():
        _device, where, kind, *_ = line.split(" ")
        if kind == "cgroup2":
            return root / where.lstrip("/")
    return None


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
