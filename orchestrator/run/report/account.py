"""The final account of a run: counters read until they balance."""

import time
from collections.abc import Mapping, Sequence
from typing import Protocol

from orchestrator.accounting.vocabulary import Ledger
from orchestrator.backends.protocol import AttachedHook, Counts, Session
from orchestrator.compile.program import Program
from orchestrator.run.report.ledger import Delivery, find_imbalances, make_ledger
from orchestrator.values import dataclass

__all__ = ["Account", "RecordStream", "make_account", "make_empty_account", "settle_account"]

#: A program is preempted where the kernel is preemptible, and so is a virtual CPU, for longer than
#: 100 ms on a busy host.
_SETTLE_SECONDS, _FIRST_PAUSE_S, _LONGEST_PAUSE_S = 3.0, 0.005, 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The counters of a run and its ledger. `undelivered`: by probe, records that the output did
    not take; `delivered`: records written."""

    counts: Counts
    ledger: Ledger
    undelivered: Mapping[str, int]
    delivered: int


class RecordStream(Protocol):
    """What settling needs of the stream of records."""

    def read_all(self) -> int:
        """Read all records that are there; returns how many."""

    def deliveries(self) -> Mapping[int, Delivery]:
        """What became of the records of each Emit, by its index."""


def settle_account(
    session: Session, stream: RecordStream, program: Program, attached: Sequence[AttachedHook]
) -> Account:
    """The account of a run that is disarmed. A program that was running on another CPU when it was
    disarmed still ends, so counters that do not balance yet are read again, for at most three
    seconds."""
    deadline, pause = time.monotonic() + _SETTLE_SECONDS, _FIRST_PAUSE_S
    while True:
        stream.read_all()
        account = make_account(program, attached, session.counts(), stream.deliveries())
        balances = not find_imbalances(account.ledger, account.undelivered)
        if balances or time.monotonic() >= deadline:
            return account
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_PAUSE_S)


def make_account(
    program: Program,
    attached: Sequence[AttachedHook],
    counts: Counts,
    deliveries: Mapping[int, Delivery],
) -> Account:
    """The account that these counters and deliveries (by Emit.index) make."""
    return Account(
        counts=counts,
        ledger=make_ledger(program, attached, counts, deliveries),
        undelivered={
            emit.probe: deliveries[emit.index].undelivered
            for emit in program.emits
            if emit.index in deliveries
        },
        delivered=sum(delivery.delivered for delivery in deliveries.values()),
    )


def make_empty_account(program: Program) -> Account:
    """The account of a run that attached nothing."""
    return make_account(program, (), Counts(sides=(), emits=(), metrics=()), {})
