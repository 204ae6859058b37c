"""export --otlp: its variables and options, what it says, and its exit codes."""

import sys
from pathlib import Path

import pytest

from orchestrator.cli import main
from tests.support.export_records import json_lines, metric_record, number_cell, run_of
from tests.support.otlp_server import find_free_port, plain_attributes, run_otlp_server

RUN = run_of("a", metric_record([number_cell(5)]), metric_record([number_cell(5)], total=True))
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.fixture
def log(tmp_path: Path) -> str:
    path = tmp_path / "events.jsonl"
    path.write_bytes(json_lines(RUN))
    return str(path)


def test_a_log_is_sent_and_the_export_ends(
    log: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where to is said first."""
    with run_otlp_server() as server:
        monkeypatch.setenv(ENDPOINT, server.url)
        assert main(["export", log, "--otlp"]) == 0
        (point,) = server.points("probeplan_calls")
        kinds = [record.event_name for record in server.log_records()]
    assert point.as_int == 5
    assert plain_attributes(point.attributes)["plan"] == "p"
    assert kinds == [record["event"] for record in RUN if not record["event"].startswith("metric.")]
    said = capsys.readouterr().err
    assert f"metrics are sent to {server.url}/v1/metrics" in said
    assert f"logs are sent to {server.url}/v1/logs" in said


def test_files_and_otlp_are_possible_at_once(
    log: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The file has what became of the exports, too."""
    with run_otlp_server() as server:
        monkeypatch.setenv(ENDPOINT, server.url)
        assert main(["export", log, "--otlp", "--textfile", str(tmp_path)]) == 0
    text = (tmp_path / "probeplan-p.prom").read_text()
    assert 'probeplan_export_dropped_total{plan="p",reason="overflow",what="log_records"} 0' in text


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        (ENDPOINT, "collector:4318", "does not begin with http:// or https://"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", "speaks http/protobuf only"),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10000", "give seconds"),
    ],
)
def test_a_variable_that_cannot_be_used_is_named(
    log: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    variable: str, value: str, reason: str,
) -> None:  # fmt: skip
    """Exit code 2, and nothing is sent."""
    monkeypatch.setenv(variable, value)
    assert main(["export", log, "--otlp"]) == 2
    said = capsys.readouterr().err
    assert f"--otlp: {variable}={value} " in said
    assert reason in said


def test_a_dead_collector_is_named_with_what_was_not_sent(
    log: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 4."""
    url = f"http://127.0.0.1:{find_free_port()}"
    monkeypatch.setenv(ENDPOINT, url)
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "0.2")
    assert main(["export", log, "--otlp"]) == 4
    said = capsys.readouterr().err
    assert f"metrics: {url}/v1/metrics: connection refused" in said
    count = sum(not record["event"].startswith("metric.") for record in RUN)
    assert f"not sent by OTLP: the newest values of the series, {count} log records" in said


def test_a_missing_library_is_named_with_how_to_install_it(
    log: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 3."""
    for name in [name for name in sys.modules if name.startswith("orchestrator.export.otlp.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.resources", None)
    assert main(["export", log, "--otlp"]) == 3
    said = capsys.readouterr().err
    assert "opentelemetry-exporter-otlp-proto-http 1.39 or later" in said
    assert "pip install 'probeplan[export]'" in said


@pytest.mark.parametrize("options", [("--events",), ("--otlp-buckets", "160")])
def test_options_that_would_do_nothing_are_refused(
    log: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...]
) -> None:
    """Exit code 2, with the option's name."""
    assert main(["export", log, "--textfile", str(tmp_path), *options]) == 2
    assert f"{' '.join(options)} is only for --otlp" in capsys.readouterr().err


def test_a_histogram_of_one_bucket_is_refused(log: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2."""
    assert main(["export", log, "--otlp", "--otlp-buckets", "1"]) == 2
    assert "'1' is no number from 2 to 2,049" in capsys.readouterr().err
