"""Looks up threads by number: their process and user at the time of reading, and their name.

A trace entry contains only the thread's number. While the thread exists, /proc has the rest; names
that were taken during the run are known from events (task_watch.py).
Afterwards the kernel's tables of threads that were switched out after an event have its process and
name (saved_tgids with the instance's record-tgid, saved_cmdlines).
"""

import time
from pathlib import Path

import numpy as np
import numpy.typing as npt

from orchestrator.backends.tracefs.reader.arrays import IntArray
from orchestrator.backends.tracefs.reader.events import Events
from orchestrator.backends.tracefs.reader.lives import Lives
from orchestrator.backends.tracefs.reader.task_watch import TaskWatch
from orchestrator.compile.expressions.types import COMM_SIZE

__all__ = ["Tasks"]

_KEPT = 65536  # threads cached; beyond that the caches are cleared
_FRESH_S = 0.5  # thread numbers are reused, and exec changes names


class Tasks:
    """A cache that is refreshed after half a second, and kept for threads that have exited."""

    def __init__(
        self, tracefs: Path, proc: Path = Path("/proc"), watch: TaskWatch | None = None
    ) -> None:
        """`watch` knows the names that tasks have taken; None: names are those of the reading."""
        self._tracefs, self._proc, self._watch = tracefs, proc, watch
        self._lives = Lives()
        self._saved: dict[int, bytes] | None = None
        self._groups: dict[int, int] | None = None
        self._since = 0.0
        self._clear()

    @property
    def lives(self) -> Lives:
        """What is known of tasks from events."""
        return self._lives if self._watch is None else self._watch.lives

    def _clear(self) -> None:
        """Only the idle thread, which is in no table, is known."""
        self._processes: dict[int, int] = {0: 0}
        self._names: dict[int, bytes] = {0: b"<idle>"}
        self._users: dict[int, tuple[int, int]] = {0: (0, 0)}
        self._fresh: set[int] = {0}

    def refresh(self) -> None:
        """Before each read: what is in the kernel's tables is read again when it is needed."""
        self._saved = self._groups = None
        if time.monotonic() - self._since > _FRESH_S:
            self._since = time.monotonic()
            self._fresh = {0}
        if max(len(self._processes), len(self._names), len(self._users)) > _KEPT:
            self._clear()

    def pids_of(self, tids: npt.NDArray[np.int32]) -> npt.NDArray[np.uint32]:
        """The process of each thread; 0 where it is unknown."""
        unique, back = np.unique(tids, return_inverse=True)
        return np.array([self._process_of(int(tid)) for tid in unique], dtype=np.uint32)[back]

    def names_of(self, tids: npt.NDArray[np.int32]) -> npt.NDArray[np.bytes_]:
        """The name of each thread; empty where it is unknown."""
        unique, back = np.unique(tids, return_inverse=True)
        names = np.array([self._name_of(int(tid)) for tid in unique], dtype=f"S{COMM_SIZE}")
        return names[back]

    def names_at(self, events: Events) -> npt.NDArray[np.bytes_]:
        """The name of each event's task at the time of the event; empty where it is unknown.

        A task that has taken no name has the one that it has now. If it takes one while it is
        looked up, the event that reports it has been recorded before: so that is read afterwards.
        """
        tids = events.read_tids()
        if self._watch is None:
            return self.names_of(tids)
        lives, first, back = np.unique(events.task, return_index=True, return_inverse=True)
        known = self._watch.lives
        nameless = [at for at, life in zip(first, lives, strict=True) if not known.knows_name(life)]
        if any([self._look_up(int(tids[at])) for at in nameless]):  # noqa: C419  # all of them
            self._watch.catch_up()
        names = np.zeros(len(events), dtype=f"S{COMM_SIZE}")
        for number, (life, at) in enumerate(zip(lives.tolist(), first.tolist(), strict=True)):
            rows = np.flatnonzero(back == number) if len(lives) > 1 else slice(None)
            if known.knows_name(life):
                names[rows] = known.names_of(life, events.time[rows], COMM_SIZE)
            else:
                names[rows] = self._name_of(int(tids[at]))
        return names

    def users_of(self, tids: npt.NDArray[np.int32], group: bool) -> IntArray:
        """The effective user (or group) of each thread; -1 where it is unknown."""
        unique, back = np.unique(tids, return_inverse=True)
        return np.array([self._user_of(int(tid))[group] for tid in unique], dtype=np.int64)[back]

    def _process_of(self, tid: int) -> int:
        self._look_up(tid)
        return self._processes.get(tid, 0)

    def _user_of(self, tid: int) -> tuple[int, int]:
        self._look_up(tid)
        return self._users.get(tid, (-1, -1))

    def _name_of(self, tid: int) -> bytes:
        self._look_up(tid)
        return self._names.get(tid, b"")

    def _look_up(self, tid: int) -> bool:
        """/proc/TID/status has everything (Documentation/filesystems/proc.rst). Returns whether it
        was read just now."""
        if tid in self._fresh:
            return False
        self._fresh.add(tid)
        try:
            text = (self._proc / str(tid) / "status").read_bytes()
        except OSError:
            self._look_up_dead(tid)
            return True
        fields = dict(line.split(b":\t", 1) for line in text.split(b"\n") if b":\t" in line)
        self._processes[tid] = int(fields[b"Tgid"])
        self._users[tid] = int(fields[b"Uid"].split()[1]), int(fields[b"Gid"].split()[1])
        self._names[tid] = _unescape_name(fields[b"Name"])
        return True

    def _look_up_dead(self, tid: int) -> None:
        group = self._saved_groups().get(tid)
        if group is not None:
            self._processes[tid] = group
        name = self._saved_names().get(tid)
        if name is not None:
            self._names[tid] = name

    def _saved_names(self) -> dict[int, bytes]:
        if self._saved is None:
            self._saved = {}
            for line in _read_lines(self._tracefs / "saved_cmdlines"):
                tid, _, name = line.partition(b" ")
                if tid.isdigit():
                    self._saved[int(tid)] = name[: COMM_SIZE - 1]
        return self._saved

    def _saved_groups(self) -> dict[int, int]:
        if self._groups is None:
            pairs = (line.split() for line in _read_lines(self._tracefs / "saved_tgids"))
            self._groups = {int(p[0]): int(p[1]) for p in pairs if len(p) == 2}
        return self._groups


def _unescape_name(name: bytes) -> bytes:
    """`status` writes newlines and backslashes escaped (fs/proc/array.c, proc_task_name)."""
    if b"\\" in name:
        name = name.replace(b"\\n", b"\n").replace(b"\\\\", b"\\")
    return name[: COMM_SIZE - 1]


def _read_lines(path: Path) -> list[bytes]:
    try:
        return path.read_bytes().split(b"\n")
    except OSError:
        return []
