"""Counters, open spans and cells, read from their maps."""

import struct
from collections.abc import Iterable, Mapping, Sequence

from orchestrator.backends.bcc.design import layout
from orchestrator.backends.bcc.design.implied_counts import counts_all, span_counts_all
from orchestrator.backends.bcc.handles.maps import Map
from orchestrator.backends.protocol import OpenSpans
from orchestrator.cells.cell import Cell
from orchestrator.cells.sums import restore_sum
from orchestrator.compile.program import MetricSpec, SpanProgram
from orchestrator.values import dataclass

Rows = Sequence[Sequence[int]]  # one list of words per CPU
Entries = Iterable[tuple[bytes, bytes]]  # keys and values of a map


def unpack_words(value: bytes) -> list[int]:
    """The u64 words of a value."""
    return list(struct.unpack(f"={len(value) // layout.WORD}Q", value))


class LedgerReader:
    """Elements of the ledger, one list of words a CPU: sides, lost children, spans."""

    def __init__(self, map_layout: layout.MapLayout, ledger: Map) -> None:
        self.layout, self.ledger = map_layout, ledger

    def read_rows(self) -> list[Rows]:
        """Every element's words as of now, in the numbering of layout.MapLayout."""
        return [self.read_element(index) for index in range(self.layout.elements)]

    def read_element(self, index: int) -> Rows:
        """One element's words as of now."""
        value = self.ledger.lookup(struct.pack("=I", index)) or b""
        return [unpack_words(slot) for slot in self.ledger.slots(value)]


def sum_word(rows: Rows, word: int) -> int:
    """The sum of a counter over all CPUs."""
    return sum(row[word] for row in rows)


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricFeed:
    """A side or span that feeds a metric: its element of the ledger, the number of the metric in
    it, and the word there that holds how many events counted."""

    element: int
    number: int
    counted: int


def find_feeds(map_layout: layout.MapLayout) -> dict[int, list[MetricFeed]]:
    """All sides and spans that feed each metric, by its index."""
    feeds: dict[int, list[MetricFeed]] = {metric.index: [] for metric in map_layout.program.metrics}
    specs = {metric.index: metric for metric in map_layout.program.metrics}
    for side in map_layout.sides:
        body = side.hook.body
        for number, use in enumerate(body.metrics if side.name != "entry" else ()):
            every = counts_all(specs[use.metric], use, body)
            feeds[use.metric].append(_make_feed(map_layout, side.index, number, every=every))
    for span in map_layout.program.spans:
        element = map_layout.span_element(span.index)
        for number, spec in enumerate(span.metrics):
            every = span_counts_all(map_layout.program, span, number)
            feeds[spec.index].append(_make_feed(map_layout, element, number, every=every))
    return feeds


def _make_feed(
    map_layout: layout.MapLayout, element: int, number: int, *, every: bool
) -> MetricFeed:
    word = (
        map_layout.ledger_word("accepted") if every else map_layout.metric_word(number, "counted")
    )
    return MetricFeed(element=element, number=number, counted=word)


def parse_open_spans(span: SpanProgram, values: bytes) -> OpenSpans:
    """Open spans from the values of their map: struct pp_frame, then the kept values
    (layout.py)."""
    import numpy as np

    size = layout.span_bytes(span)
    rows = np.frombuffer(values, dtype=np.uint8).reshape(-1, size)
    words = np.ascontiguousarray(rows).view(np.uint64)
    at, kept = layout.FRAME_HEAD_BYTES, []
    for value in span.kept:
        kept.append(rows[:, at : at + value.size])
        at += layout.pad_to_word(value.size)
    return OpenSpans(
        weight=(words[:, 0] >> np.uint64(32)).astype(np.uint32),
        since=words[:, 1],
        nulls=words[:, 2] & np.uint64(0xFFFF_FFFF),
        kept=tuple(kept),
    )


