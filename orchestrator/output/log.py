"""Lifecycle records: what a run does, as JSON lines through structlog.

Until the first `flush` records are queued, with the time at which they were logged: importing
structlog takes longer than attaching a probe, which does not wait for that. Later ones are written
at once.
"""

import time
from collections.abc import Callable, Mapping, MutableMapping
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
    "run.skipped",
    "run.refused",
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


class _LineLogger:
    """A logger as structlog wraps it: writes the rendered line, whatever the level."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink

    def msg(self, line: bytes) -> None:
        self._sink.write(line + b"\n", 1)

    debug = info = warning = error = msg


class Log:
    """The lifecycle log of one run.

    `constants`: run_id, plan, plan_sha256, host, kernel; they follow ts, level and event in every
    record.
    """

    def __init__(self, sink: Sink, constants: Mapping[str, str]) -> None:
        self._sink = sink
        self._constants = dict(constants)
        self._queue: list[_Queued] = []
        self._emit: Callable[[_Queued], None] | None = None

    def write(self, event: EventKind, level: Level = "info", /, **fields: Any) -> None:
        """Log one record; `fields` as in the log schema. Raises OutputLost once it is flushed."""
        record = (time.time_ns(), event, level, fields)
        if self._emit is None:
            self._queue.append(record)
        else:
            self._emit(record)

    def flush(self) -> None:
        """Write the queued records, and later ones at once. Raises OutputLost, with `records_lost`
        as the number of all that were queued and not written."""
        if self._emit is None:
            self._emit = self._configure_structlog()
        queue, self._queue = self._queue, []
        for written, record in enumerate(queue):
            try:
                self._emit(record)
            except OutputLost as error:
                left = len(queue) - written
                self._sink.lost += left - error.records_lost
                raise OutputLost(error.errno, left) from error

    def _configure_structlog(self) -> Callable[[_Queued], None]:
        import structlog  # lazy: see the module's docstring

        logger = structlog.wrap_logger(
            _LineLogger(self._sink),
            processors=[self._add_common_fields, structlog.processors.JSONRenderer(_dump_record)],
            wrapper_class=structlog.BoundLogger,
            context_class=dict,
            cache_logger_on_first_use=True,
        )

        def emit(record: _Queued) -> None:
            unix_nano, event, level, fields = record
            getattr(logger, level)(event, unix_nano=unix_nano, fields=fields)

        return emit

    def _add_common_fields(
        self, _logger: object, level: str, event: MutableMapping[str, Any]
    ) -> Mapping[str, Any]:
        """A structlog processor: the common fields come first, in their order."""
        return {
            "ts": format_timestamp(event["unix_nano"]),
            "level": level,
            "event": event["event"],
            **self._constants,
            **event["fields"],
        }


def _dump_record(record: Mapping[str, Any], **_options: object) -> bytes:
    return dump_json(record)


def format_timestamp(unix_nano: int) -> str:
    """RFC 3339 in UTC with nine decimals; `unix_nano`: ns since 1970."""
    second, nano = divmod(unix_nano, 1_000_000_000)
    return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(second))}.{nano:09d}Z"
