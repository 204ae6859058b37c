"""Policies and plans made of a few lines of text, for tests."""

from orchestrator.plan.load import load_plan
from orchestrator.plan.model import Plan
from orchestrator.policy.model import Policy
from orchestrator.policy.parse import parse_policy
from tests.support.recorded import HEAD


def a_policy(text: str, name: str = "policy.yaml") -> Policy:
    """The policy with the rules in `text`; line 3 is its first."""
    head = "apiVersion: probeplan/v1\nkind: Policy\n"
    policy, findings = parse_policy(f"{head}{text}\n".encode(), name)
    assert policy is not None, findings
    return policy


def a_plan(attach: str, rest: str = "", head: str = "", **limits: str) -> Plan:
    """A plan with the probe `p` at `attach`. `rest`: more keys of the probe, or more probes;
    `head`: keys of the plan; `limits`: as by --limit."""
    text = f"{HEAD}{head}\nprobes:\n  p:\n    attach: {attach}\n    emit: {{}}\n{rest}"
    return load_plan(text.encode(), limits=limits)
