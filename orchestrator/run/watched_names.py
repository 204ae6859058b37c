"""Whether what a plan names still is what its probes see.

A probe is in a file and a target is a cgroup, not in their names: when an upgrade replaces the file
or a restart makes the cgroup again, the run sees nothing of what bears the name from then on. And a
probe on a system call sees none of those that a 32-bit program makes.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from orchestrator.binaries.programs import find_program
from orchestrator.compile.program import Hook, Program, ResolvedKeys, ResolvedLeftOut
from orchestrator.kernel.abi.cgroups import cgroup_id, find_cgroups, matches_pattern
from orchestrator.kernel.abi.executables import find_executable
from orchestrator.kernel.abi.file_identity import FileIdentity
from orchestrator.kernel.containers.container_names import shared_container_names

__all__ = ["WatchedNames", "WatchedPrograms"]

#: The beginning of a 32-bit program: elf(5), EI_MAG and EI_CLASS.
_ELF32 = b"\x7fELF\x01"


class WatchedNames:
    """The files and cgroups of a program. `detach` takes the index of a probe off, whose file was
    written: its breakpoints may be inside instructions now. `count_lost_cgroups`: as of a session,
    whose programs may follow new cgroups that match a pattern."""

    def __init__(
        self,
        program: Program,
        detach: Callable[[int], None],
        count_lost_cgroups: Callable[[], int | None] = lambda: None,
    ) -> None:
        self._program, self._detach = program, detach
        self._files: dict[str, FileIdentity] = {
            hook.path: hook.identity for hook in program.hooks if hook.identity is not None
        }
        targets: tuple[ResolvedKeys, ...] = (program.target, program.target.left_out)
        patterns = [(keys, pattern) for keys in targets for pattern in keys.patterns]
        self._count_lost_cgroups, self._lost_cgroups = count_lost_cgroups, count_lost_cgroups()
        are_followed = self._lost_cgroups is not None
        self._groups = [] if are_followed else [_MatchingCgroups(*one) for one in patterns]
        cgroups = {path: one for target in targets for path, one in target.cgroup if one}
        followed = [pattern for _, pattern in patterns] if are_followed else []
        self._cgroups = {
            path: number
            for path, number in cgroups.items()
            if not any(matches_pattern(path, pattern) for pattern in followed)
        }
        self._programs = {path: one for target in targets for path, one in target.exe if one}
        self._changes: list[str] = []
        self._shows_cgroups = _shows_cgroups(program)
        if self._shows_cgroups:
            shared_container_names().look()

    @property
    def changes(self) -> tuple[str, ...]:
        """What has changed so far, and what was not seen because of it."""
        groups = [group.text for group in self._groups if group.text]
        return (*self._changes, *groups, *_describe_lost(self._lost_cgroups or 0))

    @property
    def unknown_cgroups(self) -> int | None:
        """Of how many cgroups that were shown the name is not known; None where none are shown."""
        return shared_container_names().unknown if self._shows_cgroups else None

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

        self._lost_cgroups = self._count_lost_cgroups()
        for group in self._groups:
            group.look()
        if self._shows_cgroups:  # of those that are gone at the end, too
            shared_container_names().look()
        for path, known in list(self._programs.items()):
            if find_executable(path) not in (known, None):
                del self._programs[path]
                self._changes.append(
                    f"{path} was replaced by another file: what runs the new one is not the target"
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


def _describe_lost(number: int) -> Iterator[str]:
    if number:
        cgroups = "1 cgroup that matches" if number == 1 else f"{number} cgroups that match"
        yield (
            f"the map of cgroups was full: for {cgroups} a pattern of the target there was no "
            "room, and events there were not tested for it"
        )


class _MatchingCgroups:
    """Counts the cgroups that match a pattern of the target and that its programs do not know,
    since they began after these were made, where a kernel does not show new ones to a program. One
    that ends within half a second may be missed."""

    def __init__(self, keys: ResolvedKeys, pattern: str) -> None:
        self._pattern = pattern
        self._missing = "left out" if isinstance(keys, ResolvedLeftOut) else "seen"
        self._known = {number for _, number in keys.cgroup}
        self._new: set[int] = set()

    @property
    def text(self) -> str:
        """How many there were, and what is missing because of them; "" where there were none."""
        if not self._new:
            return ""
        number = len(self._new)
        who = "1 cgroup that matches" if number == 1 else f"{number} cgroups that match"
        what = f"{who} {self._pattern} began during the run: events in "
        return f"{what}{'it' if number == 1 else 'them'} were not {self._missing}"

    def look(self) -> None:
        """Look once more, which takes some microseconds for each cgroup of the level."""
        self._new |= set(find_cgroups(self._pattern).values()) - self._known


def _shows_cgroups(program: Program) -> bool:
    """Whether records or metrics have names of cgroups or containers, which end while the run goes
    on."""
    fields = [part.presentation for emit in program.emits for part in emit.fields]
    open_ones = [span.resource.shown for span in program.spans if span.resource]
    specs = (*program.metrics, *open_ones)
    keys = [part.presentation for spec in specs for part in spec.key]
    return any(shown is not None and shown.names_cgroups for shown in (*fields, *keys))


def _find_remade(cgroups: Mapping[str, int]) -> Iterator[str]:
    """The cgroups whose path is that of another one now."""
    for path, number in cgroups.items():
        if cgroup_id(path) not in (number, None):
            yield path


class WatchedPrograms:
    """The programs that the processes of the target run, where these are named by number or are the
    command, `argv` (() where there is none) in the process `pid`. Their children are not looked at:
    a host can have any number."""

    def __init__(
        self, program: Program, argv: Sequence[str] = (), pid: int | None = None,
        *, proc: Path = Path("/proc"),
    ) -> None:  # fmt: skip
        hooks = () if any(map(_sees_every_call, program.hooks)) else program.hooks
        blind = {program.probes[hook.probe].name for hook in hooks if _is_of_64_bit_calls(hook)}
        self._blind = sorted(blind)
        named = {*program.target.pid, *program.target.tid, *(() if pid is None else (pid,))}
        self._programs = [proc / str(number) / "exe" for number in sorted(named)]
        self._seen: dict[Path, tuple[int, int]] = {}
        self._noted: dict[str, None] = {}
        if argv and self._blind and (found := find_program(argv[0])):
            self._judge(found)

    @property
    def changes(self) -> tuple[str, ...]:
        """The 32-bit programs so far, and what was not seen because of them."""
        return tuple(self._noted)

    def look(self) -> None:
        """Look at the programs that are new since the last time, which takes microseconds."""
        for program in self._programs if self._blind else ():
            try:
                status = program.stat()
            except OSError:  # it has ended, or is another user's
                continue
            identity = (status.st_dev, status.st_ino)
            if self._seen.get(program) != identity:
                self._seen[program] = identity
                self._judge(program)

    def _judge(self, program: Path) -> None:
        try:
            name = os.path.realpath(program)
            with program.open("rb") as file:
                is_32_bit = file.read(len(_ELF32)) == _ELF32
        except OSError:
            return
        if is_32_bit:
            self._noted[
                f"{name} is a 32-bit program: {' and '.join(self._blind)} did not see its system "
                "calls; tracepoint:raw_syscalls:sys_enter with `compat` does"
            ] = None


def _sees_every_call(hook: Hook) -> bool:
    """Whether the plan looks at calls by number, and so may look at the 32-bit ones apart."""
    raw = hook.tracepoint is not None and hook.tracepoint.category == "raw_syscalls"
    return raw or (hook.kind == "rawtracepoint" and hook.event in ("sys_enter", "sys_exit"))


def _is_of_64_bit_calls(hook: Hook) -> bool:
    """Whether the kernel leaves 32-bit calls out (ARCH_TRACE_IGNORE_COMPAT_SYSCALLS,
    kernel/trace/trace_syscalls.c)."""
    if hook.traits.site == "system call":
        return True
    return hook.tracepoint is not None and hook.tracepoint.category == "syscalls"
