"""What is derived, warned of and stopped at, with exact numbers from this machine's own kernel, and
how people see it, by the command line."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.product import ROOT, Ran, check_accounts, run_cli
from tests.support.terminal import on_terminal, plain

N, SIZE = 700, 4093  # no program's start reads so many bytes
HEAD = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: figures, summary: for tests}
limits: {duration: 1m, events: 100k, rate: 1M/s, cpu: 100%}
"""

backends = pytest.mark.parametrize("backend", ["bcc", "tracefs"])

READS = (
    HEAD
    + f"""
params: {{least: {{type: bytes, default: 4000B}}}}
probes:
  read:
    attach: syscall:read
    where: args.count == {SIZE}
    metrics:
      calls: {{count: true, by: [comm, args.fd], warn: value >= {N}}}
      bytes: {{sum: retval, by: [comm]}}
      sizes: {{histogram: retval, unit: B, warn: p99 > params.least}}
      steps: {{histogram: retval, buckets: "linear(0, 8KiB, 1KiB)", warn: p99 > 4*KiB}}
derive:
  mean: {{value: read.bytes / read.calls, unit: B, warn: value > 4093.5}}
  share: {{value: read.calls / total(read.calls)}}
  none: {{value: read.calls / (read.calls - read.calls)}}
"""
)


BY_KEY = (
    HEAD
    + """
let: {size: args.count}
probes:
  read:
    attach: syscall:read
    where: args.count in (4091, 4093) and comm == "python3"
    metrics:
      calls: {count: true, by: [size]}
      bytes: {sum: retval, by: [size]}
      short: {count: true, where: retval < args.count, by: [size]}
      few: {count: true, by: [size], keys: 1}
      all: {count: true}
derive:
  mean: {value: read.bytes / read.calls, by: [size], unit: B}
  share: {value: 100 * read.calls / read.all, by: [size], unit: "%", top: 1, warn: value > 50}
  short: {value: read.short / read.calls, by: [size]}
  lost: {value: read.few / read.calls, by: [size]}
"""
)


def test_figures_of_each_key_are_exact(tmp_path: Path) -> None:
    """10 reads of 4091 bytes and 30 of 4093, of which the last 15 get 1000 bytes less: by size, and
    together. What a metric has no cell of was not counted; what may be in `other` is unknown."""
    plan, file = tmp_path / "plan.yaml", tmp_path / "file"
    plan.write_text(BY_KEY)
    file.write_bytes(bytes(3093))
    work = "import os; z = os.open('/dev/zero', 0); f = os.open('file', 0)\n"
    work += "for i in range(10): os.read(z, 4091)\n"
    work += "for i in range(15): os.read(z, 4093)\n"
    work += "for i in range(15): os.read(f, 4093); os.lseek(f, 0, 0)"
    command = ["env", "-C", str(tmp_path), "python3", "-S", "-c", work]
    for backend in ("bcc", "tracefs"):
        ran = run_cli(str(plan), "--backend", backend, command=command)
        [figures] = totals(ran, "figure.reported")
        by_key = figures["by_key"]
        found = {
            name: {cell["key"]["size"]: cell["value"] for cell in one["cells"]}
            for name, one in by_key.items()
        }
        assert found["mean"] == {4091: 4091, 4093: 4093 - 500}
        assert found["share"] == {4093: 75}
        assert {name: one["cells_omitted"] for name, one in by_key.items() if name != "share"} == (
            dict.fromkeys(("mean", "short", "lost"), 0)
        )
        assert by_key["share"]["cells_omitted"] == 1
        assert found["short"] == {4093: 0.5, 4091: 0}
        assert sorted(found["lost"].values(), key=str) == [1, None]
        assert figures["values"]["mean"] == (10 * 4091 + 30 * 4093 - 15 * 1000) / 40
        [warning] = [line for line in totals(ran, "metric.warned") if line["metric"] == "share"]
        assert warning["cells"] == [
            {"key": {"size": 4093}, "other": False, "numbers": {"value": 75}}
        ]


@pytest.fixture
def reads(tmp_path: Path) -> Path:
    plan = tmp_path / "plan.yaml"
    plan.write_text(READS)
    return plan


def totals(ran: Ran, kind: str) -> list[dict[str, Any]]:
    return [line for line in ran.of_kind(kind) if line["total"]]


