"""Where the records and lines of a run are written, and what happens when writing fails.

A failed output ends the run but nothing else: the error is kept in `failed`, later lines are
counted as lost, and cleaning up goes on.
"""

import os
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.output.log import EventKind, Level, Log
from orchestrator.output.sink import OutputLost, Sink

__all__ = ["RunOutput", "TeeSink"]


class TeeSink(Sink):
    """Writes the same lines to two sinks. Its counts are those of `first`; an error of either ends
    it."""

    def __init__(self, first: Sink, copy: Sink) -> None:  # it has no stream
        self._first, self._copy = first, copy
        self._copy_counts()

    def write(self, lines: bytes | memoryview, records: int) -> None:
        """Write to both, even when one fails. Raises OutputLost."""
        failures = []
        for sink in (self._first, self._copy):
            try:
                sink.write(lines, records)
            except OutputLost as error:
                failures.append(error)
        self._copy_counts()
        if failures:
            raise max(failures, key=lambda error: error.records_lost)

    def _copy_counts(self) -> None:
        self.delivered, self.lost = self._first.delivered, self._first.lost
        self.bytes = self._first.bytes
        self.failed = self._first.failed or self._copy.failed


class RunOutput:
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

    def write_record(self, event: EventKind, level: Level = "info", /, **fields: Any) -> None:
        """Write a lifecycle record, or queue it until `flush`."""
        self._before()
        try:
            self.log.write(event, level, **fields)
        except OutputLost as error:
            self.failed = self.failed or error

    def flush(self) -> None:
        """Write the queued records, and later ones at once."""
        try:
            self.log.flush()
        except OutputLost as error:
            self.failed = self.failed or error

    def write_lines(self, lines: bytes | memoryview, records: int) -> int:
        """Write event lines; returns how many records were written."""
        self._before()
        try:
            self.sink.write(lines, records)
        except OutputLost as error:
            self.failed = self.failed or error
            return records - error.records_lost
        return records

    @property
    def why_failed(self) -> str:
        """Why writing failed, for people; "" if it did not."""
        return "" if self.failed is None else os.strerror(self.failed.errno)
