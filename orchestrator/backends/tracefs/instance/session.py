"""A run's probes in tracefs: armed, drained, accounted for and taken away."""

import select
import time
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from orchestrator.backends.prices import Price
from orchestrator.backends.protocol import (
    Artifact,
    AttachedHook,
    Counts,
    Expense,
    OpenSpans,
    SkippedHook,
)
from orchestrator.backends.tracefs.counts.accounts import (
    Hits,
    HitsSeen,
    counts_of,
    hits_now,
    hits_of,
    with_tables,
)
from orchestrator.backends.tracefs.counts.event_costs import expenses
from orchestrator.backends.tracefs.design.hist import Table, cells_of, read_tables
from orchestrator.backends.tracefs.design.layout import HistUse, HookEvents, Layout
from orchestrator.backends.tracefs.design.mechanism import attached
from orchestrator.backends.tracefs.design.writes import resuming, switched, toggled
from orchestrator.backends.tracefs.instance.trace_instance import Instance
from orchestrator.cells.cell import Cell
from orchestrator.compile.program import Program
from orchestrator.kernel.tracepoints import parse_format
from orchestrator.plan.findings import Finding, HostError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from orchestrator.backends.tracefs.reader.columns import Reader
    from orchestrator.backends.tracefs.reader.drain import Drain
    from orchestrator.backends.tracefs.reader.pipeline import Pipeline
    from orchestrator.symbols.frames import Stack

__all__ = ["TracefsSession"]

_READ_S = 0.1  # a read while events flow goes on for that long at most
_LATE_NS = 2_000_000  # an event is committed that long after its time stamp at the latest
_FOREVER = (1 << 63) - 1
_QUIET_TRIES = 3


