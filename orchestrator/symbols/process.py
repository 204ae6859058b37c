"""One process's code: the files that it has mapped, and the symbol at an address.

Everything is read while the process lives: files are opened through /proc/PID/map_files, which
refers to the mapped file itself, in any mount namespace, also when it has been deleted or replaced
since (proc(5)).
"""

import os
import stat
from bisect import bisect_right
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from orchestrator.binaries.elf_image import ElfError
from orchestrator.symbols.code_map import CodeMap, code_map_version, read_code_map
from orchestrator.symbols.file_symbols import FileSymbols
from orchestrator.symbols.frames import Frame, make_frame
from orchestrator.values import dataclass

__all__ = ["DENIED", "GONE", "FileCache", "NamedStacks", "Process", "ProcessNames", "Region"]
__all__ += ["regions_of"]

_Key = TypeVar("_Key")
_Value = TypeVar("_Value")
PROC = Path("/proc")
GONE = "the process exited before its memory map could be read"
DENIED = "reading its memory map needs CAP_SYS_PTRACE"
#: What is kept at most; beyond it what was not used for longest is forgotten, and read again if it
#: is needed. A process that has exited by then is one without names.
_MOST_PROCESSES, _MOST_FILES, _MOST_UNREADABLE = 512, 256, 4096
_DELETED = " (deleted)"
_MAPS_CHARACTERS = 16 << 20  # 65,530 mappings at most by default (vm.max_map_count), of 100 each


@dataclass(frozen=True, slots=True, kw_only=True)
class Region:
    """Executable memory from `start` to `end`; `offset` in the file `path`, "" for none."""

    start: int
    end: int
    offset: int
    device: str
    inode: int
    path: str


def regions_of(maps: str) -> list[Region]:
    """The executable regions in the text of /proc/PID/maps, by address."""
    regions = []
    for line in maps.split("\n"):  # a name may have what else ends lines
        words = line.split(None, 5)
        if len(words) < 5 or "x" not in words[1]:
            continue
        start, end = (int(word, 16) for word in words[0].split("-"))
        path = words[5] if len(words) == 6 else ""
        regions.append(
            Region(
                start=start,
                end=end,
                offset=int(words[2], 16),
                device=words[3],
                inode=int(words[4]),
                path=path.replace(r"\012", "\n"),  # all that the kernel escapes there
            )
        )
    return regions


class FileCache:
    """Files that were read, by device and inode and not by name."""

    def __init__(self, proc: Path = PROC) -> None:
        self.proc = proc
        self._read: dict[tuple[str, int], FileSymbols] = {}
        self._unreadable: set[tuple[str, int, int]] = set()
        self._vdso: FileSymbols | None = None
        self._vdso_read = False

    def file_at(self, pid: int, region: Region) -> FileSymbols | None:
        """The file mapped at `region` of the living process `pid`; None when it cannot be read."""
        if region.path == "[vdso]":
            return self._own_vdso()
        if not region.inode:
            return None
        key = (region.device, region.inode)
        known = self._read.pop(key, None)
        if known is None and (*key, pid) not in self._unreadable:
            known = self._open_file(pid, region)
            if known is None:  # another process may have a way to it
                if len(self._unreadable) >= _MOST_UNREADABLE:
                    self._unreadable.clear()
                self._unreadable.add((*key, pid))
        if known is not None:
            _keep_latest(self._read, key, known, _MOST_FILES)
        return known

    def _open_file(self, pid: int, region: Region) -> FileSymbols | None:
        base = self.proc / str(pid)
        mapped = base / "map_files" / f"{region.start:x}-{region.end:x}"
        named = base / "root" / region.path.removesuffix(_DELETED).lstrip("/")
        tries: list[tuple[Path, Callable[[Path], bool]]] = [
            (mapped, lambda _path: True),
            (base / "exe", lambda path: _is_file(path, region.inode)),
            (named, lambda path: _is_file(path, region.inode)),
        ]
        for path, trusted in tries:
            try:
                if trusted(path):
                    return FileSymbols(path)
            except (OSError, ElfError):
                continue
        return None

    def _own_vdso(self) -> FileSymbols | None:
        """The kernel maps the same page into all processes; it is read from this process's
        memory."""
        if not self._vdso_read:
            self._vdso_read = True
            self._vdso = _read_vdso()
        return self._vdso


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedStacks:
    """The frames of some stacks of one process, and the reason why names are missing, "" when none
    are."""

    frames: Sequence[Sequence[Frame]]
    why: str


def _keep_latest(kept: dict[_Key, _Value], key: _Key, value: _Value, most: int) -> None:
    """Put `value` behind the others, and forget the first where there are more than `most`."""
    kept[key] = value
    if len(kept) > most:
        del kept[next(iter(kept))]


