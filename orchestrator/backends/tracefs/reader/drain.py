"""Reads pages from an instance's buffers, as events in time order."""

import os

import numpy as np

from orchestrator.backends.tracefs.instance.trace_instance import TraceInstance
from orchestrator.backends.tracefs.reader.events import SLACK, Events, join_events, no_events
from orchestrator.backends.tracefs.reader.pages import decode_pages
from orchestrator.kernel.tracepoints import parse_format

__all__ = ["Drain"]

_BATCH = 4 << 20  # bytes of pages at once


class Drain:
    """Reads the pages of all CPUs in turn. `ordered`: an event is held back while an earlier one
    may still be unread, so that an entry and a return on different CPUs come in order."""

    def __init__(self, instance: TraceInstance, *, ordered: bool) -> None:
        self._pipes = instance.open_pipes()
        self._ordered = ordered
        self._page = _page_size(instance)
        self._pages = max(len(self._pipes), _BATCH // self._page)
        self._buffer = np.zeros(self._pages * self._page + SLACK, dtype=np.uint8)
        self._view = memoryview(self._buffer.data)
        self._held: Events = no_events()
        self.corrupt = self.missed = 0

    def take_events(self, before_ns: int) -> tuple[Events, bool]:
        """Events in time order, valid until the next call, and whether more wait to be read. If
        ordered, only events before `before_ns` (CLOCK_MONOTONIC) and before any unread one."""
        cpus, more = self._fill_buffer()
        decoded = decode_pages(self._buffer, len(cpus), self._page, np.array(cpus, dtype=np.uint16))
        self.corrupt += decoded.corrupt
        self.missed += decoded.missed
        events = join_events(self._held, decoded.events)
        if self._ordered:
            events = self._hold_back(events, decoded.events, more, before_ns)
        else:
            self._held = no_events()
        order = np.lexsort((np.arange(len(events)), events.time))
        return events.select(order), bool(more)

    def _hold_back(self, events: Events, new: Events, more: set[int], before_ns: int) -> Events:
        for cpu in more:
            times = new.time[new.cpu == cpu]
            if times.size:
                before_ns = min(before_ns, int(times.max()))
        late = events.time > np.uint64(before_ns)
        self._held = events.select(late).copy_packed() if late.any() else no_events()
        return events.select(~late) if late.any() else events

    def _fill_buffer(self) -> tuple[list[int], set[int]]:
        """Fill the buffer. Returns the CPU of each page, and the CPUs that have more."""
        cpus: list[int] = []
        more: set[int] = set()
        share = max(1, self._pages // len(self._pipes))
        for cpu, pipe in self._pipes.items():
            if self._read_cpu(cpu, pipe, share, cpus):
                more.add(cpu)
        return cpus, more

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
