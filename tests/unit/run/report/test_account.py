"""The final account: counters are read until they balance, or for a tenth of a second."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from orchestrator.backends.protocol import Counts
from orchestrator.run.report.account import make_empty_account, settle_account
from orchestrator.run.report.ledger import Delivery, find_imbalances
from tests.support.fake_backend import FakeSession, Script, program


class LateSession(FakeSession):
    """Its counters balance only from the `balanced`-th look on."""

    def __init__(self, balanced: int) -> None:
        super().__init__(Script())
        self.looks, self._balanced = 0, balanced

    def counts(self) -> Counts:
        self.looks += 1
        counts = super().counts()
        if self.looks >= self._balanced:
            return counts
        return replace(counts, sides=(replace(counts.sides[0], fired=1),))


class Batches:
    """A stream with that many records."""

    def __init__(self, reads: int) -> None:
        self.left = reads

    def read_all(self) -> int:
        count, self.left = self.left, 0
        return count

    def deliveries(self) -> Mapping[int, Delivery]:
        return {0: Delivery()}


@pytest.fixture(autouse=True)
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses in seconds, none of which takes any time; the clock goes on by them."""
    made: list[float] = []
    monkeypatch.setattr("orchestrator.run.report.account.time.sleep", made.append)
    monkeypatch.setattr("orchestrator.run.report.account.time.monotonic", lambda: sum(made))
    return made


def test_counters_that_do_not_balance_yet_are_read_again() -> None:
    session = LateSession(balanced=3)
    account = settle_account(session, Batches(1), program(), session.attached)
    assert session.looks == 3
    assert find_imbalances(account.ledger, account.undelivered) == []


def test_counters_that_never_balance_are_taken_as_they_are(pauses: list[float]) -> None:
    """After three seconds: a program may be preempted for long, not forever."""
    session = LateSession(balanced=1000)
    account = settle_account(session, Batches(1), program(), session.attached)
    assert 3 <= sum(pauses) < 3.2
    assert session.looks < 50
    assert find_imbalances(account.ledger, account.undelivered)


def test_all_records_are_read_before_the_counters() -> None:
    stream = Batches(5)
    session = LateSession(balanced=1)
    settle_account(session, stream, program(), session.attached)
    assert stream.left == 0


def test_a_run_that_attached_nothing_has_an_account_that_balances() -> None:
    account = make_empty_account(program())
    assert find_imbalances(account.ledger, account.undelivered) == []
    assert (account.delivered, account.ledger["probes"]["opens"]["hooks"]) == (0, [])
