"""What is known so far of a run that is asked for, whether it is made or not."""

import argparse
from pathlib import Path

from orchestrator.cli.messages import print_message
from orchestrator.plan.model import Plan
from orchestrator.run.groundwork import draw_run_id
from orchestrator.run.options import RunOptions
from orchestrator.run.unattended.admission import Conditions, admit_plan
from orchestrator.run.unattended.harm_watch import HarmWatch, quarantine_stale
from orchestrator.run.unattended.plan_lock import PlanLock
from orchestrator.run.unattended.result_store import ResultStore
from orchestrator.run.unattended.state import StateDirectories, StateError, open_state

__all__ = ["PlanBytes", "UnattendedRun"]

#: The bytes of the plan's file, and its name.
PlanBytes = tuple[bytes, str]
#: What `close`, and a run that did harm, import: of this release, since a run may go on for days,
#: and the files of the package may be replaced by those of another one meanwhile.
_NEEDED_AT_END = tuple(
    f"orchestrator.run.unattended.{name}" for name in ("result_pruning", "quarantine")
)


class UnattendedRun:
    """An unattended run of the plan in `given`. `plan` None: it was not read yet; `state` None: it
    cannot be kept on this host."""

    def __init__(self, args: argparse.Namespace, given: PlanBytes) -> None:
        self.args, self.given = args, given
        self.run_id = draw_run_id()
        self.plan: Plan | None = None
        self.state: StateDirectories | None = None
        self._store: ResultStore | None = None
        self._directory: Path | None = None
        self._lock: PlanLock | None = None  # held as long as this process lives

    def open_state(self) -> None:
        """Look at what earlier runs have left on this host. Raises StateError where its state
        cannot be kept."""
        state = open_state()
        self._store = ResultStore(state.results)
        for entry in quarantine_stale(state):
            print_message(
                f"plan {entry.plan_name} is in quarantine on this host now: {entry.detail}, run "
                f"{entry.run_id}"
            )
        self.state = state

    def admit(self, plan: Plan) -> RunOptions:
        """The options of the run of `plan`, if one is to be made now. Raises RunSkipped and
        HostError."""
        self.plan = plan
        assert self.state is not None
        args = self.args
        conditions = Conditions(expiry=args.expires, shard=args.shard, label=args.label)
        self._lock = admit_plan(plan, conditions, self.state)
        return RunOptions(
            out=self.make_directory(plan),
            run_id=self.run_id,
            watch=HarmWatch(self.state, plan, self.run_id),
            needed_at_end=_NEEDED_AT_END,
        )

    def make_directory(self, plan: Plan) -> Path:
        """The directory of the run's result, made if need be. Raises StateError."""
        assert self._store is not None
        if self._directory is None:
            self.plan = plan
            try:
                self._directory = self._store.make_run(plan.metadata.name, self.run_id)
            except OSError as error:
                raise StateError(error) from None
        return self._directory

    def close(self) -> None:
        """The run is over: remove the oldest results of its plan. What cannot be removed is
        reported, and fails nothing."""
        if self._store is None or self.plan is None:
            return
        self._store.close()
        from orchestrator.run.unattended.result_pruning import USUALLY_KEPT, prune_results

        try:
            directory = self._store.plan_directory(self.plan.metadata.name)
            pruned = prune_results(directory, self.args.keep or USUALLY_KEPT)
        except OSError as error:
            print_message(f"old results are not removed: {StateError(error)}")
            return
        for path, why in pruned.failed:
            print_message(f"an old result is not removed: {path}: {why}")
