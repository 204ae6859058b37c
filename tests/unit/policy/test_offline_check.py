"""What `lint --policy` foresees without a kernel."""

import pytest

from orchestrator.plan.load import load_plan
from orchestrator.policy.offline_check import check_offline
from tests.support.policies import a_plan, a_policy
from tests.support.recorded import HEAD
from tests.unit.policy.test_rules import ALLOWED


def test_lint_foresees_what_needs_no_kernel() -> None:
    """Kinds, outright symbols and digests are errors, lowered limits of the plan are warnings."""
    plan = a_plan("function:vfs_read", head="limits: {events: 1k, duration: 5s}")
    policy = a_policy(
        "limits: {events: 10, duration: 10s, output: 1MiB}\n"
        "allow_kinds: [tracepoint]\ndeny_symbols: ['vfs_*']\nplans: ['" + "0" * 64 + "']"
    )
    found = [(finding.code, finding.severity) for finding in check_offline(plan, policy)]
    assert found == [
        ("PP123", "error"),
        ("PP121", "error"),
        ("PP122", "error"),
        ("PP127", "warning"),
    ]
    [limit] = [finding for finding in check_offline(plan, policy) if finding.code == "PP127"]
    assert "limits.events is 1k, and a run gets 10" in limit.message


def test_lint_only_warns_of_one_of_several_alternatives() -> None:
    """Another may be taken; but not when all are denied."""
    text = "probes: {p: {attach_first: [function:vfs_read, kprobe:vfs_read], emit: {}}}"
    plan = load_plan((HEAD + text).encode())
    [one] = check_offline(plan, a_policy("deny_kinds: [function]"))
    assert one.severity == "warning"
    both = list(check_offline(plan, a_policy("deny_kinds: [function, kprobe]")))
    assert [finding.severity for finding in both] == ["error", "error"]


@pytest.mark.parametrize(
    ("attach", "rule", "code"),
    [
        ("function:__x64_sys_execve", "deny_symbols: [execve]", "PP122"),
        ("syscall:execve", "deny_symbols: [__x64_sys_execve]", "PP122"),
        ("tracepoint:sched:sched_switch", "deny_symbols: [sched_switch]", "PP122"),
        ("ufunction:libc.so.6:malloc", "deny_kinds: [uprobe]", "PP121"),
        ("syscall:getppid", "deny_kinds: [tracepoint]", "PP121"),
    ],
)
def test_lint_foresees_other_names_and_kinds(attach: str, rule: str, code: str) -> None:
    """Those that names alone show."""
    assert [finding.code for finding in check_offline(a_plan(attach), a_policy(rule))] == [code]


@pytest.mark.parametrize(("attach", "rule"), ALLOWED)
def test_lint_refuses_nothing_that_a_run_would_let_pass(attach: str, rule: str) -> None:
    """No false alarm."""
    assert list(check_offline(a_plan(attach), a_policy(rule))) == []
