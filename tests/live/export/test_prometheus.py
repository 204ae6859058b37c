"""Real runs, exported to a real Prometheus by both ways: our counts are there exactly."""

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from prometheus_client.parser import text_string_to_metric_families

from orchestrator.cells.buckets import LOG
from tests.support.otlp_server import find_free_port
from tests.support.product import Ran
from tests.support.prometheus import (
    PrometheusServer,
    run_node_exporter,
    run_prometheus,
    run_promtool,
)
from tests.support.requirements import needs_a_kernel

pytestmark = needs_a_kernel

#: Descriptors that are not open: what is counted are these calls of close, and no others.
_LEAST = 100_000
#: Of each part, so many are held no longer.
_FORGOTTEN = 50
_PLAN = f"""\
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {{name: closes, summary: x}}
limits: {{duration: 60s}}
every: 1s
let: {{third: args.fd % 3}}
probes:
  close:
    attach: syscall:close
    where: args.fd >= {_LEAST}
    metrics:
      calls: {{count: true, by: [third]}}
      sizes: {{histogram: args.fd * ns}}
      total_sizes: {{sum: args.fd, by: [third]}}
      mean_ns: {{avg: args.fd * ns}}
      largest: {{max: args.fd}}
  forget:
    attach: syscall:fsync
    where: args.fd >= {_LEAST}
    metrics: {{forgotten: {{count: true}}}}
outstanding:
  held: {{open: close, close: forget, key: [args.fd], value: args.fd, by: [third], top: 1}}
derive:
  usual: {{value: close.mean_ns, unit: us}}
  share: {{value: forget.forgotten / close.calls}}
"""
_WORKLOAD = f"""\
import ctypes, json, sys, time
libc = ctypes.CDLL(None)
for part in json.load(open(sys.argv[1])):
    for number in part:
        libc.close(number)
    for number in part[:{_FORGOTTEN}]:
        libc.fsync(number)
    time.sleep(0.8)
"""
_PROBEPLAN = (sys.executable, "-m", "orchestrator.cli")
_JOBS = ("listen", "textfile")


class Exported(NamedTuple):
    """Runs that are over, of which an export that goes on has the log."""

    runs: list[Ran]
    numbers: list[int]
    folder: Path
    server: PrometheusServer


def _draw_numbers() -> list[int]:
    """As latencies are distributed, over about ten octaves."""
    chosen = random.Random(7)  # noqa: S311  # the same ones each time
    return [_LEAST + int(chosen.lognormvariate(12, 1.5)) for _ in range(6000)]


def _write_files(folder: Path, numbers: list[int]) -> tuple[Path, Path, Path]:
    """The plan, the numbers in three parts, and the workload."""
    plan, parts, script = folder / "plan.yaml", folder / "parts.json", folder / "workload.py"
    plan.write_text(_PLAN)
    parts.write_text(json.dumps([numbers[::3], numbers[1::3], numbers[2::3]]))
    script.write_text(_WORKLOAD)
    return plan, parts, script


def _run_plan(folder: Path, log: str, numbers: list[int]) -> Ran:
    plan, parts, script = _write_files(folder, numbers)
    out = folder / f"out-{time.monotonic_ns()}"
    options = ["--log", log, "--out", out]
    command = [*_PROBEPLAN, "run", plan, *options, "--", sys.executable, script, parts]
    subprocess.run(command, check=True, capture_output=True)
    return Ran.of((out / "events.jsonl").read_bytes())


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Exported]:
    """Two runs through one FIFO."""
    folder = tmp_path_factory.mktemp("exported")
    textfiles, fifo, numbers = folder / "textfiles", folder / "fifo", _draw_numbers()
    textfiles.mkdir()
    os.mkfifo(fifo)
    address = f"127.0.0.1:{find_free_port()}"
    words = [fifo, "--textfile", textfiles, "--listen", address, "--interval", "500ms"]
    with ExitStack() as stack:
        export = stack.enter_context(subprocess.Popen([*_PROBEPLAN, "export", *words]))
        stack.callback(export.terminate)
        node = stack.enter_context(run_node_exporter(textfiles))
        server = stack.enter_context(
            run_prometheus(folder, dict(zip(_JOBS, (address, node), strict=True)))
        )
        with fifo.open("wb"):  # the export reads it
            runs = [_run_plan(folder, str(fifo), numbers) for _ in range(2)]
        for run in runs:
            assert run.finished["complete"] is True
        text = 'probeplan_runs_total{outcome="command"}'
        server.wait_for(text, dict.fromkeys(_JOBS, 2), "job")
        yield Exported(runs, numbers, textfiles, server)