@backends
def test_figures_of_n_reads_are_exact(backend: str, reads: Path, load: Path) -> None:
    """By two keys, a string and a number: one cell of N. Its mean is the size of each read; a
    division by 0 is null; the warnings that hold are those that must, with their numbers."""
    ran = run_cli(str(reads), "--backend", backend, command=[str(load), "read", str(N)])
    [cell] = ran.cells("read", "calls")
    assert (cell["key"]["comm"], list(cell["key"]), cell["value"]) == (
        load.name,
        ["comm", "args.fd"],
        N,
    )
    [derived] = ran.of_kind("figure.reported")
    assert derived["values"] == {"mean": float(SIZE), "share": 1.0, "none": None}
    warnings = {line["metric"]: line for line in ran.of_kind("metric.warned")}
    assert set(warnings) == {"calls", "sizes"}
    [named] = warnings["calls"]["cells"]
    assert (named["key"], named["numbers"]) == (cell["key"], {"value": N})
    [whole] = warnings["sizes"]["cells"]
    assert whole["numbers"] == {"p99": 4031.5, "params.least": 4000}


@backends
def test_percentiles_tell_their_error(backend: str, reads: Path, load: Path) -> None:
    """The true one is 4093: logarithmic buckets are within 3.2 % of it, linear ones half a step."""
    ran = run_cli(str(reads), "--backend", backend, command=[str(load), "read", str(N)])
    [log] = ran.cells("read", "sizes")
    [linear] = ran.cells("read", "steps")
    names = ["p50", "p75", "p90", "p95", "p99", "p99.9"]
    assert log["percentiles"] == dict.fromkeys(names, 4031.5)
    assert (log["relative_error"], log["absolute_error"]) == (0.03125, None)
    assert linear["percentiles"] == dict.fromkeys(names, 3583.5)
    assert (linear["relative_error"], linear["absolute_error"]) == (None, 512)
    assert abs(4031.5 - SIZE) <= 0.03125 * SIZE
    assert abs(3583.5 - SIZE) <= 512
    assert (log["count"], linear["count"]) == (N, N)


CALLS = (
    HEAD
    + """
every: 20ms
probes:
  call:
    attach: uprobe:LOAD:target_fn
    let: {slot: "min(arg0 // 100, 3)"}
    metrics:
      most: {count: true, by: [slot, comm], top: 2}
      all: {count: true, by: [comm, slot]}
derive: {calls: {value: call.most}, twice: {value: calls * 2}}
"""
)


@backends
def test_top_leaves_cells_out_of_the_log_and_not_of_figures(
    backend: str, tmp_path: Path, load: Path
) -> None:
    """The largest first, the rest counted, in each window and in all; windows add up to totals."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(CALLS.replace("LOAD", str(load)))
    ran = run_cli(str(plan), "--backend", backend, command=[str(load), "call", str(N)])
    [most] = [line for line in totals(ran, "metric.reported") if line["metric"] == "most"]
    assert most["cells"][0]["key"] == {"slot": 3, "comm": load.name}
    assert [cell["value"] for cell in most["cells"]] == [N - 300, 100]
    assert most["cells_omitted"] == 2
    assert {c["key"]["slot"]: c["value"] for c in ran.cells("call", "all")} == {
        0: 100,
        1: 100,
        2: 100,
        3: N - 300,
    }
    [whole] = totals(ran, "figure.reported")
    assert whole["values"] == {"calls": N, "twice": 2 * N}
    windows = [line for line in ran.of_kind("figure.reported") if not line["total"]]
    assert sum(line["values"]["calls"] for line in windows) == N
    shown = [line for line in ran.of_kind("metric.reported") if line["metric"] == "most"]
    assert all(len(line["cells"]) <= 2 for line in shown)


@backends
def test_stop_when_ends_the_run_while_its_command_goes_on(
    backend: str, tmp_path: Path, load: Path
) -> None:
    """Judged at the end of a window, reported with its numbers; a success."""
    plan = tmp_path / "plan.yaml"
    stop = f"every: 50ms\nstop_when: total(read.calls) >= {N} and mean == {SIZE} / 1\n"
    plan.write_text(READS + stop)
    words = [sys.executable, "-m", "orchestrator.cli", "run", str(plan), "--backend", backend]
    workload = f"{load} read {N}; cat"  # goes on until its input ends
    with subprocess.Popen(
        [*words, "--", "sh", "-c", workload],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        text = b""
        while b'"stop.reached"' not in text:
            line = process.stdout.readline()
            assert line, text
            text += line
        process.stdin.close()
        text += process.stdout.read()
        assert process.wait(timeout=60) == 0
    ran = Ran.of(text)
    check_accounts(ran)
    [reported] = ran.of_kind("stop.reached")
    assert reported["numbers"] == {"total(read.calls)": N, "mean": float(SIZE)}
    assert (ran.finished["outcome"], ran.finished["exit_code"]) == ("stop_when", 0)


MANY = 100_000


@backends
def test_a_ratio_of_two_metrics_is_right_in_each_window_while_events_go_on(
    backend: str, tmp_path: Path, load: Path
) -> None:
    """The sum and the count of the same reads are no more events apart than the window reports,
    which is none as a rule, and for which the mean is then exact."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(READS + "every: 20ms\n")
    ran = run_cli(str(plan), "--backend", backend, command=[str(load), "read", str(MANY)])
    for figures in ran.of_kind("figure.reported"):
        calls, volume = (
            sum(cell["value"] for cell in line["cells"])
            for name in ("calls", "bytes")
            for line in ran.of_kind("metric.reported")
            if (line["metric"], line["window"]) == (name, figures["window"])
            and line["total"] == figures["total"]
        )
        assert abs(volume - calls * SIZE) <= figures["events_apart"] * SIZE
        if not figures["events_apart"]:
            assert figures["values"]["mean"] == (SIZE if calls else None)
    [whole] = totals(ran, "figure.reported")
    assert (whole["values"]["mean"], whole["events_apart"]) == (SIZE, 0)


