"""What is still outstanding when the command ends, exactly, and from zero in each repeat."""

from pathlib import Path

from orchestrator.check.document.load import load_check
from orchestrator.check.measuring.measure import measure_check, prepare_check
from orchestrator.check.verdict.judge import judge_check
from orchestrator.kernel.facts import live_facts
from orchestrator.run.options import RunOptions
from orchestrator.run.signals import Signals
from tests.support.binaries import compile_to
from tests.support.paths import WORKLOADS

TEXT = """
apiVersion: probeplan/v1
kind: ProbeCheck
metadata: {name: heap, summary: for tests}
params: {n: {type: int, default: 40}}
plan: heap-outstanding
workload:
  run: [./leaks, $(params.n), $(ops)]
  ops: [3, 5]
  repeats: 2
expect:
  most: heap.value <= 500
  number: heap.count / ops == 1
  size: heap.value[comm == 'leaks'] / ops == 100
"""


def test_what_was_not_freed_is_exact_whatever_was_freed(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    compile_to(tmp_path / "leaks", WORKLOADS / "leaks.c", flags=("-O0",))
    (tmp_path / "check.yaml").write_text(TEXT)
    check = load_check(tmp_path / "check.yaml")
    prepared = prepare_check(check, live_facts(), (), backend="bcc")
    options = RunOptions(journals=(tmp_path / "journals",))
    with Signals() as signals:
        found = measure_check(check, prepared, signals, options=options, environment={})
    heaps = [repeat.cells["heap"] for repeat in found.repeats]
    assert [sum(cell.count for cell in heap["count"]) for heap in heaps] == [3, 5, 3, 5]
    assert [sum(cell.value or 0 for cell in heap["value"]) for heap in heaps] == [
        300,
        500,
        300,
        500,
    ]
    [cell] = heaps[0]["value"]
    assert cell.key is not None
    assert cell.key["comm"] == "leaks"
    assert "main (leaks)" in cell.key["ustack"]  # type: ignore[operator]
    verdicts = judge_check(check, found, None).expectations
    assert {one.expectation.name: one.verdict for one in verdicts} == {
        "most": "ok",
        "number": "ok",
        "size": "ok",
    }
