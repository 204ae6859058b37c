"""Spans in booted kernels: between a function's entry and its return, and over the scheduler's
events, where one event ends a span and starts another."""

from typing import Any

import pytest

from tests.guest.run.test_attach_kinds import SIZE, N, ran_in
from tests.support.guest_cases import CaseResult

RUN, PREPARE = "tests.guest.product:run", "tests.guest.product:compiled"
HEAD = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: spans, summary: for tests}
limits: {duration: 1m, events: 100k, rate: 1M/s, memory: 32MiB, cpu: 100%}
"""
READS = """
probes:
  begin: {attach: "entry:read_zero", where: args.count == 4093, let: {wanted: args.count}}
  finish: {attach: "kretprobe:read_zero", args: {file: u64}, returns: s64}
spans:
  read:
    start: begin
    end: finish
    key: [tid]
    again: nest
    emit: {wanted: start.wanted, got: end.retval, took: elapsed, who: start.comm}
    metrics:
      calls: {count: true, by: [start.comm]}
      latency: {histogram: elapsed}
"""
QUEUE = """
probes:
  wake:
    attach_all: ["rawtracepoint:sched_wakeup", "rawtracepoint:sched_wakeup_new"]
    task: args.p
    where: tid != 0
  requeue:
    attach: rawtracepoint:sched_switch
    where: tid != 0 and (args.preempt or either(args.prev.__state, args.prev.state) == 0)
  run:
    attach: rawtracepoint:sched_switch
    task: args.next
    where: tid != 0
spans:
  queued:
    start: [wake, requeue]
    end: run
    key: [tid]
    metrics: {latency: {histogram: elapsed}, all: {count: true}}
"""


def case(plan: str, *argv: str, lacks: tuple[str, ...] = ()) -> Any:
    """The plan alongside `load argv…`."""
    return pytest.mark.guest(
        RUN, prepare=PREPARE, plan=HEAD + plan, backend="bcc", argv=list(argv), lacks=list(lacks)
    )


def check_reads(guest: CaseResult) -> None:
    ran = ran_in(guest)
    counts = ran.finished["ledger"]["spans"]["read"]["counts"]
    assert (counts["started"], counts["ended"], counts["in_flight"]) == (N, N, 0)
    rows = ran.data("read")
    assert [(row["wanted"], row["got"]) for row in rows] == [(SIZE, SIZE)] * N
    assert all(row["took"] > 0 for row in rows)
    [cell] = ran.cells("read", "calls")
    assert (cell["value"], cell["key"]["start.comm"]) == (N, rows[0]["who"])
    assert ran.cells("read", "latency")[0]["count"] == N


@case(READS, "read", str(N))
def test_each_entry_meets_its_return(guest: CaseResult) -> None:
    """By what this kernel prefers: each call is one span, with the values of both. The return value
    is right although the plan names fewer arguments than there are."""
    check_reads(guest)


@case(READS, "read", str(N), lacks=("fentry",))
def test_each_entry_meets_its_return_by_events_of_our_own(guest: CaseResult) -> None:
    check_reads(guest)


@case(QUEUE, "threads", "100")
def test_the_run_queue_is_accounted_for(guest: CaseResult) -> None:
    """Each start ends, is replaced, or is open at the end; sched_switch is one program, in which a
    task that is queued again and the one that runs next are seen by one event."""
    ran = ran_in(guest)
    counts = ran.finished["ledger"]["spans"]["queued"]["counts"]
    assert counts["ended"] >= 100  # each thread was woken at least once
    assert ran.value("queued", "all") == counts["accepted"] == counts["ended"] + counts["raced"]
    assert ran.cells("queued", "latency")[0]["count"] == counts["accepted"]
