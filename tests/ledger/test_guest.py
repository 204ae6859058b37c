"""Returns that the kernel itself passes over, in kernels that can probe their functions."""

import pytest

from tests.ledger.guest import ROOM
from tests.support.guest_cases import CaseResult
from tests.support.product import Ran

THREADS = 100
PLAN = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: misses, summary: for tests}
limits: {duration: 1m, events: 10k, rate: 1M/s, cpu: 100%}
probes:
  p:
    attach_first: ['kretprobe:pipe_read', 'kretprobe:anon_pipe_read']
    emit: {got: retval}
"""


def missing(backend: str) -> pytest.MarkDecorator:
    """Threads that sleep in a probed function, far more than may be outstanding."""
    return pytest.mark.guest(
        "tests.ledger.guest:few_returns",
        prepare="tests.guest.product:compiled",
        plan=PLAN,
        backend=backend,
        argv=["threads", str(THREADS)],
        lacks=["fentry"],
    )


def check_misses(guest: CaseResult) -> None:
    """At most ROOM of the threads are recorded, all others are reported as missed, and with 4."""
    reported = guest.result()
    assert reported["left"] == []
    ran = Ran.of(reported["lines"])
    mine = [one for one in ran.of_kind("event.recorded") if one["comm"].startswith("pl")]
    assert len(mine) <= ROOM
    missed = ran.side("p")["kernel_missed"]
    assert missed >= THREADS - ROOM
    assert len(mine) + missed >= THREADS
    assert ran.finished["complete"] is False
    assert ran.finished["exit_code"] == 4
    assert any(
        "the kernel did not run the probe" in why for why in ran.finished["incomplete_because"]
    )


@missing("bcc")
def test_returns_without_room_are_kernel_missed_by_bcc(guest: CaseResult) -> None:
    check_misses(guest)


@missing("tracefs")
def test_returns_without_room_are_kernel_missed_by_tracefs(guest: CaseResult) -> None:
    check_misses(guest)
