"""Attach a plan by one of the backends, do what is to be seen, and look at the whole account."""

import signal
import subprocess
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.accounting.vocabulary import Ledger
from orchestrator.backends import backend as backend_of
from orchestrator.backends.protocol import AttachOptions, Session
from orchestrator.cells.cell import Cell
from orchestrator.compile.lower import compile_plan
from orchestrator.compile.program import Program
from orchestrator.kernel.facts import live_facts
from orchestrator.plan.load import load_plan
from orchestrator.run.report.ledger import Delivery, make_ledger
from orchestrator.run.report.verdict import LedgerVerdict, judge_ledger
from tests.support.settling import settled

HEAD = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: ledger, summary: for tests}
"""
ROOM = "limits: {duration: 1m, events: 1M, rate: 100M/s}\n"
Act = Callable[[Session], object]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """A run that is over: its ledger, whose identities hold, what is made of it, its cells."""

    program: Program
    ledger: Ledger
    verdict: LedgerVerdict
    cells: dict[str, Sequence[Cell]]

    def hook(self, probe: str = "p") -> Any:
        """The account of the probe's only attach point."""
        [hook] = self.ledger["probes"][probe]["hooks"]
        return hook

    def side(self, name: str = "hit", probe: str = "p") -> Any:
        """One side of it: counts that are 0 are left out."""
        return {key: count for key, count in self.hook(probe)["sides"][name].items() if count != 0}

    def emit(self, probe: str = "p") -> Any:
        """The account of its records, without what is 0."""
        entry = self.ledger["probes"][probe]["emit"]
        assert entry is not None
        return {key: count for key, count in entry.items() if count != 0}

    def metric(self, name: str, probe: str = "p") -> Any:
        """The account of a metric, without what is 0."""
        entry = self.ledger["probes"][probe]["metrics"][name]
        return {key: count for key, count in entry.items() if count != 0}


def measured(
    backend: str, text: str, act: Act, *, room: str = ROOM, seconds: float = 60
) -> Measured:
    """Attach, arm for `seconds`, `act`, disarm, drain, detach. The identities hold, all of them."""
    facts = live_facts()
    program = compile_plan(load_plan((HEAD + room + text).encode()), facts)
    made = backend_of(backend)
    options = AttachOptions(run_id=f"t{uuid.uuid4().hex[:12]}")
    session = made.attach(made.emit(program, facts), facts, options)
    try:
        session.arm(time.monotonic_ns() + int(seconds * 1e9))
        act(session)
        session.disarm()
        delivered: Counter[int] = Counter()

        def look() -> tuple[Ledger, LedgerVerdict]:
            delivered.update(drained(session))
            deliveries = {
                emit.index: Delivery(delivered=delivered[emit.index]) for emit in program.emits
            }
            ledger = make_ledger(program, session.attached, session.counts(), deliveries)
            return ledger, judge_ledger(ledger, {})

        ledger, verdict = settled(look, lambda reading: not reading[1].violations)
        cells = {metric.name: session.metrics()[metric.index] for metric in program.metrics}
    finally:
        session.detach()
    assert verdict.violations == ()
    return Measured(program=program, ledger=ledger, verdict=verdict, cells=cells)


def drained(session: Session) -> dict[int, int]:
    """All records that are there, by the index of their Emit."""
    found: dict[int, int] = dict.fromkeys(range(64), 0)
    while batches := session.read():
        for batch in batches:
            for number in batch[:, 8].tolist():
                found[number] += 1
        session.release_batch()
    return found


def calling(load: Path, *words: object) -> Act:
    """Runs `load words…` to its end."""

    def act(_session: Session) -> None:
        subprocess.run(
            [str(load), *map(str, words)], check=True, stdout=subprocess.DEVNULL, timeout=120
        )

    return act


@contextmanager
def held(load: Path, threads: int) -> Iterator[Callable[[], None]]:
    """`threads` threads asleep in a read of one byte. What is given lets them go and waits for
    their end."""
    words = [str(load), "held", str(threads)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None

        def release() -> None:
            process.send_signal(signal.SIGUSR1)
            assert process.wait(timeout=60) == 0

        assert process.stdout.readline() == "asleep\n"
        try:
            yield release
        finally:
            process.kill()
