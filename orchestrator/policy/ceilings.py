"""Effective limits: the least of what a plan asks for and of what policies allow. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from orchestrator.plan.build import LIMIT_READERS
from orchestrator.plan.model import Limits, Plan, Rate, Redact
from orchestrator.policy.model import Policy

__all__ = ["governed", "least", "stricter"]


def governed(plan: Plan, policies: Sequence[Policy]) -> Plan:
    """The plan as it may run under `policies`: its limits lowered to their ceilings, and strings
    from user memory redacted at least as far as they say."""
    limits, sources = plan.limits, dict(plan.limits_from)
    probes = plan.probes
    for policy in policies:
        lowered = least(limits, policy)
        for name, (attribute, _) in LIMIT_READERS.items():
            if getattr(lowered, attribute) != getattr(limits, attribute):
                sources[name] = "policy"
        limits = lowered
        if isinstance(forced := policy.user_strings, Redact):
            probes = tuple(replace(one, redact=stricter(one.redact, forced)) for one in probes)
    return replace(plan, limits=limits, limits_from=sources, probes=probes)


def least(limits: Limits, policy: Policy) -> Limits:
    """`limits` with each that is above its ceiling lowered to it."""
    changes: dict[str, Any] = {}
    for name, ceiling in policy.ceilings.items():
        attribute, _ = LIMIT_READERS[name]
        own = getattr(limits, attribute)
        if name == "rate":
            changes[attribute] = _least_rate(own, ceiling.value)
        elif name == "incomplete":
            changes[attribute] = "fail" if "fail" in (own, ceiling.value) else "allow"
        else:  # None: unlimited
            changes[attribute] = ceiling.value if own is None else min(own, ceiling.value)
    return replace(limits, **changes)


def _least_rate(one: Rate, other: Rate) -> Rate:
    """A rate that is no higher than either, neither over time nor at once: what a rate lets
    through in a burst goes by its count (1k/s and 60k/m are the same over time only)."""
    count = min(one.count, other.count)
    periods = (-(-count * rate.per_ns // rate.count) for rate in (one, other))  # rounded up
    return Rate(count=count, per_ns=max(periods))


def stricter(own: Redact | None, forced: Redact) -> Redact:
    """Of what a plan and a policy say the one that shows less: a digest shows no byte at all."""
    if own is None or forced.kind == "hash":
        return forced
    if own.kind == "hash":
        return own
    return min(own, forced, key=lambda redact: redact.size)
