"""Reads the instance that records what becomes of tasks (design/task_events.py)."""

import time
from collections.abc import Iterator

from orchestrator.backends.tracefs.design.task_events import TASK_EVENTS
from orchestrator.backends.tracefs.instance.trace_instance import TraceInstance, sum_stats
from orchestrator.backends.tracefs.reader.drain import Drain
from orchestrator.backends.tracefs.reader.events import Events
from orchestrator.backends.tracefs.reader.lives import MOST_NUMBERS, Lives, TaskChange
from orchestrator.kernel.tracepoints import Tracepoint, parse_format

__all__ = ["TaskWatch"]

_CLONE_THREAD = 0x10000  # include/uapi/linux/sched.h


class TaskWatch:
    """What becomes of tasks, as read so far: `lives`."""

    def __init__(self, instance: TraceInstance, lives: Lives) -> None:
        self.lives, self._instance = lives, instance
        self._drain = Drain(instance)
        self._formats = dict(_read_formats(instance))

    def catch_up(self) -> None:
        """Learn all that has happened until now."""
        now, has_more = time.monotonic_ns(), True
        while has_more:
            events, has_more = self._drain.take_events(now)
            self.lives.learn(self._changes_in(events))

    def count_lost(self) -> int:
        """Events that did not fit into the buffers: what is known of tasks is not certain then."""
        stats = self._instance.read_stats()
        lost = sum(sum_stats(stats, name) for name in ("dropped", "overrun", "commit_overrun"))
        self.lives.is_whole = self.lives.is_whole and not (lost or self._drain.corrupt)
        return lost

    def _changes_in(self, events: Events) -> Iterator[TaskChange]:
        """The changes that these events report, in time order."""
        numbers = events.read_tids().tolist()
        for row, (kind, at) in enumerate(zip(events.kind.tolist(), numbers, strict=True)):
            found = self._formats.get(kind)
            if found is not None:
                change = _Record(found, events, row).read_change(at)
                if 0 < change.number < MOST_NUMBERS and 0 <= change.other < MOST_NUMBERS:
                    yield change


class _Record:
    """One event and its format."""

    def __init__(self, tracepoint: Tracepoint, events: Events, row: int) -> None:
        self._tracepoint = tracepoint
        self._time = int(events.time[row])
        start = int(events.offset[row])
        self._raw = events.buffer[start : start + int(events.length[row])].tobytes()

    def read_change(self, current: int) -> TaskChange:
        """What it reports; `current`: the thread that it happened in, which is meant where the
        format names none."""
        number = self._number("pid", current)
        match self._tracepoint.event:
            case "task_newtask":
                return TaskChange(
                    time=self._time,
                    kind="born",
                    number=number,
                    other=current,
                    name=self._text("comm"),
                    is_thread=bool(self._number("clone_flags", 0) & _CLONE_THREAD),
                )
            case "task_rename":
                return TaskChange(
                    time=self._time,
                    kind="renamed",
                    number=number,
                    name=self._text("newcomm"),
                    old_name=self._text("oldcomm"),
                )
            case "sched_process_exec":
                old = self._number("old_pid", number)
                return TaskChange(time=self._time, kind="executed", number=number, other=old)
            case _:
                return TaskChange(
                    time=self._time, kind="ended", number=number, name=self._text("comm")
                )

    def _number(self, name: str, missing: int) -> int:
        field = self._tracepoint.field(name)
        if field is None:
            return missing
        return int.from_bytes(self._raw[field.offset : field.offset + field.size], "little")

    def _text(self, name: str) -> bytes:
        """A name, as text in the record or, in newer kernels, of variable length."""
        field = self._tracepoint.field(name)
        if field is None:
            return b""
        raw = self._raw[field.offset : field.offset + field.size]
        if field.kind in ("data_loc", "rel_loc"):
            where = int.from_bytes(raw, "little")
            start, size = where & 0xFFFF, where >> 16
            start += field.offset + field.size if field.kind == "rel_loc" else 0
            raw = self._raw[start : start + size]
        return raw.partition(b"\0")[0]


def _read_formats(instance: TraceInstance) -> Iterator[tuple[int, Tracepoint]]:
    """The format of each event by its number; without those that this kernel lacks."""
    for category, event in TASK_EVENTS:
        try:
            text = instance.read_format(category, event)
        except OSError:
            continue
        found = parse_format(category, event, text)
        if found.id is not None:
            yield found.id, found
