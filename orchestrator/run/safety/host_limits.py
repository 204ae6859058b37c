"""What this host can bear, looked at before anything is attached: memory, and a clock that is the
kernel's."""

import os
from collections.abc import Iterator
from pathlib import Path

from orchestrator.compile.program import Program
from orchestrator.kernel.abi.cgroups import cgroup2_mount
from orchestrator.plan.findings import Finding, HostError, Position

__all__ = ["available_memory", "require_host"]


def require_host(program: Program, root: Path = Path("/")) -> None:
    """Raise HostError where `limits.memory` is more than the host has left, and in a time namespace
    whose clock is not the kernel's."""
    left, where = available_memory(root)
    if left is not None and program.limits.memory > left:
        raise HostError([_too_much_memory(program.limits.memory, left, where)])
    if offset := _clock_offset_s(root):
        raise HostError([_other_clock(offset)])


def available_memory(root: Path = Path("/")) -> tuple[int | None, str]:
    """Bytes that can still be taken, and what bounds them: MemAvailable (proc(5), meminfo), or the
    memory.max of this process's cgroup or one above it. None where nothing is known."""
    found = [*_available_on_host(root), *_left_in_cgroups(root)]
    return min(found) if found else (None, "")


def _available_on_host(root: Path) -> Iterator[tuple[int, str]]:
    for line in _read(root / "proc/meminfo").splitlines():
        if line.startswith("MemAvailable:"):
            yield int(line.split()[1]) << 10, "MemAvailable"


def _left_in_cgroups(root: Path) -> Iterator[tuple[int, str]]:
    mount = cgroup2_mount(root)
    own = next((line[3:] for line in _read(root / "proc/self/cgroup").splitlines()
                if line.startswith("0::/")), None)  # fmt: skip
    if mount is None or own is None or ".." in Path(own).parts:
        return
    group = mount / own.lstrip("/")
    while group.is_relative_to(mount):
        most, taken = _read(group / "memory.max").strip(), _read(group / "memory.current").strip()
        if most.isdigit() and taken.isdigit():
            name = f"/{group.relative_to(mount)}".removesuffix(".")
            yield max(0, int(most) - int(taken)), f"memory.max of the cgroup {name}"
        group = group.parent


def _clock_offset_s(root: Path) -> int:
    """Seconds between CLOCK_MONOTONIC here and in the kernel (time_namespaces(7)), rounded up."""
    for line in _read(root / "proc/self/timens_offsets").splitlines():
        words = line.split()
        if len(words) == 3 and words[0] == "monotonic":
            return int(words[1]) or bool(int(words[2]))
    return 0


def _read(path: Path) -> str:
    try:
        return os.fsdecode(path.read_bytes())
    except OSError:
        return ""


def _too_much_memory(limit: int, left: int, where: str) -> Finding:
    return Finding(
        code="PP091",
        message=f"limits.memory is {limit:,} bytes, and {left:,} are left ({where})",
        position=Position(file="this host"),
        hint=f"set limits.memory to less, at most {left >> 20:,}MiB, or free some memory",
    )


def _other_clock(offset_s: int) -> Finding:
    return Finding(
        code="PP092",
        message=f"this is a time namespace: its clock is {offset_s:+,} s from the kernel's, by "
        "which deadlines and records are timed",
        position=Position(file="this process"),
        hint="run it in the host's time namespace: nsenter --time=/proc/1/ns/time probeplan run …",
    )
