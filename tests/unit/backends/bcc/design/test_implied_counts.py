"""Metrics whose number of events is the hook's `accepted`."""

import pytest

from orchestrator.backends.bcc.design.implied_counts import counts_all, span_counts_all
from tests.support.bcc_maps import recorded_program


@pytest.mark.parametrize(
    ("metric", "implied"),
    [
        ("count: true", True),
        ("sum: args.count", True),
        ("histogram: elapsed", True),
        ("count: true, by: [pid]", False),
        ("count: true, where: args.count > 1", False),
        ("count: args.count", False),
        ("max: args.file.f_pos", False),
    ],
)
def test_only_what_every_accepted_event_feeds_is_implied(metric: str, implied: bool) -> None:
    """A key can find the map full, a filter and a count of a value can refuse, a read can fail."""
    plan = f"probes: {{p: {{attach: 'function:vfs_read', metrics: {{n: {{{metric}}}}}}}}}"
    program = recorded_program(plan)
    [hook], [spec] = program.hooks, program.metrics
    assert counts_all(spec, hook.body.metrics[0], hook.body) is implied


def span_plan(value: str) -> str:
    """A span with a metric of one value."""
    return f"""
probes:
  out: {{attach: "entry:vfs_read", let: {{size: args.count, at: args.file.f_pos}}}}
  back: {{attach: "fexit:vfs_read"}}
spans:
  s: {{start: out, end: back, key: [tid], metrics: {{n: {{max: "{value}"}}}}}}
"""


@pytest.mark.parametrize(
    ("value", "implied"), [("elapsed", True), ("start.size", True), ("start.at", False)]
)
def test_a_spans_metric_is_implied_at_all_its_ends(value: str, implied: bool) -> None:
    """A value that the start could not read makes its end's event not count."""
    program = recorded_program(span_plan(value))
    assert span_counts_all(program, program.spans[0], 0) is implied
