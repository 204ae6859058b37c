"""No more runs are live than a policy allows."""

from pathlib import Path

import pytest

from orchestrator.plan.findings import HostError
from orchestrator.run.safety.admission import admit_run
from orchestrator.run.safety.journal import Journal
from tests.support.policies import a_policy


def journal(directory: Path, run: str) -> Journal:
    return Journal(run, plan="p", backend="bcc", probes=1, directories=(directory,))


def test_no_more_runs_are_admitted_than_may_be_live(tmp_path: Path) -> None:
    """One's own counts; what has ended does not; the others are named."""
    directories = (tmp_path / "journals",)
    two = a_policy("max_runs: 2")
    mine = journal(directories[0], "mine")
    admit_run([two], directories, "mine")
    first = journal(directories[0], "first")
    admit_run([two], directories, "mine")
    second = journal(directories[0], "second")
    with pytest.raises(
        HostError, match=r"(?s)PP125.*first \(p\), second \(p\); at most 2.*policy.yaml:3:11"
    ):
        admit_run([two], directories, "mine")
    admit_run([], directories, "mine")
    first.close()
    admit_run([two], directories, "mine")
    for one in (mine, second):
        one.close()


def test_a_dead_run_takes_no_place(tmp_path: Path) -> None:
    """Its journal is there still, with what it left; its lock is free."""
    directories = (tmp_path / "journals",)
    dead = journal(directories[0], "dead")
    dead.add("instance", "probeplan-nothing")
    dead.close()
    assert (directories[0] / "dead.journal").exists()
    mine = journal(directories[0], "mine")
    admit_run([a_policy("max_runs: 1")], directories, "mine")
    mine.close()
