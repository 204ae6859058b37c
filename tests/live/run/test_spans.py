"""Spans and what is outstanding, on this machine's kernel, by a workload of known calls."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.binaries import compile_to
from tests.support.paths import WORKLOADS
from tests.support.product import ROOT, Ran, run_cli

WORKLOAD = WORKLOADS / "spans.c"
HEAD = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: spans, summary: for tests}
limits: {duration: 1m, rate: 1M/s, events: 100k, cpu: 100%}
probes:
"""
PROBES = {
    "opened": ("begin", "{key: u64, size: s64}", "{id: args.key, size: args.size}"),
    "between": ("middle", "{key: u64, value: s64}", "{id: args.key, value: args.value}"),
    "closed": ("finish", "{key: u64, value: s64}", "{id: args.key, value: args.value}"),
    "dropped": ("drop", "{key: u64}", "{id: args.key}"),
    "stepped": ("step", "{key: u64}", "{id: args.key}"),
    "halted": ("step", "{key: u64}", "{id: args.key}"),
}
SPAN = """
spans:
  life:
    start: opened
    via: between
    end: closed
    cancel: dropped
    key: [pid, id]
    MORE
    emit:
      id: end.id
      size: start.size
      value: via.value
      seen: seen(via)
      who: start.comm
      took: elapsed
    metrics:
      all: {count: true}
      sizes: {sum: start.size}
      by_size: {count: true, by: [start.size]}
      latency: {histogram: elapsed}
"""


ONCE = (
    HEAD
    + """
  opened: {attach: "syscall:getppid", let: {io: tid}}
  closed:
    attach: syscall:getpgid
    let: {io: tid}
    metrics: {took: {sum: elapsed}, again: {sum: elapsed}, most: {max: elapsed, by: [comm]}}
spans:
  between:
    start: opened
    end: closed
    key: [io]
    let: {age: elapsed // 1}
    metrics: {took: {sum: elapsed}, again: {sum: elapsed, by: [start.comm]}, aged: {sum: age}}
"""
)


def test_one_event_has_one_time(tmp_path: Path) -> None:
    """Metrics of one event and of one span have the same ages, to the nanosecond."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(ONCE)
    call = "import os\nfor _ in range(200): os.getppid(); os.getpgid(0)"
    ran = run_cli(str(plan), "--backend", "bcc", command=[sys.executable, "-c", call])
    assert ran.value("closed", "took") == ran.value("closed", "again") > 0
    [again] = ran.cells("between", "again")
    assert again["count"] == 200
    assert ran.value("between", "took") == again["value"] == ran.value("between", "aged")
    assert again["value"] > ran.value("closed", "took")


@pytest.fixture(scope="module")
def workload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    binary = tmp_path_factory.mktemp("spans") / f"ps{os.getpid()}"
    return compile_to(binary, WORKLOAD)


def write_plan(folder: Path, workload: Path, spans: str, start: str = "") -> Path:
    """A plan with the probes that `spans` names; `start`: one more key of `opened`."""
    plan = folder / "plan.yaml"
    probes = ""
    for name, (function, args, let) in PROBES.items():
        if name in spans:
            more = f", {start}" if start and name == "opened" else ""
            attach = f'attach: "uprobe:{workload}:{function}"'
            probes += f"  {name}: {{{attach}, args: {args}, let: {let}{more}}}\n"
    plan.write_text(HEAD + probes + spans)
    return plan


def run(
    folder: Path, workload: Path, *words: str, more: str = "", spans: str = SPAN, start: str = ""
) -> Ran:
    """The plan alongside `workload WORDS…`."""
    plan = write_plan(folder, workload, spans.replace("MORE", more), start)
    return run_cli(str(plan), "--backend", "bcc", command=[str(workload), *words])


def counts(ran: Ran, span: str = "life") -> dict[str, int]:
    """What is not zero of the span's counts."""
    reported = ran.finished["ledger"]["spans"][span]["counts"]
    return {name: count for name, count in reported.items() if count}


def test_each_start_meets_its_end(tmp_path: Path, workload: Path) -> None:
    """A record for each pair, with the values of both sides; metrics sum up those of the start."""
    ran = run(tmp_path, workload, "pairs", "500")
    assert counts(ran) == {"started": 500, "ended": 500, "accepted": 500}
    rows = sorted(ran.data("life"), key=lambda row: row["id"])
    assert [(row["id"], row["size"]) for row in rows] == [(i, 2 * i) for i in range(1, 501)]
    assert {row["who"] for row in rows} == {workload.name}
    assert {(row["value"], row["seen"]) for row in rows} == {(None, False)}
    assert all(row["took"] > 0 for row in rows)
    assert ran.value("life", "all") == 500
    assert ran.value("life", "sizes") == sum(2 * i for i in range(1, 501))
    assert ran.value("life", "by_size", **{"start.size": 42}) == 1
    assert len(ran.cells("life", "by_size")) == 500
    assert ran.cells("life", "latency")[0]["count"] == 500


