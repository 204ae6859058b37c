"""From events to records and cells: what the bcc backend's programs do in the kernel.

The order is the same as there: deadline, target, conditions, sample, pairing, and, for records
only, rate and cap. Every event that was read is counted exactly once a side.
"""

from collections.abc import Collection, Sequence
from dataclasses import field

import numpy as np

from orchestrator.backends.tracefs.design.event_fields import COMM, STACK
from orchestrator.backends.tracefs.design.layout import EventSide, HookEvents
from orchestrator.backends.tracefs.reader.aggregate import Aggregate
from orchestrator.backends.tracefs.reader.arrays import BoolArray, ByteArray, IntArray
from orchestrator.backends.tracefs.reader.columns import (
    EventColumns,
    EventFormat,
    Pair,
    ValueColumn,
)
from orchestrator.backends.tracefs.reader.depth import NEVER, BatchCalls, find_too_deep
from orchestrator.backends.tracefs.reader.events import Events, join_events, no_events
from orchestrator.backends.tracefs.reader.pairs import MatchedCalls, match_calls
from orchestrator.backends.tracefs.reader.record_limits import Cap, Gcra, RecordLimits, Sampler
from orchestrator.backends.tracefs.reader.records import AcceptedEvents, write_records
from orchestrator.backends.tracefs.reader.side_tally import SideTally
from orchestrator.backends.tracefs.reader.target import Targets
from orchestrator.backends.tracefs.reader.tasks import Tasks
from orchestrator.compile.expressions.evaluate import EvaluationCounts
from orchestrator.compile.program import Program
from orchestrator.values import dataclass

__all__ = ["Pipeline"]

_MOST_OPEN = 100_000  # open calls of one hook


@dataclass(slots=True)
class _HookState:
    """A hook while events are read: formats and tallies of its sides, and its open calls.
    `other_exit`: of the event by which its calls may return too (EventSide.other)."""

    hook_events: HookEvents
    event_formats: tuple[EventFormat, ...]
    other_exit: EventFormat | None
    sampler: Sampler
    tallies: dict[str, SideTally]
    open: Events = field(default_factory=no_events)
    open_accepted: BoolArray = field(default_factory=lambda: np.zeros(0, dtype=bool))

    @property
    def is_deep(self) -> bool:
        """Whether the kernel follows only so many of the hook's calls at a time."""
        return self.hook_events.hook.traits.space == "user"


@dataclass(frozen=True, slots=True)
class _BatchEntries:
    """The entries of a hook's calls in a batch, those from before first, and what is known of the
    calls: whether they were accepted, which are open, and what find_too_deep needs."""

    state: _HookState
    events: Events
    accepted: BoolArray
    open: IntArray
    calls: BatchCalls


