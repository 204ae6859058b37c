"""cgroup v2 paths."""

from pathlib import Path

import pytest

from orchestrator.kernel.abi.cgroups import (
    cgroup2_mount,
    cgroup_id,
    find_cgroups,
    matches_pattern,
    split_pattern,
)


def test_the_hierarchy_is_found_among_mounts(tmp_path: Path) -> None:
    """Hosts with both versions mount v2 elsewhere."""
    (tmp_path / "proc/self").mkdir(parents=True)
    mounts = (
        "cgroup /sys/fs/cgroup/cpu cgroup rw 0 0\ncgroup2 /sys/fs/cgroup/unified cgroup2 rw 0 0\n"
    )
    (tmp_path / "proc/self/mounts").write_text(mounts)
    assert cgroup2_mount(tmp_path) == tmp_path / "sys/fs/cgroup/unified"
    group = tmp_path / "sys/fs/cgroup/unified/system.slice"
    group.mkdir(parents=True)
    assert cgroup_id("/system.slice", tmp_path) == group.stat().st_ino
    assert cgroup_id("/nothing", tmp_path) is None
    assert cgroup_id("/../system.slice", tmp_path) is None


def test_a_pattern_finds_the_cgroups_of_its_level(tmp_path: Path) -> None:
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/mounts").write_text("cgroup2 /sys/fs/cgroup cgroup2 rw 0 0\n")
    top = tmp_path / "sys/fs/cgroup"
    for name in ("a.slice/docker-2/init", "a.slice/docker-1", "a.slice/podman-1", "docker-3"):
        (top / name).mkdir(parents=True)
    (top / "a.slice/docker-file").write_text("")
    (top / "a.slice/docker-link").symlink_to(top / "docker-3")
    numbers = {
        f"/{name}": (top / name).stat().st_ino
        for name in ("a.slice/docker-1", "a.slice/docker-2", "docker-3")
    }
    assert find_cgroups("/a.slice/docker-*", tmp_path) == {
        name: numbers[name] for name in ("/a.slice/docker-1", "/a.slice/docker-2")
    }
    assert find_cgroups("/docker-*", tmp_path) == {"/docker-3": numbers["/docker-3"]}
    for nothing in ("/a.slice/x*", "/b.slice/*", "/a.slice/../docker-*"):
        assert find_cgroups(nothing, tmp_path) == {}


def test_a_host_without_it_has_none(tmp_path: Path) -> None:
    """Nor one whose mounts cannot be read."""
    assert cgroup2_mount(tmp_path) is None
    assert cgroup_id("/", tmp_path) is None


def test_a_mount_with_an_odd_name_hides_no_other(tmp_path: Path) -> None:
    """Names in the kernel's table are bytes, with white space and backslashes in octal."""
    odd = "a b\\c"
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / odd / "web").mkdir(parents=True)
    lines = [b"tmpfs /mnt/\xff tmpfs rw 0 0", b"broken", rb"cgroup2 /a\040b\134c cgroup2 rw 0 0"]
    (tmp_path / "proc/self/mounts").write_bytes(b"\n".join(lines) + b"\n")
    assert cgroup2_mount(tmp_path) == tmp_path / odd
    assert cgroup_id("web", tmp_path) == (tmp_path / odd / "web").stat().st_ino


@pytest.mark.parametrize(
    ("pattern", "level", "begin"),
    [("/a*", 1, "/a"), ("/*", 1, "/"), ("/a.slice/*", 2, "/a.slice/"), ("//a//b-*", 2, "/a/b-")],
)
def test_a_pattern_is_a_level_and_a_beginning(pattern: str, level: int, begin: str) -> None:
    assert split_pattern(pattern) == (level, begin)
    match = f"{begin}1"
    assert matches_pattern(match, pattern)
    assert not matches_pattern(f"{match}/inner", pattern)
    assert not matches_pattern("/z" * level, pattern) or begin == "/"