def test_a_via_joins_its_values(tmp_path: Path, workload: Path) -> None:
    """Every second span sees the middle event; of the others its values are null."""
    ran = run(tmp_path, workload, "via", "100")
    reported = {row["id"]: (row["seen"], row["value"]) for row in ran.data("life")}
    assert reported == {i: (True, 10 * i) if i % 2 == 0 else (False, None) for i in range(1, 101)}


def test_a_cancelled_span_is_no_end(tmp_path: Path, workload: Path) -> None:
    ran = run(tmp_path, workload, "cancel", "60")
    assert counts(ran) == {"started": 60, "cancelled": 60}
    assert ran.data("life") == []


@pytest.mark.parametrize(
    ("again", "size", "reported"),
    [
        ("replace", 2, {"started": 80, "replaced": 40, "ended": 40, "accepted": 40}),
        ("keep", 1, {"started": 40, "repeated": 40, "ended": 40, "accepted": 40}),
        ("nest", 2, {"started": 80, "in_flight": 40, "ended": 40, "accepted": 40}),
    ],
)
def test_a_second_start(
    tmp_path: Path, workload: Path, again: str, size: int, reported: dict[str, int]
) -> None:
    """It replaces the first, is passed over, or lies on it; every start is accounted for."""
    ran = run(tmp_path, workload, "again", "40", more=f"again: {again}")
    assert counts(ran) == reported
    assert {row["size"] for row in ran.data("life")} == {size}


SUMS = """
spans:
  life:
    start: opened
    end: closed
    key: [pid, id]
    add:
      steps: {from: stepped, sum: 1}
      moved: {from: between, sum: 2 * value}
      both: {from: [stepped, between], sum: id}
    where: sum.steps != 3
    emit: {id: end.id, steps: sum.steps, moved: sum.moved, both: sum.both}
    metrics:
      steps: {sum: sum.steps}
      by_steps: {count: true, by: [sum.steps]}
      more: {count: sum.moved < -40}
"""


def test_events_are_added_up_while_a_span_is_open(tmp_path: Path, workload: Path) -> None:
    """Sums are those of the span's own key, signed where what is added is, and are known to its
    filter, record and metrics. An event without an open span adds to none."""
    ran = run(tmp_path, workload, "sums", "30", spans=SUMS)
    kept = [i for i in range(1, 31) if i != 3]
    assert counts(ran) == {
        "started": 30,
        "ended": 30,
        "accepted": 29,
        "filtered": 1,
        "no_start": 1,
    }
    rows = {row["id"]: (row["steps"], row["moved"], row["both"]) for row in ran.data("life")}
    assert rows == {i: (i, -2 * i, i * (i + 1)) for i in kept}
    assert ran.value("life", "steps") == sum(kept)
    assert ran.value("life", "by_steps", **{"sum.steps": 7}) == 1
    assert ran.value("life", "more") == len([i for i in kept if i > 20])


DEPTHS = """
spans:
  life:
    start: opened
    end: closed
    key: [pid]
    again: nest
    add: {steps: {from: stepped, sum: 1}}
    emit: {size: start.size, depth: depth}
    metrics: {by_depth: {count: true, by: [depth]}}
"""


def test_nested_spans_know_their_depth(tmp_path: Path, workload: Path) -> None:
    """The outermost has depth 0."""
    ran = run(tmp_path, workload, "nest", "5", spans=DEPTHS)
    depths = {row["size"]: row["depth"] for row in ran.data("life")}
    assert depths == {5: 0, 4: 1, 3: 2, 2: 3, 1: 4}
    assert len(ran.cells("life", "by_depth")) == 5


def test_nested_spans_end_from_the_inside(tmp_path: Path, workload: Path) -> None:
    """Recursive starts under one key are paired with their own ends, the innermost first."""
    ran = run(tmp_path, workload, "nest", "5", more="again: nest")
    assert counts(ran) == {"started": 5, "ended": 5, "accepted": 5}
    assert [row["size"] for row in ran.data("life")] == [1, 2, 3, 4, 5]


