"""Cells by stack have the names of functions, whatever the addresses of the process are."""

from pathlib import Path

from orchestrator.check.baseline.update import update_baseline
from orchestrator.check.document.load import load_check
from orchestrator.check.measurement import Measurement
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
metadata: {name: ways, summary: for tests}
params: {right: {type: int, default: 4}}
plan:
  probes:
    act:
      attach: "ufunction:PATHS:act"
      metrics: {calls: {count: true, by: [ustack]}}
    exit:
      attach: "tracepoint:sched:sched_process_exit"
      metrics: {ends: {count: true, by: [kstack]}}
workload:
  run: [sh, -c, "./paths 3 $(params.right) && ./paths 2 0"]
  cwd: .
  steady: false
  repeats: 2
expect:
  ways: {that: act.calls <= baseline, each: true}
"""


def measure(folder: Path, **settings: str) -> Measurement:
    check = load_check(folder / "check.yaml", settings=settings)
    prepared = prepare_check(check, live_facts(), (), backend="bcc")
    options = RunOptions(journals=(folder / "journals",))
    with Signals() as signals:
        return measure_check(check, prepared, signals, options=options, environment={})


def ways(measurement: Measurement, repeat: int) -> dict[str, int | None]:
    """How often act was called by the function that called its caller."""
    cells = measurement.repeats[repeat].cells["act"]["calls"]
    found: dict[str, int | None] = {}
    for cell in cells:
        assert cell.key is not None
        stack = cell.key["ustack"]
        assert isinstance(stack, tuple), stack
        assert "main (paths)" in stack
        assert not any("0x" in frame for frame in stack), stack
        [way] = [name for name in ("left (paths)", "right (paths)") if name in stack]
        found[way] = cell.value
    return found


def test_stacks_are_functions_and_equal_in_processes_at_random_addresses(tmp_path: Path) -> None:
    """Of processes that end at once, two of them in each repeat."""
    tmp_path.chmod(0o755)
    flags = ("-fno-omit-frame-pointer", "-fno-optimize-sibling-calls")
    paths = compile_to(tmp_path / "paths", WORKLOADS / "paths.c", flags=flags)
    (tmp_path / "check.yaml").write_text(TEXT.replace("PATHS", str(paths)))
    recorded = measure(tmp_path)
    for repeat in (0, 1):
        assert ways(recorded, repeat) == {"left (paths)": 5, "right (paths)": 4}
        [ends] = recorded.repeats[repeat].cells["exit"]["ends"]
        assert ends.key is not None
        stack = ends.key["kstack"]
        assert isinstance(stack, tuple)
        assert "do_exit" in stack
    check = load_check(tmp_path / "check.yaml", settings={"right": "5"})
    baseline = update_baseline(None, check.name, recorded, "2026-01-01T00:00:00Z", "new")
    [same] = judge_check(check, measure(tmp_path), baseline).expectations
    assert (same.verdict, len(same.series)) == ("ok", 2)
    [more] = judge_check(check, measure(tmp_path, right="5"), baseline).expectations
    assert more.verdict == "fail"
    [broken] = [series for series in more.series if not series.holds]
    assert "right (paths)" in broken.label
    assert broken.value == 5
    assert broken.baseline == 4
