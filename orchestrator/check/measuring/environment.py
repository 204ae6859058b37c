"""Where a check is measured: what figures may depend on."""

import os
from pathlib import Path

from orchestrator.check.measurement import Environment
from orchestrator.run.choice import Prepared

__all__ = ["describe_environment", "find_commit"]


def describe_environment(prepared: Prepared, here: Path) -> Environment:
    """This host, as it matters for figures. `here`: the check's folder."""
    from orchestrator.version import installed_version

    return Environment(
        kernel=os.uname().release,
        arch=os.uname().machine,
        cpu=_read_cpu_model(),
        cpus=len(os.sched_getaffinity(0)),
        libc=_read_libc(),
        probeplan=installed_version() or "0",
        backend=prepared.choice.artifact.backend,
        commit=find_commit(here),
    )


def _read_cpu_model() -> str:
    """The name in /proc/cpuinfo; "" where there is none, as on arm64."""
    for line in Path("/proc/cpuinfo").read_text(errors="replace").splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return ""


def _read_libc() -> str:
    """As `glibc 2.36`; "" of other libraries, which do not say."""
    try:
        return os.confstr("CS_GNU_LIBC_VERSION") or ""
    except (OSError, ValueError):
        return ""


def find_commit(folder: Path) -> str:
    """The commit that is checked out where `folder` is, read without git, which refuses another
    user's repository; "" outside of one. Source: gitrepository-layout(5)."""
    for place in (folder, *folder.parents):
        if (place / ".git").exists():
            try:
                return _read_head(_find_git_folder(place / ".git"))
            except (OSError, ValueError):
                return ""
    return ""


def _find_git_folder(path: Path) -> Path:
    """In a worktree, `.git` is a file that names the folder."""
    if path.is_dir():
        return path
    return path.parent / path.read_text().removeprefix("gitdir:").strip()


def _read_head(git: Path) -> str:
    head = (git / "HEAD").read_text().strip()
    if not head.startswith("ref: "):
        return head
    name = head.removeprefix("ref: ")
    common = git / "commondir"
    shared = git / common.read_text().strip() if common.exists() else git
    if (shared / name).exists():
        return (shared / name).read_text().strip()
    for line in (shared / "packed-refs").read_text().splitlines():
        commit, _, ref = line.partition(" ")
        if ref == name:
            return commit
    return ""
