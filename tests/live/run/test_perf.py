"""`perf:` on this machine: page faults and context switches of a workload that knows its own."""

import subprocess
import sys
from pathlib import Path

from orchestrator.kernel.facts import live_facts
from tests.support.binaries import compile_to
from tests.support.paths import WORKLOADS
from tests.support.product import Ran, check_sums, run_cli

PAGES, SLEEPS = 5000, 40
PLAN = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: perf, summary: for tests, requires: "1.1"}
limits: {duration: 1m, cpu: 100%, events: 100k, rate: 1M/s, incomplete: allow}
probes:
  fault:
    attach: perf:page-faults/1
    emit: {what: func}
    where: comm == "touching"
    metrics: {n: {count: true, by: [comm]}}
  sampled: {attach: "perf:page-faults/10", metrics: {n: {count: true, by: [comm]}}}
  thinned:
    attach: perf:minor-faults/5
    where: comm == "touching"
    sample: 1/2
    emit: {}
    metrics: {n: {count: true}}
  switch: {attach: perf:context-switches, metrics: {n: {count: true, by: [comm]}}}
"""


def test_software_events_are_counted_exactly(tmp_path: Path) -> None:
    """With period 1 each is a hit, and the kernel's count of them shows that none was missed. With
    another one, a hit stands for all of the period, and is marked as an estimate. Switches away
    from tasks within bpf(2), which are not of the workload, are missed and counted as such."""
    binary = tmp_path / "counted"
    compile_to(binary, WORKLOADS / "counted.c")
    plan = tmp_path / "plan.yaml"
    plan.write_text(PLAN)
    switches = tmp_path / "switches"
    command = [str(binary), str(PAGES), str(SLEEPS), str(switches)]
    words = [sys.executable, "-m", "orchestrator.cli", "run", str(plan), "--backend", "bcc"]
    done = subprocess.run([*words, "--json", "--", *command], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    ran = Ran.of(done.stdout)
    check_sums(ran)
    assert all("perf:context-switches" in why for why in ran.finished["incomplete_because"])
    assert ran.value("fault", "n", comm="touching") == PAGES
    assert len(ran.data("fault")) == PAGES
    assert {row["what"] for row in ran.data("fault")} == {"page-faults"}
    assert ran.value("switch", "n", comm="sleeping") == int(switches.read_text()) >= SLEEPS
    # A period goes on over what else runs on the CPU: the hit is of the task that ends it.
    assert ran.value("sampled", "n", comm="touching") % 10 == 0
    assert abs(ran.value("sampled", "n", comm="touching") - PAGES) <= PAGES // 10
    weights = {line["probe"]: line["weight"] for line in ran.of_kind("event.recorded")}
    assert weights == {"fault": 1, "thinned": 10}
    samples = {line["probe"]: line["sample"] for line in ran.of_kind("metric.reported")}
    assert samples == {"fault": 1, "sampled": 10, "thinned": 10, "switch": 1}


UNSAMPLED = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: perf, summary: for tests, requires: "1.1"}
limits: {duration: 1m, cpu: 100%, events: 100k, rate: 1M/s, incomplete: allow}
probes:
  noted:
    attach: perf:page-faults/10
    where: comm == "touching"
    emit: {}
    metrics: {n: {count: true}, worth: {sum: tid}, later: {count: true, where: noted(seen)}}
notes:
  seen: {set: noted, key: [tid]}
"""


def test_a_hit_that_cannot_be_sampled_has_the_weight_of_its_period(tmp_path: Path) -> None:
    """A probe that sets a note is never sampled: its counts, sums and records have the weight all
    the same. The first event finds no note."""
    binary = tmp_path / "counted"
    compile_to(binary, WORKLOADS / "counted.c")
    plan = tmp_path / "plan.yaml"
    plan.write_text(UNSAMPLED)
    command = [str(binary), str(PAGES), str(SLEEPS), str(tmp_path / "switches")]
    ran = run_cli(str(plan), "--backend", "bcc", command=command)
    records = ran.of_kind("event.recorded")
    assert {line["weight"] for line in records} == {10}
    assert ran.value("noted", "n") == 10 * len(records)
    assert ran.value("noted", "later") == 10 * (len(records) - 1)
    assert ran.value("noted", "worth") == sum(10 * line["tid"] for line in records)
    assert abs(ran.value("noted", "n") - PAGES) <= PAGES // 10
    assert {line["sample"] for line in ran.of_kind("metric.reported")} == {10}


HARDWARE = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: perf, summary: for tests, requires: "1.1"}
probes: {p: {attach: perf:cycles/100k, metrics: {n: {count: true}}}}
"""


def test_the_processors_events_are_counted_or_refused_with_the_reason(tmp_path: Path) -> None:
    """By trial: a machine without them answers ENOENT."""
    plan = tmp_path / "plan.yaml"
    plan.write_text(HARDWARE)
    counters = live_facts().feature("hardware_counters")
    words = [sys.executable, "-m", "orchestrator.cli", "run", str(plan), "--json", "--", "true"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    if counters:
        assert done.returncode == 0
        assert Ran.of(done.stdout).value("p", "n") > 0
        return
    assert done.returncode == 3
    assert "perf_event_open: E" in counters.detail
    assert counters.detail in done.stderr
    assert "PP080" in done.stderr