NESTED = """
spans:
  life: {start: opened, end: closed, key: [pid, id], again: nest,
    emit: {size: start.size, depth: end.value}}
"""


def test_spans_nest_as_deep_as_is_told(tmp_path: Path, workload: Path) -> None:
    """Beyond eight a start is lost, and its end ends no other's span."""
    plan = write_plan(tmp_path, workload, NESTED)
    command = [str(workload), "nest", "10"]
    ran = run_cli(str(plan), "--backend", "bcc", command=command, exit_code=4)
    assert counts(ran) == {
        "started": 8, "ended": 8, "accepted": 8, "map_full": 2, "no_start": 2,
    }  # fmt: skip
    assert [(row["size"], row["depth"]) for row in ran.data("life")] == [
        (depth, depth) for depth in range(3, 11)
    ]


def test_a_start_that_is_sampled_out_gives_its_end_to_no_other(
    tmp_path: Path, workload: Path
) -> None:
    """Nested spans: eight deep, each with its own end or with none."""
    for _ in range(4):
        ran = run(tmp_path, workload, "nest", "8", spans=NESTED, start="sample: 1/2")
        assert all(row["size"] == row["depth"] for row in ran.data("life"))
        reported = counts(ran)
        started = reported.get("started", 0)
        assert reported.get("ended", 0) == started == len(ran.data("life"))
        assert reported.get("no_start", 0) == 8 - started


def test_a_start_that_is_sampled_out_replaces_what_was_open(tmp_path: Path, workload: Path) -> None:
    """A hundred times begin, begin, end: no end is the first's."""
    ran = run(tmp_path, workload, "again", "100", start="sample: 1/2")
    assert {row["size"] for row in ran.data("life")} == {2}
    reported = counts(ran)
    assert reported["replaced"] > 0
    assert reported["ended"] + reported["replaced"] == reported["started"]


def test_ends_without_a_start_are_no_loss(tmp_path: Path, workload: Path) -> None:
    ran = run(tmp_path, workload, "orphans", "30")
    assert counts(ran) == {"no_start": 30}
    assert ran.finished["complete"] is not False


def test_what_is_open_at_the_end_is_counted_where_asked_for(tmp_path: Path, workload: Path) -> None:
    """Open spans stand in the ledger; with `open_at_end` their metrics hold them too."""
    ran = run(tmp_path, workload, "open", "25", more="open_at_end: true")
    assert counts(ran) == {"started": 25, "in_flight": 25}
    assert ran.value("life", "all") == 25
    assert ran.value("life", "sizes") == sum(2 * i for i in range(1, 26))
    assert ran.value("life", "by_size", **{"start.size": 10}) == 1
    assert ran.cells("life", "latency")[0]["count"] == 25
    without = run(tmp_path, workload, "open", "25")
    assert without.value("life", "all") == 0


def test_one_event_ends_a_span_and_starts_the_next(tmp_path: Path, workload: Path) -> None:
    """Two probes at one place are one program, the end first, whatever the plan's order."""
    spans = """
spans:
  life:
    start: [opened, stepped]
    end: [halted, closed]
    key: [id]
    metrics: {all: {count: true}}
"""
    ran = run(tmp_path, workload, "restart", "70", spans=spans)
    assert counts(ran) == {"started": 71, "ended": 71, "accepted": 71}
    places = [line["detail"] for line in ran.of_kind("probe.attached") if "step" in line["to"]]
    assert len(places) == 2
    assert len(set(places)) == 1


def test_weights_travel_with_the_key(tmp_path: Path, workload: Path) -> None:
    """Sampled at the start: an end without a kept start is none, and those kept weigh N each."""
    ran = run(tmp_path, workload, "pairs", "4000", start="sample: 1/10")
    reported = counts(ran)
    assert reported["started"] == reported["ended"]
    assert reported["no_start"] == 4000 - reported["started"]
    assert ran.value("life", "all") == 10 * reported["started"]
    assert 3000 < ran.value("life", "all") < 5000  # the gaps' deviation is about 180


def test_the_target_is_tested_once_where_a_span_first_has_a_task(
    tmp_path: Path, workload: Path
) -> None:
    """Starts that are no one's are judged at their ends: others' spans are dropped there."""
    go, done = tmp_path / "go", tmp_path / "done"
    os.mkfifo(go)
    os.mkfifo(done)
    other = subprocess.Popen(
        ["sh", "-c", f"{workload} -w pairs 33 < {go} > {done}"], stdout=subprocess.DEVNULL
    )
    spans = SPAN.replace("MORE", "").replace("key: [pid, id]", "key: [id]")
    spans = spans.replace("start.comm", "end.comm")
    plan = write_plan(tmp_path, workload, spans, "task: none")
    command = f"echo > {go}; cat {done}; {workload} pairs 44"
    ran = run_cli(str(plan), "--backend", "bcc", command=["sh", "-c", command])
    assert other.wait() == 0
    reported = counts(ran)
    assert reported == {"started": 77, "ended": 44, "accepted": 44, "not_target": 33}


