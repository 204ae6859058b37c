"""One pass over the ledger and the maps: cells, and how many events came in between."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from orchestrator.backends.bcc.counts.metric_maps import MetricMaps
from orchestrator.backends.bcc.counts.reading import find_feeds
from orchestrator.backends.bcc.design import layout
from orchestrator.backends.bcc.design.layout import MapLayout
from orchestrator.cells.cell import Cell
from orchestrator.compile.lower import compile_plan
from orchestrator.plan.load import load_plan
from tests.support.plans import HEAD
from tests.support.recorded import recorded

PLAN = (
    HEAD
    + """
probes:
  read:
    attach: kprobe:vfs_read
    metrics:
      calls: {count: true, by: [tid]}
      bytes: {sum: arg2, by: [tid]}
      all: {count: true}
      most: {sum: arg2}
      sizes: {histogram: arg2}
  write:
    attach: kprobe:vfs_write
    metrics: {count: {count: true}}
"""
)
CALLS, BYTES, ALL, MOST, SIZES, WRITES = range(6)
KEY = struct.pack("=Q", 7)


@dataclass
class FakeKernel:
    """A ledger of one CPU, and maps. Each event reads 100 bytes in thread 7. `between`: how many
    come before a map is read, by its placeholder."""

    lay: MapLayout
    between: dict[int, int] = field(default_factory=dict)
    events: int = 0
    reads: int = 0

    def read_rows(self) -> list[list[list[int]]]:
        self.reads += 1
        rows = [[[0] * (self.lay.ledger_bytes // 8)] for _ in range(self.lay.elements)]
        [side] = [side for side in self.lay.sides if side.hook.probe == 0]
        [words] = rows[side.index]
        words[self.lay.ledger_word("accepted")] = self.events
        for number in range(5):
            words[self.lay.metric_word(number, "counted")] = self.events
            words[self.lay.metric_word(number, "value")] = self.events * 100
        return rows

    def items_of(self, placeholder: int) -> Iterator[tuple[bytes, bytes]]:
        self.events += self.between.get(placeholder, 0)
        count = struct.pack("=Q", self.events)
        total = struct.pack("=QQ", self.events, self.events * 100)
        specs = self.lay.program.metrics
        yield {
            layout.keyed_map(specs[CALLS]): (KEY, count),
            layout.keyed_map(specs[BYTES]): (KEY, total),
            layout.dense_map(specs[SIZES]): (struct.pack("=I", 5), count),
        }[placeholder]


@dataclass
class FakeMap:
    """A map of a FakeKernel."""

    kernel: FakeKernel
    placeholder: int

    def items(self) -> Iterator[tuple[bytes, bytes]]:
        return self.kernel.items_of(self.placeholder)


@pytest.fixture
def kernel() -> FakeKernel:
    program = compile_plan(load_plan(PLAN.encode()), recorded("6.12"))
    return FakeKernel(MapLayout(program), events=10)


def metrics_of(kernel: FakeKernel) -> MetricMaps:
    specs = kernel.lay.program.metrics
    placeholders = [
        layout.keyed_map(specs[CALLS]),
        layout.keyed_map(specs[BYTES]),
        layout.dense_map(specs[SIZES]),
    ]
    maps: Any = {placeholder: FakeMap(kernel, placeholder) for placeholder in placeholders}
    ledger: Any = kernel
    return MetricMaps(kernel.lay, maps, ledger, find_feeds(kernel.lay))


def test_metrics_of_one_moment_are_no_events_apart(kernel: FakeKernel) -> None:
    """Cells come from maps and from the ledger."""
    reading = metrics_of(kernel).read((CALLS, BYTES))
    assert reading.events_apart == 0
    assert reading.cells[CALLS] == [Cell(key=KEY, count=10)]
    assert reading.cells[BYTES] == [Cell(key=KEY, count=10, sum=1000)]
    assert reading.cells[ALL] == [Cell(key=None, count=10)]
    assert reading.cells[MOST] == [Cell(key=None, count=10, sum=1000)]
    assert reading.cells[SIZES] == [Cell(key=None, count=10, buckets={5: 10})]


def test_events_between_the_maps_are_counted(kernel: FakeKernel) -> None:
    """And the cells differ by no more than that."""
    kernel.between[layout.keyed_map(kernel.lay.program.metrics[BYTES])] = 3
    reading = metrics_of(kernel).read((CALLS, BYTES))
    assert reading.events_apart == 3
    [calls], [volume] = reading.cells[CALLS], reading.cells[BYTES]
    assert abs(volume.count - calls.count) == 3


def test_a_map_and_the_ledger_can_be_apart_too(kernel: FakeKernel) -> None:
    """As a histogram and a count without a key are."""
    kernel.between[layout.dense_map(kernel.lay.program.metrics[SIZES])] = 2
    assert metrics_of(kernel).read((ALL, SIZES)).events_apart == 2


def test_events_of_other_metrics_do_not_matter(kernel: FakeKernel) -> None:
    """Maps of metrics that are combined are read first, and next to each other."""
    kernel.between[layout.dense_map(kernel.lay.program.metrics[SIZES])] = 5
    assert metrics_of(kernel).read((CALLS, BYTES)).events_apart == 0
    assert metrics_of(kernel).read((CALLS, WRITES)).events_apart == 0


@pytest.mark.parametrize(("together", "reads"), [((), 1), ((ALL, MOST), 1), ((ALL, WRITES), 2)])
def test_the_ledger_is_read_again_only_where_metrics_can_be_apart(
    kernel: FakeKernel, together: tuple[int, ...], reads: int
) -> None:
    """Those in a single element of it cannot: it is read as a whole."""
    assert metrics_of(kernel).read(together).events_apart == 0
    assert kernel.reads == reads
