"""Which task a number stands for at a time, and what the task's name is then.

Numbers are not tasks. A thread that is not its process's leader and executes a program takes the
leader's number (fs/exec.c, de_thread), and numbers of tasks that have ended are given to others. So
each task has a life here: the number that it had when it was first seen, with a generation above
32 bits for those that were born during the run. Names are kept by life, with the times from which
they are valid.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from typing import Any, Generic, TypeVar

import numpy as np
import numpy.typing as npt

from orchestrator.backends.tracefs.design.task_events import TargetNumbers
from orchestrator.backends.tracefs.reader.arrays import BoolArray, IntArray, U64Array
from orchestrator.values import dataclass

__all__ = ["MOST_NUMBERS", "Lives", "TaskChange"]

_Value = TypeVar("_Value")
MOST_NUMBERS = (1 << 22) + 1  # PID_MAX_LIMIT, include/linux/threads.h
#: What is known of a task is kept for so long after its end (ns): its last events are read by then.
_KEPT_NS = 2_000_000_000
#: Times of exec that are kept of a life: far more than it has in one reading.
_MOST_EXECS = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskChange:
    """What happened to the task with `number` at `time` (CLOCK_MONOTONIC, ns).

    `kind`: born (`other`: its parent's number; `is_thread`: in the parent's process), renamed (from
    `old_name`), executed (`other`: its number before) or ended. `name`: from then on."""

    time: int
    kind: str
    number: int
    other: int = 0
    name: bytes = b""
    old_name: bytes = b""
    is_thread: bool = False


class _Timeline(Generic[_Value]):
    """Values, each from a time on; `first` before the first time."""

    def __init__(self, first: _Value) -> None:
        self.first = first
        self.times: list[int] = []
        self.values: list[_Value] = []

    def add(self, time: int, value: _Value) -> None:
        """The value is `value` from `time` on, until the next one."""
        at = bisect_right(self.times, time)
        self.times.insert(at, time)
        self.values.insert(at, value)

    def at(self, time: int) -> _Value:
        """The value at a time."""
        at = bisect_right(self.times, time)
        return self.values[at - 1] if at else self.first

    def along(self, times: U64Array, kind: npt.DTypeLike) -> npt.NDArray[Any]:
        """The values at some times."""
        begins = np.array(self.times, dtype=np.uint64)
        values = np.array([self.first, *self.values], dtype=kind)
        return values[np.searchsorted(begins, times, side="right")]

    def cut_from(self, time: int) -> list[tuple[int, _Value]]:
        """Take the values out that begin at `time` or later."""
        at = bisect_left(self.times, time)
        cut = list(zip(self.times[at:], self.values[at:], strict=True))
        del self.times[at:], self.values[at:]
        return cut

    def forget_before(self, time: int) -> None:
        """Keep of what was before `time` only the value then."""
        at = bisect_right(self.times, time)
        if at:
            self.first = self.values[at - 1]
            del self.times[:at], self.values[:at]


_NO_TARGET = TargetNumbers()


class Lives:
    """The lives of all tasks, and which of them are the target's. `is_whole`: no event about tasks
    was lost, so that this is certain."""

    def __init__(self, target: TargetNumbers = _NO_TARGET) -> None:
        self._target = target
        self._followed = None if target.followed is None else set(target.followed)
        self._named = None if target.named is None else set(target.named)
        self._awaited = set(target.awaited)
        self._numbers: dict[int, _Timeline[int]] = {}
        self._is_moved = np.zeros(MOST_NUMBERS, dtype=bool)  # the keys of _numbers
        self._names: dict[int, _Timeline[bytes]] = {}
        self._number_of_end: dict[int, int] = {}  # when the last task with a number ended
        self._execs: dict[int, list[int]] = {}  # when each life executed a program, ascending
        self._ended: list[tuple[int, int, int]] = []  # (time, number, life)
        self._born = 0
        self.is_whole = True

    # ---------------------------------------------------------------- learning

    def learn(self, changes: Iterable[TaskChange]) -> None:
        """Take changes over, in time order."""
        take = {
            "born": self._take_birth,
            "renamed": self._take_name,
            "executed": self._take_exec,
            "ended": self._take_end,
        }
        for change in changes:
            take[change.kind](change)

    def _take_birth(self, change: TaskChange) -> None:
        parent, life = self._life_of(change.other, change.time), self._begin(change.number)
        self._timeline(change.number).add(change.time, life)
        self._names[life] = _Timeline(change.name)
        is_awaited = change.number in self._awaited
        self._awaited.discard(change.number)
        inherits = change.is_thread or self._target.children
        if self._followed is not None and (
            is_awaited
            or (inherits and parent in self._followed)
            or self._was_listed(change, self._target.followed)
        ):
            self._followed.add(life)
        if self._named is not None and (is_awaited or self._was_listed(change, self._target.named)):
            self._named.add(life)

    def _was_listed(self, change: TaskChange, numbers: frozenset[int] | None) -> bool:
        """Whether the task had been born when the numbers of the target were read."""
        return change.time < self._target.since_ns and change.number in (numbers or ())

    def _take_name(self, change: TaskChange) -> None:
        life = self._life_of(change.number, change.time)
        self._names.setdefault(life, _Timeline(change.old_name)).add(change.time, change.name)

    def _take_exec(self, change: TaskChange) -> None:
        """The number of the leader was given up when the leader ended, a little before; the name
        that was taken under it since then is the executing thread's."""
        if change.number == change.other:
            self._note_exec(self._life_of(change.number, change.time), change.time)
            return
        since = self._number_of_end.get(change.number, change.time)
        life = self._life_of(change.other, since)
        self._note_exec(life, change.time)
        self._move_names(self._life_of(change.number, since), life, since)
        self._timeline(change.number).add(since, life)
        if self._life_of(change.other, change.time) == life:
            self._timeline(change.other).add(change.time, self._begin(change.other))

    def _note_exec(self, life: int, time: int) -> None:
        times = self._execs.setdefault(life, [])
        times.append(time)
        if len(times) > _MOST_EXECS:
            del times[: _MOST_EXECS // 2]

    def _move_names(self, source: int, life: int, since: int) -> None:
        names = self._names.get(source)
        if names is None:
            return
        for time, name in names.cut_from(since):
            self._names.setdefault(life, _Timeline(names.at(since))).add(time, name)

    def _take_end(self, change: TaskChange) -> None:
        life = self._life_of(change.number, change.time)
        self._number_of_end[change.number] = change.time
        self._names.setdefault(life, _Timeline(change.name))
        self._ended.append((change.time, change.number, life))

    def _begin(self, number: int) -> int:
        self._born += 1
        return self._born << 32 | number

    def _timeline(self, number: int) -> _Timeline[int]:
        self._is_moved[number] = True
        return self._numbers.setdefault(number, _Timeline(number))

    def _life_of(self, number: int, time: int) -> int:
        line = self._numbers.get(number)
        return number if line is None else line.at(time)

    def forget_before(self, time: int) -> None:
        """Events before `time` (ns) have been read: forget tasks that had ended long before."""
        gone = [end for end in self._ended if end[0] < time - _KEPT_NS]
        if not gone:
            return
        self._ended = [end for end in self._ended if end[0] >= time - _KEPT_NS]
        for ended, number, life in gone:
            self._names.pop(life, None)
            self._execs.pop(life, None)
            for lives in (self._followed, self._named):
                if lives is not None:
                    lives.discard(life)
            if self._number_of_end.get(number) == ended:
                del self._number_of_end[number]
            line = self._numbers.get(number)
            if line is not None:
                line.forget_before(time - _KEPT_NS)
                if line.first == life and not line.times:
                    del self._numbers[number]
                    self._is_moved[number] = False

    # ---------------------------------------------------------------- asking

    def identify(self, numbers: npt.NDArray[np.int32], times: U64Array) -> IntArray:
        """The life of each event's task."""
        lives = numbers.astype(np.int64)
        moved = np.flatnonzero(self._is_moved[np.clip(numbers, 0, MOST_NUMBERS - 1)])
        if moved.size:
            unique, back = np.unique(numbers[moved], return_inverse=True)
            for at, number in enumerate(unique.tolist()):
                rows = moved[back == at]
                lives[rows] = self._numbers[number].along(times[rows], np.int64)
        return lives

    def count_execs(self, lives: IntArray, begins: U64Array, ends: U64Array) -> IntArray:
        """How often each life executed a program from a time to another one."""
        counts = np.zeros(len(lives), dtype=np.int64)
        if not self._execs:
            return counts
        known = np.fromiter(self._execs, dtype=np.int64, count=len(self._execs))
        for row in np.flatnonzero(np.isin(lives, known)).tolist():
            times = self._execs[int(lives[row])]
            counts[row] = bisect_right(times, int(ends[row])) - bisect_left(times, int(begins[row]))
        return counts

    def is_target(self, lives: IntArray) -> BoolArray:
        """Which lives are of the target, as far as it names processes and threads."""
        mask = np.ones(len(lives), dtype=bool)
        for wanted in (self._followed, self._named):
            if wanted is not None:
                mask &= np.isin(lives, np.fromiter(wanted, dtype=np.int64, count=len(wanted)))
        return mask

    def knows_name(self, life: int) -> bool:
        """Whether the task's names are known."""
        return life in self._names

    def names_of(self, life: int, times: U64Array, size: int) -> npt.NDArray[np.bytes_]:
        """The names of one task at some times. Raises KeyError where they are not known."""
        return self._names[life].along(times, f"S{size}")
