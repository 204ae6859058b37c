"""Each rule of a policy refuses what it should, and nothing else."""

import os
import shutil
from pathlib import Path

import pytest

from orchestrator.compile.lower import compile_plan
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import Finding, HostError
from orchestrator.plan.load import load_plan
from orchestrator.plan.model import Plan
from orchestrator.policy import same_file
from orchestrator.policy.model import Policy
from orchestrator.policy.rules import (
    check_artifact,
    check_origin,
    check_program,
    check_unsafe_returns,
    forbidden_backends,
)
from orchestrator.run.choice import choose_backend
from orchestrator.run.prepare import prepare
from tests.support.policies import a_plan, a_policy
from tests.support.recorded import recorded


def refusals(plan: Plan, policy: Policy, facts: KernelFacts) -> tuple[Finding, ...]:
    try:
        check_program(compile_plan(plan, facts), facts, [policy])
    except HostError as error:
        return error.findings
    return ()


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
    ("syscall:openat", "deny_symbols: [open, openat2, '__x64_sys_open']"),
    ("tracepoint:sched:sched_switch", "deny_symbols: [sched_wakeup]"),
    ("tracepoint:sched:sched_switch", "deny_kinds: [rawtracepoint, syscall]"),
    ("tracepoint:raw_syscalls:sys_enter", "deny_symbols: ['crypto_*', 'vfs_read']"),
    ("kprobe:vfs_read", "deny_kinds: [syscall, tracepoint]"),
    ("uprobe:libc.so.6:malloc", "deny_kinds: [ufunction, uretprobe, usdt]"),
    ("uprobe:libc.so.6:malloc", "deny_symbols: ['libc.so.6:free', 'libm.so*:*']"),
    ("profile:99hz", "deny_symbols: ['*']"),
    ("interval:1s", "deny_symbols: ['*']"),
    ("iter:task", "allow_kinds: [iter]"),
    ("iter:task", "deny_kinds: [tracepoint, rawtracepoint, fentry]"),
    ("iter:tcp", "deny_symbols: [task, 'udp*']"),
    ("perf:page-faults/10", "allow_symbols: [page-faults]"),
    ("perf:page-faults", "deny_symbols: [cycles]"),
    ("uprobe:libc.so.6:malloc", "allow_symbols: ['/*/libc.so.6:malloc']"),
]
DENIED = [
    ("PP121", "function:vfs_read", "allow_kinds: [tracepoint, syscall]"),
    ("PP121", "kprobe:vfs_read", "deny_kinds: [kprobe]"),
    ("PP121", "profile:99hz", "deny_kinds: [profile]"),
    ("PP121", "interval:1s", "deny_kinds: [interval]"),
    ("PP121", "iter:task", "deny_kinds: [iter]"),
    ("PP121", "iter:task", "allow_kinds: [tracepoint]"),
    ("PP122", "iter:task_file", "deny_symbols: ['task*']"),
    ("PP122", "iter:tcp", "allow_symbols: [task]"),
    ("PP121", "perf:page-faults", "deny_kinds: [perf]"),
    ("PP122", "perf:page-faults/10", "deny_symbols: [page-faults]"),
    ("PP122", "perf:page-faults", "allow_symbols: [context-switches]"),
    ("PP122", "function:vfs_read", "allow_symbols: ['vfs_write']"),
    ("PP122", "function:vfs_read", "deny_symbols: ['vfs_*']"),
    ("PP122", "kretprobe:vfs_read", "allow_symbols: ['vfs_*']\ndeny_symbols: [vfs_read]"),
    ("PP122", "function:vfs_rea?", "deny_symbols: [vfs_read]"),
    ("PP122", "kprobe:vfs_read+0x1", "allow_symbols: ['vfs_read']"),
    ("PP122", "kprobe:vfs_read+0x1", "deny_symbols: ['vfs_write']"),
    *(
        ("PP121", attach, f"deny_kinds: [{kinds}]")
        for attach, kinds in (
            ("ufunction:libc.so.6:malloc", "uprobe"),
            ("ufunction:libc.so.6:malloc", "uretprobe"),
            ("function:vfs_read", "kretprobe"),
            ("function:vfs_read", "fentry"),
            ("entry:vfs_read", "kprobe"),
            ("kprobe:vfs_read", "fentry"),
            ("kretprobe:vfs_read", "fexit"),
            ("syscall:openat", "tracepoint"),
            ("rawtracepoint:sched_switch", "tracepoint"),
            ("rawtracepoint:sys_enter", "syscall"),
            ("tracepoint:raw_syscalls:sys_enter", "syscall"),
            ("tracepoint:syscalls:sys_exit_openat", "syscall"),
            ("kprobe:__x64_sys_openat", "syscall"),
            ("kprobe:do_sys_openat2", "syscall"),
            ("kprobe:__traceiter_sched_switch", "tracepoint"),
        )
    ),
    *(
        ("PP122", attach, f"deny_symbols: ['{glob}']")
        for attach, glob in (
            ("tracepoint:sched:sched_switch", "sched_switch"),
            ("kprobe:__traceiter_sched_switch", "sched:sched_switch"),
            ("kprobe:__x64_sys_execve", "execve"),
            ("kprobe:__x64_sys_execve", "syscalls:sys_enter_execve"),
            ("kprobe:__ia32_compat_sys_execve", "execve"),
            ("kprobe:do_sys_openat2", "openat"),
            ("kprobe:kernel_clone", "clone3"),
            ("kprobe:ZSTD_execSequenceEnd.isra.0", "ZSTD_execSequenceEnd"),
            ("syscall:execve", "__x64_sys_execve"),
            ("syscall:openat", "do_sys_openat2"),
            ("syscall:newstat", "stat"),
            ("syscall:openat", "sys_enter_openat"),
            ("tracepoint:syscalls:sys_enter_execve", "__x64_sys_execve"),
            ("tracepoint:raw_syscalls:sys_enter", "execve"),
            ("rawtracepoint:sys_exit", "syscalls:sys_exit_openat"),
            ("kprobe:__audit_syscall_entry", "openat"),
            ("uprobe:libc.so.6:__libc_malloc", "*/libc.so.6:malloc"),
            ("ufunction:libc.so.6:__libc_malloc", "libc.so.6:malloc"),
            ("uprobe:libc.so.6:malloc+0x0", "*/libc.so.6:__libc_malloc"),
        )
    ),
    (
        "PP122",
        "uprobe:libc.so.6:__libc_malloc+0x4",
        "allow_symbols: ['*+0x*']\ndeny_symbols: ['*/libc.so.6:malloc']",
    ),
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

        def names_at(self, name: str, offset: int) -> tuple[str, ...]:
            return ("vfs_read_alias",) if (name, offset) == ("vfs_read", 0) else ()

    facts = type("Facts", (), {"symbols": Symbols(), "tracepoint_names": tuple})()
    program = compile_plan(a_plan("function:vfs_read"), FACTS)
    with pytest.raises(HostError) as caught:
        check_program(program, facts, [a_policy("deny_symbols: [vfs_read_alias]")])
    assert [finding.code for finding in caught.value.findings] == ["PP122"]
    with pytest.raises(HostError):
        check_program(program, facts, [a_policy("deny_symbols: ['*_alias']")])
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


def test_another_name_of_the_same_file_is_denied(tmp_path: Path) -> None:
    """A hard link has another path and no link to follow; a copy is another file."""
    library, hard, copy = (tmp_path / name for name in ("lib.so", "hard.so", "copy.so"))
    content = next(Path("/lib").glob("*/libc.so.6")).read_bytes()
    library.write_bytes(content)
    copy.write_bytes(content)
    hard.hardlink_to(library)
    for glob in (f"{library}:malloc", f"{tmp_path}/l*.so:mal*", f"{library}:__libc_malloc"):
        for attach in (f"ufunction:{hard}:malloc", f"uprobe:{hard}:__libc_malloc"):
            [finding] = refusals(a_plan(attach), a_policy(f"deny_symbols: ['{glob}']"), FACTS)
            assert finding.code == "PP122", (glob, attach)
    rule = a_policy(f"deny_symbols: ['{library}:malloc']")
    assert refusals(a_plan(f"uprobe:{copy}:malloc"), rule, FACTS) == ()
    assert refusals(a_plan(f"uprobe:{hard}:free"), rule, FACTS) == ()


def test_a_denied_file_is_denied_by_every_path_through_procfs(tmp_path: Path) -> None:
    """A process's root, its descriptors, and the name of a library that the loader knows."""
    libc = next(Path("/lib").glob("*/libc.so.6")).resolve()
    with libc.open("rb") as opened:
        paths = (
            f"/proc/self/root{libc}",
            f"/proc/{os.getpid()}/root{libc}",
            f"/proc/self/fd/{opened.fileno()}",
            f"/proc/{os.getpid()}/fd/{opened.fileno()}",
            "libc.so.6",
            str(libc),
        )
        for glob in (f"{libc}:malloc", "libc.so.6:malloc", "libc.so*:__libc_malloc"):
            rule = a_policy(f"deny_symbols: ['{glob}']")
            for path in paths:
                [finding] = refusals(a_plan(f"uprobe:{path}:malloc"), rule, FACTS)
                assert finding.code == "PP122", (glob, path)
                assert refusals(a_plan(f"uprobe:{path}:getenv"), rule, FACTS) == ()


def test_on_an_overlay_a_file_of_the_same_size_and_time_is_denied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The merged file and the one below it have different numbers, and the same code."""
    libc = next(Path("/lib").glob("*/libc.so.6")).resolve()
    for name in ("lower", "merged", "other"):
        (tmp_path / name).mkdir()
        shutil.copy2(libc, tmp_path / name / "lib.so")
    os.utime(tmp_path / "other" / "lib.so", (1, 1))
    rule = a_policy(f"deny_symbols: ['{tmp_path}/merged/lib.so:malloc']")
    lower, other = (
        a_plan(f"uprobe:{tmp_path}/{name}/lib.so:malloc") for name in ("lower", "other")
    )
    assert refusals(lower, rule, FACTS) == ()
    monkeypatch.setattr(same_file, "is_on_overlay", lambda path: "/merged/" in path)
    [finding] = refusals(lower, rule, FACTS)
    assert finding.code == "PP122"
    assert refusals(other, rule, FACTS) == ()
    monkeypatch.setattr(same_file, "is_on_overlay", lambda path: "/lower/" in path)
    assert refusals(lower, rule, FACTS) != ()


def test_an_allowing_glob_follows_no_link_that_others_can_make(tmp_path: Path) -> None:
    """In a folder that others may write, a name says nothing about the file."""
    link = tmp_path / "harmless.so"
    link.symlink_to(next(Path("/lib").glob("*/libc.so.6")).resolve())
    tmp_path.chmod(0o777)
    rule = a_policy(f"allow_symbols: ['{tmp_path}/*']")
    [finding] = refusals(a_plan(f"uprobe:{link}:malloc"), rule, FACTS)
    assert finding.code == "PP122"


def test_all_violations_are_told_at_once_and_whom_to_ask() -> None:
    """Of all policies."""
    plan = a_plan("function:vfs_read", "  q:\n    attach: kprobe:vfs_write\n    emit: {}\n")
    rules = [a_policy("owner: storage\ndeny_kinds: [kprobe]"), a_policy("deny_symbols: ['vfs_*']")]
    with pytest.raises(HostError) as caught:
        check_program(compile_plan(plan, FACTS), FACTS, rules)
    codes = [finding.code for finding in caught.value.findings]
    assert codes == ["PP121", "PP121", "PP122", "PP122"]
    assert "sees what a kprobe sees" in caught.value.findings[0].message
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
    check_origin(plan, [a_policy(f"plans: ['{plan.sha256}']")])
    check_origin(plan, [a_policy("limits: {}")])
    other = load_plan(plan.source + b"# more\n")
    with pytest.raises(HostError, match=r"(?s)PP123.*policy.yaml:3:8.*hint: "):
        check_origin(other, [a_policy(f"plans: ['{plan.sha256}']")])


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
    ("uprobe:libc.so.6:puts", "where: pid != 0"),
]


@pytest.mark.parametrize(("attach", "rest"), READS)
def test_deny_refuses_every_read_of_user_memory(attach: str, rest: str) -> None:
    """In filters, definitions, keys, values and captures; also through numbers in user code."""
    rules = a_policy("user_strings: deny\nkernel_memory: any")
    [finding] = refusals(a_plan(attach, f"    {rest}\n"), rules, FACTS)
    assert (finding.code, "policy.yaml:3:15" in finding.message) == ("PP124", True)


@pytest.mark.parametrize(("attach", "rest"), READS_NOT)
def test_deny_lets_pass_what_reads_none(attach: str, rest: str) -> None:
    """Arguments of system calls, task names, and the kernel's own memory are no user data."""
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


def test_accepting_that_a_return_probe_kills_programs_takes_the_policys_word() -> None:
    risky = a_plan("ufunction:libc.so.6:malloc", "    unsafe_return: true\n")
    with pytest.raises(HostError, match="sets unsafe_return") as refused:
        check_unsafe_returns(risky, [a_policy("unsafe_return: allow"), a_policy("max_runs: 1")])
    assert [finding.code for finding in refused.value.findings] == ["PP130"]
    check_unsafe_returns(risky, [a_policy("unsafe_return: allow")])
    check_unsafe_returns(risky, [])
    check_unsafe_returns(a_plan("ufunction:libc.so.6:malloc"), [a_policy("max_runs: 1")])
    with pytest.raises(HostError, match="sets unsafe_return"):
        prepare(risky, FACTS, [a_policy("max_runs: 1")])
