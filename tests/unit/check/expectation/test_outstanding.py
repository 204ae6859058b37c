"""Expectations about what is still outstanding at the end."""

from dataclasses import replace

import pytest

from orchestrator.check.baseline.text import parse_baseline, show_baseline
from orchestrator.check.baseline.update import update_baseline
from orchestrator.check.expectation.references import PlanNames
from orchestrator.check.measurement import MeasuredCell, MetricIdentity
from orchestrator.check.verdict.judge import judge_check
from tests.support.checks import check_text, good_check, inspect, shown
from tests.support.measurements import measured, repeat

PLAN = """\
plan:
  probes:
    alloc: {attach: "tracepoint:kmem:kmalloc", let: {at: args.ptr, size: args.bytes_alloc}}
    release: {attach: "tracepoint:kmem:kfree", let: {at: args.ptr}}
    sampled: {attach: "tracepoint:kmem:kmalloc", sample: 1/10, let: {at: args.ptr}}
  outstanding:
    objects: {open: alloc, close: release, key: [at], value: size, by: [comm]}
    some: {open: sampled, close: release, key: [at], value: 1}
"""


def test_a_value_and_a_count_are_read_and_rest_on_the_probes_that_open_and_close() -> None:
    check = good_check("objects.value + objects.count <= 64*KiB", plan=PLAN)
    names = PlanNames(check.plan)
    [expectation] = check.expectations
    assert names.list_read(expectation.that.root) == ("alloc", "objects", "release")
    kinds = {one.metric.name: one.metric.kind for one in names.list_metrics(expectation.that.root)}
    assert kinds == {"value": "sum", "count": "count"}


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("objects.sum <= 5", "PP071", "no metric 'objects.sum'"),
        ("objects.valu <= 5", "PP071", "did you mean 'objects.value'"),
        ("objects.value.p99 <= 5", "PP072", "a sum and has no 'p99'"),
        ("objects.value[pid == 5] <= 5", "PP203", "no key 'pid'"),
        ("some.value[comm == 'a'] <= 5", "PP203", "has no key to filter by"),
        ("some.count == 0", "PP206", "'sampled' is sampled 1/10"),
        ("{that: some.value <= 5, each: true}", "PP211", "nothing here has any"),
    ],
)
def test_what_has_no_meaning_is_a_finding(text: str, code: str, words: str) -> None:
    _, findings = inspect(check_text(text, plan=PLAN))
    assert code in [finding.code for finding in findings], shown(findings)
    assert words in shown(findings)


def test_it_is_judged_and_recorded_like_a_metric() -> None:
    check = good_check(
        "objects.value[comm == 'make'] <= 1.5 * baseline", "objects.count == 2", plan=PLAN
    )
    cells = [
        MeasuredCell(key={"comm": "make"}, value=4096, count=1, sum=4096),
        MeasuredCell(key={"comm": "cc"}, value=64, count=1, sum=64),
    ]
    counts = [replace(cell, value=cell.count) for cell in cells]
    identities = {
        name: MetricIdentity(kind=kind, unit="", by=("comm",), digest=name)
        for name, kind in (("value", "sum"), ("count", "count"))
    }
    run = repeat({"objects.value": cells, "objects.count": counts}, check)
    found = measured(check, run, metrics={"objects": identities})
    baseline = update_baseline(None, check.name, found, "2026-01-01T00:00:00Z", "new")
    assert parse_baseline(show_baseline(baseline).encode()) == baseline
    more = [replace(cells[0], value=7000, sum=7000), cells[1]]
    run = repeat({"objects.value": more, "objects.count": counts}, check)
    verdict = judge_check(check, measured(check, run, metrics={"objects": identities}), baseline)
    assert [one.verdict for one in verdict.expectations] == ["fail", "ok"]
    assert verdict.warnings == ()
