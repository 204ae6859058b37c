"""N calls are N on arm64: each mechanism, system calls by that architecture's numbers, arguments by
its registers. The programs were compiled on this host."""

from typing import Any

import pytest

from tests.guest.arm64.cases import FOLDER
from tests.guest.run.test_attach_kinds import (
    COUNT,
    ENTRY,
    HEAD,
    PAIR,
    RETURN,
    SIZE,
    N,
    check_reads,
    ran_in,
)
from tests.support.guest_cases import CaseResult
from tests.support.product import Ran

pytestmark = pytest.mark.arm64
RUN, PREPARE = "tests.guest.arm64.cases:run_counts", "tests.guest.arm64.cases:prepare_counts"
RARE = ("rare", str(N))


def case(
    attach: str, body: str, *argv: str, lacks: tuple[str, ...] = (), backend: str = "bcc"
) -> Any:
    """A plan with one probe, alongside `load argv…`."""
    return pytest.mark.guest(
        RUN,
        prepare=PREPARE,
        plan=f"{HEAD}    attach: {attach}\n{body}",
        argv=list(argv) or ["read", str(N)],
        lacks=list(lacks),
        backend=backend,
    )


# ---------------------------------------------------------------- kernel functions


@pytest.mark.kernels("6.12-arm64")
@case("function:vfs_read", PAIR + COUNT)
def test_function_by_trampolines(guest: CaseResult) -> None:
    check_reads(ran_in(guest), "fentry", wanted=SIZE, got=SIZE)


@case("kprobe:vfs_read", ENTRY + COUNT, lacks=("fentry",))
def test_kprobe(guest: CaseResult) -> None:
    check_reads(ran_in(guest), "dynamic event", wanted=SIZE)


@case("kretprobe:vfs_read", RETURN + COUNT, lacks=("fentry",))
def test_kretprobe(guest: CaseResult) -> None:
    check_reads(ran_in(guest), "dynamic event", got=SIZE)


@case("function:vfs_read", PAIR + COUNT, lacks=("fentry",))
def test_function_by_dynamic_events(guest: CaseResult) -> None:
    check_reads(ran_in(guest), "dynamic event", wanted=SIZE, got=SIZE)


@case("function:vfs_read", PAIR + COUNT, lacks=("fentry",), backend="tracefs")
def test_function_by_tracefs(guest: CaseResult) -> None:
    check_reads(ran_in(guest), "kprobe event and kretprobe event", wanted=SIZE, got=SIZE)


# ---------------------------------------------------------------- system calls

NAMES = (
    "    let: {name: 'label(args.id, \"SYS_\")'}\n    metrics: {calls: {count: true, by: [name]}}\n"
)


@case("tracepoint:raw_syscalls:sys_enter", NAMES, *RARE)
def test_system_calls_have_the_names_of_this_architecture(guest: CaseResult) -> None:
    """By its numbers: 125 is sched_get_priority_max here, and capget on x86-64."""
    ran = ran_in(guest)
    assert ran.value("call", "calls", name="sched_get_priority_max") == N
    names = {cell["key"]["name"] for cell in ran.cells("call", "calls")}
    assert not names & {"capget", "open", "stat", "poll"}


SYSCALL = "    emit: {policy: args.policy, got: retval}\n"


def check_priorities(ran: Ran) -> None:
    records = ran.data("call")
    assert [(one["policy"], one["got"]) for one in records] == [(0, 0)] * N


@case("syscall:sched_get_priority_max", SYSCALL, *RARE)
def test_arguments_and_results_of_a_system_call(guest: CaseResult) -> None:
    check_priorities(ran_in(guest))


@case("syscall:sched_get_priority_max", SYSCALL, *RARE, backend="tracefs")
def test_arguments_and_results_of_a_system_call_by_tracefs(guest: CaseResult) -> None:
    check_priorities(ran_in(guest))


# ---------------------------------------------------------------- user code

CALLED = "    args: {i: s64, twice: s64}\n    emit: {i: args.i, twice: args.twice, got: retval}\n"


def check_calls(ran: Ran) -> None:
    """target_fn(i, 2 * i) returns i + 7."""
    found = [(one["i"], one["twice"], one["got"]) for one in ran.data("call")]
    assert found == [(i, 2 * i, i + 7) for i in range(N)]


@case(f"ufunction:{FOLDER}/load:target_fn", CALLED, "call", str(N))
def test_a_user_function(guest: CaseResult) -> None:
    check_calls(ran_in(guest))


@case(f"ufunction:{FOLDER}/load:target_fn", CALLED, "call", str(N), backend="tracefs")
def test_a_user_function_by_tracefs(guest: CaseResult) -> None:
    check_calls(ran_in(guest))
