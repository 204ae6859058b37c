"""Stacks at kernel functions, in booted kernels that can probe them, by each mechanism."""

from typing import Any

import pytest

from tests.support.guest_cases import CaseResult
from tests.support.product import Ran, check_accounts

RUN, PREPARE = "tests.guest.product:run", "tests.guest.product:compiled"
N = 500
HEAD = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: guest-stacks, summary: for tests}
limits: {duration: 1m, events: 100k, rate: 1M/s, memory: 32MiB, cpu: 100%}
probes:
  call:
"""
KEYED = "    where: args.count == 4093\n    metrics: {calls: {count: true, by: [kstack]}}\n"
BOTH = "    where: args.count == 4093\n    emit: {kstack: kstack, ustack: ustack}\n"
AT_ENTRY = (
    "    let: {way: entry(kstack)}\n    where: args.count == 4093\n"
    "    metrics: {calls: {count: true, by: [way]}}\n"
)
AT_RETURN = "    where: retval == 4093\n    metrics: {calls: {count: true, by: [kstack]}}\n"


def case(attach: str, body: str, *, lacks: tuple[str, ...] = ()) -> Any:
    """A plan with one probe, alongside N reads of /dev/zero by `load`."""
    return pytest.mark.guest(
        RUN,
        prepare=PREPARE,
        plan=f"{HEAD}    attach: {attach}\n{body}",
        backend="bcc",
        argv=["read", str(N)],
        lacks=list(lacks),
    )


def ran_in(guest: CaseResult) -> Ran:
    reported = guest.result()
    assert reported["left"] == []
    ran = Ran.of(reported["lines"])
    check_accounts(ran)
    return ran


def functions(names: list[str]) -> list[str]:
    return [name.partition("+")[0] for name in names]


def check_keyed(ran: Ran, mechanism: str) -> None:
    """All N reads came by one way, which leads from the system call to the probed function."""
    assert tuple(ran.mechanisms().values()) == (mechanism,)
    [cell] = ran.cells("call", "calls")
    assert cell["value"] == N
    [names] = cell["key"].values()
    found = functions(names)
    assert found[:2] == ["read_zero", "vfs_read"]
    assert found.index("vfs_read") < found.index("ksys_read") < found.index("do_syscall_64")
    assert ran.finished["ledger"]["stacks"]["map_busy"] == 0


@case("function:read_zero", KEYED)
def test_by_trampolines(guest: CaseResult) -> None:
    check_keyed(ran_in(guest), "fentry")


@case("function:read_zero", AT_ENTRY, lacks=("fentry",))
def test_by_dynamic_events(guest: CaseResult) -> None:
    """Taken at the entry and kept until the return: 5.10 cannot look past a return probe."""
    check_keyed(ran_in(guest), "dynamic event")


@case("kprobe:read_zero", KEYED, lacks=("fentry",))
def test_at_the_entry(guest: CaseResult) -> None:
    """The first frame is where the processor was: the function's beginning."""
    check_keyed(ran_in(guest), "dynamic event")


@case("kretprobe:read_zero", AT_RETURN, lacks=("fentry",))
def test_at_the_return(guest: CaseResult) -> None:
    """Where the kernel cannot look past it, the stack says so."""
    ran = ran_in(guest)
    assert sum(cell["value"] for cell in ran.cells("call", "calls")) == N
    for stack in ran.of_kind("stack.named"):
        short = "cannot unwind past the return" in stack["incomplete_because"]
        assert short != ("do_syscall_64" in functions(stack["names"]))


@case("fentry:read_zero", BOTH)
def test_both_stacks_of_one_event(guest: CaseResult) -> None:
    """The workload is gone by the time that its stack is read: it is as many addresses."""
    ran = ran_in(guest)
    assert len(ran.data("call")) == N
    for one in ran.data("call"):
        assert functions(one["kstack"])[:2] == ["read_zero", "vfs_read"]
        assert one["ustack"]


NESTED = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: guest-nested, summary: for tests}
limits: {duration: 1m, events: 100k, rate: 1M/s, memory: 32MiB, cpu: 100%}
probes:
"""
TASKS = "tests.guest.tasks:run"


def nested(*kinds: str, lacks: tuple[str, ...] = ()) -> Any:
    """Probes of these kinds at a function that calls itself through overlayfs."""
    probes = "".join(
        f'  {kind}: {{attach: "{kind}:notify_change", where: comm == "chmod", emit: {{k: kstack}}}}'
        "\n"
        for kind in kinds
    )
    return pytest.mark.guest(
        TASKS,
        prepare="tests.guest.tasks:prepare",
        plan=NESTED + probes,
        backend="bcc",
        argv=["overlay-chmod"],
        lacks=list(lacks),
        modules=["overlay"],
    )


def check_nested(ran: Ran, *kinds: str) -> None:
    """The inner call was reached through the outer one, and both are named down to the call."""
    for kind in kinds:
        stacks = [functions(record["k"]) for record in ran.data(kind)]
        inner, outer = sorted(stacks, key=len, reverse=True)
        assert outer[:2] == ["notify_change", "chmod_common"], kind
        assert inner[:3] == ["notify_change", "ovl_setattr", "notify_change"], kind
        assert inner[-len(outer) + 1 :] == outer[1:], kind


@nested("fentry", "fexit", "function", "entry")
def test_a_function_that_is_reached_through_itself(guest: CaseResult) -> None:
    """By trampolines, which are also among the frames of the outer call. Each kind of probe has the
    same stacks, which begin with the function's start, whether it calls its trampoline (6.1) or
    jumps to it (7.x)."""
    kinds = ("fentry", "fexit", "function", "entry")
    ran = ran_in(guest)
    check_nested(ran, *kinds)
    stacks = {tuple(record["k"]) for kind in kinds for record in ran.data(kind)}
    assert len(stacks) == 2
    assert {stack[0] for stack in stacks} == {"notify_change+0x0"}


@nested("entry", "kprobe", lacks=("fentry",))
def test_a_function_that_is_reached_through_itself_by_kprobes(guest: CaseResult) -> None:
    check_nested(ran_in(guest), "entry", "kprobe")
