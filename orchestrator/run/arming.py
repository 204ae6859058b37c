"""Arming: the moment from which probes record, set in the kernel and in the watchdog."""

import time

from orchestrator.backends.protocol import Session
from orchestrator.compile.program import Program
from orchestrator.output.wall_clock import WallClock
from orchestrator.run.options import LEASE_NS
from orchestrator.run.safety.guard import Guard
from orchestrator.values import dataclass

__all__ = ["Armed", "arm"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Armed:
    """When probes were armed: `at_ns` by CLOCK_MONOTONIC, `started` as RFC 3339, by `clock`."""

    at_ns: int
    started: str
    clock: WallClock


def arm(session: Session, program: Program, guard: Guard) -> Armed:
    """Let the probes record until the plan's duration is over, or for the first lease of an
    unlimited run. Everything imported before this call is start-up time."""
    at_ns = time.monotonic_ns()
    duration = program.limits.duration_ns
    deadline_ns = at_ns + (LEASE_NS if duration is None else duration)
    guard.set_deadline(deadline_ns)
    session.arm(deadline_ns)
    clock = WallClock()
    return Armed(at_ns=at_ns, started=clock.stamp(at_ns), clock=clock)
