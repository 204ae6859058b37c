"""The paths of cgroups by their numbers, kept after the cgroups are gone.

A number is the inode of the cgroup's directory (fs/kernfs/dir.c, kernfs_id). It is not used again
while the host runs, since the inode's generation is part of it.
"""

import os
import time
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from orchestrator.kernel.abi.cgroups import cgroup2_mount

__all__ = ["CgroupNames", "shared_cgroup_names"]

_EVERY_S = 0.5
#: Looks for one that is new take at most this share of the time, and this at once.
_SHARE, _AT_ONCE_S = 0.05, 0.05
_MOST = 50_000  # directories that one look visits, and names that are kept


class CgroupNames:
    """What was seen so far, below `mount` (None: there is no cgroup v2)."""

    def __init__(self, mount: Path | None) -> None:
        self._mount = mount
        self._names: dict[int, str] = {}
        self._looked = -_EVERY_S
        self._left_s, self._earned_at = _AT_ONCE_S, time.monotonic()
        self._unseen: set[int] = set()

    def find_name(self, number: int) -> str | None:
        """The path below the mount; None for a cgroup that was never seen. One that is new is
        looked for at once, while such looks take no more than a twentieth of the time."""
        if number not in self._names:
            began = time.monotonic()
            earned, self._earned_at = (began - self._earned_at) * _SHARE, began
            self._left_s = min(_AT_ONCE_S, self._left_s + earned)
            if self._left_s > 0:
                self._look_at_all()
                self._left_s -= self._looked - began
        name = self._names.get(number)
        if name is None and len(self._unseen) < _MOST:
            self._unseen.add(number)
        return name

    @property
    def unseen(self) -> frozenset[int]:
        """The cgroups that were asked for and had ended before they were looked at."""
        return frozenset(self._unseen - self._names.keys())

    def paths(self) -> Iterable[str]:
        """The paths that were seen, in the order in which they were."""
        return self._names.values()

    def look(self) -> None:
        """See what there is now, at most twice a second. It takes about 10 us for each cgroup."""
        if time.monotonic() - self._looked >= _EVERY_S:
            self._look_at_all()

    def _look_at_all(self) -> None:
        waiting = [] if self._mount is None else [(str(self._mount), "")]
        for path, name in waiting:
            if len(waiting) > _MOST or len(self._names) > _MOST:
                break
            waiting += self._look_at(path, name)
        self._looked = time.monotonic()

    def _look_at(self, path: str, name: str) -> list[tuple[str, str]]:
        try:
            self._names.setdefault(os.stat(path).st_ino, name or "/")  # noqa: PTH116  # many
            with os.scandir(path) as entries:
                inner = [entry.name for entry in entries if entry.is_dir(follow_symlinks=False)]
        except OSError:  # it is gone
            return []
        return [(f"{path}/{one}", f"{name}/{one}") for one in inner]


@cache
def shared_cgroup_names() -> CgroupNames:
    """Those of this host, for all that shows numbers of cgroups."""
    return CgroupNames(cgroup2_mount())
