"""A run that lost something ends as its plan says, and says what, by the command line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.product import ROOT, Ran

N = 60_000
PLAN = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: losing, summary: for tests}
limits: {duration: 1m, events: 1M, rate: 100M/s, memory: MEMORY, cpu: 100%, incomplete: END}
probes:
  p:
    attach: 'uprobe:LOAD:target_fn'
    emit: {i: arg0}
"""
#: So little that a burst does not fit between two looks of the reader, which is stopped meanwhile.
MEMORY = {"bcc": "3MiB", "tracefs": "64KiB"}
STOPPED = "kill -STOP $PPID; {load} call {calls}; kill -CONT $PPID"


@pytest.mark.root
@pytest.mark.parametrize(("end", "code"), [("fail", 4), ("allow", 0)])
def test_a_run_that_lost_records_ends_with_4_unless_allowed(
    backend: str, load: Path, tmp_path: Path, end: str, code: int
) -> None:
    """The workload stops its reader while it runs. Its accounts balance, and are not complete."""
    plan = tmp_path / "plan.yaml"
    text = PLAN.replace("LOAD", str(load)).replace("MEMORY", MEMORY[backend])
    plan.write_text(text.replace("END", end))
    line = STOPPED.format(load=load, calls=N)
    words = ["run", str(plan), "--backend", backend, "--no-progress", "--", "sh", "-c", line]
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", *words],
        cwd=ROOT, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    finished = Ran.of(done.stdout.splitlines(keepends=True)[-1]).finished
    assert done.returncode == finished["exit_code"] == code, done.stderr
    assert finished["complete"] is False
    assert finished["lost"] != 0
    assert any("the buffer was full" in why for why in finished["incomplete_because"])
    ledger = finished["ledger"]
    emit = ledger["probes"]["p"]["emit"]
    lost = ledger["lost_unattributed"] if emit["ring_lost"] == "unknown" else emit["ring_lost"]
    assert lost + emit["delivered"] == N, json.dumps(emit)


def run_calls(plan: Path, *words: str) -> tuple[subprocess.CompletedProcess[bytes], Ran]:
    """`run` with these words; what it said, and its records."""
    done = subprocess.run(
        [sys.executable, "-m", "orchestrator.cli", "run", str(plan), "--no-progress", *words],
        cwd=ROOT, capture_output=True, timeout=120, check=False,
    )  # fmt: skip
    return done, Ran.of(done.stdout)


@pytest.mark.root
def test_a_run_whose_rate_held_records_back_says_so_at_its_end(
    backend: str, load: Path, tmp_path: Path
) -> None:
    """500 calls in one burst: by default all are recorded and nothing is said; at 100 a second,
    how many were held back by what is on standard error and in run.finished, with exit code 0."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(f"""
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {{name: burst, summary: for tests}}
limits: {{cpu: 100%, incomplete: fail}}
probes: {{p: {{attach: "uprobe:{load}:target_fn", emit: {{i: arg0}}}}}}
""")
    words = ["--backend", backend, "--", str(load), "call", "500"]
    done, ran = run_calls(plan, *words)
    assert (done.returncode, len(ran.data("p"))) == (0, 500)
    assert b"held back" not in done.stderr
    assert (ran.finished["counted"], ran.finished["recorded"]) == ("all", "all")

    done, ran = run_calls(plan, "--limit", "rate=100/s", *words)
    got = ran.finished["delivered"]
    assert (done.returncode, ran.finished["complete"]) == (0, True)
    assert 100 <= got < 500
    assert (
        f"500 events counted, {got} recorded, {500 - got} held back; {500 - got} records were held "
        "back by limits.rate (100 records per second): --limit rate=… raises it"
    ) in done.stderr.decode()
    assert (ran.finished["counted"], ran.finished["recorded"]) == ("all", "part")
