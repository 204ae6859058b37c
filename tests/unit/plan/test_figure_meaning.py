"""What figures may name: the metrics of probes and spans, params, and each other."""

import pytest

from orchestrator.plan.figures import metrics_by_owner
from orchestrator.plan.load import check_plan, load_plan
from tests.support.plans import HEAD

PLAN = (
    HEAD
    + """
params:
  most: {type: int, default: 3}
  slow: {type: duration, default: 1ms}
  all: {type: bool, default: true}
  mode: {type: choice, choices: [loud, mute], default: loud}
  one_of: {type: ratio, default: 1/10}
probes:
  out: {attach: "rawtracepoint:sched_switch"}
  back: {attach: "rawtracepoint:sched_switch", metrics: {calls: {count: true}}}
spans:
  blocked:
    start: out
    end: back
    key: [tid]
    metrics:
      time: {sum: elapsed, warn: avg > params.slow}
      latency: {histogram: elapsed}
"""
)


def findings(more: str) -> list[str]:
    _, found = check_plan((PLAN + more).encode())
    return [f"{finding.code} {finding.message}" for finding in found]


@pytest.mark.parametrize(
    "condition",
    [
        "blocked.latency.p99 > params.slow and blocked.time / back.calls > 0.5*ms",
        "params.all and total(blocked.time) > params.most",
        "params.mode == 'loud' and half > 1",
        "params.mode in ('mute', 'loud')",
        "elapsed > 10*s or min(half, 2) == 2",
    ],
)
def test_metrics_of_spans_params_and_figures_can_be_named(condition: str) -> None:
    more = f'derive: {{half: {{value: back.calls / 2}}}}\nstop_when: "{condition}"\n'
    assert findings(more) == []
    plan = load_plan((PLAN + more).encode())
    assert plan.stop_when is not None
    assert [one.name for one in metrics_by_owner(plan)["blocked"]] == ["time", "latency"]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("params.one_of > 1", "PP065 the param 'one_of' of type ratio is not a number"),
        ("params.mode > 1", "PP073 text has no order"),
        ("back.calls == 'x'", "PP073 text where a number is needed"),
        ("out.calls > 1", "PP071 there is no metric 'out.calls'"),
        ("total(back.calls, 1) > 1", "PP024 total() takes 1 argument, not 2"),
    ],
)
def test_what_has_no_meaning_is_told(condition: str, expected: str) -> None:
    assert findings(f'stop_when: "{condition}"\n') == [expected]


def test_what_the_schema_refused_is_not_missed_again() -> None:
    """One fault, one finding."""
    broken = PLAN.replace("{sum: elapsed,", "{summe: elapsed,")
    _, found = check_plan((broken + "stop_when: blocked.time > 3\n").encode())
    assert [finding.code for finding in found] == ["PP030"]


def test_numbers_with_a_point_are_for_figures_alone() -> None:
    """Nothing of a figure goes into a kernel, which has no fractions."""
    assert findings("stop_when: back.calls > 0.5\n") == []
    where = PLAN.replace("count: true", "count: cpu > 0.5")
    _, found = check_plan(where.encode())
    assert [finding.code for finding in found] == ["PP021"]
