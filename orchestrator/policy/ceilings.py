"""Effective limits: the smaller of what a plan asks for and what policies allow. Pure."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from orchestrator.plan.build import LIMIT_READERS
from orchestrator.plan.model import Limits, Plan, Rate, Redact
from orchestrator.policy.model import Ceiling, Policy

__all__ = ["apply_ceilings", "combine_ceilings", "lower_limits", "stricter_redaction"]


def apply_ceilings(plan: Plan, policies: Sequence[Policy]) -> Plan:
    """The plan as it may run under `policies`: its limits lowered to their ceilings, and strings
    from user memory redacted at least as far as they require. Applying it twice changes nothing."""
    limits, sources = plan.limits, dict(plan.limits_from)
    probes = plan.probes
    for policy in policies:
        lowered = lower_limits(limits, policy)
        for name, (attribute, _) in LIMIT_READERS.items():
            if getattr(lowered, attribute) != getattr(limits, attribute):
                sources[name] = "policy"
        limits = lowered
        if isinstance(forced := policy.user_strings, Redact):
            probes = tuple(
                replace(probe, redact=stricter_redaction(probe.redact, forced)) for probe in probes
            )
    return replace(plan, limits=limits, limits_from=sources, probes=probes)


def lower_limits(limits: Limits, policy: Policy) -> Limits:
    """`limits` with each that is above its ceiling lowered to it."""
    changes: dict[str, Any] = {}
    for name, ceiling in policy.ceilings.items():
        attribute, _ = LIMIT_READERS[name]
        changes[attribute] = _lower_limit(name, getattr(limits, attribute), ceiling.value)
    return replace(limits, **changes)


def combine_ceilings(policies: Sequence[Policy]) -> dict[str, Ceiling]:
    """By the name of the limit, the ceiling that all of `policies` make together, with the position
    of the policy that sets it; of two that are equal, the first."""
    combined: dict[str, Ceiling] = {}
    for policy in policies:
        for name, ceiling in policy.ceilings.items():
            before = combined.get(name, ceiling)
            value = _lower_limit(name, before.value, ceiling.value)
            combined[name] = before if value == before.value else replace(ceiling, value=value)
    return combined


def _lower_limit(name: str, asked: Any, ceiling: Any) -> Any:
    """The limit `name`, asked for and then lowered to a ceiling."""
    if name == "rate":
        return _lower_rate(asked, ceiling)
    if name == "incomplete":
        return "fail" if "fail" in (asked, ceiling) else "allow"
    return ceiling if asked is None else min(asked, ceiling)  # None: unlimited


def _lower_rate(asked: Rate, ceiling: Rate) -> Rate:
    """A rate that exceeds neither, over time or in a burst: 1k/s and 60k/m are the same over time
    only."""
    count = min(asked.count, ceiling.count)
    periods = (-(-count * rate.per_ns // rate.count) for rate in (asked, ceiling))  # rounded up
    return Rate(count=count, per_ns=max(periods), burst=min(asked.burst, ceiling.burst))


def stricter_redaction(own: Redact | None, forced: Redact) -> Redact:
    """Of the redactions of a plan and a policy the one that shows less: a hash shows no byte."""
    if own is None or forced.kind == "hash":
        return forced
    if own.kind == "hash":
        return own
    return min(own, forced, key=lambda redact: redact.size)