class TracefsSession:
    """protocol.Session over one instance. numpy is imported when events are first awaited."""

    def __init__(
        self,
        artifact: Artifact[Layout],
        layout: Layout,
        instance: Instance,
        skipped: Sequence[SkippedHook],
        prices: Mapping[str, Price],
    ) -> None:
        self.program, self.layout, self.instance = artifact.program, layout, instance
        self._prices = prices
        self.skipped: Sequence[SkippedHook] = tuple(skipped)
        self.attached: Sequence[AttachedHook] = tuple(
            attached(h, layout, instance.names) for h in layout.hooks
        )
        self._armed = False
        self._closed = False
        self._poll = select.poll()
        for pipe in instance.open_pipes().values():
            self._poll.register(pipe, select.POLLIN)
        self._deadline_ns = 0
        self._pipeline: Pipeline | None = None
        self._drain: Drain | None = None
        self._readers: list[Reader] = []
        self._base: Mapping[str, Hits] = {}
        self._hits: Mapping[str, Hits] = {}
        self._exact_hits = True
        self._last: Counts | None = None
        self._kept: list[tuple[HistUse, Table]] = []
        self._paused: set[int] = set()
        self._dropped: set[int] = set()

    # ---------------------------------------------------------------- switching

    def arm(self, deadline_ns: int) -> None:
        """Let records and metrics flow until `deadline_ns` (CLOCK_MONOTONIC)."""
        self._set_deadline(deadline_ns)
        self._exact_hits = self._switched_on_quietly()
        self._count("continue")
        self._armed = True

    def _set_deadline(self, deadline_ns: int) -> None:
        """The reader's, which is told when it is made: arming does not wait for numpy."""
        self._deadline_ns = deadline_ns
        if self._pipeline is not None:
            self._pipeline.deadline_ns = deadline_ns

    def _switched_on_quietly(self) -> bool:
        """Switch tracing on between two equal looks at the hits, so that what is hit from then on
        is what is recorded or filtered. False where it is never quiet: hits tell nothing then."""
        for _ in range(_QUIET_TRIES):
            self._base = hits_now(self.layout, self.instance)
            self.instance.switch(True)
            if hits_now(self.layout, self.instance) == self._base:
                return True
            self.instance.switch(False)
            self.instance.clear()
        self.instance.switch(True)
        return False

    def _count(self, state: str) -> None:
        """Let hist triggers count, or not; they go on counting whatever tracing_on says."""
        instance = self.instance
        instance.perform(switched(self.layout, instance.names, instance.own, state))

    def extend(self, deadline_ns: int) -> None:
        """Move the deadline (a lease renewed). One that ran out, since we were stopped, was ended
        by the watchdog, perhaps just now: what is on already stays on."""
        self._set_deadline(deadline_ns)
        if self._armed:
            instance = self.instance
            off = self._sources(self._paused)
            instance.perform(resuming(self.layout, instance.names, instance.own, off))

    def pause(self, probes: Collection[int]) -> None:
        """Switch probes off by their events' own switches. Raises HostError for one that shares an
        event with a probe that goes on."""
        paused = self._paused | set(probes)
        sources = self._sources(paused)
        if shared := sources & self._sources(set(range(len(self.program.probes))) - paused):
            raise HostError([_shared(self.layout, self.program, sorted(shared))])
        self._toggle(sources, on=False)
        self._paused = paused

    def resume(self, probes: Collection[int]) -> None:
        """Switch paused probes on again. Calls that were open are forgotten: their returns may have
        gone by."""
        self._prepare().forget({hook.hook.id for hook in self._hooks(probes)})
        self._toggle(self._sources(probes), on=True)
        self._paused -= set(probes)

    def _toggle(self, sources: Collection[int], *, on: bool) -> None:
        """Hits of events that hist triggers count go on meanwhile, and hits that come while others
        are switched may or may not be seen: then hits tell nothing."""
        instance, before = self.instance, hits_of(self.layout, self.instance, sources)
        instance.perform(toggled(self.layout, instance.names, instance.own, sources, on=on))
        counted = any(hist.source in sources for hist in self.layout.hists)
        same = not counted and hits_of(self.layout, instance, sources) == before
        self._exact_hits &= same

    def _hooks(self, probes: Collection[int]) -> list[HookEvents]:
        return [hook for hook in self.layout.hooks if hook.probe in probes]

    def _sources(self, probes: Collection[int]) -> set[int]:
        return {side.source for hook in self._hooks(probes) for side in hook.sides}

    def disarm(self) -> None:
        """Stop recording at once; what is in the buffers stays readable."""
        if self._armed:
            self._count("pause")
            before = hits_now(self.layout, self.instance)
            self.instance.switch(False)
            self._hits = hits_now(self.layout, self.instance)
            self._exact_hits &= self._hits == before
            self._armed = False

    def detach(self) -> None:
        """Undo everything that attach created, in reverse. Idempotent."""
        if self._closed:
            return
        if self._pipeline is not None:
            self._last = self._counted()
        self._closed = True
        self.instance.close()

    # ---------------------------------------------------------------- what it costs

    @property
    def samplable(self) -> Collection[int]:
        """None: what is left out here has been recorded all the same."""
        return ()

    def set_run_time_stats(self, on: bool) -> None:
        """Nothing to measure: an event's price is all that it costs."""

    def expenses(self) -> Sequence[Expense]:
        """One for each event that is on."""
        pipeline, prices = self._prepare(), self._prices
        return expenses(self.layout, self.instance, pipeline, prices, self._base, self._dropped)

    def resample(self, probe: int, every: int) -> None:
        """Never asked for: nothing is samplable."""
        raise NotImplementedError(f"sampling of probe {probe} to {every}")

    def detach_probe(self, probe: int) -> None:
        """Off by its events' own switches; the definitions go with the rest."""
        self._dropped.add(probe)
        everyone = set(range(len(self.program.probes)))
        sources = self._sources(self._dropped) - self._sources(everyone - self._dropped)
        self._toggle(sources, on=False)

    # ---------------------------------------------------------------- reading

    def wait(self, timeout_s: float) -> None:
        """Sleep until a buffer is a quarter full, or for `timeout_s`."""
        self._poll.poll(max(0, int(timeout_s * 1000)))

    def read(self) -> "Sequence[NDArray[np.uint8]]":
        """Batches of records in time order; none is held back once tracing is off."""
        pipeline, drain = self._prepare(), self._drain
        if drain is None or self._closed:
            return ()
        pipeline.tasks.refresh()
        batches = []
        until = time.monotonic() + _READ_S
        while True:
            before = time.monotonic_ns() - _LATE_NS if self._armed else _FOREVER
            events, more = drain.take(before)
            if len(events):
                records = pipeline.feed(events)
                if len(records):
                    batches.append(records)
            if not more or (self._armed and time.monotonic() > until):
                return batches

    def release_batch(self) -> None:
        """Records are copies: there is nothing to give back."""

    def capped(self) -> bool:
        """True once the plan's event cap is reached."""
        return self._pipeline is not None and self._pipeline.bounds.cap.reached

    def metrics(self) -> Mapping[int, Sequence[Cell]]:
        """All cells by metric index, as of the last read."""
        cells: dict[int, Sequence[Cell]] = {
            one.spec.index: one.cells() for one in self._prepare().aggregates
        }
        for use, table in self._tables():
            cells[use.metric] = cells_of(use, self.program.metrics[use.metric], table)
        return cells

    def new_stacks(self, numbers: Collection[int] | None = None) -> "Sequence[Stack]":
        """None: programs that take stacks are refused."""
        del numbers
        return ()

    def open_spans(self, span: int) -> OpenSpans:
        """None: programs with spans are refused."""
        raise ValueError(f"tracefs has no span {span}")

    def _tables(self) -> list[tuple[HistUse, Table]]:
        """The hist triggers' tables as of now, or as they were when they were taken away."""
        if not self._closed:
            self._kept = read_tables(self.layout, self.instance)
        return self._kept

    def counts(self) -> Counts:
        """All counters, of the events read so far."""
        return self._last if self._last is not None else self._counted()

    def _counted(self) -> Counts:
        pipeline = self._prepare()
        hits = hits_now(self.layout, self.instance) if self._armed else self._hits
        corrupt = sum(reader.corrupt for reader in self._readers)
        corrupt += self._drain.corrupt if self._drain is not None else 0
        known = HitsSeen(before=self._base, now=hits, exact=self._exact_hits)
        counts = counts_of(pipeline, self.layout, self.instance, known, corrupt)
        return with_tables(counts, self.layout, self.program, self._tables())

    # ---------------------------------------------------------------- set-up

    def _prepare(self) -> "Pipeline":
        """The reading side, made when it is first needed: attaching does without numpy."""
        if self._pipeline is None:
            from orchestrator.backends.tracefs.reader.drain import Drain
            from orchestrator.backends.tracefs.reader.pipeline import Pipeline
            from orchestrator.backends.tracefs.reader.tasks import Tasks

            self._readers = _readers(self.layout, self.instance)
            self._pipeline = Pipeline(
                self.program,
                self.layout.hooks,
                self._readers,
                Tasks(self.instance.tracefs),
                self.layout.stack_step,
            )
            self._pipeline.deadline_ns = self._deadline_ns
            paired = any(len(hook.sides) > 1 for hook in self.layout.hooks)
            self._drain = Drain(self.instance, ordered=paired)
        return self._pipeline


def _shared(layout: Layout, program: Program, sources: Sequence[int]) -> Finding:
    """Why a probe cannot be paused by itself."""
    events = ", ".join(layout.sources[source].key for source in sources)
    hooks = [h for h in layout.hooks if any(side.source in sources for side in h.sides)]
    names = dict.fromkeys(program.probes[hook.probe].name for hook in hooks)
    return Finding(
        code="PP093",
        message=f"the probes {', '.join(names)} share the event {events}, which has one switch",
        hint="pause them together, or the whole run",
    )


def _readers(layout: Layout, instance: Instance) -> "list[Reader]":
    from orchestrator.backends.tracefs.reader.columns import Reader

    readers = []
    for source in layout.sources:
        category, event = instance.names.event(source)
        told = parse_format(category, event, instance.format(category, event))
        fields = {field.name: field for field in (*told.common, *told.fields)}
        needed = [fields[name] for name in source.leaves.values() if name in fields]
        readers.append(
            Reader(
                source=source,
                kind=told.id or 0,
                fields=fields,
                size=max((f.offset + f.size for f in needed), default=8),
            )
        )
    return readers
