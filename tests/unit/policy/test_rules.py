"""Policies over plans: limits are the least of both, and each rule refuses what it should."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.compile.lower import compile_plan
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.build import LIMIT_READERS
from orchestrator.plan.findings import NOWHERE, Finding, HostError
from orchestrator.plan.load import load_plan
from orchestrator.plan.model import Limits, Plan, Rate, Redact
from orchestrator.policy.ceilings import apply_ceilings, lower_limits, stricter_redaction
from orchestrator.policy.model import Ceiling, Policy, parse_policy
from orchestrator.policy.offline_check import check_offline
from orchestrator.policy.rules import (
    check_artifact,
    check_digest,
    check_program,
    forbidden_backends,
)
from orchestrator.run.choice import choose_backend
from orchestrator.run.prepare import prepare
from orchestrator.run.safety.admission import admit_run
from orchestrator.run.safety.journal import Journal
from tests.support.recorded import recorded

HEAD = "apiVersion: probeplan/v1\nkind: ProbePlan\nmetadata: {name: t, summary: t}\n"


def a_policy(text: str) -> Policy:
    policy, findings = parse_policy(
        f"apiVersion: probeplan/v1\nkind: Policy\n{text}\n".encode(), "policy.yaml"
    )
    assert policy is not None, findings
    return policy


def a_plan(attach: str, rest: str = "", head: str = "", **limits: str) -> Plan:
    text = f"{HEAD}{head}\nprobes:\n  p:\n    attach: {attach}\n    emit: {{}}\n{rest}"
    return load_plan(text.encode(), limits=limits)


def refusals(plan: Plan, policy: Policy, facts: KernelFacts) -> tuple[Finding, ...]:
    try:
        check_program(compile_plan(plan, facts), facts, [policy])
    except HostError as error:
        return error.findings
    return ()


# ---------------------------------------------------------------- arithmetic

RATES = st.builds(
    Rate,
    count=st.integers(1, 10**6),
    per_ns=st.integers(10**6, 86_400 * 10**9),
)
LIMITS = st.builds(
    Limits,
    duration_ns=st.none() | st.integers(10**6, 10**15),
    events=st.integers(1, 10**9),
    rate=RATES,
    cpu=st.floats(1e-6, 1.0),
    memory=st.integers(1 << 16, 1 << 36),
    probes=st.integers(1, 10**4),
    output=st.integers(1 << 12, 1 << 50),
    incomplete=st.sampled_from(("fail", "allow")),
)


def ceilings_of(limits: Limits, names: Sequence[str]) -> Policy:
    values = {name: getattr(limits, LIMIT_READERS[name][0]) for name in names}
    found = {n: Ceiling(value=v, position=NOWHERE) for n, v in values.items() if v is not None}
    return Policy(file="policy.yaml", sha256="", ceilings=found)


NAMES = ("duration", "events", "rate", "cpu", "memory", "probes", "output")


@given(LIMITS, LIMITS, st.sets(st.sampled_from(NAMES)))
def test_the_effective_limit_is_the_minimum(own: Limits, most: Limits, names: set[str]) -> None:
    """Never above the plan's, never above a ceiling, and one of the two; without one the plan's."""
    policy = ceilings_of(most, sorted(names))
    found = lower_limits(own, policy)
    for name in NAMES:
        attribute = "duration_ns" if name == "duration" else name
        mine, ours = getattr(own, attribute), getattr(found, attribute)
        if name not in policy.ceilings:
            assert ours == mine
        elif name != "rate":
            ceiling = policy.ceilings[name].value
            assert ours == (ceiling if mine is None else min(mine, ceiling))
    assert lower_limits(found, policy) == found
    assert found.at_cap == own.at_cap


@pytest.mark.parametrize("most", ["fail", "allow"])
@pytest.mark.parametrize("own", ["fail", "allow"])
def test_a_policy_may_forbid_incomplete_runs_and_not_impose_them(
    own: Literal["fail", "allow"], most: Literal["fail", "allow"]
) -> None:
    """`allow` holds only where both say so; a policy that is silent leaves it to the plan."""
    policy = ceilings_of(Limits(incomplete=most), ["incomplete"])
    allowed = own == most == "allow"
    assert lower_limits(Limits(incomplete=own), policy).incomplete == (
        "allow" if allowed else "fail"
    )
    assert lower_limits(Limits(incomplete=own), ceilings_of(Limits(), [])).incomplete == own


@given(RATES, RATES)
def test_a_rate_is_lowered_over_time_and_at_once(one: Rate, other: Rate) -> None:
    """Above neither in records a time nor in records of a burst; above by no more than rounding;
    and which of the two was the plan's does not matter."""
    policies = [ceilings_of(Limits(rate=rate), ["rate"]) for rate in (one, other)]
    found = lower_limits(Limits(rate=one), policies[1]).rate
    assert found == lower_limits(Limits(rate=other), policies[0]).rate
    assert found.count == min(one.count, other.count)
    for rate in (one, other):
        assert found.count * rate.per_ns <= rate.count * found.per_ns
    slack = Rate(count=found.count, per_ns=found.per_ns - 1)
    assert any(slack.count * r.per_ns > r.count * slack.per_ns for r in (one, other))


