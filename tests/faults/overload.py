"""Far more events than are drained: writers on every CPU, several probes on what they do, and
buffers that are much too small. Whatever is lost, the accounts add up to what was done."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

from orchestrator.accounting.count import Count, add_counts
from orchestrator.kernel.facts import live_facts
from orchestrator.output.sink import Sink
from orchestrator.plan.load import load_plan
from orchestrator.run.cost.governor import Governor
from orchestrator.run.report.ledger import find_imbalances
from orchestrator.run.runner import run_plan
from tests.support.product import Ran

#: Bytes of everything: maps too where there are some, so that little is left for records.
MEMORY = {"bcc": "4MiB", "tracefs": "64KiB"}
WRITERS_A_CPU = 2
PLAN = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: overload, summary: for tests}
limits: {duration: 10m, events: 100M, rate: 1000M/s, memory: MEMORY}
probes:
  entry:
    attach: 'uprobe:LOAD:target_fn'
    args: {i: s64, twice: s64}
    emit: {i: args.i, twice: args.twice}
    metrics:
      n: {count: true}
      few: {count: true, by: [args.i], keys: 16}
  pair:
    attach: 'ufunction:LOAD:target_fn'
    args: {i: s64}
    where: args.i % 4 != 0
    emit: {took: elapsed}
    metrics: {shape: {histogram: elapsed}}
  sampled:
    attach: 'uprobe:LOAD:target_fn'
    args: {i: s64}
    sample: 1/5
    rate: 100/s
    emit: {i: args.i}
  call:
    attach: syscall:sched_get_priority_max
    emit: {got: retval}
    metrics: {calls: {count: true, by: [tid]}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Overload:
    """What a run under overload came to: `calls` were made of each of the two things probed."""

    calls: int
    seconds: float
    delivered: int
    lost: str
    missed: str

    def __str__(self) -> str:
        return (
            f"{self.calls:,} calls each of a function and a system call, on {os.cpu_count()} CPUs "
            f"in {self.seconds:.1f} s: {self.delivered:,} records delivered, {self.lost} lost, "
            f"{self.missed} events that the kernel did not show; nothing unaccounted for"
        )


def overload(backend: str, folder: Path, load: Path, calls: int) -> Overload:
    """One run alongside writers that make `calls` calls each. Raises AssertionError when something
    went away without a trace."""
    log = folder / f"overload-{backend}.log"
    text = PLAN.replace("LOAD", str(load)).replace("MEMORY", MEMORY[backend])
    writers = _Writers(_argvs(load, calls))
    with log.open("wb") as lines, mock.patch.object(Governor, "_judge", _whatever_it_costs):
        run_plan(
            load_plan(text.encode()),
            live_facts(),
            backend=backend,
            log=Sink(lines),
            progress=writers,
        )
    with log.open() as read:
        finished = Ran.of(_last(read)).finished
    log.unlink()
    made = calls * WRITERS_A_CPU * (os.cpu_count() or 1)
    check(finished, made)
    emits = [one["emit"] for one in finished["ledger"]["probes"].values()]
    return Overload(
        calls=made,
        seconds=writers.seconds,
        delivered=finished["delivered"],
        lost=_sum(*(emit["ring_lost"] for emit in emits), finished["ledger"]["lost_unattributed"]),
        missed=_sum(*(side["kernel_missed"] for _, _, side in _sides(finished["ledger"]))),
    )


def _whatever_it_costs(_governor: Governor, _cost: object) -> bool:
    """The governor would take away what floods; here the flood is the point."""
    return False


class _Writers:
    """Run when the run first reports its progress, which is when all is armed; then they end it,
    as Ctrl-C would. They are no one's children that a plan would follow."""

    def __init__(self, argvs: list[list[str]]) -> None:
        self.argvs = argvs
        self.seconds = 0.0

    def announce(self, text: str) -> None:
        """What takes a while, as the compiler does where nothing is cached."""

    def follow(self, look: object, program: object) -> None:
        """Nothing is looked at."""

    def update(self, elapsed_s: float, events: int, lost: Count) -> None:
        del elapsed_s, events, lost
        if self.argvs:
            threading.Thread(target=self._write, args=(self.argvs,)).start()
            self.argvs = []

    def _write(self, argvs: list[list[str]]) -> None:
        """Alongside the reader, which goes on."""
        began = time.monotonic()
        running = [subprocess.Popen(argv, stdout=subprocess.DEVNULL) for argv in argvs]
        for one in running:
            one.wait()
        self.seconds = time.monotonic() - began
        os.kill(os.getpid(), signal.SIGINT)

    def hide(self) -> None:
        """Nothing is shown."""


def _argvs(load: Path, calls: int) -> list[list[str]]:
    """The writers, each bound to its CPU."""
    return [
        [str(load), what, str(calls), str(cpu)]
        for cpu in range(os.cpu_count() or 1)
        for what in ("call", "rare")
        for _ in range(WRITERS_A_CPU)
    ]


def _last(lines: Iterator[str]) -> str:
    """The last line of a file that may be large."""
    last = ""
    for line in lines:
        last = line
    return last


def check(finished: Any, made: int) -> None:
    """Every identity holds, every call is there, and what is missing makes the run incomplete."""
    ledger = finished["ledger"]
    assert find_imbalances(ledger, {}) == []
    assert finished["complete"] is False
    for probe, name, side in _sides(ledger):
        happened = add_counts((side["fired"], side["kernel_missed"]))
        if happened == "unknown":  # hits of static events are not counted
            assert probe == "call", (probe, name, side)
        else:
            assert happened == made, (probe, name, side)
    for name, probe in ledger["probes"].items():
        delivered, recorded = probe["emit"]["delivered"], probe["emit"]["recorded"]
        assert delivered == recorded, name
        for hook in probe["hooks"]:
            assert hook.get("in_flight", 0) in (0, "unknown"), (name, hook)


def _sides(ledger: Any) -> Iterator[tuple[str, str, Any]]:
    for probe, accounts in ledger["probes"].items():
        for hook in accounts["hooks"]:
            for name, side in hook["sides"].items():
                yield probe, name, side


def _sum(*counts: int | str) -> str:
    """What is known, and whether some is not."""
    known = sum(count for count in counts if isinstance(count, int))
    return f"{known:,}{' at least' if 'unknown' in counts else ''}"
