"""Where the lines of a run go, and what happens when they can go no further.

Losing the output ends a run but breaks nothing: the error is kept in `failed`, later lines are
counted as lost, and cleaning up goes on.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.output.log import EventKind, Level, Log
from orchestrator.output.sink import OutputLost, Sink

__all__ = ["Output", "Tee"]


class Tee(Sink):
    """The same lines to two sinks. Its counts are those of `first`; an error of either ends it."""

    def __init__(self, first: Sink, copy: Sink) -> None:  # nothing of a Sink's own is opened
        self._first, self._copy = first, copy
        self._tell()

    def write(self, lines: bytes | memoryview, records: int) -> None:
        """Write to both, also when one fails. Raises OutputLost."""
        failures = []
        for sink in (self._first, self._copy):
            try:
                sink.write(lines, records)
            except OutputLost as error:
                failures.append(error)
        self._tell()
        if failures:
            raise max(failures, key=lambda error: error.records_lost)

    def _tell(self) -> None:
        self.delivered, self.lost = self._first.delivered, self._first.lost
        self.bytes = self._first.bytes
        self.failed = self._first.failed or self._copy.failed


class Output:
    """The log and the event lines of one run, into one sink. `constants` as Log has them;
    `before` is called before each write (it takes a progress bar off the terminal)."""

    def __init__(
        self,
        sink: Sink,
        constants: Mapping[str, str],
        before: Callable[[], None] = lambda: None,
    ) -> None:
        self.sink = sink
        self._before = before
        self.log = Log(sink, constants)
        self.failed: OutputLost | None = None

    def record(self, event: EventKind, level: Level = "info", /, **fields: Any) -> None:
        """Write a lifecycle record, or queue it until `flush`."""
        self._before()
        try:
            self.log.write(event, level, **fields)
        except OutputLost as error:
            self.failed = self.failed or error

    def flush(self) -> None:
        """Write what is queued, and at once from now on."""
        try:
            self.log.flush()
        except OutputLost as error:
            self.failed = self.failed or error

    def lines(self, lines: bytes | memoryview, records: int) -> int:
        """Write event lines; returns how many records got out."""
        self._before()
        try:
            self.sink.write(lines, records)
        except OutputLost as error:
            self.failed = self.failed or error
            return records - error.records_lost
        return records

    @property
    def why_failed(self) -> str:
        """Why the output took no more, for people."""
        return "" if self.failed is None else os.strerror(self.failed.errno)
