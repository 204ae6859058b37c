"""The accounts of a session: the ledger's counters, and the kernel's own."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.accounting.count import UNKNOWN, Count, is_known
from orchestrator.accounting.vocabulary import (
    CALL_FATES,
    METRIC_DISPOSITIONS,
    NOTE,
    ONCE_DISPOSITIONS,
    RECORD_DISPOSITIONS,
    SIDE_DISPOSITIONS,
    SPAN,
    SPAN_CLOSED,
)
from orchestrator.backends.bcc.counts.kernel_counts import KernelCounts, KernelMisses, count_misses
from orchestrator.backends.bcc.counts.reading import LedgerReader, Rows, find_feeds, sum_word
from orchestrator.backends.bcc.counts.witnesses import Witnesses
from orchestrator.backends.bcc.design import layout
from orchestrator.backends.bcc.design.groups import is_at_return
from orchestrator.backends.bcc.handles.attachment import AttachedSide
from orchestrator.backends.protocol import (
    Counts,
    EmitCounts,
    MetricCounts,
    NoteCounts,
    SideCounts,
    SpanCounts,
    StackCounts,
)
from orchestrator.compile.program import NoteProgram, SpanProgram

#: Those that are a word each; what is expired is counted in two.
_DISPOSITIONS = tuple(name for name in SIDE_DISPOSITIONS if name != "expired")
#: No metric is computed from records.
_METRIC_WORDS = tuple(name for name in METRIC_DISPOSITIONS if name != "ring_lost")
_LOOKS = 3
#: Spans that are open, and what notes keep, are counted by looking at them.
_NOTE_WORDS = tuple(name for name in NOTE.counts if name != "kept")
_SPAN_WORDS = (
    *(name for name in SPAN.counts if name != "in_flight"),
    *RECORD_DISPOSITIONS,
)


class Accounts:
    """Counters since `start`, as they are now; after `finish`, as they were then. The kernel's own
    counters have to be read while the sides are attached."""

    def __init__(
        self,
        map_layout: layout.MapLayout,
        reader: LedgerReader,
        count_open: Callable[[SpanProgram], int | None] = lambda _span: 0,
        count_stacks: Callable[[], StackCounts | None] = lambda: None,
        count_kept: Callable[[NoteProgram], int | None] = lambda _note: 0,
    ) -> None:
        """`count_open` counts the open spans of one kind (None: not now); `count_stacks` counts
        stacks (None: none are taken); `count_kept` counts what a note keeps (None: not now)."""
        self.layout, self.reader, self.feeds = map_layout, reader, find_feeds(map_layout)
        self._count_open, self._count_stacks = count_open, count_stacks
        self._count_kept = count_kept
        self._witnesses = Witnesses(reader)
        #: By span: open ones that were deleted from user space.
        self.forgotten = [0] * len(map_layout.program.spans)
        #: By note: what was kept and deleted from user space.
        self.forgotten_notes = [0] * len(map_layout.program.notes)
        self._expired_before = [0] * len(map_layout.sides)
        self._unseen_before = [0] * len(map_layout.sides)
        self._misses_before: Mapping[int, KernelMisses] = {}
        self._is_again = False
        #: By side that was detached before the others: kernel_missed and recursion_misses.
        self._left: dict[int, tuple[Count, Count]] = {}
        self._final: Counts | None = None

    def forget(self) -> None:
        """The ledger's words begin at zero again: so do these accounts, at the next `start`."""
        self._is_again = True
        self.forgotten = [0] * len(self.forgotten)
        self.forgotten_notes = [0] * len(self.forgotten_notes)
        self._unseen_before = [0] * len(self._unseen_before)

    def start(self, sides: Sequence[AttachedSide]) -> None:
        """Exclude what fired while programs were being attached, and what the kernel hit between
        opening an event and giving it its program. Hits are read before the ledger, so that a
        reading gives too few rather than too many; the largest of several is used."""
        self._witnesses.start(sides)
        if self._is_again:
            self._misses_before = count_misses(sides)
        for _ in range(_LOOKS):
            kernel, rows = self._read_kernel(sides), self.reader.read_rows()
            unseen = [
                kernel.unseen(side, self.count_fired(rows[side.index]))
                for side in self.layout.sides
            ]
            self._unseen_before = list(map(max, self._unseen_before, unseen))
        rows = self.reader.read_rows()
        expired = self.layout.ledger_word("expired")
        self._expired_before = [sum_word(rows[s.index], expired) for s in self.layout.sides]

    def _read_kernel(self, sides: Sequence[AttachedSide]) -> KernelCounts:
        missed = self._witnesses.count_missed(sides)
        return KernelCounts(sides, missed, self._misses_before)

    def leave(self, sides: Sequence[AttachedSide]) -> None:
        """Read for the last time what is lost when some sides are detached."""
        kernel, rows = self._read_kernel(sides), self.reader.read_rows()
        for attached in sides:
            side = attached.side
            missed = self._count_missed(side, rows, kernel)
            self._left[side.index] = (missed, kernel.recursion_misses(side))

    def finish(self, sides: Sequence[AttachedSide]) -> None:
        """Read for the last time what is lost when all sides are detached."""
        if self._final is None:
            self._final = self.counts(sides)

    def counts(self, sides: Sequence[AttachedSide]) -> Counts:
        """Everything; `sides` are those that are attached."""
        if self._final is not None:
            return self._final
        kernel = self._read_kernel(sides)
        rows = self.reader.read_rows()
        lost, first_note = self.layout.children_element, self.layout.note_element(0)
        own = [row for element, row in enumerate(rows[:first_note]) if element != lost]
        unread = sum(self._count_note_word(note, "faulted", rows) for note in self._notes)
        return Counts(
            sides=tuple(self._count_side(side, rows, kernel) for side in self.layout.sides),
            emits=self._count_emits(rows),
            metrics=self._count_metrics(rows),
            faulted=self._sum_rows(own, "faulted") + unread,
            truncated=self._sum_rows(own, "truncated"),
            divisions_by_zero=self._sum_rows(own, "division_by_zero"),
            children_lost=self._sum_rows([rows[lost]], "map_full"),
            stacks=self._count_stacks(),
            spans=tuple(self._count_span(span, rows) for span in self.layout.program.spans),
            notes=tuple(self._count_note(note, rows) for note in self._notes),
        )

    @property
    def _notes(self) -> Sequence[NoteProgram]:
        return self.layout.program.notes

    def count_fired(self, rows: Rows) -> int:
        """How often a side ran, since it was attached."""
        word = self.layout.ledger_word
        return sum_word(rows, word("entered")) + sum_word(rows, word("expired"))

    def _sum_rows(self, rows: Sequence[Rows], name: str) -> int:
        return sum(sum_word(row, self.layout.ledger_word(name)) for row in rows)

    def _count_side(
        self, side: layout.HookSide, all_rows: Sequence[Rows], kernel: KernelCounts
    ) -> SideCounts:
        rows = all_rows[side.index]

        def count(name: str) -> int:
            return sum_word(rows, self.layout.ledger_word(name))

        before = self._expired_before[side.index]
        fired = self.count_fired(rows)
        counts = SideCounts(
            hook=side.hook.id,
            side=side.name,
            fired=fired - before,
            expired=count("expired") + count("late") - before,
            **{name: count(name) for name in _DISPOSITIONS},
        )
        now = (self._count_missed(side, all_rows, kernel), kernel.recursion_misses(side))
        missed, recursion = self._left.get(side.index, now)
        fates: Mapping[str, Any] = self._count_fates(side, all_rows, kernel)
        return replace(counts, kernel_missed=missed, recursion_misses=recursion, **fates)

    def _count_word(self, element: int, name: str, all_rows: Sequence[Rows]) -> int:
        return sum_word(all_rows[element], self.layout.ledger_word(name))

    def _other_side(self, side: layout.HookSide) -> layout.HookSide:
        sides = self.layout.sides
        return next(s for s in sides if s.hook is side.hook and s.name != side.name)

    # -- calls that do not return --------------------------------------------------------------

    def _count_missed(
        self, side: layout.HookSide, all_rows: Sequence[Rows], kernel: KernelCounts
    ) -> Count:
        """Events that happened while the program did not run.

        The kernel counts a hit of a user function's return event at the entry (uprobe_dispatcher,
        kernel/trace/trace_uprobe.c), also for a call that is still open or never returns. A call
        that a kernel function left without a return was missed at its return.
        """
        fired = self.count_fired(all_rows[side.index]) + self._unseen_before[side.index]
        if is_at_return(side) and side.hook.traits.space == "user":
            unreturned = self._count_unreturned(side, all_rows, kernel)
            if unreturned and self._count_word(side.index, "at_bound", all_rows):
                return UNKNOWN
            return kernel.missed(side, fired + unreturned)
        missed = kernel.missed(side, fired)
        if side.name != "return" or side.hook.traits.site != "kernel function":
            return missed
        left = self._count_word(self._other_side(side).index, "abandoned", all_rows)
        return max(missed, left) if is_known(missed) else left or UNKNOWN

    def _count_unreturned(
        self, side: layout.HookSide, all_rows: Sequence[Rows], kernel: KernelCounts
    ) -> int:
        """Calls of a user function that were entered and did not return so far."""
        fired = self.count_fired(all_rows[side.index])
        if side.name == "return":
            return max(self.count_fired(all_rows[self._other_side(side).index]) - fired, 0)
        return kernel.unseen(side, fired + self._unseen_before[side.index])

    def _count_fates(
        self, side: layout.HookSide, all_rows: Sequence[Rows], kernel: KernelCounts
    ) -> dict[str, int]:
        """Accepted calls without a judged return: those that are known not to return, and all
        others, which are in flight. Where only returns are probed, all of them are."""
        if side.name == "hit" and is_at_return(side) and side.hook.traits.space == "user":
            return {"in_flight": self._count_unreturned(side, all_rows, kernel)}
        if side.name != "entry":
            return {}
        count, back = self._count_word, self._other_side(side).index
        ended = {
            name: count(side.index, name, all_rows) for name in CALL_FATES if name != "in_flight"
        }
        returned = sum(count(back, name, all_rows) for name in ("filtered", "accepted"))
        accepted = count(side.index, "accepted", all_rows)
        return {**ended, "in_flight": accepted - returned - sum(ended.values())}

    # -- records, spans, metrics ---------------------------------------------------------------

    def _count_emits(self, rows: Sequence[Rows]) -> tuple[EmitCounts, ...]:
        """The records of every probe that makes any, over its hooks."""
        counts = []
        for probe in self.layout.program.probes:
            if probe.emit is None:
                continue
            own = [
                rows[s.index]
                for s in self.layout.sides
                if s.hook.probe == probe.index and s.name != "entry"
            ]
            ends = {name: self._sum_rows(own, name) for name in RECORD_DISPOSITIONS}
            if probe.once is not None:
                ends |= {name: self._sum_rows(own, name) for name in ONCE_DISPOSITIONS}
            counts.append(EmitCounts(probe=probe.index, **ends))
        return tuple(counts)

    def _count_span(self, span: SpanProgram, rows: Sequence[Rows]) -> SpanCounts:
        row = rows[self.layout.span_element(span.index)]
        counts = {name: sum_word(row, self.layout.ledger_word(name)) for name in _SPAN_WORDS}
        counts["cancelled"] += self.forgotten[span.index]
        opened = self._count_open(span)
        if opened is None:
            opened = counts["started"] - sum(counts[name] for name in SPAN_CLOSED)
        return SpanCounts(span=span.index, in_flight=opened, **counts)

    def _count_note(self, note: NoteProgram, rows: Sequence[Rows]) -> NoteCounts:
        counts = {name: self._count_note_word(note, name, rows) for name in _NOTE_WORDS}
        counts["dropped"] += self.forgotten_notes[note.index]
        kept = self._count_kept(note)
        if kept is None:
            kept = counts["set"] - counts["replaced"] - counts["dropped"]
        return NoteCounts(note=note.index, kept=kept, **counts)

    def _count_note_word(self, note: NoteProgram, name: str, rows: Sequence[Rows]) -> int:
        element = self.layout.note_element(note.index)
        return sum_word(rows[element], layout.NOTE_WORDS.index(name))

    def _count_metrics(self, rows: Sequence[Rows]) -> tuple[MetricCounts, ...]:
        counts = []
        for index, fed in self.feeds.items():
            ends = dict.fromkeys(_METRIC_WORDS, 0)
            for feed in fed:
                for name in _METRIC_WORDS:
                    word = self.layout.metric_word(feed.number, name)
                    word = feed.counted if name == "counted" else word
                    ends[name] += sum_word(rows[feed.element], word)
            counts.append(MetricCounts(metric=index, **ends))
        return tuple(counts)
