"""Kernel functions by every mechanism, in booted kernels that have kprobes."""

from collections import Counter
from typing import Any

import pytest

from orchestrator.accounting.count import at_least
from tests.guest.bcc.plans import PARTS
from tests.support.guest_cases import CaseResult

LIMITS = "limits: {events: 100k, rate: 10M/s}\ntarget: {comm: [load, calls]}\n"
PAIRED = (
    LIMITS
    + """
probes:
  p:
    attach: function:GETPPID
    returns: s64
    emit: {ret: retval, took: elapsed}
    metrics: {n: {count: true}}
"""
)
ENTRY = LIMITS + "probes: {p: {attach: 'entry:GETPPID', emit: {}}}\n"
RETURN = LIMITS + "probes: {p: {attach: 'kretprobe:GETPPID', returns: s64, emit: {r: retval}}}\n"
CALLEE = (
    LIMITS
    + """
probes:
  p:
    attach: function:__task_pid_nr_ns
    where: entry(args.type == 1)
    emit: {ret: retval, took: elapsed}
"""
)
BLOCKED = LIMITS + "probes: {p: {attach: 'function:PIPE_READ', emit: {ret: retval}}}\n"
MEMBERS = (
    LIMITS
    + """
probes:
  p:
    attach: function:vfs_read
    where: args.count == 1 and retval == 1
    emit: {n: args.count, pipe: args.file.f_inode.i_mode >> 12}
"""
)
EVENTS = ["fentry"]
PMU = ["fentry", "kprobe_events", "uprobe_events"]
CALLS = ["load", "getppid", "2000"]
CASE, PREPARE = "tests.guest.bcc.plans:count", "tests.guest.bcc.plans:prepare"


def case(name: str, plan: str, argv: list[str], without: list[str]) -> pytest.MarkDecorator:
    """The marker of one case."""
    return pytest.mark.guest(
        CASE, prepare=PREPARE, name=name, plan=plan, argv=argv, without=without
    )


def sides(found: Any, hook: int = 0) -> dict[str, Any]:
    """Counts by side."""
    return {k.partition(".")[2]: v for k, v in found["sides"].items() if int(k[0]) == hook}


def check_calls(guest: CaseResult, mechanism: str, missed: int | str) -> None:
    """2000 calls, each seen once at each side, nothing left behind."""
    found = guest.result()
    assert found["mechanisms"] == [mechanism]
    assert found["recorded"] == 2000
    for side in sides(found).values():
        assert side["accepted"] == 2000
        assert side["kernel_missed"] == missed
    assert found["left"] == ""


@case("paired-fentry", CALLEE, CALLS, [])
def test_a_function_by_trampolines(guest: CaseResult) -> None:
    """What getppid calls, by fentry and fexit: 2000 times with the same result."""
    found = guest.result()
    assert found["mechanisms"] == ["fentry"]
    results = Counter(record["ret"] for record in found["records"])
    missed = sum(side["kernel_missed"] for side in sides(found).values())
    assert 2000 - missed <= results.most_common(1)[0][1] <= 2000


@case("paired-event", PAIRED, CALLS, EVENTS)
def test_a_function_by_a_dynamic_event(guest: CaseResult) -> None:
    """Exact, and known to have missed nothing."""
    check_calls(guest, "dynamic event", 0)


@case("paired-pmu", PAIRED, CALLS, PMU)
def test_a_function_by_the_pmu(guest: CaseResult) -> None:
    """Exact as far as seen; what was missed is unknown."""
    check_calls(guest, "kprobe PMU", "unknown")


@case("entry-event", ENTRY, CALLS, EVENTS)
def test_an_entry_by_a_dynamic_event(guest: CaseResult) -> None:
    """One record a call."""
    check_calls(guest, "dynamic event", 0)


@case("return-event", RETURN, CALLS, EVENTS)
def test_a_return_by_a_dynamic_event(guest: CaseResult) -> None:
    """One record a call, with the return value."""
    check_calls(guest, "dynamic event", 0)
    assert len({r["r"] for r in guest.result()["records"]}) == 1


@pytest.mark.guest(
    "tests.guest.bcc.plans:count_as_canary",
    prepare=PREPARE,
    name="canary-event",
    plan=PAIRED,
    argv=CALLS,
    without=EVENTS,
)
def test_a_canary_counts_calls_by_the_runs_own_program_and_keeps_nothing(guest: CaseResult) -> None:
    """At the entry alone; the run that follows sees both sides of each call."""
    found = guest.result()
    entry, back = found["counted"]["entry"], found["counted"]["return"]
    assert entry["accepted"] == 2000
    assert found["hits"] == [entry["fired"]]
    assert back["fired"] == 0
    assert found["changed"] == []
    assert found["recorded"] == [0, 2000]
    assert found["left"] == ""


@case("blocked-event", BLOCKED, ["load", "threads", "100"], EVENTS)
def test_all_returns_of_blocked_calls_are_seen(guest: CaseResult) -> None:
    """100 threads sleep in a probed function at once; every return meets its entry."""
    found = guest.result()
    assert sides(found)["entry"]["accepted"] == sides(found)["return"]["accepted"] == 100
    assert sides(found)["return"]["kernel_missed"] == 0
    assert found["recorded"] == 100


@case("blocked-default", BLOCKED, ["load", "threads", "100"], [])
def test_all_returns_of_blocked_calls_by_the_preferred_mechanism(guest: CaseResult) -> None:
    """The same by trampolines: where a program can be preempted, the kernel passes over another
    thread's run on that CPU, and every such miss is reported."""
    entry, back = sides(guest.result())["entry"], sides(guest.result())["return"]
    assert entry["accepted"] + entry["kernel_missed"] >= 100
    assert back["accepted"] + entry["kernel_missed"] + back["kernel_missed"] >= 100
    if not entry["kernel_missed"] and not back["kernel_missed"]:
        assert entry["accepted"] == back["accepted"] == 100


def check_members(found: Any) -> None:
    """Every read is one byte of a pipe (S_IFIFO)."""
    missed = sum(at_least(side["kernel_missed"]) for side in sides(found).values())
    assert 20 - missed <= found["recorded"] <= 20
    assert {(r["n"], r["pipe"]) for r in found["records"]} == {(1, 1)}


@case("members-event", MEMBERS, ["load", "threads", "20"], EVENTS)
def test_members_behind_pointers_are_read(guest: CaseResult) -> None:
    """The kernel's structures by their own offsets, arguments from registers."""
    check_members(guest.result())


@case("members-fentry", MEMBERS, ["load", "threads", "20"], [])
def test_members_behind_a_trampolines_arguments_are_read(guest: CaseResult) -> None:
    """The same with arguments from the trampoline's context."""
    check_members(guest.result())


def part(number: int) -> Any:
    """One part of the shipped plans."""
    call, prepare = "tests.guest.bcc.plans:load_plans", "tests.guest.bcc.plans:prepare_plans"
    marked = pytest.mark.guest(call, prepare=prepare, modules=("ext4",), part=number)
    return pytest.param(number, marks=marked)


@pytest.mark.parametrize("number", [part(number) for number in range(PARTS)])
def test_every_shipped_plan_is_accepted_by_the_kernel(number: int, guest: CaseResult) -> None:
    """The verifier takes each program, on the ordinary kernel with and without trampolines; on the
    others, where no workload runs alongside them, each plan is attached, too."""
    assert guest.result() == {}
