"""`probeplan export --otlp` of real runs: a real server shows what was counted, and no collector
costs a run anything."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import nullcontext
from math import ceil
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cells.buckets import LOG
from tests.support.exported_runs import (
    CALLS,
    OFFSETS,
    Export,
    ExportEnd,
    list_run_command,
    read_result,
    write_plan,
)
from tests.support.otlp_server import (
    find_free_port,
    hold_connections,
    plain_attributes,
    plain_value,
    run_otlp_server,
)
from tests.support.requirements import needs_a_kernel
from tests.support.victoria_metrics import VictoriaMetrics, run_victoria_metrics

pytestmark = needs_a_kernel

PARTS = (0.5, 0.9, 0.99, 0.999)
ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
#: So that a collector that does not answer is left soon.
IMPATIENT = {"OTEL_EXPORTER_OTLP_TIMEOUT": "0.5"}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[VictoriaMetrics]:
    with run_victoria_metrics(tmp_path_factory.mktemp("victoria") / "data") as running:
        yield running


def run_exported(
    folder: Path, environment: dict[str, str], *options: str
) -> tuple[dict[str, Any], ExportEnd]:
    """A run whose standard output is an export's input: its result, which is complete, and how the
    export ended."""
    with Export(environment, *options) as export:
        command = list_run_command(write_plan(folder), "--out", str(folder / "result"))
        run = subprocess.run(
            command, stdout=export.stdin, stderr=subprocess.PIPE, timeout=60, check=False
        )
        end = export.wait()
    assert run.returncode == 0, run.stderr.decode()
    result = read_result(folder / "result")
    assert (result["complete"], result["lost"]) == (True, 0)
    return result, end


def count_lines(folder: Path) -> int:
    """The lines of the run's log."""
    return len((folder / "result" / "events.jsonl").read_bytes().splitlines())


# ---------------------------------------------------------------- a real server


