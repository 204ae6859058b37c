"""How many runs may be live at a time, where a policy says so."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from orchestrator.plan.findings import Finding, HostError, Position
from orchestrator.policy.model import Policy
from orchestrator.policy.rules import rule, whom
from orchestrator.run.safety.journal import journals

__all__ = ["admit"]


def admit(policies: Sequence[Policy], directories: tuple[Path, ...], run_id: str) -> None:
    """Raise HostError when more runs are live than a policy allows. The run `run_id`, which asks,
    is among them: it is journalled before it is counted, so that of several that start at once no
    more go on than may (it can happen that none does)."""
    ruling = [policy for policy in policies if policy.max_runs is not None]
    if not ruling:
        return
    live = [record for record in journals(directories) if not record.dead]
    hidden = [path for path in directories if path.is_dir() and not os.access(path, os.R_OK)]
    for policy in ruling:
        assert policy.max_runs is not None
        if hidden or len(live) > policy.max_runs:
            others = ", ".join(f"{one.run_id} ({one.plan})" for one in live if one.run_id != run_id)
            _refuse_run(policy, others, hidden)


def _refuse_run(policy: Policy, others: str, hidden: Sequence[Path]) -> NoReturn:
    what = f"as many runs as may are live already: {others}"
    hint = f"wait until one has ended (`probeplan status`), or {whom(policy)}"
    if hidden:
        what = f"the runs of this host cannot be counted: {hidden[0]} cannot be read"
        hint = "run as the user that the other runs belong to"
    message = f"{what}; at most {policy.max_runs} at a time: {rule(policy, 'max_runs')}"
    place = Position(file="this host")
    raise HostError([Finding(code="PP125", message=message, position=place, hint=hint)])
