"""Sending in threads: the caller never waits, and what is not sent is counted and said."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator

import pytest

from orchestrator.export.otlp.collector import SendOutcome
from orchestrator.export.otlp.delivery import EVENTS_ROOM, OtlpDelivery
from orchestrator.export.snapshot import Family, Sample, Snapshot

FAILED = SendOutcome(failure="http://c: connection refused")
REFUSED = SendOutcome(failure="http://c: status 400", may_succeed_later=False)
DROPPED, SENDS = "probeplan_export_dropped", "probeplan_export_sends"


class Source:
    """Series of which the only one counts snapshots."""

    def __init__(self) -> None:
        self.taken = 0
        self.counted = Counter[tuple[str, ...]]()

    def snapshot(self) -> Snapshot:
        self.taken += 1
        sample = Sample((), self.taken)
        family = Family(name="probeplan_taken", kind="counter", help="x", samples=(sample,))
        return Snapshot(families=(family,), created_unix_nano=1, taken_unix_nano=2)

    def count(self, family: str, amount: int = 1, /, **labels: str) -> None:
        self.counted[family, *labels.values()] += amount


class Collector:
    """Keeps what it is sent; `answer`: how each export ends. While `gate` is not set, exports do
    not return."""

    def __init__(self) -> None:
        self.sent: list = []
        self.answer: Callable[[], SendOutcome] = SendOutcome
        self.gate = threading.Event()
        self.gate.set()
        self.tries = 0

    def send(self, what: object) -> SendOutcome:
        self.tries += 1
        self.gate.wait(30)
        outcome = self.answer()
        if not outcome.failure:
            self.sent.append(what)
        return outcome

    def give_up(self) -> None:
        self.gate.set()

    @property
    def lines(self) -> list[bytes]:
        return [line for lines in self.sent for line in lines]


class Setting:
    def __init__(self, interval_s: float = 0.01) -> None:
        self.source, self.metrics, self.logs = Source(), Collector(), Collector()
        self.said: list[str] = []
        self.delivery = OtlpDelivery(
            self.source, metrics=self.metrics, logs=self.logs, interval_s=interval_s,
            logs_interval_s=0.01, say=self.said.append,
        )  # fmt: skip


@pytest.fixture
def setting() -> Iterator[Setting]:
    made = Setting()
    yield made
    made.metrics.gate.set()
    made.logs.gate.set()
    made.delivery.close(5)


def wait_until(is_true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not is_true():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def test_all_lines_and_the_newest_values_are_sent_before_it_ends(setting: Setting) -> None:
    """2,500 lines in their order, in requests of at most 1,000."""
    lines = [b"%d" % number for number in range(2500)]
    for line in lines:
        setting.delivery.put_line(line, is_lifecycle=False)
    assert setting.delivery.close(20) == ""
    assert setting.logs.lines == lines
    assert max(map(len, setting.logs.sent)) <= 1000
    assert setting.metrics.sent[-1].families[0].samples[0].value == setting.source.taken
    assert setting.said == []
    assert setting.source.counted[DROPPED, "log_records", "undelivered"] == 0


def test_a_collector_that_does_not_answer_keeps_nobody_waiting(setting: Setting) -> None:
    """25,000 lines at a collector that hangs: all calls return, what did not fit is counted, and
    closing takes no longer than it may."""
    setting.logs.gate.clear()
    setting.metrics.gate.clear()
    setting.logs.answer = setting.metrics.answer = lambda: FAILED
    setting.delivery.put_line(b"first", is_lifecycle=True)
    wait_until(lambda: setting.logs.tries == 1)
    for _ in range(25_000):
        setting.delivery.put_line(b"x", is_lifecycle=False)
    room, _ = EVENTS_ROOM
    assert setting.delivery.dropped == 25_000 - room
    missing = setting.delivery.close(0.05)
    assert setting.source.counted[DROPPED, "log_records", "undelivered"] == room + 1
    assert missing == (
        f"the newest values of the series, {room + 1:,} log records, "
        f"{25_000 - room:,} log records that were dropped earlier"
    )


def test_a_flood_of_events_drops_no_lifecycle_record(setting: Setting) -> None:
    """They have separate room."""
    setting.logs.gate.clear()
    setting.delivery.put_line(b"in flight", is_lifecycle=True)
    wait_until(lambda: setting.logs.tries == 1)
    setting.delivery.put_line(b"run.finished", is_lifecycle=True)
    for _ in range(EVENTS_ROOM[0] + 500):
        setting.delivery.put_line(b"x", is_lifecycle=False)
    setting.logs.gate.set()
    setting.delivery.close(20)
    assert setting.logs.lines[:2] == [b"in flight", b"run.finished"]
    assert len(setting.logs.lines) == 2 + EVENTS_ROOM[0]


def test_after_an_outage_the_newest_values_and_the_lines_that_were_kept_arrive(
    setting: Setting,
) -> None:
    """Failure and recovery are each said once, and each attempt is counted."""
    setting.logs.answer = setting.metrics.answer = lambda: FAILED
    setting.delivery.put_line(b"kept", is_lifecycle=True)
    counted = setting.source.counted
    signals = ("logs", "metrics")
    wait_until(lambda: all(counted[SENDS, signal, "failed"] for signal in signals))
    before, taken = len(setting.metrics.sent), setting.source.taken
    setting.logs.answer = setting.metrics.answer = SendOutcome
    wait_until(lambda: len(setting.metrics.sent) > before and bool(setting.logs.sent))
    assert setting.logs.lines == [b"kept"]
    assert setting.metrics.sent[before].families[0].samples[0].value >= taken
    wait_until(lambda: len(setting.said) == 4)
    assert sum("connection refused" in text for text in setting.said) == 2
    assert sum("sent again" in text for text in setting.said) == 2


def test_lines_that_are_refused_for_good_are_counted_and_not_sent_again(setting: Setting) -> None:
    """Otherwise one line would hold up all others."""
    setting.logs.answer = lambda: REFUSED
    setting.delivery.put_line(b"bad", is_lifecycle=True)
    wait_until(lambda: setting.source.counted[DROPPED, "log_records", "refused"] == 1)
    setting.logs.answer = SendOutcome
    setting.delivery.put_line(b"good", is_lifecycle=True)
    assert setting.delivery.close(20) == ""
    assert setting.logs.lines == [b"good"]


def test_what_a_collector_rejects_is_counted_by_kind(setting: Setting) -> None:
    """Two log records; data points each time that they are."""
    setting.logs.answer = lambda: SendOutcome(rejected=2)
    setting.metrics.answer = lambda: SendOutcome(rejected=1)
    for _ in range(3):
        setting.delivery.put_line(b"x", is_lifecycle=True)
    setting.delivery.close(20)
    counted = setting.source.counted
    assert counted[DROPPED, "log_records", "refused"] == 2
    assert counted[DROPPED, "data_points", "refused"] == len(setting.metrics.sent)


def test_the_end_of_a_run_is_sent_without_waiting_for_the_interval() -> None:
    """The interval is an hour."""
    setting = Setting(interval_s=3600)
    assert setting.metrics.tries == 0
    setting.delivery.flush()
    wait_until(lambda: bool(setting.metrics.sent))
    assert setting.delivery.close(20) == ""


def test_a_signal_that_is_switched_off_takes_no_room() -> None:
    """No thread, no queue."""
    source = Source()
    delivery = OtlpDelivery(source, metrics=None, logs=None, interval_s=1, say=pytest.fail)
    for _ in range(100_000):
        delivery.put_line(b"x", is_lifecycle=False)
    delivery.flush()
    assert delivery.dropped == 0
    assert delivery.close(1) == ""
    assert source.taken == 0
