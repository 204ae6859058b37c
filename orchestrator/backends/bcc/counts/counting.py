"""The accounts of a session: the ledger's counters, and what the kernel counted beside us."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from orchestrator.accounting.count import UNKNOWN, Count, at_least, count_from_number, is_known
from orchestrator.accounting.vocabulary import (
    METRIC_DISPOSITIONS,
    RECORD_DISPOSITIONS,
    SIDE_DISPOSITIONS,
    SPAN,
    SPAN_CLOSED,
)
from orchestrator.backends.bcc.attach.hooks import Placed
from orchestrator.backends.bcc.counts.misses import only_tasks_cause
from orchestrator.backends.bcc.counts.reading import LedgerReader, Rows, feeds, total
from orchestrator.backends.bcc.design import layout
from orchestrator.backends.protocol import (
    Counts,
    EmitCounts,
    MetricCounts,
    SideCounts,
    SpanCounts,
    StackCounts,
)
from orchestrator.compile.program import SpanProgram
from orchestrator.kernel.abi import bpf, dynamic_events

#: Mechanisms whose only misses are counted as recursion (see kernel/misses.py).
_COUNTED = frozenset({"raw tracepoint", "fentry", "fexit"})
#: Those that are a word each; what is expired is counted in two.
_DISPOSITIONS = tuple(name for name in SIDE_DISPOSITIONS if name != "expired")
_LOOKS = 3
#: Spans that are open are counted by looking at them.
_SPAN_WORDS = (
    *(name for name in SPAN.counts if name != "in_flight"),
    *RECORD_DISPOSITIONS,
)


class Accounts:
    """Counters since `start`; what the kernel knows is looked up while the hooks are there."""

    def __init__(
        self,
        lay: layout.Layout,
        reader: LedgerReader,
        opened: Callable[[SpanProgram], int | None] = lambda _span: 0,
        stacks: Callable[[], StackCounts | None] = lambda: None,
    ) -> None:
        """`opened` tells how many spans are open (None: not now), `stacks` what became of them."""
        self._stacks, self.feeds = stacks, feeds(lay)
        self.layout, self.reader, self._open = lay, reader, opened
        self.forgotten = [0] * len(lay.program.spans)  # open spans that were dropped from outside
        self._expired_before = [0] * len(lay.sides)
        self._unseen_before = [0] * len(lay.sides)
        self._left: dict[int, tuple[Count, Count]] = {}
        self._final: Counts | None = None

    def start(self, placed: Sequence[Placed]) -> None:
        """Leave out what fired while programs were being attached, and what the kernel hit between
        opening an event and giving it its program. Hits are looked up before the ledger, so that a
        look tells too little rather than too much; the largest of a few is taken."""
        for _ in range(_LOOKS):
            beside, rows = _Beside(placed), self.reader.rows()
            unseen = [beside.unseen(side, self.fired(rows[side.index])) for side in self.sides]
            self._unseen_before = list(map(max, self._unseen_before, unseen))
        rows = self.reader.rows()
        expired = self.layout.ledger_word("expired")
        self._expired_before = [total(rows[s.index], expired) for s in self.layout.sides]

    def leave(self, placed: Sequence[Placed]) -> None:
        """Look for the last time at what goes away with some of the hooks."""
        beside, rows = _Beside(placed), self.reader.rows()
        for one in placed:
            side = one.side
            fired = self.fired(rows[side.index]) + self._unseen_before[side.index]
            self._left[side.index] = (beside.missed(side, fired), beside.recursion(side))

    def finish(self, placed: Sequence[Placed]) -> None:
        """Look for the last time at what goes away with the hooks."""
        if self._final is None:
            self._final = self.counts(placed)

    def counts(self, placed: Sequence[Placed]) -> Counts:
        """Everything as of now; after `finish`, as of then."""
        if self._final is not None:
            return self._final
        beside = _Beside(placed)
        rows = self.reader.rows()
        lost = self.layout.children_element
        own = [row for element, row in enumerate(rows) if element != lost]
        return Counts(
            sides=tuple(self._side(side, rows, beside) for side in self.layout.sides),
            emits=self._emits(rows),
            metrics=self._metrics(rows),
            faulted=self._all(own, "faulted"),
            truncated=self._all(own, "truncated"),
            divisions_by_zero=self._all(own, "division_by_zero"),
            children_lost=self._all([rows[lost]], "map_full"),
            stacks=self._stacks(),
            spans=tuple(self._span(span, rows) for span in self.layout.program.spans),
        )

    @property
    def sides(self) -> Sequence[layout.Side]:
        """All sides, in the order of their numbers."""
        return self.layout.sides

    def fired(self, rows: Rows) -> int:
        """How often a side ran, since it was attached."""
        word = self.layout.ledger_word
        return total(rows, word("entered")) + total(rows, word("expired"))

    def _all(self, rows: Sequence[Rows], name: str) -> int:
        return sum(total(row, self.layout.ledger_word(name)) for row in rows)

    def _side(self, side: layout.Side, all_rows: Sequence[Rows], beside: "_Beside") -> SideCounts:
        rows = all_rows[side.index]

        def count(name: str) -> int:
            return total(rows, self.layout.ledger_word(name))

        before = self._expired_before[side.index]
        fired = self.fired(rows)
        counts = SideCounts(
            hook=side.hook.id,
            side=side.name,
            fired=fired - before,
            expired=count("expired") + count("late") - before,
            **{name: count(name) for name in _DISPOSITIONS},
        )
        now = (
            beside.missed(side, fired + self._unseen_before[side.index]),
            beside.recursion(side),
        )
        missed, recursion = self._left.get(side.index, now)
        return replace(
            counts,
            kernel_missed=missed,
            recursion_misses=recursion,
            in_flight=self._in_flight(side, counts.accepted, all_rows),
        )

    def _in_flight(self, side: layout.Side, accepted: Count, all_rows: Sequence[Rows]) -> Count:
        """Of the calls that an entry accepted, those whose return has not been judged."""
        if side.name != "entry" or not is_known(accepted):
            return 0
        back = next(s for s in self.sides if s.hook is side.hook and s.name == "return")
        ends = ("filtered", "accepted")
        words = [self.layout.ledger_word(name) for name in ends]
        return accepted - sum(total(all_rows[back.index], word) for word in words)

    def _emits(self, rows: Sequence[Rows]) -> tuple[EmitCounts, ...]:
        """Of every probe that makes records, over its hooks."""
        found = []
        for probe in self.layout.program.probes:
            if probe.emit is None:
                continue
            own = [
                rows[s.index]
                for s in self.layout.sides
                if s.hook.probe == probe.index and s.name != "entry"
            ]
            ends = {name: self._all(own, name) for name in RECORD_DISPOSITIONS}
            found.append(EmitCounts(probe=probe.index, **ends))
        return tuple(found)

    def _span(self, span: SpanProgram, rows: Sequence[Rows]) -> SpanCounts:
        row = rows[self.layout.span_element(span.index)]
        counts = {name: total(row, self.layout.ledger_word(name)) for name in _SPAN_WORDS}
        counts["cancelled"] += self.forgotten[span.index]
        opened = self._open(span)
        if opened is None:
            opened = counts["started"] - sum(counts[name] for name in SPAN_CLOSED)
        return SpanCounts(span=span.index, in_flight=opened, **counts)

    def _metrics(self, rows: Sequence[Rows]) -> tuple[MetricCounts, ...]:
        found = []
        for index, fed in self.feeds.items():
            ends = dict.fromkeys(METRIC_DISPOSITIONS, 0)
            for feed in fed:
                for name in METRIC_DISPOSITIONS:
                    word = self.layout.metric_word(feed.number, name)
                    word = feed.counted if name == "counted" else word
                    ends[name] += total(rows[feed.element], word)
            found.append(MetricCounts(metric=index, **ends))
        return tuple(found)


class _Beside:
    """What the kernel counted for the sides that are attached. Asked before the ledger is read."""

    def __init__(self, placed: Sequence[Placed]) -> None:
        self.placed = {one.side.index: one for one in placed}
        names = [one.event for one in placed if one.event]
        self.hits = dynamic_events.profile(names) if names else {}
        self.recursions = {one.side.index: _recursion_misses(one.program) for one in placed}

    def recursion(self, side: layout.Side) -> Count:
        return self.recursions.get(side.index, UNKNOWN)

    def unseen(self, side: layout.Side, fired: int) -> int:
        """Hits without a run so far; 0 where nobody counts hits."""
        one = self.placed.get(side.index)
        hits = self.hits.get(one.event) if one is not None else None
        return max(hits.hits - fired, 0) if hits is not None else 0

    def missed(self, side: layout.Side, fired: int) -> Count:
        """Events that happened while our program did not run: hits without a run, and calls that
        the probe itself missed. Unknown where nobody counts them."""
        one = self.placed.get(side.index)
        if one is None:
            return UNKNOWN
        hits = self.hits.get(one.event)
        if hits is None:
            return self._passed_over(one)
        # Read before `fired`: an event between the two looks must not count as missed.
        return max(hits.hits - fired, 0) + (hits.misses or 0)

    def _passed_over(self, one: Placed) -> Count:
        """Misses at places whose hits nobody counts: known where passing over is all that can
        happen, and is counted if it does."""
        if one.attachment.mechanism in _COUNTED or _seen_always(one.side):
            return at_least(self.recursions.get(one.side.index, UNKNOWN))
        return UNKNOWN


def _seen_always(side: layout.Side) -> bool:
    hook = side.hook
    tracepoint = hook.exit_tracepoint if side.name == "return" else hook.tracepoint
    return tracepoint is not None and only_tasks_cause(tracepoint)


def _recursion_misses(program: int) -> Count:
    try:
        return count_from_number(bpf.program_statistics(program).recursion_misses)
    except OSError:
        return UNKNOWN
