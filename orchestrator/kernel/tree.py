"""Where facts are read from: the files of a live system, or those in a recording.

Both have the same three methods, by path relative to the root, and fail with the OSError that the
kernel gave, so that all readers of facts have one code path.
"""

import contextlib
import errno
import hashlib
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Protocol

TRACING_PATHS = ("sys/kernel/tracing", "sys/kernel/debug/tracing")
"""Where tracefs is mounted: by itself (4.1+), or under debugfs. Source: trace/ftrace.rst."""


NO_SYSFS = "sysfs is not mounted: mount -t sysfs sysfs /sys"
"""What is missing where `lacks_sysfs`, and how to get it."""


class Tree(Protocol):
    """Read-only files under a root; paths have no leading slash."""

    def read(self, path: str) -> bytes:
        """The whole file. Raises OSError as the kernel gave it."""

    def names(self, path: str) -> tuple[str, ...]:
        """Names in a directory, sorted; () where there is no such directory or it cannot be
        read."""

    def exists(self, path: str) -> bool:
        """Whether the path exists; False also where its directory may not be searched."""


#: The digest of a file or an errno, the names in a directory, or whether there is something.
LookResult = str | int | bool | tuple[str, ...]
#: How (`read`, `names` or `exists`), the path, and what was seen.
FileLook = tuple[str, str, LookResult]

LARGE = 1 << 16


class LiveTree:
    """The files of a running system."""

    __slots__ = ("root",)

    def __init__(self, root: Path) -> None:
        self.root = root

    def read(self, path: str) -> bytes:
        # One read(2) with a large buffer: the cost of kallsyms is its formatting, not the calls.
        with (self.root / path).open("rb", buffering=0) as file:
            return file.readall() or b""

    def names(self, path: str) -> tuple[str, ...]:
        try:
            return tuple(sorted(os.listdir(self.root / path)))  # noqa: PTH208  ten times faster
        except OSError:
            return ()

    def exists(self, path: str) -> bool:
        return os.path.exists(self.root / path)  # noqa: PTH110  Path.exists raises on EACCES


class WatchedTree(LiveTree):
    """The files of a running system. Of files larger than LARGE the names are kept, and what was in
    them is not."""

    __slots__ = ("_seen", "large")

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self._seen: dict[tuple[str, str], LookResult] = {}
        self.large: set[str] = set()

    @property
    def looks(self) -> tuple[FileLook, ...]:
        """Everything that was looked at, but for large files."""
        return tuple((how, path, seen) for (how, path), seen in self._seen.items())

    def recall(self, how: str, path: str) -> LookResult | None:
        """What was seen there last; None of a large file, and where no one has looked."""
        return self._seen.get((how, path))

    def read(self, path: str) -> bytes:
        try:
            content = super().read(path)
        except OSError as error:
            self._seen["read", path] = error.errno or errno.EIO
            raise
        if len(content) > LARGE:
            self.large.add(path)
        else:
            self._seen["read", path] = hashlib.sha256(content).hexdigest()
        return content

    def names(self, path: str) -> tuple[str, ...]:
        names = super().names(path)
        self._seen["names", path] = names
        return names

    def exists(self, path: str) -> bool:
        found = super().exists(path)
        self._seen["exists", path] = found
        return found


def is_unchanged(root: Path, looks: Iterable[FileLook]) -> bool:
    """Whether all of it looks as it did."""
    now = WatchedTree(root)
    for how, path, seen in looks:
        with contextlib.suppress(OSError):  # which is remembered like an answer
            getattr(now, how)(path)
        if now.recall(how, path) != seen:
            return False
    return True


class RecordedTree:
    """Files kept in memory: contents, or the errno that reading them gave."""

    __slots__ = ("_children", "files")

    def __init__(self, files: Mapping[str, bytes | int]) -> None:
        self.files = files
        self._children: dict[str, set[str]] | None = None

    def read(self, path: str) -> bytes:
        kept = self.files.get(path, 2)  # ENOENT
        if isinstance(kept, int):
            raise OSError(kept, os.strerror(kept), path)
        return kept

    def names(self, path: str) -> tuple[str, ...]:
        return tuple(sorted(self._directories().get(path, ())))

    def exists(self, path: str) -> bool:
        return path in self.files or path in self._directories()

    def _directories(self) -> dict[str, set[str]]:
        if self._children is None:
            self._children = {}
            for path in self.files:
                self._add(self._children, path)
        return self._children

    @staticmethod
    def _add(children: dict[str, set[str]], path: str) -> None:
        while path:
            parent, _, name = path.rpartition("/")
            inside = children.setdefault(parent, set())
            if name in inside:
                return
            inside.add(name)
            path = parent


def tracing_path(tree: Tree) -> str | None:
    """Where tracefs can be read in this tree, or None where it is not mounted."""
    return next((path for path in TRACING_PATHS if tree.names(f"{path}/events")), None)


def read_text(tree: Tree, path: str) -> str | None:
    """A small file's text without surrounding white space, or None where it cannot be read."""
    try:
        return tree.read(path).decode("utf-8", "replace").strip()
    except OSError:
        return None


def lacks_sysfs(tree: Tree) -> bool:
    """Whether all files below /sys are missing only because sysfs is not mounted there."""
    if tree.exists("sys/kernel"):
        return False
    kinds = (read_text(tree, "proc/filesystems") or "").splitlines()
    return any(line.split()[-1:] == ["sysfs"] for line in kinds)


_CPUS = re.compile(r"(\d{1,6})(?:-(\d{1,6}))?", re.ASCII)
_MAX_CPU = 1 << 16  # far above NR_CPUS of any kernel (8192 on x86-64)


def cpu_list(text: str) -> tuple[int, ...]:
    """The kernel's CPU list format: "0-3,8" → (0, 1, 2, 3, 8). Parts that are no such range, as a
    damaged recording may have, are left out."""
    cpus: list[int] = []
    for match in map(_CPUS.fullmatch, text.strip().split(",")):
        if match is not None:
            first, last = int(match[1]), int(match[2] or match[1])
            cpus.extend(range(first, min(last, _MAX_CPU) + 1))
    return tuple(cpus)