def test_an_unlimited_run_gets_the_ceiling() -> None:
    """A policy's duration is the end of every run."""
    plan = a_plan("tracepoint:sched:sched_switch", duration="unlimited")
    assert plan.limits.duration_ns is None
    found = apply_ceilings(plan, [a_policy("limits: {duration: 7s}")])
    assert found.limits.duration_ns == 7_000_000_000
    assert apply_ceilings(plan, [a_policy("limits: {events: 7}")]).limits.duration_ns is None


def test_each_limit_says_where_it_comes_from() -> None:
    """Plan, default, command line; a policy only where it is what lowers it; the last of several
    policies that lowers it makes no difference."""
    plan = a_plan(
        "tracepoint:sched:sched_switch", head="limits: {events: 50, rate: 5/s}", memory="1MiB"
    )
    policies = [a_policy("limits: {events: 50, rate: 4/s, output: 1MiB, memory: 2MiB}")]
    assert dict(apply_ceilings(plan, policies).limits_from) == {
        "events": "plan",
        "rate": "policy",
        "memory": "command line",
        "output": "policy",
    }
    assert plan.limits_from == {"events": "plan", "rate": "plan", "memory": "command line"}


@pytest.mark.parametrize(
    ("own", "forced", "expected"),
    [
        (None, Redact(kind="hash"), "hash"),
        (None, Redact(kind="truncate", size=8), "truncate(8)"),
        (Redact(kind="truncate", size=4), Redact(kind="truncate", size=8), "truncate(4)"),
        (Redact(kind="truncate", size=16), Redact(kind="truncate", size=8), "truncate(8)"),
        (Redact(kind="truncate", size=4), Redact(kind="hash"), "hash"),
        (Redact(kind="hash"), Redact(kind="truncate", size=8), "hash"),
    ],
)
def test_of_two_redactions_the_stricter_holds(
    own: Redact | None, forced: Redact, expected: str
) -> None:
    """A digest shows nothing of a string, fewer bytes show less of it."""
    assert str(stricter_redaction(own, forced)) == expected


# ---------------------------------------------------------------- kinds and symbols

FACTS = recorded("6.1")

