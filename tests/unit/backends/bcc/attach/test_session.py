"""A session of finished parts: what it steers, forgets, reads and undoes."""

import contextlib
import struct

import numpy as np
import pytest

from orchestrator.backends.bcc.attach.attachments import Attachments
from orchestrator.backends.bcc.attach.control import ControlElement
from orchestrator.backends.bcc.attach.session import BccSession
from orchestrator.backends.bcc.counts.session_counters import SessionCounters
from orchestrator.backends.bcc.design import layout
from orchestrator.backends.protocol import AttachOptions
from tests.support.bcc_maps import FakeMap, MemoryMap, fake_maps, recorded_program

PLAN = """
probes:
  p: {attach: "function:vfs_read", emit: {took: elapsed}}
  out: {attach: "entry:vfs_write"}
  back: {attach: "fexit:vfs_write"}
spans:
  s: {start: out, end: back, key: [tid], emit: {}}
"""


class FakeRing:
    """A ring with one batch."""

    def __init__(self, batch: np.ndarray) -> None:
        self.batches = [batch]
        self.advanced = 0

    def batch(self, _record_size: int) -> np.ndarray | None:
        return self.batches.pop() if self.batches else None

    def advance(self, count: int) -> None:
        self.advanced += count


class Made:
    """A session of PLAN over ordinary memory; `undone`: what was closed, in order."""

    def __init__(self) -> None:
        self.layout, self.maps = fake_maps(recorded_program(PLAN))
        self.control = MemoryMap(self.layout.control_bytes)
        element = ControlElement(
            self.layout,
            self.control,  # type: ignore[arg-type]
            MemoryMap(self.layout.shared_bytes),  # type: ignore[arg-type]
        )
        self.undone: list[str] = []
        undoing = contextlib.ExitStack()
        undoing.callback(self.undone.append, "maps")
        undoing.callback(self.undone.append, "attachments")
        stamps = np.array([[3], [1], [2]], dtype=np.uint64).view(np.uint8)
        self.ring = FakeRing(stamps)
        self.session = BccSession(
            self.layout,
            maps=self.maps,  # type: ignore[arg-type]
            control=element,
            ring=self.ring,  # type: ignore[arg-type]
            attachments=Attachments({}, AttachOptions(run_id="r"), {}),
            counters=SessionCounters(self.layout, self.maps, element.is_armed),  # type: ignore[arg-type]
            prices={},
            undoing=undoing,
        )

    def epochs(self) -> list[int]:
        probes = range(len(self.layout.program.probes))
        return [self.control.word(self.layout.probe_word(probe, "epoch")) for probe in probes]

    def open_span(self, key: int) -> None:
        spans: FakeMap = self.maps[layout.span_map(self.layout.program.spans[0])]
        spans.update(struct.pack("=Q", key), bytes(spans.spec.value_size))


@pytest.fixture
def made() -> Made:
    return Made()


def test_calls_that_were_open_while_their_probe_was_off_are_of_another_epoch(made: Made) -> None:
    """Of the probe that is resumed; of all when a lease had run out."""
    made.session.arm(10**9)
    before = made.epochs()
    made.session.resume([0])
    assert [now - then for now, then in zip(made.epochs(), before, strict=True)] == [1, 0, 0]
    made.session.extend(2 * 10**9)
    assert made.epochs()[1:] == before[1:]
    made.control.put(0, 0)  # the kernel disarms past the deadline
    made.session.extend(3 * 10**9)
    assert [now - then for now, then in zip(made.epochs(), before, strict=True)] == [2, 1, 1]


def test_resuming_a_probe_of_a_span_cancels_its_open_spans(made: Made) -> None:
    """They are counted as cancelled; another probe's resuming leaves them."""
    made.open_span(7)
    made.open_span(8)
    made.session.resume([0])
    assert made.session.counts().spans[0].cancelled == 0
    made.session.resume([2])
    assert made.session.counts().spans[0].cancelled == 2
    assert len(made.session.open_spans(0).weight) == 0


def test_a_batch_is_sorted_by_time_and_given_back_once(made: Made) -> None:
    [batch] = made.session.read()
    assert batch.view(np.uint64)[:, 0].tolist() == [1, 2, 3]
    made.session.release_batch()
    made.session.release_batch()
    assert made.ring.advanced == 3
    assert made.session.read() == ()


def test_only_probes_that_start_no_later_part_of_a_span_are_samplable(made: Made) -> None:
    """The span's end has the weight of its start."""
    assert made.session.samplable == {0, 1}


def test_a_probe_that_was_detached_stays_off(made: Made) -> None:
    made.session.arm(10**9)
    made.session.detach_probe(1)
    made.session.resume([1])
    assert made.control.word(0) == 0b101


def test_detaching_disarms_and_undoes_in_reverse_once(made: Made) -> None:
    """Counters stay readable; there is nothing more to read."""
    made.session.arm(10**9)
    made.session.detach()
    made.session.detach()
    assert made.control.word(0) == 0
    assert made.undone == ["attachments", "maps"]
    assert made.session.read() == ()
    made.maps.clear()
    assert made.session.counts().sides[0].fired == 0
