"""The loop of an export: reads a log to its end, or until it is stopped, and publishes."""

import fcntl
import os
import select
import time
from collections.abc import Sequence
from contextlib import suppress

from orchestrator.export.destination import Destination
from orchestrator.export.lines import LineParser
from orchestrator.export.series import SeriesStore

__all__ = ["LogFollower"]

_CHUNK = 1 << 18
#: Of a pipe: what a run writes while a snapshot is taken has room there.
_PIPE_BYTES = 1 << 20
#: How long what has been written already is read after the export was stopped.
_LAST_SECONDS = 1.0


class LogFollower:
    """Reads the log from the descriptor `source`, and publishes every `interval` seconds, if
    something is new, and at the end. `stopped`: a descriptor that can be read once it is to end."""

    def __init__(
        self,
        source: int,
        stopped: int,
        store: SeriesStore,
        destinations: Sequence[Destination],
        *,
        interval: float,
    ) -> None:
        self._source, self._stopped, self._interval = source, stopped, interval
        self._store, self._destinations = store, destinations
        self._parser = LineParser(
            lambda reason: store.count("probeplan_export_lines_skipped", reason=reason),
            lambda count: store.count("probeplan_export_records", count),
            with_events=any(destination.wants_events for destination in destinations),
        )
        self._due: float | None = None

    def follow(self) -> None:
        """Return at the end of the log, or when it is stopped. Raises OSError where the log cannot
        be read."""
        _enlarge_pipe(self._source)
        while self._wait(self._source, self._stopped) != self._stopped:
            if not self._read():
                self._parser.end()
                break
        else:
            self._read_what_is_there()
        self._publish()

    def _wait(self, *descriptors: int) -> int:
        """Until one can be read, the last one first; publishes when that is due."""
        poll = select.poll()
        for descriptor in descriptors:
            poll.register(descriptor, select.POLLIN)
        while True:
            left = None if self._due is None else max(0.0, self._due - time.monotonic())
            ready = {descriptor for descriptor, _ in poll.poll(left and left * 1000)}
            if self._due is not None and time.monotonic() >= self._due:
                self._publish()
            for descriptor in reversed(descriptors):
                if descriptor in ready:
                    return descriptor

    def _read(self) -> bool:
        """What can be read now; False at the end."""
        chunk = os.read(self._source, _CHUNK)
        for line in self._parser.feed(chunk):
            if line.record is not None:
                self._store.accept(line.record)
            for destination in self._destinations:
                destination.observe(line)
        if chunk and self._due is None:
            self._due = time.monotonic() + self._interval
        return bool(chunk)

    def _read_what_is_there(self) -> None:
        poll = select.poll()
        poll.register(self._source, select.POLLIN)
        end = time.monotonic() + _LAST_SECONDS
        while poll.poll(0) and self._read() and time.monotonic() < end:
            pass

    def _publish(self) -> None:
        self._due = None
        snapshot = self._store.snapshot()
        for destination in self._destinations:
            destination.publish(snapshot)


def _enlarge_pipe(descriptor: int) -> None:
    """Does nothing to what is no pipe, or has more, or where that is not allowed."""
    with suppress(OSError):
        if fcntl.fcntl(descriptor, fcntl.F_GETPIPE_SZ) < _PIPE_BYTES:
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _PIPE_BYTES)
