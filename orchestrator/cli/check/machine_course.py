"""A check in the deterministic machine, as part of an invocation."""

import os
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from orchestrator.cli.messages import print_message
from orchestrator.plan.findings import Finding, PlanError
from orchestrator.policy.model import Policy

if TYPE_CHECKING:
    from orchestrator.check.measurement import Measurement
    from orchestrator.check.measuring.measure import RepeatProgress
    from orchestrator.check.model import Check
    from orchestrator.run.choice import Prepared
    from orchestrator.run.signals import Signals

__all__ = ["measure_booted"]


def measure_booted(  # noqa: PLR0913  # what a measurement takes, each by its name
    check: "Check",
    policies: Sequence[Policy],
    signals: "Signals",
    *,
    backend: str,
    on_start: "Callable[[Prepared], None]",
    on_repeat: "Callable[[RepeatProgress], None]",
) -> "Measurement":
    """The measurement of a check that has a machine. Raises
    PlanError, HostError, Interrupted."""
    from orchestrator.check.machine.measure import measure_in_machine, prepare_machine

    machine = prepare_machine(check, policies, print_message)
    own = machine.prepared.choice.artifact.backend
    if backend not in ("auto", own):
        message = f"in a machine the {own} backend measures: {backend} cannot be compiled outside"
        place = check.machine.position if check.machine else check.position
        raise PlanError([Finding(code="PP230", message=message, position=place)])
    on_start(machine.prepared)
    return measure_in_machine(machine, signals, environment=os.environ, on_repeat=on_repeat)
