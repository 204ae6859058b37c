"""How findings name a policy's rules, and who can grant an exception."""

from orchestrator.policy.model import ListEntry, Policy

__all__ = ["describe_rule", "exception_hint"]


def describe_rule(policy: Policy, key: str, entry: ListEntry | None = None) -> str:
    """The rule, and its position in the policy's file."""
    if entry is None:
        return f"{key} of the policy ({policy.position_of(key)})"
    return f"{key} of the policy names {entry.text!r} ({entry.position})"


def exception_hint(policy: Policy) -> str:
    """A hint that says who can grant an exception."""
    return f"ask {policy.owner or 'the maintainer of the policy'}"
