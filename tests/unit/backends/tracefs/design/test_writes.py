"""What is written to tracefs, without a kernel: against recorded facts of 6.1."""

from functools import cache

import pytest

from orchestrator.backends.protocol import Artifact
from orchestrator.backends.tracefs import backend as tracefs
from orchestrator.backends.tracefs.design.layout import EventLayout
from orchestrator.kernel.facts import KernelFacts, load_facts
from orchestrator.plan.findings import Finding, HostError
from tests.support.paths import KERNELS
from tests.support.tracefs_runs import compiled


@cache
def facts(name: str = "6.1") -> KernelFacts:
    """A recorded kernel."""
    return load_facts(KERNELS / f"{name}.facts.xz")


def emitted(text: str) -> Artifact[EventLayout]:
    """The artifact of a plan's text."""
    return tracefs.emit(compiled(text, facts()), facts())


def refused(text: str, *, user_space: bool = True) -> tuple[Finding, ...]:
    """Why a plan is refused."""
    return tracefs.unsupported(compiled(text, facts()), facts(), user_space=user_space)


FUNCTION = """
target: {comm: postgres}
params: {least: {type: int, default: 4096}}
probes:
  read:
    attach: function:vfs_read
    let: {ino: entry(args.file.f_inode.i_ino)}
    where: args.count >= params.least and retval > 0
    emit: {wanted: args.count, got: retval, took: elapsed, ino: ino}
"""

WRITES = """\
# cd /sys/kernel/tracing; every run has unique names
echo 'p:probeplan_run/h0_entry_run vfs_read a0=$stack:u64 a1=$comm a2=%dx:u64 \
a3=+64(+32(%di)):u64 a4=+32(%di):u64 a5=%di:u64' >> kprobe_events
echo 'r1024:probeplan_run/h0_return_run vfs_read a0=$stack:u64 a1=$retval:s64' >> kprobe_events
mkdir instances/probeplan-run
echo '0' > instances/probeplan-run/tracing_on
echo 'mono' > instances/probeplan-run/trace_clock
echo '0' > instances/probeplan-run/options/overwrite
echo '1' > instances/probeplan-run/options/disable_on_free
echo '1' > instances/probeplan-run/options/record-tgid
echo '25' > instances/probeplan-run/buffer_percent
echo 'BUFFER' > instances/probeplan-run/buffer_size_kb
echo 'SELF' >> instances/probeplan-run/set_event_notrace_pid
echo '(COMM == "postgres") && (a2 >= 4096)' \
> instances/probeplan-run/events/probeplan_run/h0_entry_run/filter
echo 'COMM == "postgres"' \
> instances/probeplan-run/events/probeplan_run/h0_return_run/filter
echo '1' > instances/probeplan-run/events/probeplan_run/h0_entry_run/enable
echo '1' > instances/probeplan-run/events/probeplan_run/h0_return_run/enable
echo 1 > instances/probeplan-run/tracing_on
"""


def test_a_function_is_two_events_with_what_they_need() -> None:
    """Arguments by register, memory by chains with the pointers alongside them, conditions and
    params as filters; a private instance that neither overwrites nor outlives us."""
    artifact = emitted(FUNCTION)
    buffer = artifact.memory["ring buffer"] // facts().possible_cpus // 1024
    comment, plan = artifact.text.split("\n", 1)
    tasks, plan = plan[: plan.index("echo 'p:")], plan[plan.index("echo 'p:") :]
    assert f"{comment}\n{plan}" == WRITES.replace("BUFFER", str(buffer))
    assert all("instances/probeplan-run-tasks" in line for line in tasks.splitlines())
    assert "events/task/task_rename/enable" in tasks
    assert sum(artifact.memory.values()) <= artifact.program.limits.memory
    assert artifact.hooks[0].mechanism == "kprobe event and kretprobe event"


def test_everything_that_user_space_does_is_marked() -> None:
    """`enforced` names each bound and condition once, and does not flatter."""
    reported = emitted("""
probes:
  a:
    attach: syscall:read
    sample: 1/5
    where: elapsed > 10*ms
    emit: {}
    metrics: {n: {count: true, by: [comm]}}
""").enforced
    wanted = {
        "duration": "user",
        "events": "user",
        "rate": "user",
        "memory": "kernel",
        "target.exclude_self": "kernel",
        "probes.a.where": "user",
        "probes.a.sample": "user",
        "probes.a.pairing": "user",
        "probes.a.comm": "user",
        "probes.a.metrics.n": "user",
    }
    assert {name: reported[name] for name in wanted} == wanted


