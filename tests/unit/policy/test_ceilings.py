"""Effective limits are the smaller of the plan's and the policies'."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.plan.build import LIMIT_READERS
from orchestrator.plan.findings import NOWHERE
from orchestrator.plan.model import Limits, Rate, Redact
from orchestrator.policy.ceilings import (
    apply_ceilings,
    combine_ceilings,
    lower_limits,
    stricter_redaction,
)
from orchestrator.policy.model import Ceiling, Policy
from tests.support.policies import a_plan, a_policy

RATES = st.builds(
    Rate,
    count=st.integers(1, 10**6),
    per_ns=st.integers(10**6, 86_400 * 10**9),
)
LIMITS = st.builds(
    Limits,
    duration_ns=st.none() | st.integers(10**6, 10**15),
    events=st.integers(1, 10**9),
    rate=RATES,
    cpu=st.floats(1e-6, 1.0),
    memory=st.integers(1 << 16, 1 << 36),
    probes=st.integers(1, 10**4),
    output=st.integers(1 << 12, 1 << 50),
    incomplete=st.sampled_from(("fail", "allow")),
)


def ceilings_of(limits: Limits, names: Sequence[str]) -> Policy:
    values = {name: getattr(limits, LIMIT_READERS[name][0]) for name in names}
    found = {n: Ceiling(value=v, position=NOWHERE) for n, v in values.items() if v is not None}
    return Policy(file="policy.yaml", sha256="", ceilings=found)


NAMES = ("duration", "events", "rate", "cpu", "memory", "probes", "output")


@given(LIMITS, LIMITS, st.sets(st.sampled_from(NAMES)))
def test_the_effective_limit_is_the_minimum(own: Limits, most: Limits, names: set[str]) -> None:
    """Never above the plan's, never above a ceiling, and one of the two; without one the plan's."""
    policy = ceilings_of(most, sorted(names))
    found = lower_limits(own, policy)
    for name in NAMES:
        attribute = "duration_ns" if name == "duration" else name
        mine, ours = getattr(own, attribute), getattr(found, attribute)
        if name not in policy.ceilings:
            assert ours == mine
        elif name != "rate":
            ceiling = policy.ceilings[name].value
            assert ours == (ceiling if mine is None else min(mine, ceiling))
    assert lower_limits(found, policy) == found
    assert found.at_cap == own.at_cap


@pytest.mark.parametrize("most", ["fail", "allow"])
@pytest.mark.parametrize("own", ["fail", "allow"])
def test_a_policy_may_forbid_incomplete_runs_and_not_impose_them(
    own: Literal["fail", "allow"], most: Literal["fail", "allow"]
) -> None:
    """`allow` holds only where both say so; a policy that is silent leaves it to the plan."""
    policy = ceilings_of(Limits(incomplete=most), ["incomplete"])
    allowed = own == most == "allow"
    assert lower_limits(Limits(incomplete=own), policy).incomplete == (
        "allow" if allowed else "fail"
    )
    assert lower_limits(Limits(incomplete=own), ceilings_of(Limits(), [])).incomplete == own


@given(RATES, RATES)
def test_a_rate_is_lowered_over_time_and_at_once(one: Rate, other: Rate) -> None:
    """Above neither in records a time nor in records of a burst; above by no more than rounding;
    and which of the two was the plan's does not matter."""
    policies = [ceilings_of(Limits(rate=rate), ["rate"]) for rate in (one, other)]
    found = lower_limits(Limits(rate=one), policies[1]).rate
    assert found == lower_limits(Limits(rate=other), policies[0]).rate
    assert found.count == min(one.count, other.count)
    for rate in (one, other):
        assert found.count * rate.per_ns <= rate.count * found.per_ns
    slack = Rate(count=found.count, per_ns=found.per_ns - 1)
    assert any(slack.count * r.per_ns > r.count * slack.per_ns for r in (one, other))


