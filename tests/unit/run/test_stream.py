"""Records of several probes in one stream: each probe's are counted apart, whatever is written."""

import errno
import io
import json
import time
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from orchestrator.compile.program import Program
from orchestrator.output.json_lines.stack_numbers import StackColumns
from orchestrator.output.run_output import RunOutput, TeeSink
from orchestrator.output.sink import OnLost, OutputLost, Sink, ignore_loss
from orchestrator.output.wall_clock import WallClock
from orchestrator.plan.model import Limits
from orchestrator.run.report.ledger import Delivery
from orchestrator.run.stacks import Stacks
from orchestrator.run.stream import Stream
from orchestrator.symbols.frames import Stack
from tests.support.fake_backend import program, records
from tests.support.fake_runs import checked_lines

CONSTANTS = {"run_id": "r", "plan": "p", "host": "h"}


def two_probes(limits: Limits) -> Program:
    [first] = program().probes
    assert first.emit is not None
    second = replace(
        first, index=1, name="closes", emit=replace(first.emit, index=1, probe="closes"), metrics=()
    )
    return replace(program(limits), probes=(first, second))


class Batches:
    """A session that has these batches, one a read."""

    def __init__(self, *batches: list[int]) -> None:
        self.left = [mixed(emits) for emits in batches]

    def read(self) -> list[NDArray[np.uint8]]:
        return [self.left.pop(0)] if self.left else []

    def release_batch(self) -> None:
        pass

    def new_stacks(self, numbers: object = None) -> list[Stack]:
        del numbers
        return []


def mixed(emits: list[int]) -> NDArray[np.uint8]:
    made = records(range(len(emits))).copy()
    made[:, 8] = emits
    return made


class Counting(Sink):
    """A sink that takes `room` records and no more."""

    def __init__(self, room: int) -> None:
        super().__init__(io.BytesIO())
        self.room = room

    def write(self, lines: bytes | memoryview, records: int, on_lost: OnLost = ignore_loss) -> None:
        taken = min(records, self.room)
        self.room -= taken
        self.delivered += taken
        if taken < records:
            raise OutputLost(28, records - taken)


batches = st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=40), max_size=5)


@given(batches, st.integers(0, 100), st.integers(0, 100))
def test_each_record_is_delivered_trimmed_or_undelivered_in_order(
    made, cap: int, room: int
) -> None:
    output = RunOutput(Counting(room), CONSTANTS)
    session = Batches(*made)
    stacks = Stacks(session.new_stacks, output)
    stream = Stream(session, two_probes(Limits(events=cap)), output, CONSTANTS, stacks, WallClock())
    while stream.drain():
        pass
    emits = [emit for batch in made for emit in batch]
    kept = emits[:cap]
    assert stream.deliveries() == {
        index: Delivery(
            delivered=kept[:room].count(index),
            trimmed=emits[cap:].count(index),
            undelivered=kept[room:].count(index),
        )
        for index in (0, 1)
    }
    assert (output.failed is not None) == (len(kept) > room)


@given(batches, st.integers(0, 5000))
def test_limits_output_is_never_passed_and_cuts_no_line(made, size: int) -> None:
    written = io.BytesIO()
    output = RunOutput(Sink(written), CONSTANTS)
    session = Batches(*made)
    stacks = Stacks(session.new_stacks, output)
    stream = Stream(
        session, two_probes(Limits(output=size)), output, CONSTANTS, stacks, WallClock()
    )
    while stream.drain():
        pass
    lines = checked_lines(written.getvalue())
    assert len(written.getvalue()) <= size
    assert len(lines) == stream.delivered
    assert stream.full == (len(lines) < sum(map(len, made)))