class MetricReader:
    """Cells of one metric, from the contents of its maps and the ledger elements that feed it."""

    def __init__(
        self,
        map_layout: layout.MapLayout,
        spec: MetricSpec,
        entries: Mapping[int, Entries],
        fed: Sequence[MetricFeed],
    ) -> None:
        """`entries`: the contents of the maps, by placeholder; `fed`: what feeds the metric, from
        `find_feeds`."""
        self.layout, self.spec, self._entries, self._fed = map_layout, spec, entries, fed

    def make_cells(self, rows: Sequence[Rows]) -> list[Cell]:
        """All cells: without a key the only one; with a key, `other` last if it was used."""
        own = self._make_own(rows)
        if not self.spec.key:
            return [own]
        keyed = self._make_keyed()
        return [*keyed, own] if own.count else keyed

    # -- the cell in the ledger ----------------------------------------------------------------

    def _make_own(self, rows: Sequence[Rows]) -> Cell:
        if self.spec.kind == "histogram":
            return self._make_histogram(None, self._count_dense())
        count, highs, values = 0, [], []
        for feed in self._fed:
            for row in rows[feed.element]:
                count += self._weigh_count(row, feed.number, feed.counted)
                highs.append(row[self.layout.metric_word(feed.number, "high")])
                values.append(row[self.layout.metric_word(feed.number, "value")])
        return self._make_cell(None, count, highs, values)

    def _weigh_count(self, row: Sequence[int], number: int, counted: int) -> int:
        """The weighted count: without a key, the events counted and their extra weight."""
        weighted = row[self.layout.metric_word(number, "count")]
        return weighted if self.spec.key else row[counted] + weighted

    def _make_cell(
        self, key: bytes | None, count: int, highs: Sequence[int], values: Sequence[int]
    ) -> Cell:
        """A cell from its parts: sums are added, of extremes the best is taken."""
        kind = self.spec.kind
        if kind in ("min", "max"):
            best = (min if kind == "min" else max)(map(self._as_signed, values), default=0)
            extreme = best if count else None
            return Cell(
                key=key,
                count=count,
                min=extreme if kind == "min" else None,
                max=extreme if kind == "max" else None,
            )
        if kind not in layout.SUMS:
            return Cell(key=key, count=count)
        total = restore_sum(sum(values), sum(highs), count, signed=self.spec.signed)
        return Cell(key=key, count=count, sum=total)

    def _as_signed(self, word: int) -> int:
        return word - (1 << 64) if self.spec.signed and word >> 63 else word

    # -- maps ----------------------------------------------------------------------------------

    def _count_dense(self) -> dict[int, int]:
        buckets = self._entries[layout.dense_map(self.spec)]
        counts = ((key, sum(unpack_words(value))) for key, value in buckets)
        return {struct.unpack("=I", key)[0]: count for key, count in counts if count}

    def _make_keyed(self) -> list[Cell]:
        cells = self._entries[layout.keyed_map(self.spec)]
        if self.spec.kind != "histogram":
            return [self._keyed_cell(key, unpack_words(value)) for key, value in cells]
        by_key: dict[bytes, dict[int, int]] = {}
        size = self.spec.key_size
        for key, value in cells:
            bucket = struct.unpack_from("=Q", key, size)[0]
            by_key.setdefault(key[:size], {})[bucket] = unpack_words(value)[0]
        return [self._make_histogram(key, buckets) for key, buckets in by_key.items()]

    def _keyed_cell(self, key: bytes, words: Sequence[int]) -> Cell:
        return self._make_cell(key, words[0], words[1:-1], words[-1:])

    def _make_histogram(self, key: bytes | None, counts: Mapping[int, int]) -> Cell:
        end = layout.bucket_count(self.spec)
        return Cell(
            key=key,
            count=sum(counts.values()),
            buckets={index: n for index, n in sorted(counts.items()) if index < end},
            below=counts.get(end, 0),
            above=counts.get(end + 1, 0),
        )
