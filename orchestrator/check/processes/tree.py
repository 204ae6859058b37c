"""Descendants of a process, from /proc (proc(5)). Small: the launcher's process imports it."""

import os

__all__ = ["find_descendants", "name_of"]


def find_descendants(root: int) -> dict[int, str]:
    """The living descendants of a process and their states (S: asleep), parents first. In
    /proc/PID/stat, state and parent follow the last bracket."""
    children: dict[int, list[int]] = {}
    states = {}
    for name in os.listdir("/proc"):  # noqa: PTH208  # names are all we need
        if not name.isdigit():
            continue
        try:
            with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123  # without pathlib
                words = file.read().rpartition(b")")[2].split()
        except OSError:  # it has ended
            continue
        children.setdefault(int(words[1]), []).append(int(name))
        states[int(name)] = words[0].decode()
    found = [root]
    for pid in found:
        found += children.get(pid, [])
    return {pid: states[pid] for pid in found[1:] if states[pid] not in "ZX"}


def name_of(pid: int) -> str:
    """The name of a process, "?" of one that has ended."""
    try:
        with open(f"/proc/{pid}/comm", errors="replace") as file:  # noqa: PTH123  # without pathlib
            return file.read().strip()
    except OSError:
        return "?"
