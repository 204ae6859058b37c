"""What a collector gets by OTLP, decoded again: exact counts, and how failed exports are judged."""

import math
from pathlib import Path

import pytest

from orchestrator.cells.buckets import LOG, Buckets
from orchestrator.export.otlp.collector import LogsCollector, MetricsCollector
from orchestrator.export.otlp.metrics import HistogramForm
from orchestrator.export.otlp.resource import make_resource
from orchestrator.export.otlp.settings import SignalSettings
from orchestrator.export.snapshot import Family, HistogramCounts, Sample, Snapshot
from orchestrator.output.json_codec import encode_json
from orchestrator.version import installed_version
from tests.support.otlp_server import (
    OtlpServer,
    find_free_port,
    hold_connections,
    list_metrics,
    plain_attributes,
    plain_value,
    run_otlp_server,
)

CREATED, TAKEN = 1_795_000_000_000_000_000, 1_795_000_060_000_000_000
LABELS = (("key_comm", "postgres"), ("plan", "reads"))


def make_snapshot(*families: Family) -> Snapshot:
    return Snapshot(families=families, created_unix_nano=CREATED, taken_unix_nano=TAKEN)


def make_family(kind: str, *values: object, unit: str = "", per_unit: int = 1) -> Family:
    samples = tuple(Sample((*LABELS, ("n", str(i))), value) for i, value in enumerate(values))
    return Family(
        name="probeplan_x", kind=kind, help="What it is.", unit=unit, per_unit=per_unit,
        samples=samples,
    )  # fmt: skip


def make_collector(
    server: OtlpServer, form: HistogramForm | None = None, timeout_s: float = 5
) -> MetricsCollector:
    settings = SignalSettings(url=f"{server.url}/v1/metrics", timeout_s=timeout_s)
    return MetricsCollector(settings, make_resource("db-17", "ab12"), form or HistogramForm())


def make_logs_collector(server: OtlpServer) -> LogsCollector:
    settings = SignalSettings(url=f"{server.url}/v1/logs", timeout_s=5)
    return LogsCollector(settings, make_resource("db-17", "ab12"))


# ---------------------------------------------------------------- metrics


def test_a_counter_is_a_cumulative_monotonic_sum_with_its_start() -> None:
    """Whole numbers stay whole, up to 63 bits."""
    with run_otlp_server() as server:
        family = make_family("counter", 3, 2**63 - 1)
        assert make_collector(server).send(make_snapshot(family)).failure == ""
        (metric,) = list_metrics(server.metrics[0])
    assert (metric.name, metric.description, metric.unit) == ("probeplan_x", "What it is.", "1")
    assert metric.sum.is_monotonic
    assert metric.sum.aggregation_temporality == 2
    points = metric.sum.data_points
    assert [point.as_int for point in points] == [3, 2**63 - 1]
    assert {point.start_time_unix_nano for point in points} == {CREATED}
    assert {point.time_unix_nano for point in points} == {TAKEN}
    assert plain_attributes(points[0].attributes) == {
        "key_comm": "postgres", "plan": "reads", "n": "0",
    }  # fmt: skip


def test_values_are_in_base_units_and_unknown_ones_are_left_out() -> None:
    """ns as seconds; NaN is no value; more than 63 bits as a floating-point number."""
    with run_otlp_server() as server:
        seconds = make_family("gauge", 1_500_000_000, math.nan, unit="seconds", per_unit=10**9)
        huge = make_family("gauge", 2**70, unit="bytes")
        assert make_collector(server).send(make_snapshot(seconds, huge)).failure == ""
        first, second = list_metrics(server.metrics[0])
    assert [point.as_double for point in first.gauge.data_points] == [1.5]
    assert (first.unit, second.unit) == ("s", "By")
    assert second.gauge.data_points[0].as_double == 2.0**70


def test_a_histogram_is_exponential_with_its_counts() -> None:
    """1,000 values of 4 ns, 10 zeros, 3 of 2^40: every count is there."""
    counts = {LOG.index(0): 10, LOG.index(4): 1000, LOG.index(2**40): 3}
    values = HistogramCounts(buckets=LOG, counts=counts, below=2)
    with run_otlp_server() as server:
        assert (
            make_collector(server).send(make_snapshot(make_family("histogram", values))).failure
            == ""
        )
        (metric,) = list_metrics(server.metrics[0])
    assert metric.exponential_histogram.aggregation_temporality == 2
    (point,) = metric.exponential_histogram.data_points
    assert (point.scale, point.zero_count, point.count) == (5, 12, 1015)
    filled = [
        (point.positive.offset + i, n) for i, n in enumerate(point.positive.bucket_counts) if n
    ]
    assert filled == [(63, 1000), (math.ceil(math.log2(LOG.middle(LOG.index(2**40))) * 32) - 1, 3)]
    assert (point.start_time_unix_nano, point.time_unix_nano) == (CREATED, TAKEN)
    assert not point.HasField("sum")  # of the two below nothing is known
    assert not point.HasField("min")


