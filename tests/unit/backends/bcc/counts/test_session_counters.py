"""What a session counted: as it is now, and after the finish as it was then."""

import struct

import pytest

from orchestrator.backends.bcc.counts.session_counters import SessionCounters
from orchestrator.backends.bcc.design import layout
from tests.support.bcc_maps import FakeMap, fake_maps, recorded_program

PLAN = """
limits: {memory: 2MiB}
probes:
  out: {attach: "entry:vfs_read", emit: {s: kstack}, metrics: {n: {count: true}}}
  back: {attach: "fexit:vfs_read"}
spans:
  s: {start: out, end: back, key: [tid], emit: {}}
"""


class Counted:
    """The counters of PLAN; `armed`: whether events may still come."""

    def __init__(self) -> None:
        self.layout, self.maps = fake_maps(recorded_program(PLAN))
        self.armed = True
        self.counters = SessionCounters(self.layout, self.maps, lambda: self.armed)  # type: ignore[arg-type]

    def open(self, key: int) -> None:
        spans: FakeMap = self.maps[layout.span_map(self.layout.program.spans[0])]
        spans.update(struct.pack("=Q", key), bytes(spans.spec.value_size))
        self.started(len(spans.contents))

    def started(self, spans: int) -> None:
        word = self.layout.ledger_word("started")
        self.maps[layout.LEDGER].put_words(self.layout.span_element(0), {word: spans})

    def accept(self, events: int) -> None:
        word = self.layout.ledger_word("accepted")
        self.maps[layout.LEDGER].put_words(0, {word: events})


@pytest.fixture
def counted() -> Counted:
    return Counted()


def test_open_spans_are_counted_in_the_map_once_nothing_comes(counted: Counted) -> None:
    """While events come, they follow from what started; at the end the map proves it."""
    counted.open(1)
    counted.open(2)
    counted.started(5)
    assert counted.counters.counts([]).spans[0].in_flight == 5
    counted.armed = False
    assert counted.counters.counts([]).spans[0].in_flight == 2


def test_after_the_finish_all_is_as_it_was(counted: Counted) -> None:
    """The maps may be gone then."""
    counted.open(1)
    counted.accept(4)
    counted.armed = False
    counted.counters.finish([])
    counted.maps.clear()
    assert [cell.count for cell in counted.counters.metrics()[0]] == [4]
    assert len(counted.counters.open_spans(0).weight) == 1
    assert counted.counters.counts([]).spans[0].in_flight == 1
    assert counted.counters.new_stacks(None) == ()


def test_a_second_finish_changes_nothing(counted: Counted) -> None:
    counted.accept(4)
    counted.counters.finish([])
    counted.accept(9)
    counted.counters.finish([])
    assert [cell.count for cell in counted.counters.metrics()[0]] == [4]