ALLOWED = [
    ("function:vfs_read", "allow_symbols: ['vfs_*']"),
    ("function:vfs_read", "deny_symbols: [vfs_write]"),
    ("function:vfs_read", "allow_kinds: [function]"),
    ("kprobe:vfs_read", "deny_kinds: [function]"),
    ("kprobe:vfs_read+0x1", "allow_symbols: ['vfs_*', 'vfs_read+*']"),
    ("tracepoint:sched:sched_switch", "allow_symbols: ['sched:*']"),
    ("rawtracepoint:sched_switch", "allow_symbols: ['sched:*']"),
    ("syscall:openat", "allow_symbols: [openat]"),
    ("profile:99hz", "deny_symbols: ['*']"),
    ("uprobe:libc.so.6:malloc", "allow_symbols: ['/*/libc.so.6:malloc']"),
]
DENIED = [
    ("PP121", "function:vfs_read", "allow_kinds: [tracepoint, syscall]"),
    ("PP121", "kprobe:vfs_read", "deny_kinds: [kprobe]"),
    ("PP121", "profile:99hz", "deny_kinds: [profile]"),
    ("PP122", "function:vfs_read", "allow_symbols: ['vfs_write']"),
    ("PP122", "function:vfs_read", "deny_symbols: ['vfs_*']"),
    ("PP122", "kretprobe:vfs_read", "allow_symbols: ['vfs_*']\ndeny_symbols: [vfs_read]"),
    ("PP122", "function:vfs_rea?", "deny_symbols: [vfs_read]"),
    ("PP122", "kprobe:vfs_read+0x1", "allow_symbols: ['vfs_read']"),
    ("PP122", "kprobe:vfs_read+0x1", "deny_symbols: ['vfs_write']"),
    ("PP122", "tracepoint:sched:sched_switch", "deny_symbols: ['sched:*']"),
    ("PP122", "rawtracepoint:sched_switch", "deny_symbols: ['sched:*']"),
    ("PP122", "rawtracepoint:sched_switch", "deny_symbols: [sched_switch]"),
    ("PP122", "syscall:openat", "deny_symbols: ['syscalls:sys_enter_open*']"),
    ("PP122", "tracepoint:syscalls:sys_enter_openat", "deny_symbols: [openat]"),
    ("PP122", "tracepoint:syscalls:sys_exit_openat", "deny_symbols: [openat]"),
    ("PP122", "uprobe:libc.so.6:malloc", "deny_symbols: ['libc.so.6:malloc']"),
    ("PP122", "uprobe:libc.so.6:malloc+0x4", "deny_symbols: ['libc.so.6:malloc']"),
    ("PP122", "uprobe:libc.so.6:malloc", "allow_symbols: ['libc.so.6:malloc']"),
]


@pytest.mark.parametrize(("attach", "rule"), ALLOWED)
def test_what_is_allowed_passes(attach: str, rule: str) -> None:
    """A rule refuses no more than it says."""
    assert refusals(a_plan(attach), a_policy(rule), FACTS) == ()


@pytest.mark.parametrize(("code", "attach", "rule"), DENIED)
def test_what_is_denied_is_refused_with_both_places(code: str, attach: str, rule: str) -> None:
    """By every name that the thing has; the plan's line and the policy's are named."""
    [finding] = refusals(a_plan(attach), a_policy(rule), FACTS)
    assert finding.code == code
    assert (finding.position.line, finding.position.column) == (7, 13)
    assert "(policy.yaml:3:" in finding.message or "(policy.yaml:4:" in finding.message
    assert finding.hint


def test_another_name_of_a_denied_function_is_denied() -> None:
    """Symbols at one address are one function."""

    class Symbols:
        def address(self, name: str) -> int | None:
            return {"vfs_read": 0x1000, "vfs_read_alias": 0x1000}.get(name, 0x2000)

    facts = type("Facts", (), {"symbols": Symbols(), "tracepoint_names": tuple})()
    program = compile_plan(a_plan("function:vfs_read"), FACTS)
    with pytest.raises(HostError) as caught:
        check_program(program, facts, [a_policy("deny_symbols: [vfs_read_alias]")])
    assert [finding.code for finding in caught.value.findings] == ["PP122"]
    check_program(program, facts, [a_policy("deny_symbols: [vfs_other]")])


def test_another_path_to_a_denied_file_is_denied(tmp_path: Path) -> None:
    """A link under another name, and a path that goes up again, lead to the same file."""
    link = tmp_path / "harmless.so"
    libc = next(Path("/lib").glob("*/libc.so.6")).resolve()
    link.symlink_to(libc)
    denying = a_policy(f"deny_symbols: ['{libc}:*']")
    allowing = a_policy(f"allow_symbols: ['{tmp_path}/*']")
    around = f"{tmp_path}/{'../' * len(tmp_path.parts)}{str(libc).lstrip('/')}"
    facts = FACTS
    for path in (str(link), around):
        [finding] = refusals(a_plan(f"uprobe:{path}:malloc"), denying, facts)
        assert finding.code == "PP122"
    assert refusals(a_plan(f"uprobe:{around}:malloc"), allowing, facts)


