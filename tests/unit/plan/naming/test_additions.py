"""Keys and fields that the command line adds to a plan."""

import pytest

from orchestrator.plan.findings import PlanError
from orchestrator.plan.load import load_plan
from orchestrator.plan.model import Plan
from tests.support.plans import HEAD

PROBES = """
probes:
  a:
    attach: syscall:read
    emit: {}
    metrics: {calls: {count: true, by: [comm]}, all: {count: true}}
  b: {attach: "tracepoint:block:block_rq_issue", task: none, let: {io: args.sector}, emit: {}}
  c: {attach: "syscall:write", let: {io: args.fd}, emit: {}}
"""
BY, ENRICH = {"by": "container"}, {"enrich": "containers"}


def load(text: str, additions: dict[str, str]) -> Plan:
    return load_plan((HEAD + text).encode(), additions=additions)


def refusal(text: str, additions: dict[str, str]) -> str:
    with pytest.raises(PlanError) as raised:
        load(text, additions)
    [finding] = raised.value.findings
    assert finding.code == "PP067"
    return str(finding)


def span(start: str, end: str) -> str:
    body = "key: [io], emit: {}, metrics: {time: {sum: elapsed}}"
    return f"spans: {{s: {{start: {start}, end: {end}, {body}}}}}\n"


def test_every_metric_gets_the_key_once() -> None:
    plan = load(PROBES + span("c", "b"), {"by": "container,comm"})
    assert [metric.by for metric in plan.probes[0].metrics] == [
        ("comm", "container"),
        ("container", "comm"),
    ]
    [metric] = plan.spans[0].metrics
    assert metric.by == ("container", "comm")
    assert metric.computed["container"].text == "start.container"


def test_a_span_is_counted_by_the_task_of_its_start_where_both_have_one() -> None:
    other = "  d: {attach: 'syscall:close', let: {io: args.fd}, emit: {}}\n"
    plan = load(PROBES + other + span("d", "c"), BY)
    assert plan.spans[0].metrics[0].computed["container"].text == "start.container"


def test_a_span_is_counted_by_the_task_of_its_end_where_its_start_has_none() -> None:
    plan = load(PROBES + span("b", "c"), {**BY, **ENRICH})
    assert plan.spans[0].metrics[0].computed["container"].text == "end.container"
    assert plan.spans[0].emit is not None
    assert plan.spans[0].emit["container"].text == "end.container"


def test_records_of_tasks_get_the_field() -> None:
    plan = load(PROBES + span("c", "b"), ENRICH)
    assert [list(probe.emit or ()) for probe in plan.probes] == [["container"], [], ["container"]]


def test_an_outstanding_resource_is_counted_by_what_opened_it() -> None:
    text = PROBES.replace("let: {io: args.fd}", "let: {io: args.fd, n: args.count}")
    more = "outstanding: {o: {open: c, close: b, key: [io], value: n, by: [comm]}}\n"
    assert load(text + more, BY).outstanding[0].by == ("comm", "container")


def test_where_no_task_is_known_it_is_refused_with_the_place() -> None:
    counted = PROBES.replace("emit: {}}\n  c", "metrics: {n: {count: true}}}\n  c")
    message = refusal(counted, BY)
    assert "the probe 'b' has `task: none` (<plan>:" in message
    assert "no container is known there" in message
    both = PROBES.replace(
        "emit: {}}\n  c", "emit: {}}\n  d: {attach: 'profile:9hz', task: none, let: {io: cpu}}\n  c"
    )
    assert "probes at the start and the end of 's'" in refusal(both + span("b", "d"), BY)
    assert load(counted, {"by": "cpu"}).probes[1].metrics[0].by == ("cpu",)


def test_what_cannot_be_added_is_a_finding() -> None:
    assert "did you mean" in refusal(PROBES, {"by": "containr"})
    assert "'pods' cannot be added" in refusal(PROBES, {"enrich": "pods"})
    nothing = "probes: {p: {attach: 'syscall:read', emit: {}}}"
    assert "no metrics" in refusal(nothing, BY)
    counts = "probes: {p: {attach: 'syscall:read', metrics: {n: {count: true}}}}"
    assert "no records" in refusal(counts, ENRICH)


def test_a_name_of_the_plan_stays_its_own() -> None:
    own = "probes: {p: {attach: 'syscall:read', emit: {container: pid}}}"
    emit = load(own, ENRICH).probes[0].emit
    assert emit is not None
    assert emit["container"].text == "pid"
