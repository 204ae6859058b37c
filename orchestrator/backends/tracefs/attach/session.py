"""A run's probes in tracefs: armed, read, counted and removed."""

import contextlib
import select
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING

from orchestrator.accounting.count import UNKNOWN
from orchestrator.backends.prices import Price
from orchestrator.backends.protocol import (
    AttachedHook,
    Counts,
    Expense,
    MetricsReading,
    OpenSpans,
    SkippedHook,
)
from orchestrator.backends.tracefs.attach.lazy_reading import LazyReadingSide
from orchestrator.backends.tracefs.counts.accounts import make_counts
from orchestrator.backends.tracefs.counts.event_costs import list_expenses
from orchestrator.backends.tracefs.counts.event_hits import EventHits
from orchestrator.backends.tracefs.counts.hist_tables import (
    HistTable,
    cells_of_table,
    count_events_apart,
    read_hist_tables,
)
from orchestrator.backends.tracefs.design.layout import EventLayout, HistUse, HookEvents
from orchestrator.backends.tracefs.design.mechanism import attached_hook
from orchestrator.backends.tracefs.design.writes import (
    resume_writes,
    source_switch_writes,
    trigger_switch_writes,
)
from orchestrator.backends.tracefs.instance.task_instance import TaskInstance
from orchestrator.backends.tracefs.instance.trace_instance import TraceInstance
from orchestrator.cells.cell import Cell
from orchestrator.compile.program import Program
from orchestrator.plan.findings import Finding, HostError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from orchestrator.symbols.frames import Stack

__all__ = ["TracefsSession"]