# ---------------------------------------------------------------- for people


def test_live_shows_metrics_while_it_runs_and_ends_with_the_tables(
    tmp_path: Path, reads: Path, load: Path
) -> None:
    """On a terminal no JSON runs through it; --log and --out have it all the same."""
    log = tmp_path / "log"
    command = ["--", str(load), "read", str(N)]
    goes_on = ("--", "sh", "-c", f"{load} read {N}; cat")
    code, text = on_terminal(str(reads), "--live", *goes_on, end_after=f"value {N}")
    assert code == 0, text
    lines = plain(text)
    assert not [line for line in lines if line.startswith("{")]
    assert text.index("read.calls (count)") < text.rindex("read.calls (count)"), "drawn live too"
    assert text.index("\x1b[1A") < text.index("\x1b[1mprobe"), "and taken away before the end"
    assert f"warning: read.calls: value >= {N}: comm={load.name}, args.fd=3: value {N}" in lines
    assert ["mean", "4", "KiB"] in [line.split() for line in lines]
    code, text = on_terminal(str(reads), "--live", "--log", str(log), *command)
    assert Ran.of(log.read_bytes()).finished["exit_code"] == code == 0
    assert f"log: {log}" in plain(text)


@pytest.mark.parametrize("columns", [60, 100])
def test_tables_fit_the_terminal_and_heed_no_color(columns: int, reads: Path, load: Path) -> None:
    """With --log, so that the tables stand alone."""
    words = [str(reads), "--log", os.devnull, "--no-progress", "--", str(load), "read", str(N)]
    _, coloured = on_terminal(*words, columns=columns)
    _, without = on_terminal(*words, columns=columns, NO_COLOR="1")
    assert "\x1b[1;33mwarning" in coloured
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", without)
    lines = plain(coloured)
    assert "read.calls (count)" in lines
    assert [w for w in lines if len(w) > columns and not w.startswith("warning: ")] == []


def test_pipes_get_json_on_one_and_nothing_but_complaints_on_the_other(
    reads: Path, load: Path
) -> None:
    """Unless tables are asked for: plain ones then."""
    run = [sys.executable, "-m", "orchestrator.cli", "run", str(reads)]
    command = ["--", str(load), "read", str(N)]
    done = subprocess.run([*run, *command], cwd=ROOT, capture_output=True, text=True, check=True)
    assert all(json.loads(line) for line in done.stdout.splitlines())
    assert done.stderr.startswith(f"read {N} ")
    assert len(done.stderr.splitlines()) == 1, "what the command says"
    asked = subprocess.run(
        [*run, "--summary", "always", *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    assert "\x1b" not in asked.stderr
    assert "warning: read.sizes: p99 > params.least: p99 3.94 KiB" in asked.stderr


def test_live_without_a_terminal_is_refused_with_the_cure(reads: Path) -> None:
    """Before anything is attached."""
    run = [sys.executable, "-m", "orchestrator.cli", "run", str(reads), "--live"]
    done = subprocess.run(run, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "PP092" in done.stderr
    assert "--live draws on standard error, which is not a terminal" in done.stderr
    assert "every: 1s" in done.stderr
