"""Probes that are attached once count each stretch from zero, from the first instruction of the
program on: exactly what it does, on both backends."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.cells.cell import Cell
from orchestrator.check.processes.launcher import Launcher
from orchestrator.check.processes.settings import ProcessSettings
from orchestrator.compile.program import Program
from orchestrator.kernel.facts import live_facts
from orchestrator.plan.load import load_plan
from orchestrator.run.options import RunOptions
from orchestrator.run.prepare import prepare
from orchestrator.run.report.verdict import judge_ledger
from orchestrator.run.standing.probes import StandingProbes, Stretch
from orchestrator.run.standing.silence import make_silent

backends = pytest.mark.parametrize("backend", ["bcc", "tracefs"])

PLAN = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: stretches, summary: for tests}
probes:
  call:
    attach: "tracepoint:raw_syscalls:sys_enter"
    let: {number: args.id}
    metrics:
      all: {count: true, by: [comm]}
      numbers: {count: true, by: [number]}
      parents: {count: args.id == 110}
      started: {count: args.id == 59}
  write:
    attach: "syscall:write"
    where: retval > 0
    metrics:
      bytes: {sum: retval}
      least: {min: retval}
      most: {max: retval}
      mean: {avg: retval}
      sizes: {histogram: retval}
      by_size: {sum: retval, by: [args.count]}
"""
FIRST, SECOND = 300, 200


class Counter:
    """Attached probes, and the launcher of what they count."""

    def __init__(self, probes: StandingProbes, launcher: Launcher, program: Program) -> None:
        self.probes, self.launcher, self.program = probes, launcher, program

    def count(self, *argv: str) -> Stretch:
        given = ProcessSettings(argv[0], list(argv), {}, "/", "/dev/null", 0, 0, [0], None, True)
        process = self.launcher.start_stopped(given)
        while not self.launcher.is_asleep():
            time.sleep(0)
        self.probes.begin()
        self.launcher.let_go(process)
        until_ns = time.monotonic_ns() + 60_000_000_000
        assert self.probes.wait([process.pidfd], until_ns) == [process.pidfd]
        stretch = self.probes.end()
        self.launcher.reap(process)
        return stretch

    def cells(self, stretch: Stretch, name: str) -> list[Cell]:
        [spec] = [metric for metric in self.program.metrics if metric.name == name]
        return [cell for cell in stretch.cells[spec.index] if not cell.is_empty]


@contextmanager
def counter(backend: str, folder: Path, text: str = PLAN) -> Iterator[Counter]:
    file = folder / "plan.yaml"
    file.write_text(text)
    plan = make_silent(load_plan(str(file)), 60_000_000_000)
    prepared = prepare(plan, live_facts(), backend=backend, follow_children=True)
    options = RunOptions(journals=(folder / "journals",))
    with Launcher() as launcher:
        with StandingProbes(prepared, options, root_pid=launcher.pid) as probes:
            yield Counter(probes, launcher, prepared.choice.artifact.program)
        assert probes.faults.describe() is None


@backends
def test_every_stretch_counts_what_its_program_does_and_no_more(
    backend: str, steps: Path, tmp_path: Path
) -> None:
    with counter(backend, tmp_path) as counts:
        for n in (FIRST, SECOND, FIRST):
            stretch = counts.count(str(steps), str(n))
            total = n * (n + 1) // 2

            def value(name: str, stretch: Stretch = stretch) -> Cell:
                [cell] = counts.cells(stretch, name)
                return cell

            assert value("parents").count == 2 * n
            assert counts.cells(stretch, "started") == []
            assert value("bytes").sum == total
            assert (value("least").min, value("most").max) == (1, n)
            assert (value("mean").sum, value("mean").count) == (total, n)
            assert sum(value("sizes").buckets.values()) == n
            assert {cell.sum for cell in counts.cells(stretch, "by_size")} == set(range(1, n + 1))
            names = {cell.key for cell in counts.cells(stretch, "all")}
            assert names == {b"steps".ljust(16, b"\0")}
            verdict = judge_ledger(stretch.account.ledger, {})
            assert verdict.complete is True, verdict.reasons
            assert stretch.would_have is None
            assert not stretch.expired


@backends
def test_the_same_program_makes_the_same_calls_each_time(
    backend: str, steps: Path, tmp_path: Path
) -> None:
    with counter(backend, tmp_path) as counts:
        stretches = [counts.count(str(steps), "50") for _ in range(5)]
        numbers = [
            sorted((cell.key, cell.count) for cell in counts.cells(stretch, "numbers"))
            for stretch in stretches
        ]
        assert numbers == [numbers[0]] * 5


def test_what_happens_between_two_stretches_is_not_counted(steps: Path, tmp_path: Path) -> None:
    with counter("bcc", tmp_path) as counts:
        counts.count(str(steps), "10")
        given = ProcessSettings(
            str(steps), ["steps", "500"], {}, "/", "/dev/null", 0, 0, [0], None, True
        )
        process = counts.launcher.start(given)
        counts.probes.session.wait(60, [process.pidfd])
        counts.launcher.reap(process)
        [cell] = counts.cells(counts.count(str(steps), "10"), "parents")
        assert cell.count == 20


@backends
def test_a_stretch_that_is_longer_than_its_limit_says_so(
    backend: str, steps: Path, tmp_path: Path
) -> None:
    file = tmp_path / "plan.yaml"
    file.write_text(PLAN)
    plan = make_silent(load_plan(str(file)), 200_000_000)
    prepared = prepare(plan, live_facts(), backend=backend, follow_children=True)
    options = RunOptions(journals=(tmp_path / "journals",))
    program = prepared.choice.artifact.program
    with (
        Launcher() as launcher,
        StandingProbes(prepared, options, root_pid=launcher.pid) as probes,
    ):
        assert Counter(probes, launcher, program).count(str(steps), "10", "1").expired
