"""Checking a plan against a policy as far as that is possible without a kernel.

Kinds, digests and limits are decided here, and of symbols those that the plan names in full. Globs,
libraries without a directory and other names of the same thing are only known on a host.
"""

from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatchcase

from orchestrator.plan import units
from orchestrator.plan.attach_kinds import KINDS
from orchestrator.plan.build import LIMIT_READERS
from orchestrator.plan.findings import Finding, Position
from orchestrator.plan.model import AttachItem, Plan, Probe, Rate
from orchestrator.policy.attach_names import other_names
from orchestrator.policy.ceilings import apply_ceilings
from orchestrator.policy.model import Policy
from orchestrator.policy.overrides import find_override_violations
from orchestrator.policy.rules import (
    find_digest_violations,
    find_kind_violations,
    find_unsafe_returns,
    symbol_violation,
)
from orchestrator.policy.wording import describe_rule

__all__ = ["check_offline", "format_limit"]

#: Sites that have names which only the host knows: the real path, the full name.
_NAMED_BY_HOST = ("user code", "raw tracepoint")


def check_offline(plan: Plan, policy: Policy) -> Iterator[Finding]:
    """Errors for what a run would refuse; warnings for limits that it would lower, and for
    alternatives that it would refuse while others remain."""
    yield from find_digest_violations(plan, policy)
    yield from find_override_violations(plan, policy)
    yield from find_unsafe_returns(plan, policy)
    for probe in plan.probes:
        yield from _check_probe(probe, policy)
    yield from _check_limits(plan, policy)


def _check_probe(probe: Probe, policy: Policy) -> Iterator[Finding]:
    by_item = [list(_check_item(item, policy)) for item in probe.items]
    has_alternative = probe.mode == "first" and not all(by_item)
    for finding in (finding for findings in by_item for finding in findings):
        yield replace(finding, severity="warning") if has_alternative else finding


def _check_item(item: AttachItem, policy: Policy) -> Iterator[Finding]:
    if item.deferred:
        return
    yield from find_kind_violations(item.text, item.position, policy)
    site = KINDS[item.kind].site
    is_named = site != "timer" and not any(char in item.target for char in "*?[")
    if not is_named or (site == "user code" and not item.target.startswith("/")):
        return
    owner, colon, place = item.target.rpartition(":")  # a path may contain + and @
    target = owner + colon + place.partition("+")[0].partition("@")[0]
    named = (target, *other_names(site, target))
    denying = [
        entry
        for entry in policy.deny_symbols
        if any(fnmatchcase(name, entry.text) for name in named)
    ]
    own = named if site == "counter" else (item.target,)
    allowed = [
        entry
        for entry in policy.allow_symbols
        if any(fnmatchcase(name, entry.text) for name in own)
    ]
    against = [describe_rule(policy, "deny_symbols", entry) for entry in denying]
    # a name that is not allowed may be by the file's real path or the tracepoint's full name
    if policy.allow_symbols and not allowed and site not in _NAMED_BY_HOST:
        against.append(describe_rule(policy, "allow_symbols"))
    if against:
        yield symbol_violation(item.text, item.position, against[0], policy)


def _check_limits(plan: Plan, policy: Policy) -> Iterator[Finding]:
    """Limits that the plan sets itself: a default that is lowered needs no warning."""
    lowered = apply_ceilings(replace(plan, limits_from={}), (policy,))
    for name in lowered.limits_from:
        if plan.limits_from.get(name, "default") == "default":
            continue
        attribute, _ = LIMIT_READERS[name]
        asked, given = (getattr(limits, attribute) for limits in (plan.limits, lowered.limits))
        yield Finding(
            code="PP127",
            message=f"limits.{name} is {format_limit(name, asked)}, and a run gets "
            f"{format_limit(name, given)}: the policy's ceiling "
            f"({policy.ceilings[name].position})",
            position=Position(file=plan.file),
            hint="lower it, so that the plan states the limit in force",
            severity="warning",
        )


def format_limit(name: str, value: object) -> str:
    """A limit as a plan writes it."""
    match value:
        case None:
            return "unlimited"
        case Rate():
            return units.format_rate(value)
        case float():
            return f"{value * 100:g}%"
        case int():
            sizes = {"duration": units.format_duration, "memory": units.format_bytes}
            sizes["output"] = units.format_bytes
            return sizes.get(name, units.format_count)(value)
        case _:
            return str(value)
