"""What the command line may change of a plan: digests and signatures cover its file alone. Pure."""

from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

from orchestrator.plan.findings import Finding, Position
from orchestrator.plan.model import OverrideOption, Plan
from orchestrator.policy.model import ListEntry, Policy
from orchestrator.policy.wording import describe_rule, exception_hint

__all__ = ["find_override_violations"]

#: The rule of each option; what is added to a plan (`--by`, `--enrich`) has none.
_KEYS: Mapping[OverrideOption, str] = {
    "set": "allow_params",
    "limit": "allow_limits",
    "target": "allow_targets",
}


def find_override_violations(plan: Plan, policy: Policy) -> Iterator[Finding]:
    """A finding for each param, limit and target that was set and that the policy does not allow to
    be set, and for each key and field that was added. Without a rule any may be, but none where the
    policy lists plans by their digests or wants them signed."""
    for one in plan.overridden:
        key = _KEYS.get(one.option, "")
        has_rule = key in policy.positions
        allowed: tuple[ListEntry, ...] = getattr(policy, key) if key else ()
        may_be_set = any(fnmatchcase(one.name, entry.text) for entry in allowed)
        if may_be_set or not (has_rule or policy.plans or policy.requires_signatures):
            continue
        approved_by = "plans" if policy.plans else "signatures"
        rule = describe_rule(policy, key if has_rule else approved_by)
        without = "" if has_rule or not key else f", and there is no {key}"
        yield Finding(
            code="PP128",
            message=f"--{one.option} {one.name}: it may not be set here: {rule}{without}",
            position=Position(file=f"--{one.option} {one.name}"),
            hint=f"leave it out, or {exception_hint(policy)}",
        )