def test_an_unlimited_run_gets_the_ceiling() -> None:
    """A policy's duration is the end of every run."""
    plan = a_plan("tracepoint:sched:sched_switch", duration="unlimited")
    assert plan.limits.duration_ns is None
    found = apply_ceilings(plan, [a_policy("limits: {duration: 7s}")])
    assert found.limits.duration_ns == 7_000_000_000
    assert apply_ceilings(plan, [a_policy("limits: {events: 7}")]).limits.duration_ns is None


def test_each_limit_says_where_it_comes_from() -> None:
    """Plan, default, command line; a policy only where it is what lowers it; the last of several
    policies that lowers it makes no difference."""
    plan = a_plan(
        "tracepoint:sched:sched_switch", head="limits: {events: 50, rate: 5/s}", memory="1MiB"
    )
    policies = [a_policy("limits: {events: 50, rate: 4/s, output: 1MiB, memory: 2MiB}")]
    assert dict(apply_ceilings(plan, policies).limits_from) == {
        "events": "plan",
        "rate": "policy",
        "memory": "command line",
        "output": "policy",
    }
    assert plan.limits_from == {"events": "plan", "rate": "plan", "memory": "command line"}


@pytest.mark.parametrize(
    ("own", "forced", "expected"),
    [
        (None, Redact(kind="hash"), "hash"),
        (None, Redact(kind="truncate", size=8), "truncate(8)"),
        (Redact(kind="truncate", size=4), Redact(kind="truncate", size=8), "truncate(4)"),
        (Redact(kind="truncate", size=16), Redact(kind="truncate", size=8), "truncate(8)"),
        (Redact(kind="truncate", size=4), Redact(kind="hash"), "hash"),
        (Redact(kind="hash"), Redact(kind="truncate", size=8), "hash"),
    ],
)
def test_of_two_redactions_the_stricter_holds(
    own: Redact | None, forced: Redact, expected: str
) -> None:
    """A digest shows nothing of a string, fewer bytes show less of it."""
    assert str(stricter_redaction(own, forced)) == expected


def test_applying_ceilings_twice_changes_nothing() -> None:
    """A prepared plan can be prepared again."""
    plan = a_plan("tracepoint:sched:sched_switch", "    redact: truncate(9)\n")
    rules = [a_policy("limits: {events: 5, rate: 3/s, duration: 1s}\nuser_strings: truncate(4)")]
    once = apply_ceilings(plan, rules)
    assert apply_ceilings(once, rules) == once
    assert str(once.probes[0].redact) == "truncate(4)"
    assert replace(once, limits=plan.limits, limits_from={}, probes=()) == replace(
        plan, limits_from={}, probes=()
    )


def test_several_policies_make_one_ceiling_with_its_position() -> None:
    """The lowest, where it is set; of equal ones the first. A rate may combine two."""
    policies = [
        a_policy("limits: {events: 9, duration: 5s, rate: 10/s, incomplete: allow}", "a.yaml"),
        a_policy("limits: {events: 9, duration: 2s, rate: 60/m, incomplete: fail}", "b.yaml"),
    ]
    combined = combine_ceilings(policies)
    assert {
        name: str(ceiling.position).partition(":")[0] for name, ceiling in combined.items()
    } == {
        "events": "a.yaml",
        "duration": "b.yaml",
        "rate": "b.yaml",
        "incomplete": "b.yaml",
    }
    assert combined["duration"].value == 2_000_000_000
    assert combined["rate"].value == Rate(count=10, per_ns=10_000_000_000)
    assert combined["incomplete"].value == "fail"
    assert combine_ceilings([]) == {}


@given(LIMITS, LIMITS, LIMITS)
def test_combined_ceilings_lower_as_the_policies_do_one_after_another(
    own: Limits, first: Limits, second: Limits
) -> None:
    policies = [ceilings_of(limits, NAMES) for limits in (first, second)]
    combined = Policy(file="policy.yaml", sha256="", ceilings=combine_ceilings(policies))
    at_once = lower_limits(own, combined)
    in_turn = lower_limits(lower_limits(own, policies[0]), policies[1])
    assert replace(at_once, rate=own.rate) == replace(in_turn, rate=own.rate)
    assert at_once.rate.count == in_turn.rate.count
    assert abs(at_once.rate.per_ns - in_turn.rate.per_ns) <= 2  # each step rounds up
