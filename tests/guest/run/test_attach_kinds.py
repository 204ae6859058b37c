"""N calls are N, by the whole product in booted kernels that can probe their functions: each
mechanism of bcc, and tracefs. The guest resolves the plan against itself, runs it alongside the
workload, and hands out its JSON lines."""

from typing import Any

import pytest

from tests.support.guest_cases import CaseResult
from tests.support.product import Ran, check_accounts, check_sums

RUN, PREPARE = "tests.guest.product:run", "tests.guest.product:compiled"
N = 500
THREADS = 100
SIZE = 4093  # what `load read` asks for, of /dev/zero: read_zero serves it, and no other process
HEAD = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: guest, summary: for tests}
limits: {duration: 1m, events: 100k, rate: 1M/s, memory: 32MiB, cpu: 100%}
probes:
  call:
"""
ENTRY = "    where: args.count == 4093\n    emit: {wanted: args.count}\n"
RETURN = "    where: retval == 4093\n    emit: {got: retval}\n"
PAIR = "    where: args.count == 4093\n    emit: {wanted: args.count, got: retval, took: elapsed}\n"
COUNT = "    metrics: {calls: {count: true, by: [comm]}}\n"


def case(
    backend: str, attach: str, body: str, *argv: str, lacks: tuple[str, ...] = (), **more: Any
) -> Any:
    """A plan with one probe, alongside `load argv…`; `lacks`: features that this host refuses."""
    return pytest.mark.guest(
        RUN,
        prepare=PREPARE,
        plan=f"{HEAD}    {attach}\n{body}",
        backend=backend,
        argv=list(argv) or ["read", str(N)],
        lacks=list(lacks),
        **more,
    )


def ran_in(guest: CaseResult) -> Ran:
    """The run, whose accounts are right and which left nothing behind."""
    reported = guest.result()
    assert reported["left"] == []
    ran = Ran.of(reported["lines"])
    check_accounts(ran)
    assert ran.finished["command_status"] == 0
    return ran


def check_reads(ran: Ran, *mechanisms: str, **fields: int) -> None:
    """Each of the N reads is one record and one count, and has these fields."""
    assert tuple(ran.mechanisms().values()) == mechanisms
    assert [_given(one, fields) for one in ran.data("call")] == [fields] * N
    assert sum(cell["value"] for cell in ran.cells("call", "calls")) == N
    side = list(ran.ledger("call")["hooks"][0]["sides"].values())[-1]
    assert side["accepted"] == N


def _given(data: dict[str, Any], fields: dict[str, int]) -> dict[str, Any]:
    return {name: data[name] for name in fields}


# ---------------------------------------------------------------- bcc


@case("bcc", "attach: fentry:read_zero", ENTRY + COUNT)
def test_fentry(guest: CaseResult) -> None:
    check_reads(ran_in(guest), "fentry", wanted=SIZE)


@case("bcc", "attach: fexit:read_zero", PAIR.replace(", took: elapsed", "") + COUNT)
def test_fexit(guest: CaseResult) -> None:
    """A trampoline at the return sees the arguments too."""
    check_reads(ran_in(guest), "fentry", wanted=SIZE, got=SIZE)


@case("bcc", "attach: function:read_zero", PAIR + COUNT)
def test_function_by_trampolines(guest: CaseResult) -> None:
    """Entry and return are one event, with the time between."""
    ran = ran_in(guest)
    check_reads(ran, "fentry", wanted=SIZE, got=SIZE)
    assert all(one["took"] > 0 for one in ran.data("call"))


@case("bcc", "attach: kprobe:read_zero", ENTRY + COUNT, lacks=("fentry",))
def test_kprobe_by_a_dynamic_event(guest: CaseResult) -> None:
    """Its misses are known: the kernel counts what happens alongside what we saw."""
    ran = ran_in(guest)
    check_reads(ran, "dynamic event", wanted=SIZE)
    assert ran.side("call")["kernel_missed"] == 0
    assert ran.finished["complete"] is True


@case("bcc", "attach: kretprobe:read_zero", RETURN + COUNT, lacks=("fentry",))
def test_kretprobe_by_a_dynamic_event(guest: CaseResult) -> None:
    ran = ran_in(guest)
    check_reads(ran, "dynamic event", got=SIZE)
    assert ran.finished["complete"] is True


@case("bcc", "attach: function:read_zero", PAIR + COUNT, lacks=("fentry",))
def test_function_by_dynamic_events(guest: CaseResult) -> None:
    ran = ran_in(guest)
    check_reads(ran, "dynamic event", wanted=SIZE, got=SIZE)
    assert ran.finished["complete"] is True


@case("bcc", "attach: kprobe:read_zero", ENTRY + COUNT, lacks=("fentry", "kprobe_events"))
def test_kprobe_by_the_pmu(guest: CaseResult) -> None:
    """Without tracefs the count is exact too, but no one can know that nothing was missed."""
    ran = ran_in(guest)
    check_reads(ran, "kprobe PMU", wanted=SIZE)
    assert ran.finished["complete"] == "unknown"


PIPE = "attach_first: ['{0}:pipe_read', '{0}:anon_pipe_read']"  # renamed
BLOCKED = "    emit: {got: retval}\n"


def check_blocked(ran: Ran) -> None:
    """Each of the blocked threads is a separate record, and returned its byte."""
    records = [one for one in ran.of_kind("event.recorded") if one["data"]["got"] == 1]
    assert len(records) == len({one["tid"] for one in records}) == THREADS


@case("bcc", PIPE.format("function"), BLOCKED, "threads", str(THREADS))
def test_all_blocked_threads_return_by_trampolines(guest: CaseResult) -> None:
    """100 threads are in the probed function at once; all their returns are seen. A kernel that
    preempts a program skips it for other tasks that arrive meanwhile (__bpf_prog_enter_recur,
    kernel/bpf/trampoline.c): each of those is reported, and then the run is not complete."""
    reported = guest.result()
    assert reported["left"] == []
    ran = Ran.of(reported["lines"])
    check_sums(ran)
    [hook] = ran.ledger("call")["hooks"]
    missed = sum(side["kernel_missed"] for side in hook["sides"].values())
    assert ran.finished["complete"] is (missed == 0)
    tids = [one["tid"] for one in ran.of_kind("event.recorded") if one["data"]["got"] == 1]
    assert len(tids) == len(set(tids))
    assert THREADS - missed <= len(tids) <= THREADS


@case("bcc", PIPE.format("kretprobe"), BLOCKED, "threads", str(THREADS), lacks=("fentry",))
def test_all_blocked_threads_return_by_a_dynamic_event(guest: CaseResult) -> None:
    """The event's own maxactive is enough; the kernel's default lost nine of ten."""
    ran = ran_in(guest)
    check_blocked(ran)
    [side] = ran.ledger("call")["hooks"][0]["sides"].values()
    assert side["kernel_missed"] == 0


# ---------------------------------------------------------------- tracefs


@case("tracefs", "attach: kprobe:read_zero", ENTRY + COUNT)
def test_kprobe_by_tracefs(guest: CaseResult) -> None:
    check_reads(ran_in(guest), "kprobe event", wanted=SIZE)


@case("tracefs", "attach: kretprobe:read_zero", RETURN + COUNT)
def test_kretprobe_by_tracefs(guest: CaseResult) -> None:
    check_reads(ran_in(guest), "kretprobe event", got=SIZE)


@case("tracefs", "attach: function:read_zero", PAIR + COUNT)
def test_function_by_tracefs(guest: CaseResult) -> None:
    ran = ran_in(guest)
    check_reads(ran, "kprobe event and kretprobe event", wanted=SIZE, got=SIZE)
    assert all(one["took"] > 0 for one in ran.data("call"))


@case("tracefs", PIPE.format("function"), BLOCKED, "threads", str(THREADS))
def test_all_blocked_threads_return_by_tracefs(guest: CaseResult) -> None:
    check_blocked(ran_in(guest))


COUNTED = """    args: {file: u64, buf: u64, count: u32}
    where: args.count == 4093
    metrics:
      calls: {count: true, by: [comm]}
      bytes: {sum: args.count, by: [comm]}
