"""Notes, on this machine's kernel, by a workload of known calls."""

import os
from pathlib import Path

import pytest

from tests.support.binaries import compile_to
from tests.support.paths import WORKLOADS
from tests.support.product import INCOMPLETE, Ran, run_cli

WORKLOAD = WORKLOADS / "spans.c"
PLAN = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: notes, summary: for tests, requires: "1.1"}
limits: {duration: 1m, rate: 1M/s, events: 100k, cpu: 100%}
let: {id: args.key}
probes:
  opened:
    attach: "uprobe:WORKLOAD:begin"
    args: {key: u64, size: s64}
    emit: {id: id, before: note.held.size}
  between:
    attach: "ufunction:WORKLOAD:middle"
    args: {key: u64, value: s64}
    where: entry(noted(held)) and note.held.size > 0
    emit: {id: id, size: note.held.size, at_entry: entry(note.held.size), who: note.held.who}
    metrics:
      sizes: {sum: note.held.size}
      by_size: {count: note.held.who == "NAME", by: [note.held.size]}
  closed:
    attach: "uprobe:WORKLOAD:finish"
    args: {key: u64, value: s64}
    emit: {id: id, noted: noted(held), size: note.held.size, line: note.program.line}
  dropped: {attach: "uprobe:WORKLOAD:drop", args: {key: u64}}
  executed: {attach: "tracepoint:sched:sched_process_exec"}
notes:
  held:
    set: opened
    drop: [closed, dropped]
    key: [pid, id]
    keep: {size: args.size, who: comm}
    MORE
  program: {set: executed, key: [pid], keep: {line: argv()}}
"""


@pytest.fixture(scope="module")
def workload(tmp_path_factory: pytest.TempPathFactory) -> Path:
    binary = tmp_path_factory.mktemp("notes") / f"pn{os.getpid()}"
    return compile_to(binary, WORKLOAD)


def run(
    folder: Path, workload: Path, *words: str, more: str = "max: 1k", exit_code: int = 0
) -> Ran:
    """The plan alongside `workload WORDS…`."""
    plan = folder / "plan.yaml"
    text = PLAN.replace("MORE", more)
    plan.write_text(text.replace("WORKLOAD", str(workload)).replace("NAME", workload.name))
    command = [str(workload), *words]
    return run_cli(str(plan), "--backend", "bcc", command=command, exit_code=exit_code)


def counts(ran: Ran, note: str = "held") -> dict[str, int]:
    """What is not zero of the note's counts."""
    reported = ran.finished["ledger"]["notes"][note]
    return {name: count for name, count in reported.items() if count}


def test_what_one_event_keeps_others_read(tmp_path: Path, workload: Path) -> None:
    """As numbers and as text, at the entry and at the return, in records, conditions, keys and
    values; by the event that drops it, too. A look is counted once an event, or once a side of
    it."""
    ran = run(tmp_path, workload, "via", "100")
    assert counts(ran) == {
        "set": 100, "dropped": 100, "found": 50 + 50 + 100, "missed": 100,
    }  # fmt: skip
    assert sorted(row["id"] for row in ran.data("between")) == list(range(2, 101, 2))
    for row in ran.data("between"):
        size = 2 * row["id"]
        assert row == {"id": row["id"], "size": size, "at_entry": size, "who": workload.name}
    assert ran.value("between", "sizes") == sum(2 * i for i in range(2, 101, 2))
    assert ran.value("between", "by_size", **{"note.held.size": 84}) == 1
    assert len(ran.cells("between", "by_size")) == 50
    assert all(row["before"] is None for row in ran.data("opened"))
    assert [(row["id"], row["size"]) for row in ran.data("closed")] == [
        (i, 2 * i) for i in range(1, 101)
    ]
    assert counts(ran, "program") == {"set": 1, "kept": 1, "found": 100}
    assert {row["line"] for row in ran.data("closed")} == {f"{workload} via 100"}
    assert ran.finished["ledger"]["faulted"] == 0


def test_what_is_not_kept_is_null_and_no_failed_read(tmp_path: Path, workload: Path) -> None:
    """A drop of nothing and a look in vain are counted, and lose nothing."""
    ran = run(tmp_path, workload, "orphans", "30")
    assert counts(ran) == {"absent": 30, "missed": 30}
    assert [(row["noted"], row["size"]) for row in ran.data("closed")] == [(False, None)] * 30
    assert ran.finished["ledger"]["faulted"] == 0
    assert ran.finished["complete"] is True


@pytest.mark.parametrize(
    ("more", "size", "before", "reported"),
    [
        ("once: false", 2, 1, {"set": 80, "replaced": 40, "dropped": 40}),
        ("once: true", 1, 1, {"set": 40, "repeated": 40, "dropped": 40}),
    ],
)
def test_a_second_set(
    tmp_path: Path, workload: Path, more: str, size: int, before: int, reported: dict[str, int]
) -> None:
    """It takes the place of the first, or leaves it; an event reads what was there before it."""
    ran = run(tmp_path, workload, "again", "40", more=more)
    assert counts(ran) == {**reported, "found": 80, "missed": 40}
    assert {row["size"] for row in ran.data("closed")} == {size}
    assert [row["before"] for row in ran.data("opened")] == [None, before] * 40


def test_a_full_note_makes_a_run_incomplete(tmp_path: Path, workload: Path) -> None:
    """Every set that found the map full is counted, and reported by its name."""
    ran = run(tmp_path, workload, "open", "50", more="max: 16", exit_code=INCOMPLETE)
    assert counts(ran) == {"set": 16, "kept": 16, "full": 34, "missed": 50}
    assert ran.finished["complete"] is False
    [reason] = ran.finished["incomplete_because"]
    assert reason.startswith("held: 34 times the note was not kept: the map was full")
