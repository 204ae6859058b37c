"""Whether an unattended run is made now, asked once its plan is known and before anything is
prepared."""

import os
import time
from signal import Signals
from typing import TYPE_CHECKING

from orchestrator.output.log import format_timestamp
from orchestrator.plan.findings import Finding, HostError, Position
from orchestrator.plan.model import Plan
from orchestrator.run.unattended.plan_lock import PlanLock
from orchestrator.run.unattended.state import StateDirectories, StateError
from orchestrator.values import dataclass

if TYPE_CHECKING:
    from orchestrator.run.unattended.expiry import Expiry
    from orchestrator.run.unattended.quarantine import QuarantineEntry
    from orchestrator.run.unattended.shard import Shard

__all__ = ["Conditions", "PlanQuarantined", "RunInterrupted", "RunSkipped", "admit_plan"]


class RunSkipped(Exception):
    """This host is not asked for a run now; the text says why."""

    exit_code = 0


class RunInterrupted(RunSkipped):
    """`ending`, a signal, came before the run began."""

    def __init__(self, ending: Signals) -> None:
        self.exit_code = 128 + ending  # as a shell has it
        super().__init__(f"{ending.name} came before the run began")


@dataclass(frozen=True, slots=True, kw_only=True)
class Conditions:
    """What the command line demands of an unattended run: `label` as for `run_plan`."""

    expiry: "Expiry | None" = None
    shard: "Shard | None" = None
    label: str | None = None


class PlanQuarantined(HostError):
    """The plan is kept from this host for a while."""

    def __init__(self, entry: "QuarantineEntry") -> None:
        until = format_timestamp(entry.until_ns).partition(".")[0]
        name = entry.plan_name or entry.plan_digest
        run = f" (run {entry.run_id})" if entry.run_id else ""
        finding = Finding(
            code="PP261",
            message=f"plan {name} is in quarantine on this host until {until}Z: "
            f"{entry.detail}{run}",
            position=Position(file="this host"),
            hint="find out why; a changed plan is another plan, and `probeplan quarantine lift "
            f"{name}` lets this one run again",
        )
        super().__init__([finding])


def admit_plan(plan: Plan, conditions: Conditions, state: StateDirectories) -> PlanLock:
    """The lock on the plan for the run that is made now. Raises RunSkipped where none is to be
    made, and HostError where none may be made."""
    name = plan.metadata.name
    if conditions.expiry is not None:
        from orchestrator.run.unattended.expiry import check_expiry  # which the option imported

        check_expiry(conditions.expiry, time.time())
    if conditions.shard is not None:
        _check_shard(conditions.shard, name, conditions.label)
    lock = PlanLock(state.locks, name)
    try:
        taken = lock.take()
    except OSError as error:
        raise StateError(error) from None
    if not taken:
        raise RunSkipped("another unattended run of this plan on this host is still going")
    _check_quarantine(plan.sha256, state)
    return lock


def _check_shard(shard: "Shard", plan: str, label: str | None) -> None:
    from orchestrator.run.report.host_identity import read_host_id
    from orchestrator.run.unattended.shard import explain_exclusion  # which the option imported

    why = explain_exclusion(shard, read_host_id(), plan, label)
    if why is not None:
        raise RunSkipped(why)


def _check_quarantine(digest: str, state: StateDirectories) -> None:
    """Once no other run can put the plan there. Where there is no such file, which is nearly
    always, looking for it is all that this costs."""
    try:
        os.lstat(state.quarantine / f"{digest}.json")
        from orchestrator.run.unattended.quarantine import Quarantine

        entry = Quarantine(state.quarantine).find(digest, time.time_ns())
    except FileNotFoundError:
        return
    except OSError as error:
        raise StateError(error) from None
    if entry is not None:
        raise PlanQuarantined(entry)
