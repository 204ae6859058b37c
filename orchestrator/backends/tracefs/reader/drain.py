"""Reads pages from an instance's buffers, as events of all CPUs in time order."""

import os

import numpy as np

from orchestrator.backends.tracefs.instance.trace_instance import TraceInstance
from orchestrator.backends.tracefs.reader.events import SLACK, Events, join_events, no_events
from orchestrator.backends.tracefs.reader.pages import decode_pages
from orchestrator.kernel.tracepoints import parse_format

__all__ = ["Drain"]

_BATCH = 4 << 20  # bytes of pages at once
_MOST_HELD = 16_384  # events of a CPU that wait for other CPUs: beyond that it is not read


class Drain:
    """Reads the pages of all CPUs in turn and merges them by time. An event is held back while an
    earlier one of another CPU may still be unread: everything after this is in time order, so that
    returns come after their entries, names are those of the time, and rates see time pass.

    A CPU that is far ahead of another is not read until that one has caught up, so that what is
    held back is bounded; its events wait in its buffer.
    """

    def __init__(self, instance: TraceInstance) -> None:
        self._pipes = instance.open_pipes()
        self._page = _page_size(instance)
        self._pages = max(len(self._pipes), _BATCH // self._page)
        self._buffer = np.zeros(self._pages * self._page + SLACK, dtype=np.uint8)
        self._view = memoryview(self._buffer.data)
        self._held: Events = no_events()
        #: Of CPUs that may have more: the time until which all is read.
        self._unread: dict[int, int] = {}
        self.corrupt = self.missed = 0

    def take_events(self, before_ns: int) -> tuple[Events, bool]:
        """Events in time order, valid until the next call, and whether more wait to be read: only
        those before `before_ns` (CLOCK_MONOTONIC) and before any unread one."""
        cpus, more = self._fill_buffer()
        decoded = decode_pages(self._buffer, len(cpus), self._page, np.array(cpus, dtype=np.uint16))
        self.corrupt += decoded.corrupt
        self.missed += decoded.missed
        self._note_unread(decoded.events, more)
        events = self._hold_back(join_events(self._held, decoded.events), before_ns)
        order = np.lexsort((np.arange(len(events)), events.time))
        return events.select(order), bool(more)

    def _note_unread(self, new: Events, more: set[int]) -> None:
        """Up to which time the events of each CPU that has more are known; of one without any new
        event it is what it was."""
        known = {cpu: self._unread.get(cpu, 0) for cpu in more}
        for cpu in more:
            times = new.time[new.cpu == cpu]
            if times.size:
                known[cpu] = int(times.max())
        self._unread = known

    def _hold_back(self, events: Events, before_ns: int) -> Events:
        before_ns = min([before_ns, *self._unread.values()])
        late = events.time > np.uint64(before_ns)
        self._held = events.select(late).copy_packed() if late.any() else no_events()
        return events.select(~late) if late.any() else events

    def _fill_buffer(self) -> tuple[list[int], set[int]]:
        """Fill the buffer. Returns the CPU of each page, and the CPUs that have more."""
        cpus: list[int] = []
        ahead = self._find_ahead()
        more = set(ahead)
        share = max(1, self._pages // max(1, len(self._pipes) - len(ahead)))
        for cpu, pipe in self._pipes.items():
            if cpu not in ahead and self._read_cpu(cpu, pipe, share, cpus):
                more.add(cpu)
        return cpus, more

    def _find_ahead(self) -> set[int]:
        """The CPUs that have many events held back. Events of a CPU are held back because of
        another one that is behind: so this is never all of those that have more."""
        if len(self._held) <= _MOST_HELD:
            return set()
        held = np.bincount(self._held.cpu, minlength=max(self._pipes, default=0) + 1)
        ahead = {cpu for cpu in self._pipes if held[cpu] > _MOST_HELD}
        for cpu in ahead:
            self._unread[cpu] = int(self._held.time[self._held.cpu == cpu].max())
        return ahead

    def _read_cpu(self, cpu: int, pipe: int, most: int, cpus: list[int]) -> bool:
        """Read up to `most` pages of one CPU; each adds it to `cpus`. True if it has more."""
        for _ in range(most):
            start = len(cpus) * self._page
            try:
                count = os.readv(pipe, [self._view[start : start + self._page]])
            except BlockingIOError:
                return False
            if count < self._page:
                if count == 0:
                    return False
                self._buffer[start + count : start + self._page] = 0
            cpus.append(cpu)
        return True


def _page_size(instance: TraceInstance) -> int:
    """Bytes of a page, from events/header_page: the offset of its data and their length."""
    text = (instance.tracefs / "events/header_page").read_text()
    data = parse_format("", "", text).field("data")
    return data.offset + data.size if data is not None else 4096
