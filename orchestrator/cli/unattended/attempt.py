"""What is known so far of a run that is asked for, whether it is made or not."""

import argparse
from pathlib import Path

from orchestrator.plan.model import Plan
from orchestrator.run.groundwork import draw_run_id
from orchestrator.run.options import RunOptions
from orchestrator.run.unattended.admission import Conditions, admit_plan
from orchestrator.run.unattended.plan_lock import PlanLock
from orchestrator.run.unattended.state import StateDirectories, StateError, open_state

__all__ = ["PlanBytes", "UnattendedRun"]

#: The bytes of the plan's file, and its name.
PlanBytes = tuple[bytes, str]


class UnattendedRun:
    """An unattended run of the plan in `given`. `plan` None: it was not read yet; `state` None: it
    cannot be kept on this host."""

    def __init__(self, args: argparse.Namespace, given: PlanBytes) -> None:
        self.args, self.given = args, given
        self.run_id = draw_run_id()
        self.plan: Plan | None = None
        self.state: StateDirectories | None = None
        self._lock: PlanLock | None = None  # held as long as this process lives

    def open_state(self) -> None:
        """Raises StateError where the state of this host cannot be kept."""
        self.state = open_state()

    def admit(self, plan: Plan) -> RunOptions:
        """The options of the run of `plan`, if one is to be made now. Raises RunSkipped and
        HostError."""
        self.plan = plan
        assert self.state is not None
        args = self.args
        conditions = Conditions(expiry=args.expires, shard=args.shard, label=args.label)
        self._lock = admit_plan(plan, conditions, self.state.locks)
        return RunOptions(out=self.make_directory(plan), run_id=self.run_id, unattended=True)

    def make_directory(self, plan: Plan) -> Path:
        """The directory of the run's result, made if need be. Raises StateError."""
        assert self.state is not None
        directory = self.state.results / plan.metadata.name / self.run_id
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StateError(error) from None
        return directory