def test_all_violations_are_told_at_once_and_whom_to_ask() -> None:
    """Of all policies."""
    plan = a_plan("function:vfs_read", "  q:\n    attach: kprobe:vfs_write\n    emit: {}\n")
    rules = [a_policy("owner: storage\ndeny_kinds: [kprobe]"), a_policy("deny_symbols: ['vfs_*']")]
    with pytest.raises(HostError) as caught:
        check_program(compile_plan(plan, FACTS), FACTS, rules)
    assert [finding.code for finding in caught.value.findings] == ["PP121", "PP122", "PP122"]
    assert "ask storage" in caught.value.findings[0].hint


@pytest.mark.parametrize(
    ("rule", "code"),
    [("limits: {memory: 64KiB}", "PP091"), ("limits: {probes: 1}", "PP094")],
)
def test_a_ceiling_that_is_too_small_is_told_as_the_policys(rule: str, code: str) -> None:
    """Not with the hint to raise the plan's own limit."""
    plan = a_plan("tracepoint:sched:sched_switch", "  q:\n    attach: profile:9hz\n    emit: {}\n")
    rules = [a_policy(rule)]
    with pytest.raises(HostError) as caught:
        prepare(plan, FACTS, rules, backend="bcc")
    [finding] = caught.value.findings
    assert finding.code == code
    assert "(policy.yaml:3:" in finding.hint


# ---------------------------------------------------------------- digests, backends, user memory


def test_only_plans_with_a_named_digest_run() -> None:
    """Byte for byte: a comment makes another plan."""
    plan = a_plan("function:vfs_read")
    check_digest(plan, [a_policy(f"plans: ['{plan.sha256}']")])
    check_digest(plan, [a_policy("limits: {}")])
    other = load_plan(plan.source + b"# more\n")
    with pytest.raises(HostError, match=r"(?s)PP123.*policy.yaml:3:8.*hint: "):
        check_digest(other, [a_policy(f"plans: ['{plan.sha256}']")])


def test_a_backend_that_is_not_allowed_is_not_chosen() -> None:
    """`auto` takes the other one; naming it is refused, with the policy's place."""
    program = compile_plan(a_plan("tracepoint:sched:sched_switch"), FACTS)
    forbidden = forbidden_backends([a_policy("allow_backends: [tracefs]")])
    assert choose_backend(program, FACTS, "auto", None, forbidden).artifact.backend == "tracefs"
    with pytest.raises(HostError, match=r"(?s)policy.yaml:3:17.*PP126.*the bcc backend"):
        choose_backend(program, FACTS, "bcc", None, forbidden)
    neither = {**forbidden, **forbidden_backends([a_policy("allow_backends: [bcc]")])}
    with pytest.raises(HostError) as caught:
        choose_backend(program, FACTS, "auto", None, neither)
    assert len(caught.value.findings) == 2


READS = [
    ("syscall:openat", 'let: {f: "str(args.filename)"}\n    metrics: {n: {count: true, by: [f]}}'),
    ("syscall:openat", 'where: startswith(str(args.filename), "/etc")'),
    ("syscall:openat", "where: entry(load(u64, args.filename)) == 7"),
    ("function:vfs_read", "metrics: {n: {max: 'load(u32, user(args.buf))'}}"),
    ("uprobe:libc.so.6:puts", 'where: str(arg0) == "x"'),
    ("uprobe:libc.so.6:puts", 'args: {text: u64}\n    where: str(args.text) == "x"'),
]
READS_NOT = [
    ("syscall:openat", "where: retval > 3 and comm == 'cat'"),
    ("function:vfs_read", "where: args.file.f_flags > 0"),
    ("uprobe:libc.so.6:puts", "where: arg0 != 0"),
]