def _by_third(numbers: list[int]) -> Counter[str]:
    return Counter(str(number % 3) for number in numbers)


def _same(value: Any) -> dict[str, Any]:
    return dict.fromkeys(_JOBS, value)


# ---------------------------------------------------------------- by PromQL


def test_counts_by_key_are_exact(exported: Exported) -> None:
    expected = {
        (job, key): 2 * count for job in _JOBS for key, count in _by_third(exported.numbers).items()
    }
    assert exported.server.query("probeplan_calls_total", "job", "third") == expected


def test_sums_extremes_and_averages_are_exact(exported: Exported) -> None:
    query, numbers = exported.server.query, exported.numbers
    total = 2 * sum(numbers)
    assert query("sum by (job) (probeplan_total_sizes_total)", "job") == _same(total)
    assert query("probeplan_largest_max", "job") == _same(max(numbers))
    assert query("probeplan_mean_count_total", "job") == _same(2 * len(numbers))
    seconds = query("probeplan_mean_sum_seconds_total", "job")
    assert seconds == pytest.approx(_same(total / 1e9), rel=1e-15)


def test_figures_and_what_is_outstanding_are_those_of_the_latest_run(exported: Exported) -> None:
    """In each part a number that was forgotten may be closed again, and is open then."""
    query, numbers = exported.server.query, exported.numbers
    opened: set[int] = set()
    for part in (numbers[::3], numbers[1::3], numbers[2::3]):
        opened = opened.union(part).difference(part[:_FORGOTTEN])
    for text, expected in (
        ("sum by (job) (probeplan_outstanding_held)", sum(opened)),
        ("sum by (job) (probeplan_outstanding_held_open)", len(opened)),
        ('count by (job) (probeplan_outstanding_held{other="true"})', 1),
        ('probeplan_figure_share{of="run"}', 3 * _FORGOTTEN / len(numbers)),
    ):
        assert query(text, "job") == _same(expected)
    mean = sum(numbers) / len(numbers) / 1e9
    found = query('probeplan_figure_usual_seconds{of="run"}', "job")
    assert found == pytest.approx(_same(mean), rel=1e-12)


def test_each_bucket_is_exact(exported: Exported) -> None:
    edges = exported.server.query('probeplan_sizes_seconds_bucket{job="listen"}', "le")
    assert len(edges) > 20
    for edge, count in edges.items():
        most = float(edge) * 1e9
        assert count == 2 * sum(number <= most + 0.5 for number in exported.numbers)


@pytest.mark.parametrize(("name", "error"), [("p50", 0.05), ("p90", 0.08), ("p99", 0.13)])
def test_percentiles_are_close_to_ours(exported: Exported, name: str, error: float) -> None:
    [cell] = exported.runs[0].cells("close", "sizes")
    ours = cell["percentiles"][name] / 1e9
    fraction = int(name[1:]) / 100
    text = f"histogram_quantile({fraction}, sum by (job, le) (probeplan_sizes_seconds_bucket))"
    assert exported.server.query(text, "job") == pytest.approx(_same(ours), rel=error)


def test_what_is_always_there(exported: Exported) -> None:
    query, finished = exported.server.query, exported.runs[-1].finished
    assert query("probeplan_run_complete", "job") == _same(1)
    assert query("probeplan_run_exit_code", "job") == _same(finished["exit_code"])
    assert query("probeplan_run_active", "job") == _same(0)
    assert query("sum by (job) (probeplan_run_lost_total)", "job") == _same(0)
    assert set(query("probeplan_probe_attached", "job", "probe", "to").items()) == {
        ((job, *place), 1)
        for job in _JOBS
        for place in (("close", "syscall:close"), ("forget", "syscall:fsync"))
    }
    started = exported.runs[-1].lines[0]
    info = query("probeplan_run_info", "plan", "backend", "version", "kernel", "job")
    names = [started[name] for name in ("plan", "backend", "version", "kernel")]
    assert info == {(*names, job): 1 for job in _JOBS}
    seconds = finished["duration_ns"] / 1e9
    assert query("probeplan_run_duration_seconds", "job") == _same(pytest.approx(seconds))


