"""The final account of a run: counters read until they balance."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from orchestrator.backends.protocol import AttachedHook, Counts, Session
from orchestrator.compile.program import Program
from orchestrator.run.report.ledger import Delivery, Ledger, balance, ledger_of

__all__ = ["Account", "Reader", "account_of", "no_account", "settle"]

_TRIES, _PAUSE_S = 20, 0.005


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """The counters of a run and its ledger. `undelivered`: by probe, records that the output did
    not take; `delivered`: records written."""

    counts: Counts
    ledger: Ledger
    undelivered: Mapping[str, int]
    delivered: int


class Reader(Protocol):
    """What settling needs of the stream of records."""

    def drain(self) -> int:
        """Read and write what is there; returns how many records were read."""

    def deliveries(self) -> Mapping[int, Delivery]:
        """What became of the records of each Emit, by its index."""


def settle(
    session: Session, reader: Reader, program: Program, attached: Sequence[AttachedHook]
) -> Account:
    """The account of a run that is disarmed. A program that was running on another CPU when it was
    disarmed ends within microseconds: counters that do not balance yet are read again."""
    for left in reversed(range(_TRIES)):
        while reader.drain():
            pass
        account = account_of(program, attached, session.counts(), reader.deliveries())
        if not left or not balance(account.ledger, account.undelivered):
            break
        time.sleep(_PAUSE_S)
    return account


def account_of(
    program: Program,
    attached: Sequence[AttachedHook],
    counts: Counts,
    deliveries: Mapping[int, Delivery],
) -> Account:
    """The account that some counters make."""
    return Account(
        counts=counts,
        ledger=ledger_of(program, attached, counts, deliveries),
        undelivered={
            emit.probe: deliveries[emit.index].undelivered
            for emit in program.emits
            if emit.index in deliveries
        },
        delivered=sum(one.delivered for one in deliveries.values()),
    )


def no_account(program: Program) -> Account:
    """The account of a run that attached nothing."""
    return account_of(program, (), Counts(sides=(), emits=(), metrics=()), {})
