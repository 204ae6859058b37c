"""What a policy would say of a plan, as far as that can be known without a kernel.

Kinds, digests and limits are judged for good. Of symbols, only those that the plan names outright:
globs, libraries without their directory and other names of the same thing are known on a host.
"""

from collections.abc import Iterator
from dataclasses import replace
from fnmatch import fnmatchcase

from orchestrator.plan import units
from orchestrator.plan.attach_kinds import KINDS
from orchestrator.plan.build import LIMIT_READERS
from orchestrator.plan.findings import Finding, Position
from orchestrator.plan.model import AttachItem, Plan, Probe, Rate
from orchestrator.policy.ceilings import governed
from orchestrator.policy.model import Policy
from orchestrator.policy.rules import digest_findings, kind_findings, rule, symbol_finding

__all__ = ["preview", "shown_limit"]

#: Sites that have names which only the host knows: the real path, the full name.
_NAMED_BY_HOST = ("user code", "raw tracepoint")


def preview(plan: Plan, policy: Policy) -> Iterator[Finding]:
    """Errors for what would be refused, warnings for limits that would be lowered, and for one of
    several alternatives that must not be taken."""
    yield from digest_findings(plan, policy)
    for probe in plan.probes:
        yield from _probe(probe, policy)
    yield from _limits(plan, policy)


def _probe(probe: Probe, policy: Policy) -> Iterator[Finding]:
    found = {index: list(_item(item, policy)) for index, item in enumerate(probe.items)}
    spared = probe.mode == "first" and not all(found.values())
    for finding in (one for findings in found.values() for one in findings):
        yield replace(finding, severity="warning") if spared else finding


def _item(item: AttachItem, policy: Policy) -> Iterator[Finding]:
    if item.deferred:
        return
    yield from kind_findings(item.text, item.position, policy)
    site = KINDS[item.kind].site
    known = site != "timer" and not any(char in item.target for char in "*?[")
    if not known or (site == "user code" and not item.target.startswith("/")):
        return
    target = item.target.partition("+")[0]
    denying = [entry for entry in policy.deny_symbols if fnmatchcase(target, entry.text)]
    allowed = [entry for entry in policy.allow_symbols if fnmatchcase(item.target, entry.text)]
    against = [rule(policy, "deny_symbols", entry) for entry in denying]
    # what is not allowed by this name may be by the file's real one or the tracepoint's full one
    if policy.allow_symbols and not allowed and site not in _NAMED_BY_HOST:
        against.append(rule(policy, "allow_symbols"))
    if against:
        yield symbol_finding(item.text, item.position, against[0], policy)


def _limits(plan: Plan, policy: Policy) -> Iterator[Finding]:
    """Of limits that the plan asks for: nobody is told that a default is lowered."""
    lowered = governed(replace(plan, limits_from={}), (policy,))
    for name in lowered.limits_from:
        if plan.limits_from.get(name, "default") == "default":
            continue
        attribute, _ = LIMIT_READERS[name]
        asked, given = (getattr(limits, attribute) for limits in (plan.limits, lowered.limits))
        yield Finding(
            code="PP127",
            message=f"limits.{name} is {shown_limit(name, asked)}, and a run gets "
            f"{shown_limit(name, given)}: the policy's ceiling "
            f"({policy.ceilings[name].position})",
            position=Position(file=plan.file),
            hint="lower it, so that the plan says what happens",
            severity="warning",
        )


def shown_limit(name: str, value: object) -> str:
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
