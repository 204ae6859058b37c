"""A result that is kept in memory: what a report of a run needs where no directory keeps it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

from orchestrator.output.sink import OnLost, Sink, ignore_loss
from orchestrator.output.text import dump_json

__all__ = ["FirstLines", "MemoryResult", "ResultKeeper"]

_RECORD_MARK, _STACK_MARK = b'"event":"event.recorded"', b'"event":"stack.named"'
_HEAD_BYTES = 300


class ResultKeeper(Protocol):
    """What keeps the result of a run."""

    @property
    def keeps_records(self) -> bool:
        """Whether it has the record of every event, so that what a log loses is no loss."""

    @property
    def is_ours(self) -> bool:
        """Whether writing to it needs no other user's rights."""

    @property
    def result_path(self) -> Path | None:
        """The absolute path of its result.json; None if it has none."""

    def write_plan(self, text: bytes) -> None:
        """Keep the plan as it was read."""

    def write_program(self, name: str, text: str) -> None:
        """Keep the program that ran."""

    def write_folded(self, text: str) -> None:
        """Keep metrics by stacks as folded text."""

    def open_events(self) -> Sink:
        """The sink for the log's lines."""

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Keep the result, in place of an earlier one."""


class FirstLines(Sink):
    """Keeps the first records of events, at most so many `records`, and lines of other kinds, at
    most so many `size` bytes. `records_omitted` and `lines_omitted` count what it does not keep."""

    def __init__(self, records: int, size: int = 64 << 20) -> None:
        self.lines: list[bytes] = []
        self.records_omitted = self.lines_omitted = 0
        self.delivered = self.lost = self.bytes = 0
        self.failed: int | None = None
        self._records, self._size = records, size

    def write(self, lines: bytes | memoryview, records: int, on_lost: OnLost = ignore_loss) -> None:
        """Takes all lines."""
        del on_lost
        self.delivered += records
        self.bytes += len(lines)
        head = bytes(lines[:_HEAD_BYTES])
        if _RECORD_MARK in head:
            self._keep_records(lines, records)
        elif _STACK_MARK not in head:
            self._keep_line(bytes(lines))

    def _keep_records(self, lines: bytes | memoryview, records: int) -> None:
        kept = min(records, self._records)
        self.records_omitted += records - kept
        if kept:
            self._records -= kept
            self.lines.extend(bytes(lines).splitlines(keepends=True)[:kept])

    def _keep_line(self, line: bytes) -> None:
        if len(line) > self._size:
            self.lines_omitted += 1
            return
        self._size -= len(line)
        self.lines.append(line)


class MemoryResult:
    """Keeps what a report shows, for as long as the process lives. `plan` is b"", and `result` is
    None, until they are there; `result` is JSON."""

    keeps_records = False
    is_ours = True
    result_path: Path | None = None

    def __init__(self, records: int) -> None:
        self.plan = b""
        self.result: bytes | None = None
        self.events = FirstLines(records)

    def write_plan(self, text: bytes) -> None:
        """As of ResultKeeper."""
        self.plan = text

    def write_program(self, name: str, text: str) -> None:
        """Nothing: a report does not show it."""

    def write_folded(self, text: str) -> None:
        """Nothing: the result has the stacks."""

    def open_events(self) -> Sink:
        """As of ResultKeeper."""
        return self.events

    def write_result(self, result: Mapping[str, Any]) -> None:
        """As of ResultKeeper."""
        self.result = dump_json(dict(result))