class Pipeline:
    """The pipeline of one run."""

    def __init__(
        self,
        program: Program,
        hooks: Sequence[HookEvents],
        event_formats: Sequence[EventFormat],
        tasks: Tasks,
        stack_step: int,
    ) -> None:
        self.program, self.tasks, self.stack_step = program, tasks, stack_step
        self._deadline_ns = 0
        self._batch: list[_BatchEntries] = []
        self._claimed = np.zeros(0, dtype=bool)  # events that are returns of another call
        self.tally = EvaluationCounts()
        self.targets = Targets(program.target, tasks)
        self.aggregates = [Aggregate(spec) for spec in program.metrics]
        self.bounds = _make_record_limits(program)
        self.recorded: dict[int, int] = {}
        self.faulted = self.truncated = 0
        self.states = [
            _HookState(
                hook_events=hook,
                event_formats=tuple(event_formats[side.source] for side in hook.sides),
                other_exit=_find_other_exit(hook, event_formats),
                sampler=Sampler(hook.sample),
                tallies={side.name: SideTally() for side in hook.sides},
            )
            for hook in hooks
        ]

    def process_events(self, events: Events, deadline_ns: int) -> ByteArray:
        """Take events in time order, with their tasks identified; returns the records they make, in
        time order. Events after `deadline_ns` (CLOCK_MONOTONIC) count as expired."""
        self._deadline_ns = deadline_ns
        self._batch = []
        self._claimed = np.zeros(len(events), dtype=bool)
        accepted = {n: self._take_events(self.states[n], events) for n in self._in_claiming_order()}
        kept = [accepted[n] for n in sorted(accepted) if len(accepted[n].columns)]
        self._keep_open_calls()
        for batch in kept:
            for use in batch.hook_events.metrics:
                self.aggregates[use.metric].add(use, batch.columns, batch.hook_events.sample)
        return self._make_records([batch for batch in kept if batch.hook_events.record is not None])

    def _in_claiming_order(self) -> list[int]:
        """The numbers of the hooks: first those whose calls may return by another call's exit."""
        return sorted(range(len(self.states)), key=lambda n: self.states[n].other_exit is None)

    def _take_events(self, state: _HookState, events: Events) -> AcceptedEvents:
        take = self._process_pairs if len(state.event_formats) == 2 else self._process_hits
        return take(state, events)

    def forget_open_calls(self, hooks: Collection[int]) -> None:
        """Forget the open calls of these hooks (by id): their returns may have been missed."""
        for state in self.states:
            if state.hook_events.hook.id in hooks:
                state.open = no_events()
                state.open_accepted = np.zeros(0, dtype=bool)

    def booked_sides(self) -> dict[tuple[int, str], SideTally]:
        """Where the events went so far, by hook id and side."""
        return {
            (state.hook_events.hook.id, side): tally
            for state in self.states
            for side, tally in state.tallies.items()
        }

    # ---------------------------------------------------------------- hits

    def _process_hits(self, state: _HookState, events: Events) -> AcceptedEvents:
        event_format, side = state.event_formats[0], state.hook_events.sides[0]
        rows = event_format.find_rows(events)
        mine = events.select(rows)
        columns = EventColumns(event_format, mine, self.tasks, self.tally)
        keep = self._accept_events(state, side, columns)
        rows, mine = rows[keep], mine.select(keep)
        columns = EventColumns(event_format, mine, self.tasks, self.tally)
        return AcceptedEvents(
            hook_events=state.hook_events,
            columns=columns,
            order=rows,
            comms=_fetched_names(columns),
        )

    def _accept_events(
        self, state: _HookState, side: EventSide, columns: EventColumns
    ) -> BoolArray:
        """Which events of a first side are accepted; the others are counted by reason."""
        tally = state.tallies[side.name]
        alive = columns.events.time <= np.uint64(self._deadline_ns)
        tally.expired += int(np.count_nonzero(~alive))
        if state.hook_events.hook.body.task is None:
            ours = self.targets.find_target(columns, columns.event_format.source)
            tally.not_target += int(np.count_nonzero(alive & ~ours))
            alive &= ours
        alive = self._test_conditions(tally, side, columns, alive)
        rows = np.flatnonzero(alive)
        sampled = state.sampler.choose_kept(len(rows))
        tally.sampled_out += int(np.count_nonzero(~sampled))
        alive[rows[~sampled]] = False
        tally.accepted += int(np.count_nonzero(alive))
        return alive

    def _test_conditions(
        self, tally: SideTally, side: EventSide, columns: EventColumns, alive: BoolArray
    ) -> BoolArray:
        """Which events that are still `alive` meet the conditions that the kernel did not test."""
        for node in side.where:
            rows = np.flatnonzero(alive)
            if not rows.size:
                break
            part = columns if rows.size == len(columns) else columns.select_rows(rows)
            false = rows[~part.is_true_by_row(node)]
            tally.filtered += len(false)
            alive[false] = False
        return alive

    # ---------------------------------------------------------------- pairs

    def _process_pairs(self, state: _HookState, events: Events) -> AcceptedEvents:
        entry_format, return_format = state.event_formats
        entry_rows = entry_format.find_rows(events)
        return_rows = return_format.find_rows(events, state.other_exit)
        if state.other_exit is None:
            return_rows = return_rows[~self._claimed[return_rows]]
        entries = events.select(entry_rows)
        at_entry = EventColumns(entry_format, entries, self.tasks, self.tally)
        accepted = self._accept_events(state, state.hook_events.sides[0], at_entry)
        before = len(state.open)
        entries = join_events(state.open, entries)
        accepted = np.concatenate((state.open_accepted, accepted))
        at_entry = EventColumns(entry_format, entries, self.tasks, self.tally)
        returns = events.select(return_rows)
        at_return = EventColumns(return_format, returns, self.tasks, self.tally)
        keys = self._pair_keys(state, at_entry, 0)
        matched = match_calls(
            keys,
            np.concatenate((np.arange(before) - before, entry_rows)),
            self._pair_keys(state, at_return, self.stack_step),
            return_rows,
        )
        if not state.hook_events.nested:
            matched = matched.only(self._find_real_pairs(matched, entries, returns))
        if state.other_exit is not None:
            is_own = returns.kind == return_format.kind
            mine, matched = matched.without_others(is_own)
            self._claimed[return_rows[mine]] |= ~is_own[mine]
            returns, return_rows = returns.select(mine), return_rows[mine]
            at_return = at_return.select_rows(mine)
        ends = np.full(len(entries), NEVER)
        ends[matched.entries] = returns.time[matched.returns]
        calls = BatchCalls(
            threads=keys[0],
            places=keys[1],
            entered=entries.time.astype(np.int64),
            returned=ends,
            is_new=np.arange(len(entries)) >= before,
        )
        self._batch.append(_BatchEntries(state, entries, accepted, matched.open, calls))
        good = accepted[matched.entries]
        return self._accept_returns(
            state,
            (at_entry.select_rows(matched.entries[good]), at_return),
            matched.returns[good],
            return_rows,
        )

    def _find_real_pairs(
        self, matched: MatchedCalls, entries: Events, returns: Events
    ) -> BoolArray:
        """Which of these pairs of a system call are one call: a call executes one program. Where
        two were executed, the first call's return and the last one's entry were not seen: those of
        a 32-bit program, which the tracepoints of system calls omit."""
        tasks, begins = entries.task[matched.entries], entries.time[matched.entries]
        ends = returns.time[matched.returns]
        return self.tasks.lives.count_execs(tasks, begins, ends) < 2

    def _pair_keys(
        self, state: _HookState, columns: EventColumns, step: int
    ) -> tuple[IntArray, IntArray]:
        tasks = columns.events.task
        if not state.hook_events.nested:
            return tasks, np.zeros(len(columns), dtype=np.int64)
        stack = columns.column_of(STACK).values.astype(np.int64) - step
        return tasks, stack

    def _keep_open_calls(self) -> None:
        """Keep the calls that may return later."""
        followed = [entries for entries in self._batch if entries.state.is_deep]
        too_deep = find_too_deep([entries.calls for entries in followed])
        for entries, deep in zip(followed, too_deep, strict=True):
            tally, lost = entries.state.tallies["entry"], deep & entries.accepted
            tally.too_deep += int(np.count_nonzero(lost))
            tally.accepted -= int(np.count_nonzero(lost))
            self._keep_open(entries, entries.open[~deep[entries.open]])
        for entries in self._batch:
            if not entries.state.is_deep:
                # One that was not accepted still takes a return that would be another call's.
                takes_all = entries.state.other_exit is not None
                keeps = entries.accepted[entries.open] | takes_all
                self._keep_open(entries, entries.open[keeps])

    @staticmethod
    def _keep_open(entries: _BatchEntries, rows: IntArray) -> None:
        """Keep these rows; where they are too many, the newest, and accepted ones rather than
        others."""
        state, tally = entries.state, entries.state.tallies["entry"]
        over = len(rows) - _MOST_OPEN
        if over > 0:
            others = rows[~entries.accepted[rows]]
            rows = rows[~np.isin(rows, others[:over])]
            full = max(0, over - len(others))
            tally.map_full += full
            tally.accepted -= full
            rows = rows[full:]
        state.open = entries.events.select(rows).copy_packed()
        state.open_accepted = entries.accepted[rows]

    def _accept_returns(
        self,
        state: _HookState,
        sides: tuple[EventColumns, EventColumns],
        rows: IntArray,
        return_rows: IntArray,
    ) -> AcceptedEvents:
        """The accepted returns: in time, with an accepted entry, and meeting the conditions."""
        at_entry, at_return = sides
        tally, side = state.tallies["return"], state.hook_events.sides[1]
        late = at_return.events.time > np.uint64(self._deadline_ns)
        paired = np.zeros(len(at_return), dtype=bool)
        paired[rows] = True
        tally.expired += int(np.count_nonzero(late))
        tally.unpaired += int(np.count_nonzero(~late & ~paired))
        in_time = ~late[rows]
        at_entry, rows = at_entry.select_rows(np.flatnonzero(in_time)), rows[in_time]
        columns = self._join_entries(state, at_entry, at_return, rows)
        alive = self._test_conditions(tally, side, columns, np.ones(len(rows), dtype=bool))
        tally.accepted += int(np.count_nonzero(alive))
        if not alive.all():
            at_entry, rows = at_entry.select_rows(np.flatnonzero(alive)), rows[alive]
            columns = self._join_entries(state, at_entry, at_return, rows)
        return AcceptedEvents(
            hook_events=state.hook_events,
            columns=columns,
            order=return_rows[rows],
            comms=_fetched_names(at_entry),
        )

    def _join_entries(
        self,
        state: _HookState,
        at_entry: EventColumns,
        at_return: EventColumns,
        rows: IntArray,
    ) -> EventColumns:
        returns = at_return.events.select(rows)
        pair = Pair(
            captures=lambda index: at_entry.column_of(state.hook_events.captures[index]),
            elapsed=returns.time - at_entry.events.time,
        )
        return EventColumns(at_return.event_format, returns, self.tasks, self.tally, pair)

    # ---------------------------------------------------------------- records

    def _make_records(self, kept: Sequence[AcceptedEvents]) -> ByteArray:
        size = self.program.record_size
        if not kept:
            return np.empty((0, size), dtype=np.uint8)
        order = np.concatenate([batch.order for batch in kept])
        times = np.concatenate([batch.columns.events.time for batch in kept])
        probes = np.concatenate(
            [np.full(len(batch.order), batch.hook_events.probe) for batch in kept]
        )
        hooks = np.concatenate([np.full(len(batch.order), i) for i, batch in enumerate(kept)])
        rows = np.concatenate([np.arange(len(batch.order)) for batch in kept])
        by_time = np.lexsort((hooks, order))
        admitted = by_time[self.bounds.admit_records(times[by_time], probes[by_time])]
        records = np.zeros((len(admitted), size), dtype=np.uint8)
        for i, batch in enumerate(kept):
            where = np.flatnonzero(hooks[admitted] == i)
            if where.size:
                records[where] = self._write_and_count(
                    batch.select_rows(rows[admitted[where]]), size
                )
                done = self.recorded.get(batch.hook_events.probe, 0)
                self.recorded[batch.hook_events.probe] = done + where.size
        return records

    def _write_and_count(self, kept: AcceptedEvents, size: int) -> ByteArray:
        written = write_records(kept, self.tasks, size)
        self.faulted += written.nulls
        self.truncated += written.cut
        return written.records


def _fetched_names(columns: EventColumns) -> ValueColumn | None:
    """Thread names as fetched by the kernel; None where they are looked up by thread."""
    return columns.leaf_column(COMM) if COMM in columns.event_format.source.field_names else None


def _find_other_exit(hook: HookEvents, event_formats: Sequence[EventFormat]) -> EventFormat | None:
    other = hook.sides[-1].other
    return None if other is None else event_formats[other]


def _make_record_limits(program: Program) -> RecordLimits:
    probes = program.probes
    return RecordLimits(
        rate=Gcra(program.limits.rate),
        cap=Cap(program.limits.events),
        rates={p.index: Gcra(p.rate) for p in probes if p.rate is not None},
        caps={p.index: Cap(p.events) for p in probes if p.events is not None},
    )
