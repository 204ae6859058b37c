"""A log, read once: what was attached, windows of metrics, the first records. Memory is bounded,
however long the log is: windows are joined, and further records are counted.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import field

from orchestrator.html_report.windows.series import WindowSeries
from orchestrator.output.fields import ShownField
from orchestrator.output.json_codec import decode_json
from orchestrator.output.log import LogRecord
from orchestrator.values import dataclass

__all__ = ["SHOWN_RECORDS", "LogDigest", "digest_log"]


#: More are counted.
SHOWN_RECORDS = 200
#: Of each kind of record but events and windows.
_MOST_NOTICES = 1000
_RECORD_MARK = b'"event":"event.recorded"'
#: In a record, its kind and its run come before anything that others chose.
_HEAD_BYTES = 300


@dataclass(slots=True, kw_only=True)
class LogDigest:
    """What a report shows of a log. `enforced`: who enforces a limit, by its name; `fields`: how
    the fields of each probe and span are shown, where the log says so; `records`: the first of
    event.recorded, `records_omitted` more of them; `attached`, `skipped`, `warned` (of windows),
    `control` (pausing and resuming): records of those kinds, `notices_omitted` more of them;
    `steps_ns`: by how much the clock was set; `series`: windows by probe and metric; `figures`: by
    name; `unread`: lines that are no records; `foreign`: lines of other runs."""

    enforced: Mapping[str, str] = field(default_factory=dict)
    fields: Mapping[str, Mapping[str, ShownField]] = field(default_factory=dict)
    attached: list[LogRecord] = field(default_factory=list)
    skipped: list[LogRecord] = field(default_factory=list)
    warned: list[LogRecord] = field(default_factory=list)
    steps_ns: list[int] = field(default_factory=list)
    control: list[LogRecord] = field(default_factory=list)
    records: list[LogRecord] = field(default_factory=list)
    series: dict[tuple[str, str], WindowSeries] = field(default_factory=dict)
    figures: dict[str, WindowSeries] = field(default_factory=dict)
    records_omitted: int = 0
    notices_omitted: int = 0
    unread: int = 0
    foreign: int = 0


def digest_log(lines: Iterable[bytes], run_id: str) -> LogDigest:
    """What the log says about the run `run_id`; never raises for what is in a line."""
    digest = LogDigest()
    mark = f'"run_id":"{run_id}"'.encode()
    for line in lines:
        if line.strip():
            _take_line(digest, line, mark)
    return digest


def _take_line(digest: LogDigest, line: bytes, mark: bytes) -> None:
    head = line[:_HEAD_BYTES]
    if mark not in head:
        digest.foreign += b'"run_id":"' in head
        digest.unread += b'"run_id":"' not in head
        return
    if _RECORD_MARK in head and len(digest.records) >= SHOWN_RECORDS and line.endswith(b"}\n"):
        digest.records_omitted += 1
        return
    try:
        record = decode_json(line)
        take = _TAKERS.get(record["event"])
        if take is not None:
            take(digest, record)
    except (LookupError, TypeError, ValueError, AttributeError):
        digest.unread += 1


def _take_started(digest: LogDigest, record: LogRecord) -> None:
    limits = record["limits"].items()
    digest.enforced = {name: str(limit["enforced_by"]) for name, limit in limits}
    digest.fields = {
        owner: {name: _read_field(one) for name, one in fields.items()}
        for owner, fields in record.get("fields", {}).items()
    }


def _read_field(one: Mapping[str, str]) -> ShownField:
    return ShownField(str(one["form"]), str(one["unit"]), str(one["shown_as"]))


def _take_event(digest: LogDigest, record: LogRecord) -> None:
    if len(digest.records) >= SHOWN_RECORDS:
        digest.records_omitted += 1
        return
    if not isinstance(record["data"], dict):
        raise TypeError("`data` is no object")
    _require(record, "ts", "probe")
    digest.records.append(record)


def _require(record: LogRecord, *names: str) -> None:
    """Raises KeyError."""
    for name in names:
        record[name]


def _take_metric(digest: LogDigest, record: LogRecord) -> None:
    if record["total"] is not False:
        return
    name = (str(record["probe"]), str(record["metric"]))
    series = digest.series.setdefault(name, WindowSeries(str(record["kind"])))
    series.add_metric(record)


def _take_figures(digest: LogDigest, record: LogRecord) -> None:
    if record["total"] is not False:
        return
    for name, value in record["values"].items():
        series = digest.figures.setdefault(str(name), WindowSeries("avg"))
        series.add_value(record["window"], value)


def _keep(kind: str, *names: str) -> Callable[[LogDigest, LogRecord], None]:
    """What takes a record that has `names` into the list `kind`."""

    def take(digest: LogDigest, record: LogRecord) -> None:
        _require(record, *names)
        kept: list[LogRecord] = getattr(digest, kind)
        if len(kept) < _MOST_NOTICES:
            kept.append(record)
        else:
            digest.notices_omitted += 1

    return take


_keep_warning = _keep("warned", "probe", "metric", "condition")


def _take_warning(digest: LogDigest, record: LogRecord) -> None:
    if record["total"] is False:
        _keep_warning(digest, record)


def _take_step(digest: LogDigest, record: LogRecord) -> None:
    digest.steps_ns.append(int(record["by_ns"]))


_TAKERS: Mapping[str, Callable[[LogDigest, LogRecord], None]] = {
    "run.started": _take_started,
    "event.recorded": _take_event,
    "metric.reported": _take_metric,
    "figure.reported": _take_figures,
    "metric.warned": _take_warning,
    "probe.attached": _keep("attached", "probe", "to", "mechanism", "target"),
    "probe.skipped": _keep("skipped", "probe", "to", "reason"),
    "probe.paused": _keep("control", "probe", "uid"),
    "probe.resumed": _keep("control", "probe", "uid"),
    "clock.stepped": _take_step,
}