OUTSTANDING = """
outstanding:
  heap:
    open: opened
    close: [closed, dropped]
    key: [pid, id]
    value: size
    by: [comm]
"""


def test_what_was_opened_and_not_closed_is_found_exactly(tmp_path: Path, workload: Path) -> None:
    """Planted open objects: their number, what they are worth and whose they are."""
    ran = run(tmp_path, workload, "open", "200", spans=OUTSTANDING)
    [reported] = ran.of_kind("outstanding.reported")
    worth = sum(2 * i for i in range(1, 201))
    [cell] = reported["cells"]
    assert (reported["value"], reported["count"], reported["growth"], reported["total"]) == (
        worth,
        200,
        worth,
        True,
    )
    assert (cell["key"], cell["value"], cell["count"]) == ({"comm": workload.name}, worth, 200)
    assert cell["oldest_ns"] > 0
    assert any("before the run" in text for text in reported["caveats"])
    assert counts(ran, "heap") == {"started": 200, "in_flight": 200}


def test_what_was_closed_is_not_outstanding(tmp_path: Path, workload: Path) -> None:
    ran = run(tmp_path, workload, "pairs", "200", spans=OUTSTANDING)
    [reported] = ran.of_kind("outstanding.reported")
    assert (reported["value"], reported["count"], reported["cells"]) == (0, 0, [])
    assert counts(ran, "heap") == {"started": 200, "ended": 200}


def test_what_is_young_is_left_out(tmp_path: Path, workload: Path) -> None:
    spans = OUTSTANDING + "    min_age: 10m\n"
    ran = run(tmp_path, workload, "open", "20", spans=spans)
    [reported] = ran.of_kind("outstanding.reported")
    assert (reported["count"], reported["min_age_ns"]) == (0, 600_000_000_000)
    assert counts(ran, "heap")["in_flight"] == 20


def test_starts_without_room_are_lost_and_told(tmp_path: Path, workload: Path) -> None:
    """`max_open` bounds the map; what does not fit makes the run incomplete, exit code 4."""
    plan = write_plan(tmp_path, workload, OUTSTANDING + "    max_open: 64\n")
    done: Any = subprocess.run(
        [*CLI, "run", str(plan), "--no-progress", "--", str(workload), "open", "300"],
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=60,
    )
    ran = Ran.of(done.stdout)
    reported = counts(ran, "heap")
    assert done.returncode == 4
    assert reported["started"] + reported["map_full"] == 300
    assert reported["started"] == reported["in_flight"] >= 64
    assert ran.finished["complete"] is False


@pytest.mark.parametrize(
    ("words", "source", "code"),
    [
        ((), "default", 4),
        (("--limit", "incomplete=allow"), "command line", 0),
        (("--limit", "incomplete=allow", "--policy", "POLICY"), "policy", 4),
    ],
)
def test_only_an_exit_code_tells_loss_that_is_allowed_from_loss_that_is_not(
    tmp_path: Path, workload: Path, words: tuple[str, ...], source: str, code: int
) -> None:
    """The log and standard error say the same of all three; a policy may forbid to allow it."""
    policy = tmp_path / "policy.yaml"
    policy.write_text("apiVersion: probeplan/v1\nkind: Policy\nlimits: {incomplete: fail}\n")
    plan = write_plan(tmp_path, workload, OUTSTANDING + "    max_open: 64\n")
    options = [str(policy) if word == "POLICY" else word for word in words]
    done: Any = subprocess.run(
        [*CLI, "run", str(plan), "--no-progress", *options, "--", str(workload), "open", "300"],
        cwd=ROOT,
        capture_output=True,
        check=False,
        timeout=60,
    )
    ran = Ran.of(done.stdout)
    assert done.returncode == ran.finished["exit_code"] == code, done.stderr
    assert ran.of_kind("run.started")[0]["limits"]["incomplete"]["from"] == source
    assert (ran.finished["complete"], ran.finished["level"]) == (False, "warning")
    assert any("starts were lost" in why for why in ran.finished["incomplete_because"])
    assert b"starts were lost" in done.stderr


CLI = (sys.executable, "-m", "orchestrator.cli")
