"""Lifecycle records: what a run does, as JSON lines.

Until the first `flush` records are queued, with the time at which they were logged: rendering them
imports a module, and attaching does not wait for that. Later ones are written at once. The lines
are those that structlog's JSON renderer would write, whose import alone takes 75 ms and 14 MiB.
"""

import time
from collections.abc import Mapping
from typing import Any, Literal

from orchestrator.output.sink import OutputLost, Sink
from orchestrator.output.text import dump_json

__all__ = ["EventKind", "Level", "Log", "LogRecord", "OutputLost"]
__all__ += ["RecordFields", "format_timestamp"]

Level = Literal["debug", "info", "warning", "error"]
#: What a record reports: a noun, and a verb in the past. Records of the kind `event.recorded` are
#: rendered in bulk instead (output.json_lines).
EventKind = Literal[
    "run.started",
    "probe.attached",
    "probe.skipped",
    "probe.paused",
    "probe.resumed",
    "stack.named",
    "metric.reported",
    "metric.warned",
    "figure.reported",
    "outstanding.reported",
    "stop.reached",
    "limit.reached",
    "clock.stepped",
    "governor.stepped",
    "events.lost",
    "run.finished",
    "check.started",
    "check.repeat",
    "check.verdict",
    "check.explained",
    "check.finished",
]

#: A record as the log schema has it.
LogRecord = Mapping[str, Any]
#: The fields of one kind of record, without those that all kinds have.
RecordFields = dict[str, Any]
_Queued = tuple[int, str, Level, dict[str, Any]]


class Log:
    """The lifecycle log of one run.

    `constants`: run_id, plan, plan_sha256, host, kernel; they follow ts, level and event in every
    record.
    """

    def __init__(self, sink: Sink, constants: Mapping[str, str]) -> None:
        self._sink = sink
        self._constants = dict(constants)
        self._queue: list[_Queued] = []
        self._is_flushed = False

    def write(self, event: EventKind, level: Level = "info", /, **fields: Any) -> None:
        """Log one record; `fields` as in the log schema. Raises OutputLost once it is flushed."""
        record = (time.time_ns(), event, level, fields)
        if self._is_flushed:
            self._emit(record)
        else:
            self._queue.append(record)

    def flush(self) -> None:
        """Write the queued records, and later ones at once. Raises OutputLost, with `records_lost`
        as the number of all that were queued and not written."""
        self._is_flushed = True
        queue, self._queue = self._queue, []
        for written, record in enumerate(queue):
            try:
                self._emit(record)
            except OutputLost as error:
                left = len(queue) - written
                self._sink.lost += left - error.records_lost
                raise OutputLost(error.errno, left) from error

    def _emit(self, record: _Queued) -> None:
        """The common fields come first, in their order."""
        unix_nano, event, level, fields = record
        common = {"ts": format_timestamp(unix_nano), "level": level, "event": event}
        self._sink.write(dump_json({**common, **self._constants, **fields}) + b"\n", 1)


def format_timestamp(unix_nano: int) -> str:
    """RFC 3339 in UTC with nine decimals; `unix_nano`: ns since 1970."""
    second, nano = divmod(unix_nano, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(second))}.{nano:09d}Z"
