"""Whether the names that a plan was resolved by still stand for the same things.

A probe is in a file and a target is a cgroup, not in their names: when an upgrade replaces the file
or a restart makes the cgroup again, the run sees nothing of what bears the name from then on.
"""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from orchestrator.compile.program import Program
from orchestrator.kernel.abi.cgroups import cgroup_id
from orchestrator.kernel.abi.file_identity import FileIdentity

__all__ = ["WatchedNames"]


class WatchedNames:
    """The files and cgroups of a program. `detach` takes the index of a probe off, whose file was
    written: its breakpoints may be inside instructions now."""

    def __init__(self, program: Program, detach: Callable[[int], None]) -> None:
        self._program, self._detach = program, detach
        self._files: dict[str, FileIdentity] = {
            hook.path: hook.identity for hook in program.hooks if hook.identity is not None
        }
        self._cgroups = {path: number for path, number in program.target.cgroup if number}
        self._changes: list[str] = []

    @property
    def changes(self) -> tuple[str, ...]:
        """What has changed so far, and what was not seen because of it."""
        return tuple(self._changes)

    def look(self) -> None:
        """Look at all names once more; a change is noted once. It takes some microseconds."""
        for path, identity in list(self._files.items()):
            if change := self._find_change(path, identity):
                del self._files[path]
                self._changes.append(change)
        for path in list(_find_remade(self._cgroups)):
            del self._cgroups[path]
            self._changes.append(
                f"the cgroup {path} was removed and made again: events in the new one were not seen"
            )

    def _find_change(self, path: str, expected: FileIdentity) -> str:
        """What happened to a file; "" where it is as it was, or gone: then no other one is run in
        its place, yet."""
        try:
            now = FileIdentity.from_stat(Path(path).stat())
        except (FileNotFoundError, NotADirectoryError):
            return ""
        except OSError as error:
            return f"whether {path} was replaced is not known: {error.strerror}"
        if not now.is_same_file(expected):
            return f"{path} was replaced by another file: events in the new one were not seen"
        return "" if now.has_same_content(expected) else self._detach_probes_in(path)

    def _detach_probes_in(self, path: str) -> str:
        probes = sorted({hook.probe for hook in self._program.hooks if hook.path == path})
        for probe in probes:
            self._detach(probe)
        names = " and ".join(self._program.probes[probe].name for probe in probes)
        return f"{path} was written: {names} ended there, since its places in the file may be wrong"


def _find_remade(cgroups: Mapping[str, int]) -> Iterator[str]:
    """The cgroups whose path is that of another one now."""
    for path, number in cgroups.items():
        if cgroup_id(path) not in (number, None):
            yield path
