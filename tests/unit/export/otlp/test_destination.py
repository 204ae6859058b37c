"""OTLP as a destination: which records become log records, and what the end says."""

import pytest

from orchestrator.export.lines import LogLine
from orchestrator.export.otlp.destination import OtlpDestination
from orchestrator.export.otlp.metrics import HistogramForm
from orchestrator.export.otlp.settings import OtlpSettings, SignalSettings, read_settings
from orchestrator.export.series import SeriesStore
from orchestrator.output.json_codec import encode_json
from tests.support.otlp_server import OtlpServer, find_free_port, plain_attributes, run_otlp_server

DATA = ("event.recorded", "stack.named", "metric.reported", "figure.reported")
LIFE = ("run.started", "probe.attached", "governor.stepped", "events.lost", "run.finished")


def make_line(kind: str) -> LogLine:
    """As they are read: those of events are not parsed."""
    record = {"event": kind}
    return LogLine(encode_json(record), None if kind == "event.recorded" else record)


def make_destination(
    settings: OtlpSettings, *, wants_events: bool = False, patience_s: float = 20
) -> OtlpDestination:
    return OtlpDestination(
        SeriesStore(), settings, host="h", host_id=None, form=HistogramForm(), interval_s=3600,
        wants_events=wants_events, say=lambda _text: None, patience_s=patience_s,
    )  # fmt: skip


def list_sent(server: OtlpServer, *, wants_events: bool) -> list[str]:
    settings = read_settings({"OTEL_EXPORTER_OTLP_ENDPOINT": server.url})
    destination = make_destination(settings, wants_events=wants_events)
    for kind in (*LIFE[:-1], *DATA, LIFE[-1]):
        destination.observe(make_line(kind))
    destination.close()
    return [record.event_name for record in server.log_records()]


def test_records_of_a_runs_life_are_sent_and_data_only_on_request() -> None:
    """A kind that is not known is one of a run's life: later versions add some."""
    with run_otlp_server() as server:
        assert list_sent(server, wants_events=False) == list(LIFE)
    with run_otlp_server() as server:
        assert sorted(list_sent(server, wants_events=True)) == sorted((*LIFE, *DATA))


def test_the_last_record_of_a_run_sends_the_series_at_once() -> None:
    """The interval is an hour."""
    with run_otlp_server() as server:
        settings = read_settings({"OTEL_EXPORTER_OTLP_ENDPOINT": server.url})
        destination = make_destination(settings)
        destination.observe(make_line("run.skipped"))
        server.wait_for(lambda: bool(server.points("probeplan_export_records")))
        destination.close()
    (sent,) = [
        point.as_int
        for point in server.points("probeplan_export_sends")
        if plain_attributes(point.attributes) == {"signal": "metrics", "result": "ok"}
    ]
    assert sent >= 1


def test_events_are_not_parsed_where_no_logs_are_sent() -> None:
    """For a server that takes none, --events costs nothing."""
    settings = read_settings({"OTEL_LOGS_EXPORTER": "none"})
    destination = make_destination(settings, wants_events=True, patience_s=0)
    assert not destination.wants_events
    with pytest.raises(OSError, match="the newest values of the series"):
        destination.close()


def test_the_end_names_what_was_not_sent_and_where_to() -> None:
    """Without the password of the URL."""
    port = find_free_port()
    signal = SignalSettings(url=f"http://me:secret@127.0.0.1:{port}/v1/logs", timeout_s=0.2)
    destination = make_destination(OtlpSettings(metrics=None, logs=signal, interval_s=None))
    for kind in LIFE:
        destination.observe(make_line(kind))
    with pytest.raises(OSError, match="not sent by OTLP: 5 log records") as caught:
        destination.close()
    assert caught.value.filename == f"http://127.0.0.1:{port}/v1/logs"
