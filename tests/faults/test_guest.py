"""Booted kernels: kills at every step and at random with probes of functions; clocks that step, a
CPU that leaves, a module that is unloaded under its probe."""

from typing import Any

import pytest

from tests.support.guest_cases import CaseResult
from tests.support.product import Ran, check_accounts

CASES = "tests.faults.guest"
PREPARE = "tests.guest.product:compiled"
WORKLOAD = "tests.faults.guest:workload"
HEAD = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: faults, summary: for tests}
limits: {duration: DURATION, events: 100k, rate: 1M/s, cpu: 100%}
probes:
"""
CALL = """
  call:
    attach: function:read_zero
    emit: {wanted: args.count, took: elapsed}
"""
ENTRY = "  call: {attach: 'kprobe:read_zero', emit: {wanted: args.count}}\n"
MODULE = "  call: {attach: 'kprobe:FUNCTION', emit: {}}\n"
N = 15_000


def case(call: str, backend: str, probes: str, duration: str = "1m", **more: Any) -> Any:
    """bcc without trampolines: with definitions, which outlive it."""
    prepare = more.pop("prepare", PREPARE)
    lacks = ["fentry"] if backend == "bcc" else []
    plan = HEAD.replace("DURATION", duration) + probes
    return pytest.param(
        marks=pytest.mark.guest(
            f"{CASES}:{call}", prepare=prepare, plan=plan, backend=backend, lacks=lacks, **more
        ),
        id="-".join([backend, *(f"{k}{v}" for k, v in more.items() if k in ("part", "watchdog"))]),
    )


def both(call: str, probes: str, duration: str = "1m", **more: Any) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        (), [case(call, backend, probes, duration, **more) for backend in ("bcc", "tracefs")]
    )


def in_parts(call: str, count: int, **more: Any) -> pytest.MarkDecorator:
    """Cases have a minute each."""
    made = [(one, part) for one in ("bcc", "tracefs") for part in range(count)]
    return pytest.mark.parametrize((), [case(call, a, CALL, part=b, **more) for a, b in made])


@pytest.mark.usual_kernel
@in_parts("every_step", 1, parts=3, watchdog=True)
def test_the_watchdog_cleans_up_after_a_kill_at_any_step(guest: CaseResult) -> None:
    """Every third step: emulation is slow."""
    assert guest.result()["killed"] >= 8


@pytest.mark.other_kernels
@in_parts("every_step", 1, parts=6, watchdog=True)
def test_the_watchdog_cleans_up_after_kills_on_other_kernels(guest: CaseResult) -> None:
    """Every sixth step: what differs between kernels is what attaching makes, not its order."""
    assert guest.result()["killed"] >= 4


@pytest.mark.usual_kernel  # what the watchdog undoes on the others is undone by the same code
@in_parts("every_step", 1, parts=4, watchdog=False)
def test_cleanup_cleans_up_when_the_watchdog_was_killed_too(guest: CaseResult) -> None:
    """Every fourth step: all of them are tried on the machine's own kernel."""
    assert guest.result()["killed"] >= 4


@pytest.mark.usual_kernel  # the others have the kills at every step
@in_parts("random_kills", 2, times=10)
def test_forty_random_kills(guest: CaseResult) -> None:
    """Twenty of each backend."""
    reported = guest.result()
    assert reported["killed"] >= 1
    print(reported)


def undisturbed(guest: CaseResult, disturbance: str) -> Ran:
    """What the run reported, that it was disturbed, and that it left nothing."""
    reported = guest.result()
    assert reported["reported"] == disturbance
    assert reported["left"] == []
    ran = Ran.of(reported["lines"])
    check_accounts(ran)
    return ran


DURATION = 3_000_000_000


@both("disturbed", ENTRY, "3s", by="step_clock", argv=[])
def test_a_clock_that_steps_changes_nothing(guest: CaseResult) -> None:
    """Deadline and stamps are of the clock that does not: no record is an hour off."""
    ran = undisturbed(guest, "stepped")
    assert ran.finished["outcome"] == "duration"
    assert DURATION <= ran.finished["duration_ns"] < 3 * DURATION
    times = [line["time_unix_nano"] for line in ran.of_kind("event.recorded")]
    assert not times or max(times) - min(times) <= DURATION


@both("disturbed", ENTRY, by="unplug", argv=["read", str(N // 5)])
def test_a_cpu_that_leaves_takes_no_count_along(guest: CaseResult) -> None:
    """All calls are reported, or the run says that it is not complete; and it ends."""
    ran = undisturbed(guest, "unplugged")
    mine = [one for one in ran.data("call") if one["wanted"] == 4093]
    assert len(mine) == N or ran.finished["complete"] is not True


@pytest.mark.parametrize(
    (),
    [
        case(
            "disturbed", backend, MODULE.replace("FUNCTION", function), "3s",
            by=f"unload {module}", argv=[], modules=[module], prepare=WORKLOAD,
        )
        for backend, module, function in (
            ("bcc", "dummy", "dummy_xmit"), ("tracefs", "ifb", "ifb_xmit"),
        )
    ],
)  # fmt: skip
def test_a_module_may_be_unloaded_under_its_probe(guest: CaseResult) -> None:
    """It goes, or it is busy; the run ends as it should and leaves nothing."""
    reported = guest.result()
    assert reported["reported"] in (
        "unloaded",
        "Device or resource busy",
        "Resource temporarily unavailable",
    )
    assert reported["left"] == []
    assert Ran.of(reported["lines"]).finished["outcome"] == "duration"
    print(reported["reported"], Ran.of(reported["lines"]).finished["error"])
