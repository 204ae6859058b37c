"""Detects features by a file: its presence, or a line in it.

The mini-HOWTO `tracing/README` names exactly the syntax that the kernel was built with
(kernel/trace/trace.c, readme_msg), which is why it is read instead of the release.
"""

import errno
import os
import re
from collections.abc import Callable

from orchestrator.kernel.feature import Feature, no, unknown, yes
from orchestrator.kernel.tree import (
    NO_SYSFS,
    TRACING_PATHS,
    Tree,
    lacks_sysfs,
    read_text,
    tracing_path,
)

Test = Callable[[Tree], Feature]

_NO_TRACEFS = "tracefs is not mounted: mount -t tracefs tracefs /sys/kernel/tracing"
_PMU = "sys/bus/event_source/devices"
_BTF = "sys/kernel/btf/vmlinux"


def detect_tracefs(tree: Tree) -> Feature:
    """Whether tracefs is mounted where it can be read."""
    path_of_mount = tracing_path(tree)
    if path_of_mount is not None:
        return yes(f"mounted at /{path_of_mount}")
    if any(_read_error(tree, f"{path}/README") == errno.EACCES for path in TRACING_PATHS):
        return unknown("tracefs is closed to this user: run as root, or remount it with gid=")
    if lacks_sysfs(tree):
        return no(NO_SYSFS)
    if "tracefs" in (read_text(tree, "proc/filesystems") or ""):
        return no(_NO_TRACEFS)
    return no("/proc/filesystems has no tracefs: the kernel needs CONFIG_TRACING")


def tracing_file_feature(name: str, cure: str) -> Test:
    """A feature that exists when a file of tracefs does."""

    def test(tree: Tree) -> Feature:
        tracing = tracing_path(tree)
        if tracing is None:
            return unknown(detect_tracefs(tree).detail)
        path = f"{tracing}/{name}"
        return yes(f"/{path} is there") if tree.exists(path) else no(f"no /{path}: {cure}")

    return test


def readme_feature(pattern: str, what: str, cure: str, *, needs: str = "README") -> Test:
    """A feature that exists when tracing/README names its syntax and the file `needs` exists."""

    def test(tree: Tree) -> Feature:
        tracing = tracing_path(tree)
        text = read_text(tree, f"{tracing}/README") if tracing else None
        if text is None:
            return unknown(
                detect_tracefs(tree).detail if tracing is None else "tracing/README is closed"
            )
        if not tree.exists(f"{tracing}/{needs}"):
            return no(f"no /{tracing}/{needs}: {cure}")
        if re.search(pattern, text, re.MULTILINE):
            return yes(f"tracing/README names {what}")
        return no(f"tracing/README does not name {what}: {cure}")

    return test


def file_feature(path: str, cure: str) -> Test:
    """A feature that exists when a file outside of tracefs does."""

    def test(tree: Tree) -> Feature:
        if not tree.exists(path) and path.startswith("sys/") and lacks_sysfs(tree):
            return unknown(NO_SYSFS)
        return yes(f"/{path} is there") if tree.exists(path) else no(f"no /{path}: {cure}")

    return test


def detect_btf(tree: Tree) -> Feature:
    """Whether the kernel's types can be read."""
    code = _read_error(tree, _BTF)
    if code is None:
        return yes(f"/{_BTF} is there")
    if code != errno.ENOENT:
        return unknown(f"/{_BTF} cannot be read: {os.strerror(code)}")
    if lacks_sysfs(tree):
        return unknown(NO_SYSFS)
    return no(f"no /{_BTF}: the kernel needs CONFIG_DEBUG_INFO_BTF=y")


def detect_kprobes(tree: Tree) -> Feature:
    """Whether the kernel has kprobes at all, by whatever interface."""
    tracing = tracing_path(tree)
    for path in (f"{tracing}/kprobe_events", f"{_PMU}/kprobe/type", "sys/kernel/debug/kprobes"):
        if tree.exists(path):
            return yes(f"/{path} is there")
    try:
        symbols = tree.read("proc/kallsyms")
    except OSError as error:
        return unknown(f"no kprobe file is there, and /proc/kallsyms: {error.strerror}")
    if b" register_kprobe\n" in symbols:
        return yes("the kernel has the function register_kprobe")
    return no("the kernel has no function register_kprobe: it needs CONFIG_KPROBES=y")


