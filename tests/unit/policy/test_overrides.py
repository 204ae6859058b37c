"""What the command line sets in addition to a plan's file needs the policy's permission."""

import pytest

from orchestrator.plan.findings import HostError
from orchestrator.plan.load import load_plan
from orchestrator.plan.model import Plan
from orchestrator.policy.offline_check import check_offline
from orchestrator.policy.overrides import find_override_violations
from orchestrator.policy.rules import check_origin
from tests.support.policies import a_policy
from tests.support.recorded import HEAD

SOURCE = (
    f"{HEAD}params: {{slow: {{type: duration, default: 1ms}}, top_n: {{type: int, default: 3}}}}\n"
    "probes:\n  p: {attach: 'tracepoint:sched:sched_switch', emit: {}}\n"
).encode()
DIGEST = load_plan(SOURCE).sha256


def plan(**given: dict[str, str]) -> Plan:
    return load_plan(SOURCE, **given)


def refused(changed: Plan, rules: str) -> list[str]:
    """The options that a policy refuses, which `lint` foresees."""
    found = list(find_override_violations(changed, a_policy(rules)))
    assert found == list(check_offline(changed, a_policy(rules)))[: len(found)]
    assert {finding.code for finding in found} <= {"PP128"}
    return [str(finding.position).removeprefix("--") for finding in found]


SIGNED = "signatures: {required: true, signers: /etc/probeplan/allowed_signers}"


CHANGED = {
    "settings": {"slow": "5ms", "top_n": "9"},
    "limits": {"duration": "5s"},
    "target": {"comm": "nginx"},
}


def test_what_is_added_needs_a_policy_without_digests_and_signatures() -> None:
    """No rule permits it: what is approved is the file."""
    added = plan(additions={"enrich": "containers"})
    assert refused(added, "limits: {}") == refused(added, "allow_params: []") == []
    for rules in (f"plans: ['{DIGEST}']\nallow_params: ['*']", f"{SIGNED}\nallow_targets: ['*']"):
        assert refused(added, rules) == ["enrich containers"]


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ("limits: {}", []),
        (f"plans: ['{DIGEST}']", ["set slow", "set top_n", "limit duration", "target comm"]),
        (
            f"plans: ['{DIGEST}']\nallow_params: ['top_*']\nallow_limits: [duration, events]",
            ["set slow", "target comm"],
        ),
        (
            f"plans: ['{DIGEST}']\nallow_params: ['*']\nallow_limits: ['*']\nallow_targets: ['*']",
            [],
        ),
        (SIGNED, ["set slow", "set top_n", "limit duration", "target comm"]),
        (f"{SIGNED}\nallow_params: ['*']", ["limit duration", "target comm"]),
        (SIGNED.replace("true", "false"), []),
        ("allow_params: []", ["set slow", "set top_n"]),
        ("allow_limits: [events]", ["limit duration"]),
        ("allow_targets: [pid]", ["target comm"]),
    ],
)
def test_what_may_be_set_is_what_the_policy_names(rules: str, expected: list[str]) -> None:
    """Without a rule anything; with digests or needed signatures nothing that no rule names."""
    assert refused(plan(**CHANGED), rules) == expected
    assert refused(plan(), rules) == []


def test_the_finding_names_the_rule_and_whom_to_ask() -> None:
    changed = plan(limits={"events": "5"})
    with pytest.raises(HostError) as caught:
        check_origin(changed, [a_policy("owner: storage\nallow_limits: [duration]")])
    [finding] = caught.value.findings
    assert "--limit events" in finding.message
    assert "policy.yaml:4:15" in finding.message
    assert "ask storage" in finding.hint
