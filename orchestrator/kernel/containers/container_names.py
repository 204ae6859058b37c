"""The containers of cgroups by their numbers, looked up once each, and kept when they are gone."""

import re
from collections import Counter
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Literal, NamedTuple

from orchestrator.kernel.abi.cgroup_names import CgroupNames, shared_cgroup_names
from orchestrator.kernel.containers.cgroup_path import ContainerPath, parse_container_path
from orchestrator.kernel.containers.runtime_files import (
    NO_NAME,
    RuntimeName,
    read_runtime_name,
)

__all__ = ["Container", "ContainerNames", "shared_container_names"]

#: Ids of a user's containers that nothing is found for, after which no more are looked for: a user
#: may make any number of cgroups, and have large files read for each.
_MOST_ABSENT = 256
_SHORT_ID = 12  # as docker, podman and crictl show ids
#: A line of /proc/PID/cgroup about a hierarchy of v1 with controllers (cgroups(7)).
_V1_CONTROLLERS = re.compile(r"^\d+:(?!name=)[^:]+:", re.MULTILINE)


class Container(NamedTuple):
    """A container: what its path says, and what its runtime keeps about it."""

    path: ContainerPath
    kept: RuntimeName

    @property
    def name(self) -> str:
        """Its name; "" where it is not known."""
        return self.path.id if self.path.named else self.kept.name

    @property
    def text(self) -> str:
        """One that no other container has: POD/NAME (ID), RUNTIME ID, or RUNTIME NAME."""
        path, user = self.path, "" if self.path.user is None else f" of user {self.path.user}"
        short = path.id if path.named else path.id[:_SHORT_ID]
        name = "/".join(filter(None, (self.kept.pod, self.kept.name)))
        if not name:
            return f"{path.runtime} {short}{user}"
        return f"{name} ({short}){user}"

    @property
    def facts(self) -> dict[str, str | None]:
        """What records say of it; None for what is not known."""
        path, kept = self.path, self.kept
        return {
            "id": path.id,
            "name": self.name or None,
            "pod": kept.pod or path.pod or None,
            "runtime": path.runtime,
            "name_from": "cgroup" if path.named else kept.source or None,
        }


class ContainerNames:
    """The containers of the cgroups that were seen so far. `root`: where runtimes keep files."""

    def __init__(self, cgroups: CgroupNames, root: Path = Path("/")) -> None:
        self._cgroups, self._root = cgroups, root
        self._sees_all = not _uses_v1(root)
        self._kept: dict[ContainerPath, Container] = {}
        self._looked = 0
        self._unknown: set[int] = set()
        self._absent: Counter[int] = Counter()  # by user

    @property
    def unknown(self) -> int:
        """Of how many cgroups that were asked for neither path nor container is known: they had
        ended before they were looked at, or v1 has what they say."""
        return len(self._unknown | self._cgroups.unseen)

    def find_container(self, number: int) -> Container | Literal["unknown"] | None:
        """The container of this cgroup; None for a cgroup of none, and `unknown` for one that was
        never seen. Where v1 has the controllers, runtimes need not name their containers in v2, and
        a cgroup of none is unknown, too."""
        path = self._cgroups.find_name(number)
        named = None if path is None else parse_container_path(path)
        if named is not None:
            return self._describe(named)
        if path is not None and self._sees_all:
            return None
        if path is not None:
            self._unknown.add(number)
        return "unknown"

    def look(self) -> None:
        """See what there is now: runtimes remove what they keep when a container ends."""
        self._cgroups.look()
        for path in islice(self._cgroups.paths(), self._looked, None):
            self._looked += 1
            if (named := parse_container_path(path)) is not None:
                self._describe(named)

    def _describe(self, path: ContainerPath) -> Container:
        if path not in self._kept:
            self._kept[path] = Container(path, NO_NAME if path.named else self._read_name(path))
        return self._kept[path]

    def _read_name(self, path: ContainerPath) -> RuntimeName:
        """What is delegated may have any id in its path: below a user's slice, only what that user
        keeps is read, and no more once much was asked for that is not there."""
        if path.user is None:
            return NO_NAME if path.delegated else read_runtime_name(path.id, self._root)
        if self._absent[path.user] >= _MOST_ABSENT:
            return NO_NAME
        kept = read_runtime_name(path.id, self._root, path.user)
        self._absent[path.user] += not kept.name
        return kept


def _uses_v1(root: Path) -> bool:
    try:
        return _V1_CONTROLLERS.search((root / "proc/self/cgroup").read_text()) is not None
    except (OSError, UnicodeDecodeError):
        return False


@cache
def shared_container_names() -> ContainerNames:
    """Those of this host, for all that shows containers."""
    return ContainerNames(shared_cgroup_names())
