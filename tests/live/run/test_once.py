"""`once`: a record of the first event of each key, on this machine's kernel."""

import os
from itertools import pairwise
from pathlib import Path

from tests.support.binaries import compile_to
from tests.support.paths import WORKLOADS
from tests.support.product import run_cli

HEAD = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: once, summary: for tests, requires: "1.1"}
limits: {duration: 1m, rate: 1M/s, events: 100k, cpu: 100%}
"""
PLAN = """
let: {id: args.key % 10}
probes:
  run:
    attach: "uprobe:WORKLOAD:begin"
    args: {key: u64}
    once: {by: [id]}
    emit: {id: id, key: args.key}
    metrics: {all: {count: true}}
  full:
    attach: "uprobe:WORKLOAD:finish"
    args: {key: u64}
    once: {by: [comm, {number: id}], per: 1m, keys: 4}
    emit: {id: id}
  limited:
    attach: "uprobe:WORKLOAD:begin"
    args: {key: u64}
    once: {by: [id]}
    events: 3
    emit: {id: id}
"""
PERIODS = """
probes:
  dup:
    attach: syscall:dup2
    where: comm == "python3" and args.newfd >= 100
    let: {fd: args.newfd}
    once: {by: [fd], per: 200ms, keys: 8}
    emit: {fd: fd, at: now}
"""
DUPS = """
import os, time
end = time.monotonic() + 1.1
while time.monotonic() < end:
    for fd in (100, 101): os.dup2(1, fd)
    time.sleep(0.002)
for first in (102, 108, 114):
    for fd in range(first, first + 6): os.dup2(1, fd)
    time.sleep(1.5)
"""


def test_the_first_of_each_key_is_a_record(tmp_path: Path) -> None:
    """1000 calls of 10 keys: 10 records, the first ones; with room for 4 keys, 4. A record that
    another bound holds back leaves its key to the next event. Metrics count all."""
    workload, plan = tmp_path / f"ps{os.getpid()}", tmp_path / "plan.yaml"
    compile_to(workload, WORKLOADS / "spans.c")
    plan.write_text(HEAD + PLAN.replace("WORKLOAD", str(workload)))
    ran = run_cli(str(plan), "--backend", "bcc", command=[str(workload), "pairs", "1000"])
    assert [row["key"] for row in ran.data("run")] == list(range(1, 11))
    assert ran.value("run", "all") == 1000
    emit = {name: ran.ledger(name)["emit"] for name in ("run", "full", "limited")}
    assert (emit["run"]["repeated"], emit["run"]["keys_full"]) == (990, 0)
    assert [row["id"] for row in ran.data("full")] == [1, 2, 3, 4]
    assert (emit["full"]["repeated"], emit["full"]["keys_full"]) == (396, 600)
    assert len(ran.data("limited")) == 3
    assert (emit["limited"]["repeated"], emit["limited"]["over_cap"]) == (3 * 99, 7 * 100)
    held = {(one["limit"], one["probe"]): one["records"] for one in ran.finished["held_back"]}
    assert held == {("keys", "full"): 600, ("events", "limited"): 700}
    assert ran.finished["complete"] is True


def test_a_period_begins_with_the_record_of_its_key(tmp_path: Path) -> None:
    """Records of a key are at least a period apart. New keys find room, since those whose period is
    over are forgotten."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(HEAD + PERIODS)
    ran = run_cli(str(plan), "--backend", "bcc", command=["python3", "-S", "-c", DUPS])
    for fd in (100, 101):
        times = [row["at"] for row in ran.data("dup") if row["fd"] == fd]
        assert 3 <= len(times) <= 6
        assert min(after - before for before, after in pairwise(times)) >= 200_000_000
    assert {row["fd"] for row in ran.data("dup")} == set(range(100, 120))
    emit = ran.ledger("dup")["emit"]
    assert emit["accepted"] == emit["repeated"] + emit["recorded"]
    assert emit["repeated"] > 100
