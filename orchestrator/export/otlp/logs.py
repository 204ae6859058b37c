"""Records of our log as OTLP log records.

The kind of a record is the event's name, its level the severity. Plan, run and probe are
attributes, by which a server finds them. The body is the whole record.
"""

import time
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.sdk._logs import ReadableLogRecord
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.util.instrumentation import InstrumentationScope

from orchestrator.output.json_codec import decode_json

__all__ = ["make_log_records"]

_SEVERITIES = {
    "debug": SeverityNumber.DEBUG,
    "info": SeverityNumber.INFO,
    "warning": SeverityNumber.WARN,
    "error": SeverityNumber.ERROR,
}
#: Fields of our records that become attributes.
_ATTRIBUTES = ("plan", "run_id", "host", "kernel", "probe", "outcome")
#: Integers of OTLP are signed and have 64 bits.
_INT64 = 1 << 63


def make_log_records(
    lines: Iterable[bytes], resource: Resource, scope: InstrumentationScope
) -> list[ReadableLogRecord]:
    """A log record for each line that is a JSON object; a line that is none is its body as text,
    with the severity of a warning."""
    observed = time.time_ns()
    return [
        ReadableLogRecord(_make_record(line, observed), resource, instrumentation_scope=scope)
        for line in lines
    ]


def _make_record(line: bytes, observed: int) -> LogRecord:
    try:
        record = decode_json(line)
    except ValueError:
        record = None
    if not isinstance(record, dict):
        text = line.decode(errors="backslashreplace")
        return LogRecord(
            timestamp=observed,
            observed_timestamp=observed,
            severity_number=SeverityNumber.WARN,
            severity_text="warning",
            body=text,
        )
    level = str(record.get("level", "info"))
    return LogRecord(
        timestamp=_find_time(record, observed),
        observed_timestamp=observed,
        severity_number=_SEVERITIES.get(level, SeverityNumber.INFO),
        severity_text=level,
        body=_fit(record),
        attributes={f"probeplan.{name}": str(record[name]) for name in _ATTRIBUTES
                    if record.get(name) is not None},
        event_name=str(record.get("event", "")),
    )  # fmt: skip


def _find_time(record: Mapping[str, Any], otherwise: int) -> int:
    """When it happened, in ns since 1970: events say it in ns, others as RFC 3339."""
    moment = record.get("time_unix_nano")
    if isinstance(moment, int) and 0 < moment < _INT64:
        return moment
    try:
        text, _, fraction = str(record.get("ts")).removesuffix("Z").partition(".")
        seconds = int(datetime.fromisoformat(f"{text}+00:00").timestamp())
        return seconds * 1_000_000_000 + int(fraction[:9].ljust(9, "0"))
    except ValueError:
        return otherwise


def _fit(value: Any) -> Any:
    """The value with integers as text that do not fit into those of OTLP, which are signed."""
    if isinstance(value, int) and not -_INT64 <= value < _INT64:
        return str(value)
    if isinstance(value, dict):
        return {name: _fit(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_fit(item) for item in value]
    return value
