"""The number of runs that may be live at a time, where a policy limits it."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from orchestrator.plan.findings import Finding, HostError, Position
from orchestrator.policy.model import Policy
from orchestrator.policy.wording import describe_rule, exception_hint
from orchestrator.run.safety.journal import read_journals

__all__ = ["admit_run"]


def admit_run(policies: Sequence[Policy], directories: tuple[Path, ...], run_id: str) -> None:
    """Raise HostError when more runs are live than a policy allows.

    The run `run_id`, which asks, counts: its journal is written first, so that of several runs
    that start at once no more than allowed go on (it can happen that none does).
    """
    limiting = [policy for policy in policies if policy.max_runs is not None]
    if not limiting:
        return
    live = [record for record in read_journals(directories) if not record.dead]
    hidden = [path for path in directories if path.is_dir() and not os.access(path, os.R_OK)]
    for policy in limiting:
        assert policy.max_runs is not None
        if hidden or len(live) > policy.max_runs:
            others = ", ".join(f"{run.run_id} ({run.plan})" for run in live if run.run_id != run_id)
            _refuse_run(policy, others, hidden)


def _refuse_run(policy: Policy, others: str, hidden: Sequence[Path]) -> NoReturn:
    what = f"the maximum number of runs is live already: {others}"
    hint = f"wait until one has ended (`probeplan status`), or {exception_hint(policy)}"
    if hidden:
        what = f"the live runs of this host cannot be counted: {hidden[0]} cannot be read"
        hint = "run as the user who owns the other runs"
    message = f"{what}; at most {policy.max_runs} at a time: {describe_rule(policy, 'max_runs')}"
    position = Position(file="this host")
    raise HostError([Finding(code="PP125", message=message, position=position, hint=hint)])
