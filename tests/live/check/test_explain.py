"""The further repeat of a check that failed: its records, and that it leaves nothing."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from orchestrator.check.document.load import load_check
from orchestrator.check.explanation.failures import list_failures
from orchestrator.check.explanation.model import KeptRecords
from orchestrator.check.measuring.explain import record_again
from orchestrator.check.measuring.measure import measure_check, prepare_check
from orchestrator.check.verdict.judge import judge_check
from orchestrator.kernel.facts import live_facts
from orchestrator.policy.model import Policy
from orchestrator.run.options import RunOptions
from orchestrator.run.safety.leftovers import clean_up_dead_runs
from orchestrator.run.signals import Signals
from tests.faults.kernel_state import everything_left
from tests.live.check.ended import end_in_the_midst
from tests.support.policies import a_policy

TEXT = """
apiVersion: probeplan/v1
kind: ProbeCheck
metadata: {name: explained, summary: for tests}
plan:
  probes:
    sync:
      attach: syscall:fsync
      emit: {result: retval}
      metrics: {calls: {count: true, by: [comm]}}
    parent: {attach: "syscall:getppid", metrics: {calls: {count: true}}}
workload: {run: [sh, -c, WORK], warmup: 0, repeats: 1}
expect: {syncs: sync.calls == 0, parents: parent.calls == 0}
"""
#: dash asks for its parent's number, too.
BOTH = "'touch f; sync f; sync f; python3 -c \"import os; os.getppid()\"'"


def explain(folder: Path, policies: Sequence[Policy] = ()) -> list[KeptRecords]:
    """What is kept of one more repeat, for each expectation that failed."""
    check, facts = load_check(folder / "check.yaml"), live_facts()
    options = RunOptions(journals=(folder / "journals",))
    with Signals() as signals:
        prepared = prepare_check(check, facts, policies, backend="bcc")
        measurement = measure_check(check, prepared, signals, options=options, environment={})
        verdict = judge_check(check, measurement, None)
        failures = list_failures(verdict, measurement, None, {})
        return record_again(
            check,
            measurement,
            [failure.selection for failure in failures],
            facts,
            policies,
            signals,
            options=options,
            environment={},
        )


def write_check(folder: Path, work: str) -> None:
    folder.chmod(0o755)
    (folder / "check.yaml").write_text(TEXT.replace("WORK", work))


def test_records_have_the_plans_fields_the_keys_the_file_and_the_stack(tmp_path: Path) -> None:
    write_check(tmp_path, BOTH)
    syncs, parents = explain(tmp_path)
    assert (syncs.seen, parents.seen) == (2, 2)
    for record in syncs.records:
        assert record["comm"] == "sync"
        assert record["data"]["result"] == 0
        assert record["data"]["fd"] >= 3
        assert record["data"]["ustack"][0].startswith("fsync+")
    assert [record["comm"] for record in parents.records] == ["sh", "python3"]
    for record in parents.records:
        assert "getppid" in record["data"]["ustack"][0]
        assert "fd" not in record["data"]


def test_under_a_policy_records_are_those_of_the_plan(tmp_path: Path) -> None:
    write_check(tmp_path, BOTH)
    syncs, parents = explain(tmp_path, [a_policy("limits: {events: 50}")])
    assert [record["data"] for record in syncs.records] == [{"result": 0}] * 2
    assert parents.records == ()
    assert "the policies of this host allow only the plan's own records" in (
        parents.unavailable_because
    )


WAITS = (
    "'if [ -e $(here)/once ]; then touch $(here)/at/here; setsid sleep 600 & wait; fi; "
    "touch $(here)/once; sync $(here)/once'"
)
ENDED = """
import sys
from pathlib import Path
from tests.live.check.test_explain import explain
explain(Path(sys.argv[1]))
"""


@pytest.mark.parametrize("number", [9, 2])
def test_a_further_repeat_that_is_ended_leaves_nothing(tmp_path: Path, number: int) -> None:
    write_check(tmp_path, WAITS)
    (tmp_path / "at").mkdir()
    assert end_in_the_midst(ENDED, tmp_path, number)
    clean_up_dead_runs(directories=(tmp_path / "journals",))  # as the next run does
    assert everything_left(None, tmp_path / "journals") == []
