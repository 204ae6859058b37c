"""Whether an unattended run is made now, asked once its plan is known and before anything is
prepared."""

import time
from pathlib import Path

from orchestrator.plan.model import Plan
from orchestrator.run.report.host_identity import read_host_id
from orchestrator.run.unattended.expiry import Expiry, check_expiry
from orchestrator.run.unattended.plan_lock import PlanLock
from orchestrator.run.unattended.shard import Shard, explain_exclusion
from orchestrator.run.unattended.state import StateError
from orchestrator.values import dataclass

__all__ = ["Conditions", "RunSkipped", "admit_plan"]


class RunSkipped(Exception):
    """This host is not asked for a run now; the text says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What the command line demands of an unattended run: `label` as for `run_plan`."""

    expiry: Expiry | None = None
    shard: Shard | None = None
    label: str | None = None


def admit_plan(plan: Plan, conditions: Conditions, locks: Path) -> PlanLock:
    """The lock on the plan, in the directory `locks`, for the run that is made now. Raises
    RunSkipped where none is to be made, and HostError where none may be made."""
    name = plan.metadata.name
    if conditions.expiry is not None:
        check_expiry(conditions.expiry, time.time())
    if conditions.shard is not None:
        why = explain_exclusion(conditions.shard, read_host_id(), name, conditions.label)
        if why is not None:
            raise RunSkipped(why)
    lock = PlanLock(locks, name)
    try:
        taken = lock.take()
    except OSError as error:
        raise StateError(error) from None
    if not taken:
        raise RunSkipped("another unattended run of this plan on this host is still going")
    return lock
