"""Code that a process made at run time: /tmp/perf-PID.map, which JIT compilers write for perf.

Each line is `START SIZE NAME`, numbers in hexadecimal (tools/perf/Documentation/jit-interface.txt).
"""

import os
import stat
from bisect import bisect_right
from pathlib import Path

__all__ = ["CodeMap", "code_map_version", "read_code_map"]

_LARGEST = 16 << 20  # 300,000 functions and more


class CodeMap:
    """The functions in the text of such a map; of two at one address the later one counts."""

    def __init__(self, text: bytes) -> None:
        functions: dict[int, tuple[int, str]] = {}
        for line in text.split(b"\n"):
            words = line.split(None, 2)
            if len(words) == 3:
                try:
                    start, size = int(words[0], 16), int(words[1], 16)
                except ValueError:
                    continue
                functions[start] = (size, words[2].decode("utf-8", "replace"))
        self._starts = sorted(functions)
        self._functions = functions

    def symbol(self, address: int, back: bool = False) -> tuple[str, int] | None:
        """The function at this address, and how far into it; `back` as in FileSymbols.symbol."""
        at = bisect_right(self._starts, address - back) - 1
        if at < 0:
            return None
        start = self._starts[at]
        size, name = self._functions[start]
        return (name, address - start) if address - back < start + size else None


def code_map_version(proc: Path, pid: int, inner_pid: int) -> tuple[int, ...]:
    """Changes with the file that `read_code_map` reads; () where there is none."""
    try:
        status = _path_of(proc, pid, inner_pid).lstat()
    except OSError:
        return ()
    return status.st_ino, status.st_size, status.st_mtime_ns


def read_code_map(proc: Path, pid: int, inner_pid: int) -> CodeMap | None:
    """The map of process `pid`, whose id in its PID namespace is `inner_pid`, in its file system;
    None where there is none. Accepted only if it belongs to the process's user or to root, as perf
    does, and is a plain file."""
    path = _path_of(proc, pid, inner_pid)
    try:
        owner = (proc / str(pid)).stat().st_uid
        file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return None
    with os.fdopen(file, "rb") as opened:
        status = os.fstat(opened.fileno())
        if not stat.S_ISREG(status.st_mode) or status.st_uid not in (0, owner):
            return None
        return CodeMap(opened.read(_LARGEST))


def _path_of(proc: Path, pid: int, inner_pid: int) -> Path:
    return proc / str(pid) / "root" / "tmp" / f"perf-{inner_pid}.map"
