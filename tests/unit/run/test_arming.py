"""Arming: one deadline, in the kernel and in the watchdog, which knows it first."""

import time
from dataclasses import replace

from orchestrator.plan.model import Limits
from orchestrator.run.arming import arm
from orchestrator.run.options import LEASE_NS
from tests.support.fake_backend import FakeSession, Script, program


class Guard:
    def __init__(self, session: FakeSession) -> None:
        self.session, self.deadline_ns = session, 0

    def set_deadline(self, deadline_ns: int) -> None:
        assert self.session.diary == [], "a run that is killed now has to end all the same"
        self.deadline_ns = deadline_ns


def armed_for(limits: Limits) -> tuple[int, int]:
    """The deadlines of the kernel and of the watchdog, in ns from the arming."""
    session = FakeSession(Script())
    guard = Guard(session)
    armed = arm(session, replace(program(), limits=limits), guard)  # type: ignore[arg-type]  # a fake
    assert abs(time.monotonic_ns() - armed.at_ns) < 10**9
    return session.deadline_ns - armed.at_ns, guard.deadline_ns - armed.at_ns


def test_the_deadline_is_the_plans_duration() -> None:
    assert armed_for(Limits(duration_ns=5_000)) == (5_000, 5_000)


def test_an_unlimited_run_gets_a_lease() -> None:
    """The kernel stops recording when the reader no longer renews it."""
    assert armed_for(Limits(duration_ns=None)) == (LEASE_NS, LEASE_NS)
