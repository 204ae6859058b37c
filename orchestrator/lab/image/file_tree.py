"""Which files a guest has: files of this host at their own paths, and some that are made here.

Of the host's files only paths, contents, what they link to and whether they are executable count;
owners, times and inode numbers do not.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Self

from orchestrator.lab.errors import LabError
from orchestrator.lab.image.archive import (
    ArchiveEntry,
    make_file,
    make_folder,
    make_link,
    pack_archive,
)
from orchestrator.values import dataclass

__all__ = ["FileTree"]

_MOST_LINKS = 40  # in one path, as the kernel has it (MAXSYMLINKS)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Folder:
    sticky: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _HostFile:
    """`identity`: device and inode, the same for all names of one file."""

    path: Path
    executable: bool
    identity: tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class _MadeFile:
    data: bytes
    executable: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class _SymbolicLink:
    target: str


_PackedNode = _Folder | _HostFile | _MadeFile | _SymbolicLink


class FileTree:
    """Files by their path in the guest. Of two for one path, the later one is there."""

    def __init__(self) -> None:
        self._nodes: dict[str, _PackedNode] = {}

    def copy(self) -> Self:
        """A tree with the same files, to which others can be added."""
        other = type(self)()
        other._nodes = dict(self._nodes)
        return other

    def __contains__(self, path: str) -> bool:
        return path in self._nodes

    def list_paths(self) -> list[str]:
        """All paths, sorted."""
        return sorted(self._nodes, key=os.fsencode)

    # -- files that are made here --------------------------------------------------------------

    def make_folder(self, path: str, *, sticky: bool = False) -> None:
        """A folder, and those that it is in. `sticky`: all may write into it."""
        if path == "/" or isinstance(self._nodes.get(path), _Folder):
            return
        self.make_folder(str(PurePosixPath(path).parent))
        self._put(path, _Folder(sticky=sticky))

    def make_file(self, path: str, data: bytes, *, executable: bool = False) -> None:
        """A file with this content."""
        self.make_folder(str(PurePosixPath(path).parent))
        self._put(path, _MadeFile(data=data, executable=executable))

    def make_link(self, path: str, target: str) -> None:
        """A symbolic link to `target`."""
        self.make_folder(str(PurePosixPath(path).parent))
        self._put(path, _SymbolicLink(target=target))

    # -- files of this host --------------------------------------------------------------------

    def add_host_path(self, path: Path, keeps: Callable[[Path], bool] = lambda _path: True) -> None:
        """A file, or a folder with all that is in it and that `keeps`, at the same path; where a
        link is on the way, the link and what it leads to. Raises LabError for what is not there,
        cannot be read, or is neither a file nor a folder."""
        try:
            real = self._add_way(path.absolute())
            if real.is_dir():
                self._add_content(real, keeps)
        except OSError as error:
            raise LabError(f"{path} cannot be packed: {error.strerror}") from None

    def _add_way(self, path: Path) -> Path:
        """Add a path with the folders and links on the way; returns where it leads to."""
        real, left, links = Path("/"), list(reversed(path.parts[1:])), 0
        while left:
            name = left.pop()
            if name == "..":
                real = real.parent
                continue
            here = real / name
            if not here.is_symlink():
                self._put(str(here), _read_node(here, here.lstat()))
                real = here
                continue
            target = here.readlink()
            self._put(str(here), _SymbolicLink(target=str(target)))
            links += 1
            if links > _MOST_LINKS:
                raise LabError(f"{path} cannot be packed: its symbolic links lead in a circle")
            real = Path("/") if target.is_absolute() else real
            left += reversed([part for part in target.parts if part != "/"])
        return real

    def _add_content(self, folder: Path, keeps: Callable[[Path], bool]) -> None:
        """What is in a folder. Links in it stay as they are, wherever they lead."""
        for path in folder.iterdir():
            if not keeps(path):
                continue
            if path.is_symlink():
                self._put(str(path), _SymbolicLink(target=str(path.readlink())))
                continue
            self._put(str(path), _read_node(path, path.lstat()))
            if path.is_dir():
                self._add_content(path, keeps)

    def _put(self, path: str, node: _PackedNode) -> None:
        before = self._nodes.get(path)
        if before is not None and _name_kind(before) != _name_kind(node):
            kinds = f"{_name_kind(before)} and {_name_kind(node)}"
            raise LabError(f"{path} cannot be packed: it would be {kinds}")
        self._nodes[path] = node

    # -- the archive ---------------------------------------------------------------------------

    def pack(self) -> bytes:
        """The archive of all files, sorted by path. Raises LabError for a file that cannot be read
        any more."""
        try:
            return pack_archive(self._list_entries())
        except (OSError, ValueError) as error:
            raise LabError(f"the image cannot be packed: {error}") from None

    def digest(self) -> str:
        """SHA-256 of the archive, in hexadecimal digits."""
        return hashlib.sha256(self.pack()).hexdigest()

    def _list_entries(self) -> Iterator[ArchiveEntry]:
        paths = self.list_paths()
        names: dict[tuple[int, int], list[str]] = {}
        for path in paths:
            if isinstance(node := self._nodes[path], _HostFile):
                names.setdefault(node.identity, []).append(path)
        numbers = {identity: number for number, identity in enumerate(names, 1)}
        for path in paths:
            node, name = self._nodes[path], path.removeprefix("/")
            match node:
                case _Folder():
                    yield make_folder(name, sticky=node.sticky)
                case _SymbolicLink():
                    yield make_link(name, node.target)
                case _MadeFile():
                    yield make_file(name, node.data, executable=node.executable)
                case _HostFile():
                    same = names[node.identity]
                    is_last = path == same[-1]  # the content comes with the last, as from cpio(1)
                    data = node.path.read_bytes() if is_last else b""
                    entry = make_file(name, data, executable=node.executable)
                    yield replace(entry, inode=numbers[node.identity], names=len(same))


def _read_node(path: Path, status: os.stat_result) -> _PackedNode:
    if stat.S_ISDIR(status.st_mode):
        return _Folder(sticky=bool(status.st_mode & stat.S_ISVTX))
    if stat.S_ISREG(status.st_mode):
        return _HostFile(
            path=path,
            executable=bool(status.st_mode & stat.S_IXUSR),
            identity=(status.st_dev, status.st_ino),
        )
    raise LabError(f"{path} cannot be packed: it is neither a file, a folder nor a link")


def _name_kind(node: _PackedNode) -> str:
    names = {_Folder: "a folder", _SymbolicLink: "a symbolic link"}
    return names.get(type(node), "a file")
