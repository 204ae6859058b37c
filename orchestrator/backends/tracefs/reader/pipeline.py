"""From events to records and cells: what the kernel's programs would have done, done here.

Order, as in the kernel: deadline, target, conditions, sample, pairing, then rate and cap before
records only. Every event that was read is counted in one place.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np

from orchestrator.backends.tracefs.design.event_fields import COMM, STACK
from orchestrator.backends.tracefs.design.layout import EventSide, HookEvents
from orchestrator.backends.tracefs.reader.aggregate import Aggregate
from orchestrator.backends.tracefs.reader.arrays import BoolArray, ByteArray, IntArray
from orchestrator.backends.tracefs.reader.bounds import Cap, Gcra, RecordLimits, Sampler
from orchestrator.backends.tracefs.reader.columns import (
    EventColumns,
    EventFormat,
    Pair,
    ValueColumn,
)
from orchestrator.backends.tracefs.reader.events import Events, join_events, no_events
from orchestrator.backends.tracefs.reader.pairs import match_calls
from orchestrator.backends.tracefs.reader.records import AcceptedEvents, write_records
from orchestrator.backends.tracefs.reader.side_tally import SideTally
from orchestrator.backends.tracefs.reader.target import Targets
from orchestrator.backends.tracefs.reader.tasks import Tasks
from orchestrator.compile.expressions.evaluate import Tally
from orchestrator.compile.program import Program

__all__ = ["Pipeline"]

_MOST_OPEN = 100_000  # calls that are followed at once, each hook


@dataclass(slots=True)
class _HookState:
    """A hook at work: its readers, and the entries whose calls go on."""

    placed: HookEvents
    readers: tuple[EventFormat, ...]
    sampler: Sampler
    tallies: dict[str, SideTally]
    open: Events = field(default_factory=no_events)


class Pipeline:
    """The pipeline of one run."""

    def __init__(
        self,
        program: Program,
        hooks: Sequence[HookEvents],
        readers: Sequence[EventFormat],
        tasks: Tasks,
        stack_step: int,
    ) -> None:
        self.program, self.tasks, self.stack_step = program, tasks, stack_step
        self._deadline_ns = 0
        self.tally = Tally()
        self.targets = Targets(program.target, tasks)
        self.aggregates = [Aggregate(spec) for spec in program.metrics]
        self.bounds = _make_record_limits(program)
        self.recorded: dict[int, int] = {}
        self.faulted = self.truncated = 0
        self.states = [
            _HookState(
                placed=hook,
                readers=tuple(readers[side.source] for side in hook.sides),
                sampler=Sampler(hook.sample),
                tallies={side.name: SideTally() for side in hook.sides},
            )
            for hook in hooks
        ]

    def process_events(self, events: Events, deadline_ns: int) -> ByteArray:
        """Take events in time order; returns the records they make, in time order. Events after
        `deadline_ns` (CLOCK_MONOTONIC) count as expired."""
        self._deadline_ns = deadline_ns
        kept: list[AcceptedEvents] = []
        for state in self.states:
            take = self._process_pairs if len(state.readers) == 2 else self._process_hits
            found = take(state, events)
            if found is not None and len(found.columns):
                kept.append(found)
        for one in kept:
            for use in one.placed.metrics:
                self.aggregates[use.metric].add(use, one.columns, one.placed.sample)
        return self._make_records([one for one in kept if one.placed.record is not None])

    def forget_open_calls(self, hooks: Collection[int]) -> None:
        """Give up the open calls of these hooks (by id): their returns went by unseen."""
        for state in self.states:
            if state.placed.hook.id in hooks:
                state.open = no_events()

    def booked_sides(self) -> dict[tuple[int, str], SideTally]:
        """Where the events went so far, by hook id and side."""
        return {
            (state.placed.hook.id, side): tally
            for state in self.states
            for side, tally in state.tallies.items()
        }

    # ---------------------------------------------------------------- hits

    def _process_hits(self, state: _HookState, events: Events) -> AcceptedEvents | None:
        reader, side = state.readers[0], state.placed.sides[0]
        rows = reader.find_rows(events)
        mine = events.select(rows)
        columns = EventColumns(reader, mine, self.tasks, self.tally)
        keep = self._accept_events(state, side, columns)
        rows, mine = rows[keep], mine.select(keep)
        columns = EventColumns(reader, mine, self.tasks, self.tally)
        return AcceptedEvents(
            placed=state.placed, columns=columns, order=rows, comms=_fetched_names(columns)
        )

    def _accept_events(
        self, state: _HookState, side: EventSide, columns: EventColumns
    ) -> BoolArray:
        """Which events of a first side go on, the others counted."""
        told = state.tallies[side.name]
        alive = columns.events.time <= np.uint64(self._deadline_ns)
        told.expired += int(np.count_nonzero(~alive))
        if state.placed.hook.body.task is None:
            ours = self.targets.find_target(columns, columns.reader.source)
            told.not_target += int(np.count_nonzero(alive & ~ours))
            alive &= ours
        alive = self._test_conditions(told, side, columns, alive)
        rows = np.flatnonzero(alive)
        sampled = state.sampler.choose_kept(len(rows))
        told.sampled_out += int(np.count_nonzero(~sampled))
        alive[rows[~sampled]] = False
        told.accepted += int(np.count_nonzero(alive))
        return alive

    def _test_conditions(
        self, told: SideTally, side: EventSide, columns: EventColumns, alive: BoolArray
    ) -> BoolArray:
        """Tests what the kernel did not, on what is still alive."""
        for node in side.where:
            rows = np.flatnonzero(alive)
            if not rows.size:
                break
            part = columns if rows.size == len(columns) else columns.select_rows(rows)
            false = rows[~part.is_true_by_row(node)]
            told.filtered += len(false)
            alive[false] = False
        return alive

    # ---------------------------------------------------------------- pairs

    def _process_pairs(self, state: _HookState, events: Events) -> AcceptedEvents | None:
        entry_reader, return_reader = state.readers
        entry_rows, return_rows = entry_reader.find_rows(events), return_reader.find_rows(events)
        entries = events.select(entry_rows)
        at_entry = EventColumns(entry_reader, entries, self.tasks, self.tally)
        accepted = self._accept_events(state, state.placed.sides[0], at_entry)
        before = len(state.open)
        entries = join_events(state.open, entries)
        accepted = np.concatenate((np.ones(before, dtype=bool), accepted))
        at_entry = EventColumns(entry_reader, entries, self.tasks, self.tally)
        returns = events.select(return_rows)
        at_return = EventColumns(return_reader, returns, self.tasks, self.tally)
        matched = match_calls(
            self._pair_keys(state, at_entry, 0),
            np.concatenate((np.arange(before) - before, entry_rows)),
            self._pair_keys(state, at_return, self.stack_step),
            return_rows,
        )
        self._keep_open(state, entries, matched.open[accepted[matched.open]])
        good = accepted[matched.entries]
        return self._accept_returns(
            state,
            (at_entry.select_rows(matched.entries[good]), at_return),
            matched.returns[good],
            return_rows,
        )

    def _pair_keys(
        self, state: _HookState, columns: EventColumns, step: int
    ) -> tuple[IntArray, IntArray]:
        tids = columns.tids.astype(np.int64)
        if not state.placed.nested:
            return tids, np.zeros(len(columns), dtype=np.int64)
        stack = columns.column_of(STACK).values.astype(np.int64) - step
        return tids, stack

    def _keep_open(self, state: _HookState, entries: Events, rows: IntArray) -> None:
        over = max(0, len(rows) - _MOST_OPEN)
        told = state.tallies["entry"]
        told.map_full += over
        told.accepted -= over
        state.open = entries.select(rows[over:]).copy_packed()

    def _accept_returns(
        self,
        state: _HookState,
        sides: tuple[EventColumns, EventColumns],
        rows: IntArray,
        return_rows: IntArray,
    ) -> AcceptedEvents | None:
        """What is left of the returns: in time, with an accepted entry, and as wanted."""
        at_entry, at_return = sides
        told, side = state.tallies["return"], state.placed.sides[1]
        late = at_return.events.time > np.uint64(self._deadline_ns)
        paired = np.zeros(len(at_return), dtype=bool)
        paired[rows] = True
        told.expired += int(np.count_nonzero(late))
        told.unpaired += int(np.count_nonzero(~late & ~paired))
        in_time = ~late[rows]
        at_entry, rows = at_entry.select_rows(np.flatnonzero(in_time)), rows[in_time]
        columns = self._join_entries(state, at_entry, at_return, rows)
        alive = self._test_conditions(told, side, columns, np.ones(len(rows), dtype=bool))
        told.accepted += int(np.count_nonzero(alive))
        if not alive.all():
            at_entry, rows = at_entry.select_rows(np.flatnonzero(alive)), rows[alive]
            columns = self._join_entries(state, at_entry, at_return, rows)
        return AcceptedEvents(
            placed=state.placed,
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
            captures=lambda index: at_entry.column_of(state.placed.captures[index]),
            elapsed=returns.time - at_entry.events.time,
        )
        return EventColumns(at_return.reader, returns, self.tasks, self.tally, pair)

    # ---------------------------------------------------------------- records

    def _make_records(self, kept: Sequence[AcceptedEvents]) -> ByteArray:
        size = self.program.record_size
        if not kept:
            return np.empty((0, size), dtype=np.uint8)
        order = np.concatenate([one.order for one in kept])
        times = np.concatenate([one.columns.events.time for one in kept])
        probes = np.concatenate([np.full(len(one.order), one.placed.probe) for one in kept])
        hooks = np.concatenate([np.full(len(one.order), i) for i, one in enumerate(kept)])
        rows = np.concatenate([np.arange(len(one.order)) for one in kept])
        by_time = np.lexsort((hooks, order))
        admitted = by_time[self.bounds.admit_records(times[by_time], probes[by_time])]
        records = np.zeros((len(admitted), size), dtype=np.uint8)
        for i, one in enumerate(kept):
            where = np.flatnonzero(hooks[admitted] == i)
            if where.size:
                records[where] = self._write_and_count(one.select_rows(rows[admitted[where]]), size)
                done = self.recorded.get(one.placed.probe, 0)
                self.recorded[one.placed.probe] = done + where.size
        return records

    def _write_and_count(self, kept: AcceptedEvents, size: int) -> ByteArray:
        written = write_records(kept, self.tasks, size)
        self.faulted += written.nulls
        self.truncated += written.cut
        return written.records


def _fetched_names(columns: EventColumns) -> ValueColumn | None:
    """The name as the kernel fetched it; None: by looking the thread up."""
    return columns.leaf_column(COMM) if COMM in columns.reader.source.leaves else None


def _make_record_limits(program: Program) -> RecordLimits:
    probes = program.probes
    return RecordLimits(
        rate=Gcra(program.limits.rate),
        cap=Cap(program.limits.events),
        rates={p.index: Gcra(p.rate) for p in probes if p.rate is not None},
        caps={p.index: Cap(p.events) for p in probes if p.events is not None},
    )