def detect_kprobe_optimization(tree: Tree) -> Feature:
    """Whether kprobes are turned into jumps where they can be."""
    value = read_text(tree, "proc/sys/debug/kprobes-optimization")
    if value is None:
        return no("no /proc/sys/debug/kprobes-optimization: the kernel needs CONFIG_OPTPROBES=y")
    if value == "1":
        return yes("/proc/sys/debug/kprobes-optimization is 1")
    return no(
        f"/proc/sys/debug/kprobes-optimization is {value}: sysctl debug.kprobes-optimization=1"
    )


def detect_filter_functions(tree: Tree) -> Feature:
    """Whether the list of functions that ftrace can trace may be read."""
    tracing = tracing_path(tree)
    if tracing is None:
        return unknown(detect_tracefs(tree).detail)
    path = f"{tracing}/available_filter_functions"
    code = _read_error(tree, path)
    if code is None:
        return yes(f"/{path} can be read")
    if code == errno.ENOENT:
        return no(f"no /{path}: the kernel needs CONFIG_FUNCTION_TRACER=y")
    return unknown(f"/{path}: {errno.errorcode.get(code, code)}, closed on this host")


def detect_kprobe_blacklist(tree: Tree) -> Feature:
    """Whether the list of functions that kprobes refuse may be read."""
    code = _read_error(tree, "sys/kernel/debug/kprobes/blacklist")
    if code is None:
        return yes("/sys/kernel/debug/kprobes/blacklist can be read")
    if detect_kprobes(tree).state == "no":
        return no("the kernel has no kprobes")
    if lacks_sysfs(tree):
        return unknown(NO_SYSFS)
    if not tree.names("sys/kernel/debug"):
        return unknown("debugfs is not mounted: mount -t debugfs debugfs /sys/kernel/debug")
    return unknown(f"/sys/kernel/debug/kprobes/blacklist: {errno.errorcode.get(code, code)}")


def detect_lockdown(tree: Tree) -> Feature:
    """Whether kernel lockdown is in force: then "yes", and probing is restricted.

    integrity forbids writes through debugfs; confidentiality forbids kprobes, tracefs and reads
    of kernel memory (security/lockdown).
    """
    path = "sys/kernel/security/lockdown"
    text = read_text(tree, path)
    if text is None and tree.names("sys/kernel/security"):
        return no(f"no /{path}: the kernel is built without lockdown")
    if text is None and "securityfs" not in (read_text(tree, "proc/filesystems") or "securityfs"):
        return no("/proc/filesystems has no securityfs: the kernel is built without lockdown")
    if text is None and lacks_sysfs(tree):
        return unknown(NO_SYSFS)
    if text is None:
        return unknown(
            f"/{path} cannot be read: mount -t securityfs securityfs /sys/kernel/security"
        )
    level = re.search(r"\[(\w+)\]", text)
    if level is None or level[1] == "none":
        return no(f"/{path} reads {text!r}")
    return yes(
        f"/{path} reads {text!r}: it is set at boot (lockdown=, or by secure boot) and "
        "cannot be lowered while the system runs"
    )


def detect_cgroup_v2(tree: Tree) -> Feature:
    """Whether a cgroup v2 hierarchy is mounted."""
    mounts = read_text(tree, "proc/mounts") or read_text(tree, "proc/self/mounts")
    if mounts is None:
        return unknown("/proc/mounts cannot be read")
    places = [line.split()[1] for line in mounts.splitlines() if line.split()[2:3] == ["cgroup2"]]
    if places:
        return yes(f"mounted at {places[0]}")
    return no("no cgroup2 in /proc/mounts: boot with systemd.unified_cgroup_hierarchy=1")


_CAP_SYS_ADMIN = 21  # include/uapi/linux/capability.h


def capability_feature(name: str, bit: int, purpose: str) -> Test:
    """A capability of this process, and its purpose. CAP_SYS_ADMIN includes those that were split
    off it."""

    def test(tree: Tree) -> Feature:
        status = read_text(tree, "proc/self/status") or ""
        line = re.search(r"^CapEff:\s*([0-9a-f]+)$", status, re.MULTILINE)
        if line is None:
            return unknown("/proc/self/status has no CapEff")
        effective = int(line[1], 16)
        if effective >> bit & 1:
            return yes("in CapEff of /proc/self/status")
        if effective >> _CAP_SYS_ADMIN & 1 and bit > _CAP_SYS_ADMIN:
            return yes("covered by CAP_SYS_ADMIN, which is in CapEff of /proc/self/status")
        return no(f"not in CapEff of /proc/self/status; {purpose}: run as root, or grant {name}")

    return test


def _read_error(tree: Tree, path: str) -> int | None:
    """The errno that reading the file gives, or None where it can be read."""
    try:
        tree.read(path)
    except OSError as error:
        return error.errno
    return None
