"""Whether a policy's glob means a file that is reached by another path: a hard link, another mount.

Files are the same that have one device and inode. A copy is another file: what runs from the one
does not run from the other. On an overlay file system a file has numbers that are not those of the
file below it, whose code runs all the same: there, files of one size and time of writing are taken
for the same one, which can only deny too much.
"""

import os
import re
from collections.abc import Collection, Iterator
from fnmatch import fnmatchcase
from itertools import islice
from pathlib import Path

from orchestrator.binaries.ld_cache import LIBRARY_FOLDERS
from orchestrator.kernel.abi.file_identity import FileIdentity, is_on_overlay

__all__ = ["FileNames"]

_MOST_PATHS = 10_000  # of one glob


class FileNames:
    """A file by its path, and the names of a place in it."""

    def __init__(self, path: str, places: Collection[str]) -> None:
        self._path, self._places = path, places

    def is_meant(self, text: str) -> bool:
        """Whether the glob `text` (FILE:SYMBOL or FILE:PROVIDER:NAME) means the place in the file,
        by another path of the file."""
        own = _identify(self._path)
        if own is None:
            return False
        words = text.split(":")
        return any(
            any(fnmatchcase(place, ":".join(words[split:])) for place in self._places)
            and any(self._may_be_same(path, own) for path in _paths_of(":".join(words[:split])))
            for split in range(1, len(words))
        )

    def _may_be_same(self, path: str, own: FileIdentity) -> bool:
        other = _identify(path)
        if other is None:
            return False
        if other.is_same_file(own):
            return True
        alike = (other.size, other.modified_ns) == (own.size, own.modified_ns)
        return alike and (is_on_overlay(path) or is_on_overlay(self._path))


def _identify(path: str) -> FileIdentity | None:
    try:
        return FileIdentity.from_stat(Path(path).stat())
    except (OSError, ValueError):
        return None


def _paths_of(pattern: str) -> Iterator[str]:
    """The files that a policy's glob means: a path, a glob of paths, or of the names of libraries
    and programs, in whose folders a leading `*` is looked up too."""
    if "/" in pattern and not any(char in pattern for char in "*?["):
        yield pattern
        return
    if pattern.startswith("/"):
        within_folders = re.sub(r"\*+", "*", pattern[1:])
        yield from map(str, islice(Path("/").glob(within_folders), _MOST_PATHS))
    for folder in _known_folders():
        try:
            entries = os.scandir(folder)
        except OSError:
            continue
        with entries:
            for entry in entries:
                if fnmatchcase(entry.name, pattern) or fnmatchcase(entry.path, pattern):
                    yield entry.path


def _known_folders() -> Iterator[str]:
    """Folders of libraries and programs, each once."""
    folders = [f"/{folder}" for folder in LIBRARY_FOLDERS]
    folders += [path for path in os.environ.get("PATH", "").split(":") if path.startswith("/")]
    seen = set()
    for folder in folders:
        found = _identify(folder)
        if found is not None and (found.device, found.inode) not in seen:
            seen.add((found.device, found.inode))
            yield folder
