"""From events to records and cells: what the kernel's programs would have done, done here.

Order, as in the kernel: deadline, target, conditions, sample, pairing, then rate and cap before
records only. Every event that was read is counted in one place.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from orchestrator.backends.tracefs.design.event_fields import COMM, STACK
from orchestrator.backends.tracefs.design.layout import HookEvents, Side
from orchestrator.backends.tracefs.reader.aggregate import Aggregate
from orchestrator.backends.tracefs.reader.bounds import Bounds, Cap, Gcra, Sampler
from orchestrator.backends.tracefs.reader.columns import Column, Columns, Pair, Reader
from orchestrator.backends.tracefs.reader.events import Bytes, Events, empty, joined
from orchestrator.backends.tracefs.reader.pairs import match
from orchestrator.backends.tracefs.reader.records import Kept, write_records
from orchestrator.backends.tracefs.reader.side_tally import SideTally
from orchestrator.backends.tracefs.reader.target import Targets
from orchestrator.backends.tracefs.reader.tasks import Tasks
from orchestrator.compile.expressions.evaluate import Tally
from orchestrator.compile.program import Program

__all__ = ["Pipeline"]

_MOST_OPEN = 100_000  # calls that are followed at once, each hook
Mask = npt.NDArray[np.bool_]


@dataclass(slots=True)
class _State:
    """A hook at work: its readers, and the entries whose calls go on."""

    placed: HookEvents
    readers: tuple[Reader, ...]
    sampler: Sampler
    tallies: dict[str, SideTally]
    open: Events = field(default_factory=empty)


class Pipeline:
    """The pipeline of one run."""

    def __init__(
        self,
        program: Program,
        hooks: Sequence[HookEvents],
        readers: Sequence[Reader],
        tasks: Tasks,
        stack_step: int,
    ) -> None:
        self.program, self.tasks, self.stack_step = program, tasks, stack_step
        self._deadline_ns = 0
        self.tally = Tally()
        self.targets = Targets(program.target, tasks)
        self.aggregates = [Aggregate(spec) for spec in program.metrics]
        self.bounds = _bounds(program)
        self.recorded: dict[int, int] = {}
        self.faulted = self.truncated = 0
        self.states = [
            _State(
                placed=hook,
                readers=tuple(readers[side.source] for side in hook.sides),
                sampler=Sampler(hook.sample),
                tallies={side.name: SideTally() for side in hook.sides},
            )
            for hook in hooks
        ]

    def feed(self, events: Events, deadline_ns: int) -> Bytes:
        """Take events in time order; returns the records they make, in time order. Events after
        `deadline_ns` (CLOCK_MONOTONIC) count as expired."""
        self._deadline_ns = deadline_ns
        kept: list[Kept] = []
        for state in self.states:
            take = self._pairs if len(state.readers) == 2 else self._hits
            found = take(state, events)
            if found is not None and len(found.columns):
                kept.append(found)
        for one in kept:
            for use in one.placed.metrics:
                self.aggregates[use.metric].add(use, one.columns, one.placed.sample)
        return self._records([one for one in kept if one.placed.record is not None])

    def forget(self, hooks: Collection[int]) -> None:
        """Give up the open calls of these hooks (by id): their returns went by unseen."""
        for state in self.states:
            if state.placed.hook.id in hooks:
                state.open = empty()

    def booked(self) -> dict[tuple[int, str], SideTally]:
        """Where the events went so far, by hook id and side."""
        return {
            (state.placed.hook.id, side): tally
            for state in self.states
            for side, tally in state.tallies.items()
        }

    # ---------------------------------------------------------------- hits

    def _hits(self, state: _State, events: Events) -> Kept | None:
        reader, side = state.readers[0], state.placed.sides[0]
        rows = reader.rows(events)
        mine = events.take(rows)
        columns = Columns(reader, mine, self.tasks, self.tally)
        keep = self._accepted(state, side, columns)
        rows, mine = rows[keep], mine.take(keep)
        columns = Columns(reader, mine, self.tasks, self.tally)
        return Kept(placed=state.placed, columns=columns, order=rows, comms=_comms(columns))

    def _accepted(self, state: _State, side: Side, columns: Columns) -> Mask:
        """Which events of a first side go on, the others counted."""
        told = state.tallies[side.name]
        alive = columns.events.time <= np.uint64(self._deadline_ns)
        told.expired += int(np.count_nonzero(~alive))
        if state.placed.hook.body.task is None:
            ours = self.targets.ours(columns, columns.reader.source)
            told.not_target += int(np.count_nonzero(alive & ~ours))
            alive &= ours
        alive = self._conditions(told, side, columns, alive)
        rows = np.flatnonzero(alive)
        sampled = state.sampler.kept(len(rows))
        told.sampled_out += int(np.count_nonzero(~sampled))
        alive[rows[~sampled]] = False
        told.accepted += int(np.count_nonzero(alive))
        return alive

    def _conditions(self, told: SideTally, side: Side, columns: Columns, alive: Mask) -> Mask:
        """Tests what the kernel did not, on what is still alive."""
        for node in side.where:
            rows = np.flatnonzero(alive)
            if not rows.size:
                break
            part = columns if rows.size == len(columns) else columns.narrowed(rows)
            false = rows[~part.holds(node)]
            told.filtered += len(false)
            alive[false] = False
        return alive

    # ---------------------------------------------------------------- pairs

    def _pairs(self, state: _State, events: Events) -> Kept | None:
        entry_reader, return_reader = state.readers
        entry_rows, return_rows = entry_reader.rows(events), return_reader.rows(events)
        entries = events.take(entry_rows)
        at_entry = Columns(entry_reader, entries, self.tasks, self.tally)
        accepted = self._accepted(state, state.placed.sides[0], at_entry)
        before = len(state.open)
        entries = joined(state.open, entries)
        accepted = np.concatenate((np.ones(before, dtype=bool), accepted))
        at_entry = Columns(entry_reader, entries, self.tasks, self.tally)
        returns = events.take(return_rows)
        at_return = Columns(return_reader, returns, self.tasks, self.tally)
        matched = match(
            self._keys(state, at_entry, 0),
            np.concatenate((np.arange(before) - before, entry_rows)),
            self._keys(state, at_return, self.stack_step),
            return_rows,
        )
        self._keep_open(state, entries, matched.open[accepted[matched.open]])
        good = accepted[matched.entries]
        return self._returned(
            state,
            (at_entry.narrowed(matched.entries[good]), at_return),
            matched.returns[good],
            return_rows,
        )

    def _keys(
        self, state: _State, columns: Columns, step: int
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        tids = columns.tids.astype(np.int64)
        if not state.placed.nested:
            return tids, np.zeros(len(columns), dtype=np.int64)
        stack = columns.column(STACK).values.astype(np.int64) - step
        return tids, stack

    def _keep_open(self, state: _State, entries: Events, rows: npt.NDArray[np.int64]) -> None:
        over = max(0, len(rows) - _MOST_OPEN)
        told = state.tallies["entry"]
        told.map_full += over
        told.accepted -= over
        state.open = entries.take(rows[over:]).packed()

    def _returned(
        self,
        state: _State,
        sides: tuple[Columns, Columns],
        rows: npt.NDArray[np.int64],
        return_rows: npt.NDArray[np.int64],
    ) -> Kept | None:
        """What is left of the returns: in time, with an accepted entry, and as wanted."""
        at_entry, at_return = sides
        told, side = state.tallies["return"], state.placed.sides[1]
        late = at_return.events.time > np.uint64(self._deadline_ns)
        paired = np.zeros(len(at_return), dtype=bool)
        paired[rows] = True
        told.expired += int(np.count_nonzero(late))
        told.unpaired += int(np.count_nonzero(~late & ~paired))
        in_time = ~late[rows]
        at_entry, rows = at_entry.narrowed(np.flatnonzero(in_time)), rows[in_time]
        columns = self._joined(state, at_entry, at_return, rows)
        alive = self._conditions(told, side, columns, np.ones(len(rows), dtype=bool))
        told.accepted += int(np.count_nonzero(alive))
        if not alive.all():
            at_entry, rows = at_entry.narrowed(np.flatnonzero(alive)), rows[alive]
            columns = self._joined(state, at_entry, at_return, rows)
        return Kept(
            placed=state.placed, columns=columns, order=return_rows[rows], comms=_comms(at_entry)
        )

    def _joined(
        self, state: _State, at_entry: Columns, at_return: Columns, rows: npt.NDArray[np.int64]
    ) -> Columns:
        returns = at_return.events.take(rows)
        pair = Pair(
            captures=lambda index: at_entry.column(state.placed.captures[index]),
            elapsed=returns.time - at_entry.events.time,
        )
        return Columns(at_return.reader, returns, self.tasks, self.tally, pair)

    # ---------------------------------------------------------------- records

    def _records(self, kept: Sequence[Kept]) -> Bytes:
        size = self.program.record_size
        if not kept:
            return np.empty((0, size), dtype=np.uint8)
        order = np.concatenate([one.order for one in kept])
        times = np.concatenate([one.columns.events.time for one in kept])
        probes = np.concatenate([np.full(len(one.order), one.placed.probe) for one in kept])
        hooks = np.concatenate([np.full(len(one.order), i) for i, one in enumerate(kept)])
        rows = np.concatenate([np.arange(len(one.order)) for one in kept])
        by_time = np.lexsort((hooks, order))
        admitted = by_time[self.bounds.admit(times[by_time], probes[by_time])]
        records = np.zeros((len(admitted), size), dtype=np.uint8)
        for i, one in enumerate(kept):
            where = np.flatnonzero(hooks[admitted] == i)
            if where.size:
                records[where] = self._written(one.narrowed(rows[admitted[where]]), size)
                done = self.recorded.get(one.placed.probe, 0)
                self.recorded[one.placed.probe] = done + where.size
        return records

    def _written(self, kept: Kept, size: int) -> Bytes:
        written = write_records(kept, self.tasks, size)
        self.faulted += written.nulls
        self.truncated += written.cut
        return written.records


def _comms(columns: Columns) -> Column | None:
    """The name as the kernel fetched it; None: by looking the thread up."""
    return columns.leaf(COMM) if COMM in columns.reader.source.leaves else None


def _bounds(program: Program) -> Bounds:
    probes = program.probes
    return Bounds(
        rate=Gcra(program.limits.rate),
        cap=Cap(program.limits.events),
        rates={p.index: Gcra(p.rate) for p in probes if p.rate is not None},
        caps={p.index: Cap(p.events) for p in probes if p.events is not None},
    )