@pytest.mark.parametrize(("attach", "rest"), READS)
def test_deny_refuses_every_read_of_user_memory(attach: str, rest: str) -> None:
    """In filters, definitions, keys, values and captures; also through numbers in user code."""
    [finding] = refusals(a_plan(attach, f"    {rest}\n"), a_policy("user_strings: deny"), FACTS)
    assert (finding.code, "policy.yaml:3:15" in finding.message) == ("PP124", True)
    assert refusals(a_plan(attach, f"    {rest}\n"), a_policy("user_strings: hash"), FACTS) == ()


@pytest.mark.parametrize(("attach", "rest"), READS_NOT)
def test_deny_lets_pass_what_reads_none(attach: str, rest: str) -> None:
    """Arguments themselves, task names, and the kernel's own memory are not user memory."""
    assert refusals(a_plan(attach, f"    {rest}\n"), a_policy("user_strings: deny"), FACTS) == ()


def test_tracefs_is_refused_where_it_cannot_tell_user_memory() -> None:
    """It reads user memory behind a kernel function's pointer where the address is one of it."""
    plan = a_plan("kprobe:vfs_read", "    where: args.file.f_flags > 0\n")
    program = compile_plan(plan, FACTS)
    artifact = choose_backend(program, FACTS, "tracefs").artifact
    check_artifact(artifact, [a_policy("user_strings: allow")])
    for word in ("deny", "hash", "truncate(4)"):
        with pytest.raises(HostError, match="PP124"):
            check_artifact(artifact, [a_policy(f"user_strings: {word}")])
    check_artifact(choose_backend(program, FACTS, "bcc").artifact, [a_policy("user_strings: hash")])


# ---------------------------------------------------------------- concurrency


def journal(directory: Path, run: str) -> Journal:
    return Journal(run, plan="p", backend="bcc", probes=1, directories=(directory,))


def test_no_more_runs_are_admitted_than_may_be_live(tmp_path: Path) -> None:
    """One's own counts; what has ended does not; the others are named."""
    directories = (tmp_path / "journals",)
    two = a_policy("max_runs: 2")
    mine = journal(directories[0], "mine")
    admit_run([two], directories, "mine")
    first = journal(directories[0], "first")
    admit_run([two], directories, "mine")
    second = journal(directories[0], "second")
    with pytest.raises(
        HostError, match=r"(?s)PP125.*first \(p\), second \(p\); at most 2.*policy.yaml:3:11"
    ):
        admit_run([two], directories, "mine")
    admit_run([], directories, "mine")
    first.close()
    admit_run([two], directories, "mine")
    for one in (mine, second):
        one.close()


def test_a_dead_run_takes_no_place(tmp_path: Path) -> None:
    """Its journal is there still, with what it left; its lock is free."""
    directories = (tmp_path / "journals",)
    dead = journal(directories[0], "dead")
    dead.add("instance", "probeplan-nothing")
    dead.close()
    assert (directories[0] / "dead.journal").exists()
    mine = journal(directories[0], "mine")
    admit_run([a_policy("max_runs: 1")], directories, "mine")
    mine.close()


# ---------------------------------------------------------------- lint --policy


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


@pytest.mark.parametrize(("attach", "rule"), ALLOWED)
def test_lint_refuses_nothing_that_a_run_would_let_pass(attach: str, rule: str) -> None:
    """No false alarm."""
    assert list(check_offline(a_plan(attach), a_policy(rule))) == []


def test_applying_ceilings_twice_changes_nothing() -> None:
    """A prepared plan can be prepared again."""
    plan = a_plan("tracepoint:sched:sched_switch", "    redact: truncate(9)\n")
    rules = [a_policy("limits: {events: 5, rate: 3/s, duration: 1s}\nuser_strings: truncate(4)")]
    once = apply_ceilings(plan, rules)
    assert apply_ceilings(once, rules) == once
    assert str(once.probes[0].redact) == "truncate(4)"
    assert replace(once, limits=plan.limits, limits_from={}, probes=()) == replace(
        plan, limits_from={}, probes=()
    )