class TracefsSession:
    """protocol.Session of one instance. numpy is imported when events are first read."""

    def __init__(  # noqa: PLR0913  # everything that was made before
        self,
        program: Program,
        layout: EventLayout,
        instance: TraceInstance,
        tasks: TaskInstance | None,
        skipped: Sequence[SkippedHook],
        prices: Mapping[str, Price],
    ) -> None:
        self.program, self.layout, self.instance = program, layout, instance
        self._tasks = tasks
        self._prices = prices
        self.skipped: Sequence[SkippedHook] = tuple(skipped)
        self.attached: Sequence[AttachedHook] = tuple(
            attached_hook(h, layout, instance.names) for h in layout.hooks
        )
        self._armed = False
        self._closed = False
        self._poll = select.poll()
        for recording in (instance, *([tasks.instance] if tasks else [])):
            for pipe in recording.open_pipes().values():
                self._poll.register(pipe, select.POLLIN)
        self._deadline_ns = 0
        self._reading = LazyReadingSide(program, layout, instance, tasks)
        self._hits = EventHits(layout, instance)
        self._last_counts: Counts | None = None
        self._last_tables: list[tuple[HistUse, HistTable]] = []
        self._paused: set[int] = set()
        self._detached: set[int] = set()

    # ---------------------------------------------------------------- switching

    def arm(self, deadline_ns: int) -> None:
        """Let records and metrics flow until `deadline_ns` (CLOCK_MONOTONIC)."""
        self._deadline_ns = deadline_ns
        self._hits.switch_on()
        self._switch_triggers("continue")
        self._armed = True

    def _switch_triggers(self, state: str) -> None:
        """Set hist triggers to `continue` or `pause`, since tracing_on has no effect on them, or
        `clear` their tables."""
        instance = self.instance
        instance.perform_writes(
            trigger_switch_writes(self.layout, instance.names, instance.own, state)
        )

    def clear(self) -> None:
        """Forget what was counted so far, as if it had never been armed; only while disarmed."""
        self._switch_triggers("clear")
        self.instance.clear_buffer()
        self._reading.restart()
        self._last_tables = []

    def take_snapshots(self) -> Sequence[str]:
        """tracefs has no iterators."""
        return ()

    def count_lost_cgroups(self) -> int | None:
        """tracefs tests no cgroups."""
        return None

    def extend(self, deadline_ns: int) -> None:
        """Move the deadline (a lease renewed). If the deadline passed while this process was
        stopped, the watchdog has ended recording, so everything is switched on again;
        what is still on stays on."""
        self._deadline_ns = deadline_ns
        if self._armed:
            instance = self.instance
            off = self._sources_of(self._paused)
            instance.perform_writes(resume_writes(self.layout, instance.names, instance.own, off))

    def find_switch(self) -> None:
        """None: tracing is switched by writes."""

    def pause(self, probes: Collection[int]) -> None:
        """Disable the events of probes. Raises HostError for a probe that shares an event with one
        that stays on."""
        paused = self._paused | set(probes)
        sources = self._sources_of(paused)
        if shared := sources & self._sources_of(set(range(len(self.program.probes))) - paused):
            raise HostError([_shared_event_finding(self.layout, self.program, sorted(shared))])
        self._switch_sources(sources, on=False)
        self._paused = paused

    def resume(self, probes: Collection[int]) -> None:
        """Switch paused probes on again. Open calls are forgotten, since their returns may have
        been missed."""
        self._reading.get().pipeline.forget_open_calls(
            {hook.hook.id for hook in self._hooks_of(probes)}
        )
        self._switch_sources(self._sources_of(probes), on=True)
        self._paused -= set(probes)

    def _switch_sources(self, sources: Collection[int], *, on: bool) -> None:
        instance = self.instance
        steps = source_switch_writes(self.layout, instance.names, instance.own, sources, on=on)
        self._hits.switch_sources(sources, steps)

    def _hooks_of(self, probes: Collection[int]) -> list[HookEvents]:
        return [hook for hook in self.layout.hooks if hook.probe in probes]

    def _sources_of(self, probes: Collection[int]) -> set[int]:
        return {
            source
            for hook in self._hooks_of(probes)
            for side in hook.sides
            for source in side.sources
        }

    def disarm(self) -> None:
        """Stop recording at once; what is in the buffers stays readable."""
        if self._armed:
            self._switch_triggers("pause")
            self._hits.switch_off()
            self._armed = False

    def detach(self) -> None:
        """Undo everything that attach created, in reverse. Idempotent."""
        if self._closed:
            return
        with contextlib.ExitStack() as closing:
            if self._tasks is not None:  # made first, removed last
                closing.callback(self._tasks.instance.close)
            closing.callback(self.instance.close)
            closing.callback(setattr, self, "_closed", True)
            if self._reading.is_made:
                self._last_counts = self._count_now()

    # ---------------------------------------------------------------- what it costs

    @property
    def samplable(self) -> Collection[int]:
        """None: sampling is done in user space, so changing it would not save anything."""
        return ()

    def set_run_time_stats(self, on: bool) -> None:
        """Does nothing: there are no programs, and an event costs just its price."""

    def expenses(self) -> Sequence[Expense]:
        """One for each event that is enabled."""
        return list_expenses(
            self.layout,
            self.instance,
            self._reading.get().pipeline,
            self._prices,
            self._hits,
            self._detached,
        )

    def resample(self, probe: int, every: int) -> None:
        """Never called, since nothing is samplable. Raises NotImplementedError."""
        raise NotImplementedError(f"sampling of probe {probe} to {every}")

    def detach_probe(self, probe: int) -> None:
        """Disable the probe's events; their definitions are removed by `detach`."""
        self._detached.add(probe)
        everyone = set(range(len(self.program.probes)))
        sources = self._sources_of(self._detached) - self._sources_of(everyone - self._detached)
        self._switch_sources(sources, on=False)

    # ---------------------------------------------------------------- reading

    def wait(self, timeout_s: float, also: Sequence[int] = ()) -> None:
        """Sleep until a buffer is a quarter full or one of `also` can be read, or for
        `timeout_s`."""
        for descriptor in also:
            self._poll.register(descriptor, select.POLLIN)
        self._poll.poll(max(0, int(timeout_s * 1000)))
        for descriptor in also:
            self._poll.unregister(descriptor)

    def read(self) -> "Sequence[NDArray[np.uint8]]":
        """Batches of records in time order. While armed, events of the last 2 ms are held back."""
        if self._closed:
            return ()
        return self._reading.get().read_batches(self._deadline_ns, is_recording=self._armed)

    def release_batch(self) -> None:
        """Does nothing: records are copies."""

    def capped(self) -> bool:
        """True once the plan's event cap is reached."""
        return self._reading.is_made and self._reading.get().pipeline.bounds.cap.is_reached

    def metrics(self) -> Mapping[int, Sequence[Cell]]:
        """All cells by metric index, including the events read so far."""
        cells: dict[int, Sequence[Cell]] = {
            aggregate.spec.index: aggregate.cells()
            for aggregate in self._reading.get().pipeline.aggregates
        }
        for use, table in self._read_tables():
            cells[use.metric] = cells_of_table(use, self.program.metrics[use.metric], table)
        return cells

    def metrics_together(self, together: Collection[int]) -> MetricsReading:
        """All cells. Metrics that are aggregated here are of one moment, the last read; tables in
        the kernel are of another, later one, so that it is unknown how far the two are apart."""
        in_kernel = {use.metric for use in self.layout.hists}.intersection(together)
        if not in_kernel or self._closed:
            return MetricsReading(cells=self.metrics())
        before, cells = self._read_tables(), self.metrics()
        if self._armed and len(in_kernel) < len(together):
            return MetricsReading(cells=cells, events_apart=UNKNOWN)
        apart = count_events_apart(before, self._last_tables, in_kernel)
        return MetricsReading(cells=cells, events_apart=apart)

    def new_stacks(self, numbers: Collection[int] | None = None) -> "Sequence[Stack]":
        """Empty: programs that take stacks are refused."""
        del numbers
        return ()

    def open_spans(self, span: int) -> OpenSpans:
        """Raises ValueError: programs with spans are refused."""
        raise ValueError(f"tracefs has no span {span}")

    def _read_tables(self) -> list[tuple[HistUse, HistTable]]:
        """The hist triggers' tables at this moment, or as they were when they were removed."""
        if not self._closed:
            self._last_tables = read_hist_tables(self.layout, self.instance)
        return self._last_tables

    def counts(self) -> Counts:
        """All counters, of the events read so far."""
        return self._last_counts if self._last_counts is not None else self._count_now()

    def _count_now(self) -> Counts:
        reading, hits = self._reading.get(), self._hits.count_run()
        return make_counts(reading, self.layout, self.instance, hits, self._read_tables())


def _shared_event_finding(layout: EventLayout, program: Program, sources: Sequence[int]) -> Finding:
    """Why a probe cannot be paused alone."""
    events = ", ".join(layout.sources[source].key for source in sources)
    shared = set(sources)
    hooks = [h for h in layout.hooks if any(shared.intersection(s.sources) for s in h.sides)]
    names = dict.fromkeys(program.probes[hook.probe].name for hook in hooks)
    return Finding(
        code="PP093",
        message=f"the probes {', '.join(names)} share the event {events}, which has one switch",
        hint="pause them together, or the whole run",
    )
