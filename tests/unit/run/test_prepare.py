"""Preparing a plan: policies are applied once, in one order, for every command."""

import pytest

from orchestrator.plan.findings import HostError, PlanError
from orchestrator.plan.load import load_plan
from orchestrator.plan.model import Plan
from orchestrator.policy.signed_files import Acceptance
from orchestrator.run.explanation import explain_plan
from orchestrator.run.prepare import prepare, resolve, select_backend
from orchestrator.run.shipped import is_shipped, shipped_plans
from tests.support.policies import a_policy
from tests.support.recorded import HEAD, recorded

FACTS = recorded("6.1")


def a_plan(rest: str = "", attach: str = "function:vfs_read") -> Plan:
    return load_plan(
        (HEAD + f"probes:\n  p:\n    attach: {attach}\n    emit: {{}}\n{rest}").encode()
    )


def test_the_program_has_the_lowered_limits() -> None:
    """Of several policies the lowest; the plan that was given is not changed."""
    plan = a_plan()
    policies = [a_policy("limits: {events: 9}"), a_policy("limits: {events: 7, duration: 2s}")]
    prepared = prepare(plan, FACTS, policies)
    assert prepared.plan.limits.events == 7
    assert prepared.program.limits == prepared.choice.artifact.program.limits
    assert prepared.program.limits.duration_ns == 2_000_000_000
    assert prepared.policies == tuple(policies)
    assert plan.limits.events != 7


def test_what_is_explained_is_what_was_prepared() -> None:
    prepared = prepare(a_plan(), FACTS, [a_policy("limits: {events: 7}")], backend="tracefs")
    explained = explain_plan(prepared)
    assert explained["backend"] == "tracefs"
    assert explained["limits"]["events"]["value"] == 7
    assert explained["limits"]["events"]["from"] == "policy"
    assert [policy["file"] for policy in explained["policies"]] == ["policy.yaml"]
    assert explained["program"] == prepared.choice.artifact.text


def test_the_digest_is_checked_before_anything_is_compiled() -> None:
    """A plan that is not approved gives no other findings."""
    plan = a_plan(attach="function:no_such_function")
    with pytest.raises(HostError) as caught:
        prepare(plan, FACTS, [a_policy("plans: ['" + "0" * 64 + "']")])
    assert [finding.code for finding in caught.value.findings] == ["PP123"]


def test_a_plan_that_is_not_signed_is_refused_before_anything_is_compiled() -> None:
    """The policies' signers are asked in every command that prepares a plan."""
    plan = a_plan(attach="function:no_such_function")
    with pytest.raises(HostError) as caught:
        prepare(plan, FACTS, [a_policy("signatures: {required: true, signers: /etc/signers}")])
    assert [finding.code for finding in caught.value.findings] == ["PP131"]


def test_what_policies_accept_a_plan_by_is_explained() -> None:
    prepared = prepare(a_plan(), FACTS, [a_policy("signatures: {signers: /etc/signers}")])
    assert explain_plan(prepared)["signatures"] == [
        {"policy": "policy.yaml", "status": "absent", "principal": None, "key": None}
    ]
    assert explain_plan(prepare(a_plan(), FACTS))["signatures"] == []


def test_a_file_that_the_caller_has_checked_is_not_checked_again() -> None:
    """A plan in a bundle is signed with it."""
    policy = a_policy("signatures: {required: true, signers: /etc/signers}")
    accepted = (Acceptance(policy="policy.yaml", status="accepted"),)
    prepared = prepare(a_plan(), FACTS, [policy], acceptances=accepted)
    assert prepared.acceptances == accepted


def test_shipped_plans_are_known_by_their_content() -> None:
    """A copy is one, and a change makes another plan of it."""
    content = shipped_plans()["opens"].read_bytes()
    assert is_shipped(content)
    assert not is_shipped(content + b"\n")


def test_a_command_makes_its_descendants_the_target() -> None:
    assert not resolve(a_plan(), FACTS).program.target.children
    assert resolve(a_plan(), FACTS, follow_children=True).program.target.children


def test_auto_takes_the_next_backend_if_a_policy_forbids_the_first() -> None:
    resolved = resolve(a_plan(), FACTS, [a_policy("allow_backends: [tracefs]")])
    prepared = select_backend(resolved)
    assert prepared.choice.artifact.backend == "tracefs"
    assert [finding.code for finding in prepared.choice.refused["bcc"]] == ["PP126"]
    with pytest.raises(HostError, match="PP126"):
        select_backend(resolved, "bcc")


def test_a_limit_that_the_policy_made_too_small_is_the_hosts_error() -> None:
    """The hint names the policy instead of asking for a larger limit in the plan."""
    with pytest.raises(HostError, match=r"PP091") as caught:
        prepare(a_plan(), FACTS, [a_policy("limits: {memory: 64KiB}")], backend="bcc")
    [finding] = caught.value.findings
    assert "policy.yaml:3:" in finding.hint


def test_an_invalid_plan_stays_the_plans_error_under_a_policy() -> None:
    plan = a_plan("    where: args.count == 'x'\n")
    with pytest.raises(PlanError):
        prepare(plan, FACTS, [a_policy("limits: {events: 7}")])


def test_each_preparation_draws_its_own_salt() -> None:
    """A hashed string of one run cannot be compared with that of another."""
    rest = "    let: {f: str(args.filename)}\n    redact: hash\n"
    plan = a_plan(rest + "    metrics: {n: {count: true, by: [f]}}\n", "syscall:openat")
    salts = set()
    for _ in range(2):
        [metric] = prepare(plan, FACTS, backend="bcc").program.metrics
        assert metric.key[0].presentation is not None
        salts.add(metric.key[0].presentation.salt)
    assert len(salts) == 2


def test_a_backend_that_could_read_user_memory_is_refused_after_its_choice() -> None:
    """What a tracefs event reads behind a pointer is known only from the artifact."""
    plan = a_plan("    where: args.file.f_flags > 0\n", "kprobe:vfs_read")
    policy = a_policy("user_strings: deny")
    assert prepare(plan, FACTS, [policy], backend="bcc").choice.artifact.backend == "bcc"
    with pytest.raises(HostError, match="PP124"):
        prepare(plan, FACTS, [policy], backend="tracefs")


@pytest.mark.parametrize(
    ("rest", "backend", "line"),
    [("limits: {memory: 64KiB}\n", "auto", 5), ("target: {cgroup: /nothing}\n", "tracefs", 8)],
)
def test_a_finding_about_the_whole_plan_is_at_the_nearest_key(
    rest: str, backend: str, line: int
) -> None:
    """Memory that no metric asks for is at the first probe, what is of the target at the target."""
    plan = a_plan(rest, "tracepoint:sched:sched_switch")
    with pytest.raises(HostError) as caught:
        prepare(plan, FACTS, backend=backend)
    assert {finding.position.line for finding in caught.value.findings} == {line}
