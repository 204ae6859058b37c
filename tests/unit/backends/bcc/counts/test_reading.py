"""Cells and open spans, from the bytes of their maps."""

import struct

import pytest

from orchestrator.backends.bcc.counts.reading import MetricReader, find_feeds, parse_open_spans
from orchestrator.backends.bcc.design import layout
from orchestrator.cells.cell import Cell
from tests.support.bcc_maps import recorded_program

Rows = list[list[list[int]]]


class Metric:
    """The only metric of a probe, which a ledger of two CPUs feeds."""

    def __init__(self, metric: str) -> None:
        plan = f"probes: {{p: {{attach: 'fexit:vfs_read', metrics: {{n: {{{metric}}}}}}}}}"
        program = recorded_program(plan)
        self.layout, [self.spec] = layout.MapLayout(program), program.metrics
        size = self.layout.ledger_bytes // 8
        self.rows: Rows = [[[0] * size for _ in range(2)] for _ in range(self.layout.elements)]
        self.entries: dict[int, list[tuple[bytes, bytes]]] = {}

    def put(self, cpu: int, accepted: int = 0, **words: int) -> None:
        row = self.rows[0][cpu]
        row[self.layout.ledger_word("accepted")] = accepted
        for name, word in words.items():
            row[self.layout.metric_word(0, name)] = word & (1 << 64) - 1

    def cells(self) -> list[Cell]:
        fed = find_feeds(self.layout)[self.spec.index]
        return MetricReader(self.layout, self.spec, self.entries, fed).make_cells(self.rows)


def test_a_count_is_accepted_and_the_weight_beyond() -> None:
    """Three events of weight 1 on one CPU, two of weight 10 on the other."""
    metric = Metric("count: true")
    metric.put(0, accepted=3)
    metric.put(1, accepted=2, count=18)
    assert [cell.count for cell in metric.cells()] == [23]


def test_signed_sums_wrap_as_two_complements() -> None:
    metric = Metric("sum: retval")
    metric.put(0, accepted=1, value=-5, counted=1)
    metric.put(1, accepted=1, value=3, counted=1)
    assert [(cell.count, cell.sum) for cell in metric.cells()] == [(2, -2)]


@pytest.mark.parametrize(("kind", "best"), [("min", -5), ("max", 3)])
def test_extremes_of_all_cpus_compete(kind: str, best: int) -> None:
    metric = Metric(f"{kind}: retval")
    metric.put(0, accepted=1, value=-5, counted=1)
    metric.put(1, accepted=1, value=3, counted=1)
    [cell] = metric.cells()
    assert (cell.min, cell.max) == ((best, None) if kind == "min" else (None, best))


def test_an_extreme_of_nothing_is_none() -> None:
    """Not what it starts from."""
    metric = Metric("min: retval")
    metric.put(0, value=(1 << 63) - 1)
    [cell] = metric.cells()
    assert (cell.count, cell.min) == (0, None)


def test_cells_of_keys_come_from_the_hash_and_other_last() -> None:
    """`other` is there only when the map was full."""
    metric = Metric("count: true, by: [pid]")
    metric.entries[layout.keyed_map(metric.spec)] = [
        (struct.pack("=II", 7, 0)[: metric.spec.key_size], struct.pack("=Q", 5)),
    ]
    assert [(cell.key is None, cell.count) for cell in metric.cells()] == [(False, 5)]
    metric.put(0, count=2)
    assert [(cell.key is None, cell.count) for cell in metric.cells()] == [(False, 5), (True, 2)]


def test_a_histogram_counts_below_and_above_apart() -> None:
    """Its array is per CPU; two places behind the buckets are what is out of range."""
    metric = Metric("histogram: retval, buckets: 'linear(0, 40, 10)'")
    buckets = layout.bucket_count(metric.spec)
    numbers = {1: (2, 3), 3: (0, 0), buckets: (1, 0), buckets + 1: (0, 4)}
    metric.entries[layout.dense_map(metric.spec)] = [
        (struct.pack("=I", bucket), struct.pack("=2Q", *counts))
        for bucket, counts in numbers.items()
    ]
    [cell] = metric.cells()
    assert (dict(cell.buckets), cell.below, cell.above, cell.count) == ({1: 5}, 1, 4, 10)


def test_open_spans_are_read_in_columns() -> None:
    """The weight is the upper half of the head's first word; of `nulls` the lower half counts, the
    upper says what was cut."""
    plan = """
probes:
  out: {attach: "entry:vfs_read", let: {size: args.count}}
  back: {attach: "fexit:vfs_read"}
spans:
  s: {start: out, end: back, key: [tid], emit: {size: start.size, who: start.comm}}
"""
    [span] = recorded_program(plan).spans
    assert [value.size for value in span.kept] == [8, 16]
    rows = [
        struct.pack("=HBBIQQQ16s", 0, 0, 0, 3, 123, 1 << 32 | 1, 4096, b"cat"),
        struct.pack("=HBBIQQQ16s", 1, 0, 0, 1, 456, 0, 1, b"dd"),
    ]
    spans = parse_open_spans(span, b"".join(rows))
    assert spans.weight.tolist() == [3, 1]
    assert spans.since.tolist() == [123, 456]
    assert spans.nulls.tolist() == [1, 0]
    assert [bytes(row) for row in spans.kept[0]] == [struct.pack("=Q", n) for n in (4096, 1)]
    assert [bytes(row).rstrip(b"\0") for row in spans.kept[1]] == [b"cat", b"dd"]


@pytest.mark.parametrize("kind", ["sum", "avg"])
def test_sums_beyond_64_bits_come_from_two_words(kind: str) -> None:
    """Without a key they are of all CPUs, with a key of one cell."""
    largest = (1 << 64) - 1
    metric = Metric(f"{kind}: args.count")
    for cpu in range(2):
        metric.put(cpu, accepted=2, value=2 * largest, high=2 * (largest >> 32))
    assert [(cell.count, cell.sum) for cell in metric.cells()] == [(4, 4 * largest)]
    keyed = Metric(f"{kind}: retval, by: [pid]")
    words = (2, -(1 << 32), 0)
    keyed.entries[layout.keyed_map(keyed.spec)] = [
        (struct.pack("=II", 7, 0), struct.pack("=Qqq", *words))
    ]
    assert [(cell.count, cell.sum) for cell in keyed.cells()] == [(2, -(1 << 64))]