"""


@case("tracefs", "attach: kprobe:read_zero", COUNTED, needs="hist_triggers", neighbour=True)
def test_metrics_by_hist_triggers(guest: CaseResult) -> None:
    """Where nothing is recorded the kernel counts by itself, no matter who calls."""
    reported = guest.result()
    assert reported["left"] == []
    ran = Ran.of(reported["lines"])
    check_accounts(ran)
    enforced = ran.lines[0]["enforced"]
    assert enforced["probes.call.metrics.calls"] == "kernel"
    assert enforced["probes.call.metrics.bytes"] == "kernel"
    [calls] = ran.cells("call", "calls")
    assert calls["key"]["comm"].startswith("pl")
    assert calls["value"] == N
    assert [cell["value"] for cell in ran.cells("call", "bytes")] == [N * SIZE]


@pytest.mark.guest(
    RUN,
    prepare=PREPARE,
    plan="plans/fs/vfs-reads.yaml",
    backend="auto",
    argv=["read", str(N)],
)
def test_a_shipped_plan_takes_the_function_where_it_can(guest: CaseResult) -> None:
    """vfs-reads on a kernel that can probe functions: vfs_read by name, by a trampoline."""
    ran = ran_in(guest)
    assert ran.mechanisms() == {"function:vfs_read": "fentry"}
    mine = [read for read in ran.data("read") if read["wanted"] == SIZE]
    emit = ran.ledger("read")["emit"]
    assert {read["symbol"] for read in mine} == {"vfs_read"}
    assert len(mine) + emit["rate_limited"] >= N


# ---------------------------------------------------------------- what is known of misses


@case(
    "bcc",
    "attach: ufunction:libc.so.6:syscall",
    "    args: {number: s64}\n    where: args.number == 146\n    emit: {wanted: args.number}\n"
    + COUNT,
    "rare",
    str(N),
)
def test_user_function_in_the_command_alone(guest: CaseResult) -> None:
    """Each of its calls (sched_get_priority_max), no miss, and no breakpoint elsewhere."""
    ran = ran_in(guest)
    check_reads(ran, "dynamic event", wanted=146)
    [attached] = ran.of_kind("probe.attached")
    assert "in 1 thread of the target and what they start" in attached["detail"]
    assert [side["kernel_missed"] for side in ran.ledger("call")["hooks"][0]["sides"].values()] == [
        0,
        0,
    ]


@case("bcc", "attach: tracepoint:sched:sched_waking", "    metrics: {calls: {max: args.prio}}\n")
def test_perf_tracepoint_with_a_witness(guest: CaseResult) -> None:
    """An event of all contexts, whose record is read: what was missed is a number."""
    ran = ran_in(guest)
    assert ran.mechanisms() == {"tracepoint:sched:sched_waking": "perf tracepoint"}
    assert ran.side("call")["kernel_missed"] != "unknown"
    assert ran.finished["complete"] is (ran.side("call")["kernel_missed"] == 0)
