"""A run's probes in tracefs: attached, drained, accounted for and taken away."""

import select
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.backends.prices import Price, prices
from orchestrator.backends.protocol import (
    Artifact,
    AttachedHook,
    AttachOptions,
    Cell,
    Counts,
    Expense,
    Opened,
    SkippedHook,
)
from orchestrator.backends.tracefs.accounts import (
    Hits,
    HitsSeen,
    counts_of,
    hits_now,
    read_by_source,
    with_tables,
)
from orchestrator.backends.tracefs.hist import Table, cells_of, read_tables
from orchestrator.backends.tracefs.instance import Instance, Refused, total
from orchestrator.backends.tracefs.layout import HistUse, HookEvents, Layout
from orchestrator.backends.tracefs.mechanism import attached, price_kind, without
from orchestrator.backends.tracefs.threads import own_threads, seeds
from orchestrator.backends.tracefs.writes import (
    names_of,
    resuming,
    stopping,
    switched,
    toggled,
    writes,
)
from orchestrator.compile.program import Program
from orchestrator.kernel.facts import KernelFacts
from orchestrator.kernel.tracepoints import parse_format
from orchestrator.plan.findings import Finding, HostError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from orchestrator.backends.tracefs.columns import Reader
    from orchestrator.backends.tracefs.drain import Drain
    from orchestrator.backends.tracefs.pipeline import Pipeline
    from orchestrator.symbols.frames import Stack

__all__ = ["TracefsSession", "attach"]

_READ_S = 0.1  # a read while events flow goes on for that long at most
_LATE_NS = 2_000_000  # an event is committed that long after its time stamp at the latest
_FOREVER = (1 << 63) - 1
_QUIET_TRIES = 3


def attach(
    artifact: Artifact, layout: Layout, facts: KernelFacts, options: AttachOptions
) -> "TracefsSession":
    """Attach everything or nothing; optional hooks that the kernel refuses are left out."""
    skipped: list[SkippedHook] = []
    while True:
        instance = _instance(facts, options)
        try:
            _make(instance, layout, artifact, options)
            priced = _priced(layout, instance)
        except Refused as refused:
            instance.close()
            layout = without(layout, refused, skipped)
        except BaseException:
            instance.close()
            raise
        else:
            return TracefsSession(artifact, layout, instance, skipped, priced)


def _instance(facts: KernelFacts, options: AttachOptions) -> Instance:
    if facts.tracing is None:
        raise HostError(
            [
                Finding(
                    code="PP113",
                    message="tracefs is not mounted",
                    hint="mount -t tracefs tracefs /sys/kernel/tracing",
                )
            ]
        )
    return Instance(
        tracefs=Path("/") / facts.tracing,
        names=names_of(options.run_id),
        journal=options.journal,
        unjournal=options.unjournal,
    )


def _make(instance: Instance, layout: Layout, artifact: Artifact, options: AttachOptions) -> None:
    target = artifact.program.target
    pids = seeds(target, options.root_pid) if layout.by_pid else ()
    own = own_threads() if target.exclude_self else ()
    instance.own = tuple(own)
    instance.perform(writes(layout, instance.names, pids=pids, own=own))
    instance.open_pipes()
    for step in stopping(layout, instance.names, own):
        options.stop(str(instance.tracefs / step.path), step.text)
    instance.hold()


def _priced(layout: Layout, instance: Instance) -> Mapping[str, Price]:
    """What the events of a layout cost; measured at first use on a host, beside `instance`."""

    def measured(kind: str) -> tuple[float, float] | None:
        from orchestrator.backends.tracefs.calibration import apart, measure

        beside = Instance(
            tracefs=instance.tracefs,
            names=apart(instance.names),
            journal=instance.journal,
            unjournal=instance.unjournal,
        )
        return measure(kind, beside)

    return prices({price_kind(source) for source in layout.sources}, measured)


class TracefsSession:
    """protocol.Session over one instance. numpy is imported when events are first awaited."""

    def __init__(
        self,
        artifact: Artifact,
        layout: Layout,
        instance: Instance,
        skipped: Sequence[SkippedHook],
        priced: Mapping[str, Price],
    ) -> None:
        self._prices = priced
        self.program, self.layout, self.instance = artifact.program, layout, instance
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
        instance, before = self.instance, self._hits_of(sources)
        instance.perform(toggled(self.layout, instance.names, instance.own, sources, on=on))
        counted = any(hist.source in sources for hist in self.layout.hists)
        self._exact_hits &= not counted and self._hits_of(sources) == before

    def _hits_of(self, sources: Collection[int]) -> list[Hits | None]:
        hits, names = hits_now(self.layout, self.instance), self.instance.names
        return [hits.get(names.event(self.layout.sources[one])[1]) for one in sorted(sources)]

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

    def measure(self, on: bool) -> None:
        """Nothing to measure: an event's price is all that it costs."""

    def expenses(self) -> Sequence[Expense]:
        """One for each event that is on. A tracepoint's hits that its filter rejects are not seen,
        and cost less."""
        kinds = [price_kind(source) for source in self.layout.sources]
        probes = self._probes_of()
        hits = self._fired()
        return [
            Expense(
                number=number,
                probes=probes[number],
                hits=hits[number],
                price_ns=self._prices[kind].ns,
                calibrated=self._prices[kind].calibrated,
            )
            for number, kind in enumerate(kinds)
            if not self._dropped.issuperset(probes[number])
        ]

    def _probes_of(self) -> list[tuple[int, ...]]:
        """By source, the probes that it serves."""
        found: list[dict[int, None]] = [{} for _ in self.layout.sources]
        for hook in self.layout.hooks:
            for side in hook.sides:
                found[side.source][hook.probe] = None
        return [tuple(probes) for probes in found]

    def _fired(self) -> list[int]:
        """By source: hits since arming. The kernel counts those of our own events; of what else is
        in the buffers or was, each tracepoint has the part that it has of what was read."""
        own = [hits.hits if hits else None for hits in self._hits_of(self._all_sources)]
        base = [self._base.get(self.instance.names.event(one)[1]) for one in self.layout.sources]
        read = read_by_source(self._prepare(), self.layout)
        stats = self.instance.stats()
        seen = sum(total(stats, name) for name in ("entries", "dropped", "overrun", "read"))
        fired = [
            read[number] if hits is None else hits - (before.hits if before else 0)
            for number, (hits, before) in enumerate(zip(own, base, strict=True))
        ]
        more = max(seen - sum(fired), 0)
        weights = [0 if hits is not None else 1 + read[n] for n, hits in enumerate(own)]
        whole = max(sum(weights), 1)
        return [
            count + more * weight // whole for count, weight in zip(fired, weights, strict=True)
        ]

    @property
    def _all_sources(self) -> range:
        return range(len(self.layout.sources))

    def resample(self, probe: int, every: int) -> None:
        """Never asked for: nothing is samplable."""
        raise NotImplementedError(f"sampling of probe {probe} to {every}")

    def drop(self, probe: int) -> None:
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

    def release(self) -> None:
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

    def opened(self, span: int) -> Opened:
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
            from orchestrator.backends.tracefs.drain import Drain
            from orchestrator.backends.tracefs.pipeline import Pipeline
            from orchestrator.backends.tracefs.tasks import Tasks

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
    from orchestrator.backends.tracefs.columns import Reader

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