def test_records_follow_a_clock_that_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the log says by how much it was set."""
    written = io.BytesIO()
    output = RunOutput(Sink(written), CONSTANTS)
    output.flush()
    session = Batches([0], [0])
    clock = WallClock()
    stacks = Stacks(session.new_stacks, output)
    stream = Stream(session, two_probes(Limits()), output, CONSTANTS, stacks, clock)
    stream.drain()
    real, hours = time.time_ns, -7_200_000_000_000
    monkeypatch.setattr(time, "time_ns", lambda: real() + hours)
    stream.drain()
    first, stepped, second = map(json.loads, written.getvalue().splitlines())
    assert stepped["event"] == "clock.stepped"
    assert stepped["by_ns"] == pytest.approx(hours, abs=1_000_000)
    apart = second["time_unix_nano"] - first["time_unix_nano"]
    assert apart == pytest.approx(hours, abs=60_000_000_000)


class Slow(Sink):
    """A sink whose reader reads when `push` is called, or never again."""

    def __init__(self) -> None:
        super().__init__(io.BytesIO())
        self.waiting: list[OnLost] = []
        self.sizes: list[int] = []

    @property
    def congested(self) -> bool:
        return bool(self.waiting)

    def write(self, lines: bytes | memoryview, records: int, on_lost: OnLost = ignore_loss) -> None:
        if self.failed is not None:
            raise OutputLost(self.failed, records)
        assert not self.waiting, "nothing is added to what waits"
        super().write(lines, records)
        self.waiting.append(on_lost)
        self.sizes.append(records)

    def push(self, patience_s: float) -> bool:
        del patience_s
        self.waiting.clear()
        return True

    def give_up(self) -> None:
        self.failed = errno.EAGAIN
        for on_lost in self.waiting:
            on_lost(self.sizes[-1])
        self.waiting.clear()


def slow_stream(*made: list[int]) -> tuple[Slow, RunOutput, Stream, Batches]:
    slow = Slow()
    output = RunOutput(slow, CONSTANTS)
    session = Batches(*made)
    stacks = Stacks(session.new_stacks, output)
    stream = Stream(session, two_probes(Limits()), output, CONSTANTS, stacks, WallClock())
    return slow, output, stream, session


def test_the_kernel_keeps_what_the_output_does_not_take_beyond_a_bound(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Its buffer is bounded, and it counts what it loses; what was read counts against caps."""
    monkeypatch.setattr("orchestrator.run.stream._MOST_HELD", 1)
    slow, output, stream, session = slow_stream([0] * 5, [1] * 3, [0])
    assert (stream.drain(), stream.drain(), stream.drain()) == (5, 3, 0)
    assert len(session.left) == 1
    assert slow.sizes == [5]
    output.push(0.0)
    assert (stream.drain(), slow.sizes) == (1, [5, 3])
    output.push(0.0)
    assert (stream.drain(), slow.sizes) == (0, [5, 3, 1])


def test_records_with_stacks_stay_in_the_kernel_while_the_output_takes_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Their stacks are written when they are read."""
    monkeypatch.setattr(StackColumns, "are_there", True)
    slow, output, stream, _ = slow_stream([0] * 5, [1] * 3)
    assert (stream.drain(), stream.drain()) == (5, 0)
    output.push(0.0)
    assert (stream.drain(), slow.sizes) == (3, [5, 3])


def test_all_is_read_before_detaching_and_written_once_the_reader_takes_it() -> None:
    slow, output, stream, session = slow_stream([0] * 5, [1] * 3, [0])
    assert stream.read_all() == 9
    assert session.left == []
    assert [one.delivered for one in stream.deliveries().values()] == [6, 3]
    assert slow.sizes == [5]
    while output.congested:
        output.push(0.0)
        stream.write_held()
    assert slow.sizes == [5, 3, 1]
    assert stream.deliveries() == {0: Delivery(delivered=6), 1: Delivery(delivered=3)}


def test_what_a_reader_never_took_is_counted_as_undelivered() -> None:
    """What waited in the queue, and what was held back because of it."""
    _, output, stream, _ = slow_stream([0, 1, 0], [1] * 3, [0])
    stream.drain()
    output.push(0.0)
    stream.read_all()
    output.give_up()
    stream.write_held()
    assert stream.deliveries() == {
        0: Delivery(delivered=2, undelivered=1),
        1: Delivery(delivered=1, undelivered=3),
    }
    assert output.failed is not None


def test_a_tee_writes_to_both_and_counts_what_one_of_them_did_not_take() -> None:
    full, whole = Counting(1), io.BytesIO()
    output = RunOutput(TeeSink(full, Sink(whole)), CONSTANTS)
    assert output.write_lines(b"one\ntwo\n", 2) == 1
    assert output.failed is not None
    assert whole.getvalue() == b"one\ntwo\n"