@pytest.mark.parametrize("options", [(), ("--exact-buckets",)], ids=["exponential", "exact"])
def test_a_server_shows_our_counts_exactly_and_our_percentiles_within_five_percent(
    server: VictoriaMetrics, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """3,000 calls; offsets from 10^12 to 1.8 * 10^14."""
    host = f"otlp-{len(options)}"
    environment = server.environment | {"OTEL_RESOURCE_ATTRIBUTES": f"host.name={host}"}
    _, end = run_exported(tmp_path, environment, *options)
    assert end.code == 0, end.said
    mine = f'"host.name"="{host}",plan="seeks"'
    assert server.query_one(f"sum(probeplan_calls{{{mine}}})") == CALLS
    assert server.query_one(f"probeplan_offset_bytes_count{{{mine}}}") == CALLS
    assert server.query_one(f"sum(probeplan_run_lost{{{mine}}}) default 0") == 0
    assert server.query_one(f"probeplan_run_complete{{{mine}}}") == 1
    assert server.query_one(f"sum(probeplan_probe_attached{{{mine}}})") >= 1
    label = "le" if options else "vmrange"
    for part in PARTS:
        exact = sorted(OFFSETS)[ceil(len(OFFSETS) * part) - 1]
        buckets = f"sum(probeplan_offset_bytes_bucket{{{mine}}}) by ({label})"
        shown = server.query_one(f"histogram_quantile({part}, {buckets})")
        assert shown == pytest.approx(LOG.middle(LOG.index(exact)), rel=0.05)


# ---------------------------------------------------------------- collectors that fail


def test_records_of_a_runs_life_arrive_in_their_order(tmp_path: Path) -> None:
    """Those of single events do not, without --events; counts arrive exactly."""
    with run_otlp_server() as collector:
        result, end = run_exported(tmp_path, {ENDPOINT: collector.url})
        assert end.code == 0, end.said
        records = collector.log_records()
        (point,) = collector.points("probeplan_calls")
    kinds = [record.event_name for record in records]
    assert kinds[0] == "run.started"
    assert kinds[-1] == "run.finished"
    assert "probe.attached" in kinds
    assert "event.recorded" not in kinds
    assert plain_value(records[-1].body)["ledger"] == result["ledger"]
    assert {plain_attributes(one.attributes)["probeplan.run_id"] for one in records} == {
        result["run_id"]
    }
    assert point.as_int == CALLS


def test_with_events_every_line_of_the_log_arrives(tmp_path: Path) -> None:
    """Each once, though the collector answers only now and then."""
    with run_otlp_server() as collector:
        collector.delay_s = 0.2
        _, end = run_exported(tmp_path, {ENDPOINT: collector.url}, "--events")
        assert end.code == 0, end.said
        records = collector.log_records()
    assert len(records) == count_lines(tmp_path)
    events = [record for record in records if record.event_name == "event.recorded"]
    assert [plain_value(one.body)["data"]["offset"] for one in events] == list(OFFSETS)


@pytest.mark.parametrize("kind", ["refuses connections", "never answers"])
def test_a_run_loses_nothing_while_its_collector_fails(tmp_path: Path, kind: str) -> None:
    """The run is complete. The export ends with 4, and names every log record that was not sent."""
    is_hole = kind == "never answers"
    refused = nullcontext(f"http://127.0.0.1:{find_free_port()}")
    with hold_connections() if is_hole else refused as url:
        _, end = run_exported(tmp_path, {ENDPOINT: url} | IMPATIENT, "--events")
    assert end.code == 4, end.said
    reason = "no answer in time" if is_hole else "connection refused"
    assert end.said.count(f"metrics: {url}/v1/metrics: {reason}") == 1
    assert end.said.count(f"logs: {url}/v1/logs: {reason}") == 1
    assert "the newest values of the series" in end.said
    assert end.log_records_missing == count_lines(tmp_path)
    assert "Traceback" not in end.said


def test_a_collector_that_comes_back_gets_the_counts_and_what_was_kept(tmp_path: Path) -> None:
    """The run is over before the collector is there; the log is a FIFO, which stays open."""
    fifo = tmp_path / "log.fifo"
    os.mkfifo(fifo)
    port = find_free_port()
    environment = {ENDPOINT: f"http://127.0.0.1:{port}"} | IMPATIENT
    with Export(environment, str(fifo)) as export:
        export.wait_for_reader(fifo)
        result = run_into(fifo, tmp_path)
        for signal in ("metrics", "logs"):
            export.wait_until_said(f"{signal}: {environment[ENDPOINT]}/v1/{signal}: connection")
        with run_otlp_server(port) as collector:
            collector.wait_for(lambda: bool(collector.points("probeplan_calls")))
            collector.wait_for(lambda: "run.finished" in names(collector.log_records()))
            export.terminate()
            end = export.wait()
            (point,) = collector.points("probeplan_calls")
            sent = names(collector.log_records())
            (failed,) = [
                point.as_int for point in collector.points("probeplan_export_sends")
                if plain_attributes(point.attributes) == {"signal": "logs", "result": "failed"}
            ]  # fmt: skip
    assert end.code == 0, end.said
    assert end.said.count("sent again") == 2, end.said
    assert point.as_int == CALLS
    assert (sent[0], sent[-1]) == ("run.started", "run.finished")
    assert failed >= 1
    assert (result["complete"], result["lost"], result["unread_lines"]) == (True, 0, 0)


def run_into(fifo: Path, folder: Path) -> dict[str, Any]:
    """A run that writes its log to a FIFO: its result."""
    command = list_run_command(
        write_plan(folder), "--log", str(fifo), "--out", str(folder / "result")
    )
    run = subprocess.run(command, capture_output=True, timeout=60, check=False)
    assert run.returncode == 0, run.stderr.decode()
    return read_result(folder / "result")


def names(records: list[Any]) -> list[str]:
    return [record.event_name for record in records]


def test_a_flood_at_a_collector_that_never_answers_is_bounded_and_counted() -> None:
    """200,000 lines of events: memory does not grow with them, and each that is not sent is
    counted."""
    line = (
        b'{"ts":"2026-11-23T02:15:07.1Z","level":"info","event":"event.recorded","run_id":"r",'
        b'"plan":"p","host":"h","probe":"x","data":{"n":%d}}\n'
    )
    few, many = 2_000, 200_000
    peaks = []
    with hold_connections() as url:
        for count in (few, many):
            with Export({ENDPOINT: url} | IMPATIENT, "--events") as export:
                for number in range(count):
                    export.stdin.write(line % number)
                end = export.wait()
            assert end.log_records_missing + end.log_records_dropped == count, end.said
            peaks.append(end.peak_kib)
    assert end.log_records_missing <= 10_000 + 1_000
    assert peaks[1] - peaks[0] < 24 << 10
