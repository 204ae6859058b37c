"""Events as arrays: where the bytes of each are, its time, type and CPU."""

import numpy as np
import numpy.typing as npt

from orchestrator.backends.tracefs.reader.arrays import BoolArray, ByteArray, IntArray, U64Array
from orchestrator.values import dataclass

__all__ = ["SLACK", "Events", "gather_rows", "join_events", "no_events"]


#: Spare bytes after the last event of every buffer, so that strings are gathered at full size.
SLACK = 8192


@dataclass(slots=True, kw_only=True)
class Events:
    """`buffer` holds the payloads; `offset` and `length` say where (bytes); `time` is
    CLOCK_MONOTONIC ns, `kind` the event type's number, `cpu` where it happened; `task` is the life
    of its task (lives.py), once it is identified."""

    buffer: ByteArray
    time: U64Array
    offset: IntArray
    length: IntArray
    kind: npt.NDArray[np.uint16]
    cpu: npt.NDArray[np.uint16]
    task: IntArray

    def __len__(self) -> int:
        return len(self.time)

    def select(self, rows: IntArray | BoolArray) -> "Events":
        """Some of the events, over the same buffer."""
        return Events(
            buffer=self.buffer,
            time=self.time[rows],
            offset=self.offset[rows],
            length=self.length[rows],
            kind=self.kind[rows],
            cpu=self.cpu[rows],
            task=self.task[rows],
        )

    def read_tids(self) -> npt.NDArray[np.int32]:
        """The thread of each event (common_pid, at byte 4 of every trace entry)."""
        return gather_rows(self.buffer, self.offset + 4, 4).view("<i4")[:, 0]

    def copy_packed(self) -> "Events":
        """A copy with a buffer of just these events."""
        starts = np.concatenate(([0], np.cumsum(self.length)))
        buffer = np.zeros(int(starts[-1]) + SLACK, dtype=np.uint8)
        rows = np.repeat(self.offset - starts[:-1], self.length) + np.arange(int(starts[-1]))
        buffer[: rows.size] = self.buffer[rows]
        return Events(
            buffer=buffer,
            time=self.time.copy(),
            offset=starts[:-1].astype(np.int64),
            length=self.length.copy(),
            kind=self.kind.copy(),
            cpu=self.cpu.copy(),
            task=self.task.copy(),
        )


def no_events() -> Events:
    """No events."""
    none = np.empty(0, dtype=np.int64)
    return Events(
        buffer=np.zeros(SLACK, dtype=np.uint8),
        time=none.astype(np.uint64),
        offset=none,
        length=none,
        kind=none.astype(np.uint16),
        cpu=none.astype(np.uint16),
        task=none,
    )


def join_events(first: Events, second: Events) -> Events:
    """Both, in this order."""
    if not len(first) or not len(second):
        return second if not len(first) else first
    base = first.buffer.size
    return Events(
        buffer=np.concatenate((first.buffer, second.buffer)),
        time=np.concatenate((first.time, second.time)),
        offset=np.concatenate((first.offset, second.offset + base)),
        length=np.concatenate((first.length, second.length)),
        kind=np.concatenate((first.kind, second.kind)),
        cpu=np.concatenate((first.cpu, second.cpu)),
        task=np.concatenate((first.task, second.task)),
    )


def gather_rows(buffer: ByteArray, offsets: IntArray, size: int) -> ByteArray:
    """The `size` bytes at each offset, as rows."""
    if not len(offsets):
        return np.empty((0, size), dtype=np.uint8)
    windows = np.ndarray(
        (buffer.size - size + 1,), dtype=np.dtype((np.void, size)), buffer=buffer, strides=(1,)
    )
    return windows[offsets].view(np.uint8).reshape(-1, size)