class ProcessNames:
    """Names the stacks of processes."""

    def __init__(self, binaries: FileCache) -> None:
        self._binaries = binaries
        self._processes: dict[int, Process] = {}

    def name_stacks(self, pid: int, stacks: Sequence[Sequence[int]]) -> NamedStacks:
        """The frames of some stacks of process `pid`."""
        process = self._processes.pop(pid, None) or Process(pid, self._binaries)
        _keep_latest(self._processes, pid, process, _MOST_PROCESSES)
        frames = [process.frames(tuple(stack)) for stack in stacks]
        return NamedStacks(frames=frames, why=process.why)

    def close(self) -> None:
        """Nothing is open."""


def _read_bounded(path: Path) -> str:
    """The text of a file in procfs, without what is beyond any use."""
    with path.open(encoding="utf-8", errors="replace") as file:
        return file.read(_MAPS_CHARACTERS)


def _is_file(path: Path, inode: int) -> bool:
    status = path.stat()
    return stat.S_ISREG(status.st_mode) and status.st_ino == inode


def _read_vdso() -> FileSymbols | None:
    try:
        maps = Path("/proc/self/maps").read_text(errors="replace")
        region = next(mapped for mapped in regions_of(maps) if mapped.path == "[vdso]")
        with Path("/proc/self/mem").open("rb", buffering=0) as memory:
            memory.seek(region.start)
            text = memory.read(region.end - region.start)
        with os.fdopen(os.memfd_create("vdso"), "wb") as copy:
            copy.write(text)
            copy.flush()
            return FileSymbols(Path(f"/proc/self/fd/{copy.fileno()}"))
    except (OSError, ElfError, StopIteration):
        return None


class Process:
    """The code of process `pid`, read when first needed and again when it maps more. `why`: the
    reason why it could not be read, "" when it could."""

    def __init__(self, pid: int, binaries: FileCache) -> None:
        self.pid, self._binaries = pid, binaries
        self._regions: list[Region] = []
        self._starts: list[int] = []
        self._code: CodeMap | None = None
        self._code_version: tuple[int, ...] | None = None
        self._known: dict[tuple[int, bool], Frame] = {}
        self.why = GONE

    def frames(self, addresses: tuple[int, ...]) -> tuple[Frame, ...]:
        """The frames of a recent stack."""
        if any(self._find_region(address) is None for address in addresses):
            self._read_maps()
        return tuple(self._cached_frame(address, bool(at)) for at, address in enumerate(addresses))

    def _read_maps(self) -> None:
        """Read the process's map; after the process has exited, the last one is kept."""
        try:
            maps = _read_bounded(self._binaries.proc / str(self.pid) / "maps")
        except PermissionError:
            self.why = DENIED
            return
        except OSError:
            return
        regions = regions_of(maps)
        if regions:  # a zombie has none
            self.why = ""
            if regions != self._regions:
                self._known.clear()
            self._regions = regions
            self._starts = [region.start for region in regions]

    def _find_region(self, address: int) -> Region | None:
        at = bisect_right(self._starts, address) - 1
        region = self._regions[at] if at >= 0 else None
        return region if region is not None and address < region.end else None

    def _cached_frame(self, address: int, back: bool) -> Frame:
        key = (address, back)
        if key not in self._known:
            named = self._make_named_frame(address, back)
            if named.symbol is None and named.module is None:
                return named  # the name of code made at run time may appear later
            self._known[key] = named
        return self._known[key]

    def _make_named_frame(self, address: int, back: bool) -> Frame:
        region = self._find_region(address - back)
        if region is None:
            return make_frame(address)
        binary = self._binaries.file_at(self.pid, region)
        if binary is None:
            return self._made_at_run_time(address, back, region)
        module = region.path.removesuffix(_DELETED)
        symbol_at = binary.symbol(address - region.start + region.offset, back)
        symbol, offset = symbol_at or (None, 0)
        return make_frame(address, symbol, offset, module, binary.build_id)

    def _made_at_run_time(self, address: int, back: bool, region: Region) -> Frame:
        symbol_at = self._code.symbol(address, back) if self._code is not None else None
        if symbol_at is None and self._read_code_map_if_new():
            symbol_at = self._code.symbol(address, back) if self._code is not None else None
        module = region.path.removesuffix(_DELETED) or None
        if symbol_at is None:
            return make_frame(address, module=module)
        return make_frame(address, *symbol_at, module=module)

    def _read_code_map_if_new(self) -> bool:
        """Whether the map of code made at run time has changed, and was read again."""
        proc, inner = self._binaries.proc, self._inner_pid()
        version = code_map_version(proc, self.pid, inner)
        if version == self._code_version:
            return False
        self._code_version = version
        self._code = read_code_map(proc, self.pid, inner)
        return True

    def _inner_pid(self) -> int:
        """The process's id in its PID namespace (proc(5), NSpid)."""
        try:
            status = (self._binaries.proc / str(self.pid) / "status").read_text(errors="replace")
        except OSError:
            return self.pid
        line = next((line for line in status.splitlines() if line.startswith("NSpid:")), "")
        return int(line.split()[-1]) if len(line.split()) > 1 else self.pid