def test_exact_buckets_have_our_edges_as_bounds() -> None:
    """Linear buckets too, with what is above."""
    linear = Buckets(kind="linear", low=0, high=100, step=10)
    logarithmic = HistogramCounts(buckets=LOG, counts={LOG.index(1000): 5})
    steps = HistogramCounts(buckets=linear, counts={0: 1, 3: 4}, above=2)
    family = make_family("histogram", logarithmic, steps, unit="seconds", per_unit=10**9)
    with run_otlp_server() as server:
        collector = make_collector(server, HistogramForm(exact=True))
        assert collector.send(make_snapshot(family)).failure == ""
        (metric,) = list_metrics(server.metrics[0])
    first, second = metric.histogram.data_points
    index = LOG.index(1000)
    assert list(first.explicit_bounds) == [
        (LOG.lower_edge(index) - 1) / 1e9, LOG.upper_edge(index) / 1e9,
    ]  # fmt: skip
    assert list(first.bucket_counts) == [0, 5, 0]
    assert first.sum == pytest.approx(5 * LOG.middle(index) / 1e9)
    assert list(second.explicit_bounds) == [-1e-9, 9e-9, 29e-9, 39e-9, 99e-9]
    assert list(second.bucket_counts) == [0, 1, 0, 4, 0, 2]
    assert second.count == 7


def test_a_large_snapshot_is_sent_in_several_requests() -> None:
    """2,500 series: each is in exactly one of them."""
    with run_otlp_server() as server:
        families = (make_family("counter", *range(1700)), make_family("gauge", *range(800)))
        assert make_collector(server).send(make_snapshot(*families)).failure == ""
        requests = list(server.metrics)
    sizes = [
        sum(len(getattr(m, m.WhichOneof("data")).data_points) for m in list_metrics(request))
        for request in requests
    ]
    assert sum(sizes) == 2500
    assert max(sizes) <= 1000


def test_who_sends_is_in_the_resource_and_the_environment_comes_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """OTEL_RESOURCE_ATTRIBUTES adds and replaces; nothing in it changes at each start."""
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "deployment.environment.name=prod,host.name=x")
    with run_otlp_server() as server:
        assert make_collector(server).send(make_snapshot(make_family("counter", 1))).failure == ""
        resource = server.metrics[0].resource_metrics[0].resource
    assert plain_attributes(resource.attributes) == {
        "service.name": "probeplan",
        "service.version": installed_version(),
        "host.id": "ab12",
        "host.name": "x",
        "deployment.environment.name": "prod",
    }


def test_headers_and_compression_are_those_of_the_variables(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As the exporter library reads them."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_HEADERS", "x-tenant=a%20b")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip")
    with run_otlp_server() as server:
        assert make_collector(server).send(make_snapshot(make_family("counter", 1))).failure == ""
        (headers,) = server.headers
    assert headers["x-tenant"] == "a b"
    assert headers["content-encoding"] == "gzip"
    assert headers[":path"] == "/v1/metrics"


# ---------------------------------------------------------------- logs


def test_a_record_is_a_log_record_with_kind_severity_and_time() -> None:
    """The body is the whole record; integers beyond 63 bits are text."""
    record = {
        "ts": "2026-11-23T02:15:07.123456789Z", "level": "warning", "event": "run.finished",
        "run_id": "20261123T021507-1f3a9c", "plan": "reads", "host": "db-17", "kernel": "6.1.0",
        "outcome": "duration", "lost": 3, "ledger": {"big": 2**64 - 1, "list": [1, None, True]},
    }  # fmt: skip
    with run_otlp_server() as server:
        assert make_logs_collector(server).send([encode_json(record)]).failure == ""
        (taken,) = server.log_records()
        resource = server.logs[0].resource_logs[0].resource
    assert taken.event_name == "run.finished"
    assert (taken.severity_text, taken.severity_number) == ("warning", 13)
    assert taken.time_unix_nano == 1_795_400_107_123_456_789
    assert taken.observed_time_unix_nano > 0
    assert plain_attributes(taken.attributes) == {
        "probeplan.plan": "reads", "probeplan.run_id": "20261123T021507-1f3a9c",
        "probeplan.host": "db-17", "probeplan.kernel": "6.1.0", "probeplan.outcome": "duration",
    }  # fmt: skip
    record["ledger"]["big"] = str(2**64 - 1)
    assert plain_value(taken.body) == record
    assert plain_attributes(resource.attributes)["host.id"] == "ab12"


