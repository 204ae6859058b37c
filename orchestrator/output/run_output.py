"""Where the records and lines of a run are written, and what happens when writing fails.

A failed output ends the run but nothing else: the error is kept in `failed`, later lines are
counted as lost, and cleaning up goes on.
"""

import contextlib
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Protocol

from orchestrator.output.log import EventKind, Level, Log, LogRecord
from orchestrator.output.sink import OnLost, OutputLost, Sink, explain_failure, ignore_loss

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from orchestrator.compile.program import Program
    from orchestrator.output.fields import StackNames

__all__ = ["DiscardingSink", "RecordView", "RunOutput", "TeeSink"]


class RecordView(Protocol):
    """Shows the records of a run to people, apart from its log, and holds up no run."""

    @property
    def sink(self) -> Sink:
        """The terminal."""

    def follow(self, program: "Program", stacks: "StackNames") -> None:
        """The probes are armed, and records follow."""

    def take(self, records: "NDArray[np.uint8]", offset_ns: int) -> None:
        """Event records that were written; CLOCK_MONOTONIC plus `offset_ns` is wall time."""

    def note(self, event: str, level: str, fields: LogRecord) -> None:
        """A lifecycle record that was written."""

    def tick(self) -> None:
        """Called in every round of the run."""


class DiscardingSink(Sink):
    """Counts lines and discards them: people see the records on the `terminal`, with which this
    output fails."""

    def __init__(self, terminal: Sink) -> None:  # it has no stream
        self._terminal = terminal
        self.delivered = self.lost = self.bytes = 0
        self.failed = None

    def write(self, lines: bytes | memoryview, records: int, on_lost: OnLost = ignore_loss) -> None:
        """Count. Raises OutputLost once the terminal has failed."""
        del on_lost
        self.failed = self._terminal.failed
        if self.failed is not None:
            self.lost += records
            raise OutputLost(self.failed, records)
        self._count_written(memoryview(lines).nbytes, records, 0)

    def give_up(self) -> None:
        """As of Sink, for the terminal."""
        self._terminal.give_up()
        self.failed = self._terminal.failed

    @property
    def is_lossy(self) -> bool:
        """As of Sink: a file that keeps the same lines has the accounts."""
        return True


class TeeSink(Sink):
    """Writes the same lines to two sinks. Its counts are those of `first`; an error of either ends
    it."""

    def __init__(self, first: Sink, copy: Sink) -> None:  # it has no stream
        self._first, self._copy = first, copy
        self._copy_counts()

    def write(self, lines: bytes | memoryview, records: int, on_lost: OnLost = ignore_loss) -> None:
        """Write to both, even when one fails. Raises OutputLost when `first` does; `failed` is set
        by either."""
        failure: OutputLost | None = None
        try:
            self._first.write(lines, records, on_lost)
        except OutputLost as error:
            failure = error
        with contextlib.suppress(OutputLost):
            self._copy.write(lines, records)
        self._copy_counts()
        if failure is not None:
            raise failure

    @property
    def usable(self) -> bool:
        """Whether either still takes lines."""
        return self._first.usable or self._copy.usable

    @property
    def congested(self) -> bool:
        """Whether either waits for its reader."""
        return self._first.congested or self._copy.congested

    @property
    def throttles(self) -> bool:
        """Whether either does."""
        return self._first.throttles or self._copy.throttles

    @property
    def unread(self) -> int:
        """Of both."""
        return self._first.unread + self._copy.unread

    @property
    def silence(self) -> int:
        """Of the one that waits."""
        return (self._first if self._first.congested else self._copy).silence

    def push(self, patience_s: float) -> bool:
        """As of Sink."""
        taken = [sink.push(patience_s) for sink in (self._first, self._copy) if sink.congested]
        self._copy_counts()
        return any(taken)

    def give_up(self) -> None:
        """As of Sink."""
        self._first.give_up()
        self._copy.give_up()
        self._copy_counts()

    def close(self) -> None:
        """As of Sink."""
        self._first.close()
        self._copy.close()

    def _copy_counts(self) -> None:
        self.delivered, self.lost = self._first.delivered, self._first.lost
        self.bytes = self._first.bytes
        self.failed = self._first.failed or self._copy.failed


class RunOutput:
    """The log and the event lines of one run, into one sink. `constants` as Log has them;
    `before` is called before each write (it takes a progress bar off the terminal); `view` shows
    the records to people, too. `is_ended`: its last record is written, or lost with the sink."""

    is_ended = False

    def __init__(
        self,
        sink: Sink,
        constants: Mapping[str, str],
        before: Callable[[], None] = lambda: None,
        view: RecordView | None = None,
    ) -> None:
        self.sink = sink
        self._view = view
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
        self._notice_failure()
        if self._view is not None:
            self._view.note(event, level, fields)

    def follow(self, program: "Program", stacks: "StackNames") -> None:
        """The probes are armed: records of `program` follow; `stacks` names their stacks."""
        if self._view is not None:
            self._view.follow(program, stacks)

    def show(self, records: "NDArray[np.uint8]", offset_ns: int) -> None:
        """Show people records whose lines were written. `offset_ns`: to their wall time."""
        if self._view is not None:
            self._view.take(records, offset_ns)

    def tick(self) -> None:
        """Called in every round of the run."""
        if self._view is not None:
            self._view.tick()

    def flush(self) -> None:
        """Write the queued records, and later ones at once."""
        try:
            self.log.flush()
        except OutputLost as error:
            self.failed = self.failed or error
        self._notice_failure()

    def write_lines(
        self, lines: bytes | memoryview, records: int, on_lost: OnLost = ignore_loss
    ) -> int:
        """Write event lines; returns how many records were accepted. `on_lost` gets the number
        of those that are lost after all."""
        self._before()
        try:
            self.sink.write(lines, records, on_lost)
        except OutputLost as error:
            self.failed = self.failed or error
            return records - error.records_lost
        finally:
            self._notice_failure()
        return records

    @property
    def congested(self) -> bool:
        """Whether lines wait for a reader."""
        return any(sink.congested for sink in self._sinks)

    @property
    def _sinks(self) -> list[Sink]:
        return [self.sink] if self._view is None else [self.sink, self._view.sink]

    @property
    def throttles(self) -> bool:
        """As of Sink."""
        return self.sink.throttles

    @property
    def silence(self) -> int:
        """The errno that stands for an output which takes nothing."""
        return next((sink for sink in self._sinks if sink.congested), self.sink).silence

    def push(self, patience_s: float) -> bool:
        """Write what waits for a reader, for at most `patience_s`; whether any was taken."""
        self._before()
        waiting = [sink for sink in self._sinks if sink.congested]
        taken = [sink.push(patience_s / len(waiting)) for sink in waiting]
        self._notice_failure()
        return any(taken)

    def give_up(self) -> None:
        """Count what waits for a reader as lost."""
        for sink in self._sinks:
            sink.give_up()
        self._notice_failure()

    def close(self) -> None:
        """Close what was opened for the output, not its streams. Idempotent."""
        for sink in self._sinks:
            sink.close()

    def _notice_failure(self) -> None:
        """A sink that does not wait may fail after it has accepted lines."""
        if self.failed is None and self.sink.failed is not None:
            self.failed = OutputLost(self.sink.failed, 0)

    @property
    def why_failed(self) -> str:
        """Why writing failed, for people; "" if it did not."""
        return "" if self.failed is None else explain_failure(self.failed.errno)