@pytest.mark.parametrize(
    ("probe", "said"),
    [
        ("attach: 'rawtracepoint:sched_switch', emit: {}", "cannot attach rawtracepoint"),
        ("attach: 'fentry:vfs_read', emit: {}", "cannot attach fentry"),
        ("attach: 'tracepoint:sched:sched_switch', emit: {c: cgroup}", "cannot fetch 'cgroup'"),
        ("attach: 'profile:99hz', metrics: {n: {count: true}}", "cannot attach profile"),
        ("attach: 'interval:1s', metrics: {n: {count: true}}", "cannot attach interval"),
        ("attach: 'iter:task', metrics: {n: {count: true}}", "cannot attach iter"),
        ("attach: 'perf:page-faults', metrics: {n: {count: true}}", "cannot attach perf"),
    ],
)
def test_what_tracefs_cannot_do_is_refused_with_its_place(probe: str, said: str) -> None:
    """Each finding has a code, the probe's line, the reason and a way out."""
    (finding,) = refused(f"probes:\n  a: {{{probe}}}\n")
    assert finding.code == "PP110"
    assert said in finding.message
    assert finding.position.line > 0
    assert finding.hint


def test_user_space_filters_are_refused_unless_asked_for() -> None:
    """`auto` gets a finding for a condition or sampling that the kernel would not do."""
    text = """
probes:
  a: {attach: "syscall:read", where: elapsed > 10*ms, emit: {}}
  b: {attach: "tracepoint:sched:sched_switch", sample: 1/10, emit: {}}
"""
    assert refused(text, user_space=True) == ()
    assert {f.code for f in refused(text, user_space=False)} == {"PP112"}
    assert len(refused(text, user_space=False)) == 2


def test_a_plan_whose_filters_the_kernel_does_is_not_refused() -> None:
    """Nothing is reported to be in user space that is not."""
    assert refused(FUNCTION.replace(" and retval > 0", ""), user_space=False) == ()


@pytest.mark.parametrize(
    ("attach", "where", "entry", "back"),
    [
        ("function:vfs_read", "args.count > 7 and retval > 0", "a2 > 7", None),
        ("function:vfs_read", "args.count > 7", "a2 > 7", None),
        ("function:vfs_read", "retval > 0", None, "a1 > 0"),
        ("ufunction:libc.so.6:getenv", "entry(arg1 > 7) and retval > 0", None, "a1 > 0"),
    ],
)
def test_no_filter_hides_the_end_of_a_call_that_was_seen_to_begin(
    attach: str, where: str, entry: str | None, back: str | None
) -> None:
    """With filters at both sides, a return would meet the entry of an earlier call, whose own was
    rejected; and a user function may be left without a return."""
    plan = f"probes:\n  p: {{attach: '{attach}', where: {where}, emit: {{r: retval}}}}\n"
    sources = emitted(plan).detail.sources
    assert [source.filter for source in sources] == [entry, back]


def test_emitting_what_is_refused_raises() -> None:
    """emit never makes half an artifact."""
    with pytest.raises(HostError):
        emitted("probes:\n  a: {attach: 'fentry:vfs_read', emit: {}}\n")


def test_two_probes_on_one_tracepoint_share_it_unfiltered() -> None:
    """One event has one filter: what the two ask for is left to user space."""
    text = emitted("""
probes:
  a: {attach: "tracepoint:sched:sched_switch", where: args.prev_pid > 1, emit: {}}
  b: {attach: "tracepoint:sched:sched_switch", where: args.next_pid > 1, emit: {}}
""").text
    assert text.count("sched_switch/enable") == 1
    assert "filter" not in text


def test_counts_alone_are_counted_by_hist_triggers() -> None:
    """No event is enabled for records, and the buffer is small."""
    artifact = emitted("""
probes:
  a: {attach: "tracepoint:sched:sched_switch", metrics: {n: {count: true, by: [tid]}}}
""")
    assert "hist:keys=common_pid" in artifact.text
    assert "enable" not in artifact.text
    assert artifact.memory["ring buffer"] < 1 << 20
    assert artifact.enforced["probes.a.metrics.n"] == "kernel"


@pytest.mark.parametrize(
    ("attach", "value"),
    [
        ("syscall:execve", "entry(strs(args.argv))"),
        ("syscall:write", "buf(args.buf, args.count)"),
        ("syscall:connect", "sockaddr(args.uservaddr).ip"),
        ("function:vfs_read", "entry(path(args.file))"),
        ("function:tcp_sendmsg", "entry(remote(args.sk))"),
        (
            "tracepoint:sock:inet_sock_set_state",
            "ipv4(args.daddr) if args.family == 2 else ipv6(args.daddr_v6)",
        ),
    ],
)
def test_what_tracefs_has_no_words_for_is_refused(attach: str, value: str) -> None:
    """Lists, buffers, paths and addresses of sockets: the finding says what, and who can."""
    findings = refused(f"probes: {{p: {{attach: '{attach}', emit: {{x: '{value}'}}}}}}\n")
    assert [finding.code for finding in findings] == ["PP110"] * len(findings)
    assert findings
    assert all("bcc" in finding.hint for finding in findings)