def test_an_event_has_the_kernels_time_and_a_torn_line_is_sent_as_text() -> None:
    """Nothing that was read is left out."""
    event = {"ts": "x", "event": "event.recorded", "time_unix_nano": 42, "probe": "read"}
    with run_otlp_server() as server:
        assert (
            make_logs_collector(server).send([encode_json(event), b'{"torn": "\xff', b"7"]).failure
            == ""
        )
        first, torn, number = server.log_records()
    assert first.time_unix_nano == 42
    assert first.severity_text == "info"
    assert torn.body.string_value == '{"torn": "\\xff'
    assert (torn.severity_text, number.body.string_value) == ("warning", "7")


# ---------------------------------------------------------------- failures


@pytest.mark.parametrize(
    ("status", "may_succeed_later"), [(400, False), (404, False), (401, False), (500, False)]
)
def test_a_final_refusal_is_told_from_one_that_may_end(
    status: int, may_succeed_later: bool
) -> None:
    """By the status, as the specification has it; the failure names the URL."""
    with run_otlp_server() as server:
        server.status = status
        outcome = make_logs_collector(server).send([b"{}"])
    assert f"{server.url}/v1/logs: status {status}" in outcome.failure
    assert outcome.may_succeed_later is may_succeed_later


@pytest.mark.parametrize("status", [301, 302, 307])
def test_a_redirection_is_not_taken_for_success(status: int) -> None:
    """It is not followed either: what the endpoint should be is in the message."""
    with run_otlp_server() as server:
        server.status = status
        logs = make_logs_collector(server).send([b"{}"])
        metrics = make_collector(server).send(make_snapshot(make_family("gauge", 1)))
    reason = f"status {status}: it is redirected to http://127.0.0.1:9/elsewhere"
    assert logs.failure == f"{server.url}/v1/logs: {reason}"
    assert metrics.failure == f"{server.url}/v1/metrics: {reason}"
    assert not logs.may_succeed_later


def test_an_overloaded_collector_is_tried_again_within_the_timeout() -> None:
    """503: the library waits about a second and tries again; then there is no time left."""
    with run_otlp_server() as server:
        server.status = 503
        outcome = make_collector(server, timeout_s=2.5).send(make_snapshot(make_family("gauge", 1)))
    assert "status 503" in outcome.failure
    assert outcome.may_succeed_later
    assert server.refused == 2


def test_a_collector_that_is_not_there_is_named() -> None:
    """Connection refused."""
    url = f"http://127.0.0.1:{find_free_port()}/v1/metrics"
    collector = MetricsCollector(
        SignalSettings(url=url, timeout_s=0.5), make_resource("h", None), HistogramForm()
    )
    outcome = collector.send(make_snapshot(make_family("gauge", 1)))
    assert outcome.failure == f"{url}: connection refused"
    assert outcome.may_succeed_later


def test_a_collector_that_never_answers_ends_with_the_timeout() -> None:
    """It accepts the connection and that is all."""
    with hold_connections() as url:
        settings = SignalSettings(url=f"{url}/v1/logs", timeout_s=0.3)
        outcome = LogsCollector(settings, make_resource("h", None)).send([b"{}"])
    assert outcome.failure == f"{url}/v1/logs: no answer in time"
    assert outcome.may_succeed_later


def test_what_a_collector_rejects_of_an_export_is_counted() -> None:
    """Partial success: the rest was taken."""
    with run_otlp_server() as server:
        server.rejected = 2
        metrics = make_collector(server).send(make_snapshot(make_family("counter", 1, 2, 3)))
        logs = make_logs_collector(server).send([b"{}"] * 3)
    assert (metrics.failure, metrics.rejected) == ("", 2)
    assert (logs.failure, logs.rejected) == ("", 2)


def test_the_library_says_nothing_of_its_own(
    capfd: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """One message for each attempt would fill a journal."""
    with run_otlp_server() as server:
        server.status = 400
        assert make_collector(server).send(make_snapshot(make_family("gauge", 1))).failure
    assert capfd.readouterr().err == ""