def test_both_ways_are_scraped_without_errors(exported: Exported) -> None:
    query = exported.server.query
    assert query("up", "job") == _same(1)
    assert query("node_textfile_scrape_error") == {(): 0}
    skipped = query("sum by (job) (probeplan_export_lines_skipped_total)", "job")
    assert skipped == _same(0)
    lines = sum(len(run.lines) for run in exported.runs)
    assert query("probeplan_export_records_total", "job") == _same(lines)


def test_an_unknown_completeness_is_not_one(exported: Exported) -> None:
    """As the alert in examples/prometheus has it: NaN does not equal 1."""
    assert len(exported.server.query("vector(NaN) != 1")) == 1


# ---------------------------------------------------------------- a pipe


def test_a_run_may_be_piped_into_an_export(tmp_path: Path) -> None:
    """With room for one series: all other keys are in `other`, whatever is in windows or totals."""
    numbers = [_LEAST + number for number in range(300)]
    plan, parts, script = _write_files(tmp_path, numbers)
    run = subprocess.Popen(
        [*_PROBEPLAN, "run", plan, "--", sys.executable, script, parts],
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    words = ["--textfile", tmp_path, "--max-series", "1"]
    export = subprocess.run([*_PROBEPLAN, "export", *words], stdin=run.stdout, check=True)
    assert (run.wait(), export.returncode) == (0, 0)
    text = (tmp_path / "probeplan-closes.prom").read_text()
    calls = {
        sample.labels.get("other", ""): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "probeplan_calls_total"
    }
    assert calls == {"": 100, "true": 200}


# ---------------------------------------------------------------- the file


def _samples(text: str) -> Mapping[tuple[str, str, str], float]:
    return {
        (sample.name, sample.labels.get("third", ""), sample.labels.get("le", "")): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.labels.get("probe") == "close"
    }


def test_a_log_that_was_kept_gives_the_same_values_as_windows(
    exported: Exported, tmp_path: Path
) -> None:
    """And a plan without windows would have the same totals."""
    log = tmp_path / "log"
    with log.open("w") as target:
        for run in exported.runs:
            for line in run.lines:
                if line["event"] != "metric.reported" or line["total"]:
                    target.write(json.dumps(line) + "\n")
    assert any(line.get("total") is False for line in exported.runs[0].lines)
    subprocess.run([*_PROBEPLAN, "export", log, "--textfile", tmp_path], check=True)
    live = _samples((exported.folder / "probeplan-closes.prom").read_text())
    assert _samples((tmp_path / "probeplan-closes.prom").read_text()) == live
    assert live["probeplan_calls_total", "0", ""] == 2 * _by_third(exported.numbers)["0"]


def test_all_of_our_buckets_have_our_percentiles(exported: Exported, tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("".join(json.dumps(line) + "\n" for line in exported.runs[0].lines))
    words = ["export", log, "--textfile", tmp_path, "--exact-buckets"]
    subprocess.run([*_PROBEPLAN, *words], check=True)
    samples = _samples((tmp_path / "probeplan-closes.prom").read_text())
    buckets = [(float(le), count) for (name, _, le), count in samples.items() if "_bucket" in name]
    rank = -(-len(exported.numbers) * 99 // 100)
    edge = min(le for le, count in buckets if count >= rank)
    middle = LOG.middle(LOG.index(round(edge * 1e9)))
    [cell] = exported.runs[0].cells("close", "sizes")
    assert middle == cell["percentiles"]["p99"]


def test_promtool_finds_nothing_to_improve(exported: Exported) -> None:
    with (exported.folder / "probeplan-closes.prom").open() as text:
        checked = run_promtool("check", "metrics", stdin=text)
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")
