"""The run's counters: what the reader booked, with what the kernel's own counters add.

With a filter in the kernel the events that it rejected are not to be seen. For events of our own
the kernel counts hits, rejected ones included; for its tracepoints nothing does, and then these
counts are unknown. Our own threads are left out by the kernel before anything is counted.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from orchestrator.backends.protocol import Count, Counts, EmitCounts, MetricCounts, SideCounts
from orchestrator.backends.tracefs.design.hist import Table
from orchestrator.backends.tracefs.design.layout import HistUse, HookEvents, Layout, Side
from orchestrator.backends.tracefs.instance.trace_instance import Instance, total
from orchestrator.compile.program import Program
from orchestrator.kernel.abi.dynamic_events import Hits, profile

if TYPE_CHECKING:
    from orchestrator.backends.tracefs.reader.pipeline import Pipeline, Tallies

__all__ = ["Hits", "HitsSeen", "counts_of", "hits_now", "hits_of", "read_by_source"]
__all__ += ["with_tables"]


def hits_now(layout: Layout, instance: Instance) -> Mapping[str, Hits]:
    """Hits of our own events by name, as of now."""
    own = [source for source in layout.sources if source.definition is not None]
    names = [instance.names.event(source)[1] for source in own]
    return profile(names, tracefs=instance.tracefs) if names else {}


def hits_of(layout: Layout, instance: Instance, sources: Collection[int]) -> list[Hits | None]:
    """The same of these sources, in the order of their numbers; None where nobody counts."""
    hits, names = hits_now(layout, instance), instance.names
    return [hits.get(names.event(layout.sources[one])[1]) for one in sorted(sources)]


@dataclass(frozen=True, slots=True, kw_only=True)
class HitsSeen:
    """The kernel's hits of our own events by name, at arming and now (or at disarming); `exact`:
    none came between the looks and the switches."""

    before: Mapping[str, Hits]
    now: Mapping[str, Hits]
    exact: bool


@dataclass(slots=True, kw_only=True)
class _Source:
    """What the kernel tells of one event: `lost` did not fit into the buffer, `rejected` were
    filtered, `missed` could not run. None: not told."""

    lost: Count
    rejected: Count
    missed: Count


def counts_of(
    pipeline: "Pipeline",
    layout: Layout,
    instance: Instance,
    hits: HitsSeen,
    corrupt: int,
) -> Counts:
    """All counters. `corrupt`: how often a page or an event could not be read: it is unknown then
    how many were lost."""
    stats = instance.stats()
    lost = sum(total(stats, name) for name in ("dropped", "overrun", "commit_overrun"))
    in_doubt: Count = None if corrupt else lost
    unread = total(stats, "entries")
    read = read_by_source(pipeline, layout)
    sources = [
        _source(layout, instance, number, (read[number], in_doubt, unread), hits)
        for number in range(len(layout.sources))
    ]
    sides = [_side(pipeline, layout, hook, side, sources) for hook, side in _sides(layout)]
    reads = any(source.reads for source in layout.sources)
    return Counts(
        sides=tuple(sides),
        emits=tuple(_emits(pipeline, layout, sources)),
        metrics=tuple(_metrics(pipeline, layout, sources)),
        faulted=None if reads else pipeline.faulted,
        truncated=pipeline.truncated,
        divisions_by_zero=pipeline.tally.division_by_zero,
        lost_unattributed=_of_any(in_doubt, [source.lost for source in sources]),
    )


def _of_any(lost: Count, by_source: Sequence[Count]) -> Count:
    """What was lost of those sources together that do not tell their part."""
    if lost is None:
        return None
    if None not in by_source:
        return 0
    return max(0, lost - sum(part for part in by_source if part is not None))


def _sides(layout: Layout) -> list[tuple[HookEvents, Side]]:
    return [(hook, side) for hook in layout.hooks for side in hook.sides]


def _tallies(pipeline: "Pipeline", hook: HookEvents, side: Side) -> "Tallies":
    state = next(state for state in pipeline.states if state.placed.hook.id == hook.hook.id)
    return state.tallies[side.name]


def read_by_source(pipeline: "Pipeline", layout: Layout) -> dict[int, int]:
    """Events that were read of each source; every hook on it has booked them all."""
    return {side.source: _tallies(pipeline, hook, side).read for hook, side in _sides(layout)}


def _source(
    layout: Layout,
    instance: Instance,
    number: int,
    seen: tuple[int, Count, int],
    hits: HitsSeen,
) -> _Source:
    """`seen`: events read of this source, lost and not yet read of all."""
    source = layout.sources[number]
    read, lost, unread = seen
    own_lost: Count = lost if len(layout.sources) == 1 or lost == 0 else None
    chosen = source.filter is not None or layout.by_pid
    if source.definition is None:
        return _Source(lost=own_lost, rejected=None if chosen else 0, missed=0)
    name = instance.names.event(source)[1]
    base, now = hits.before.get(name), hits.now.get(name)
    missed = (now.misses or 0) - (base.misses or 0) if base and now else 0
    if base is None or now is None or unread or not hits.exact:
        return _Source(lost=own_lost, rejected=None if chosen else 0, missed=missed)
    fired = now.hits - base.hits
    if not chosen:
        own_lost = own_lost if lost == 0 else max(0, fired - read)
        return _Source(lost=own_lost, rejected=0, missed=missed)
    rejected = None if own_lost is None else fired - read - own_lost
    return _Source(lost=own_lost, rejected=rejected, missed=missed)


def _side(
    pipeline: "Pipeline",
    layout: Layout,
    hook: HookEvents,
    side: Side,
    sources: Sequence[_Source],
) -> SideCounts:
    """What the reader could not see is booked where it belongs: events lost as accepted (and
    lost after that), events rejected by what rejected them, unknown where two things could."""
    told, source = _tallies(pipeline, hook, side), layout.sources[side.source]
    kernel = sources[side.source]
    by_task = layout.by_pid or source.tests_comm
    by_field = source.filter is not None and (bool(side.pushed) or not source.tests_comm)
    filtered: Count = told.filtered
    not_target: Count = told.not_target
    if kernel.rejected != 0:
        filtered = (
            _plus(filtered, kernel.rejected if not by_task else None) if by_field else filtered
        )
        not_target = (
            _plus(not_target, kernel.rejected if not by_field else None) if by_task else not_target
        )
    return SideCounts(
        hook=hook.hook.id,
        side=side.name,
        fired=_plus(told.read, kernel.lost, kernel.rejected),
        expired=told.expired,
        not_target=not_target,
        filtered=filtered,
        sampled_out=told.sampled_out,
        unpaired=told.unpaired,
        map_full=told.map_full,
        accepted=_plus(told.accepted, kernel.lost),
        kernel_missed=kernel.missed,
        in_flight=_in_flight(pipeline, hook, sources) if side.name == "entry" else 0,
    )


def _in_flight(pipeline: "Pipeline", hook: HookEvents, sources: Sequence[_Source]) -> Count:
    """Calls without a return so far; unknown where events were lost, or where the kernel rejected
    returns by their conditions and knows nothing of their entries."""
    kernel = [sources[side.source] for side in hook.sides]
    rejected = hook.sides[-1].pushed and kernel[-1].rejected != 0
    if rejected or any(one.lost != 0 for one in kernel):
        return None
    entry, back = (_tallies(pipeline, hook, side) for side in hook.sides)
    return entry.accepted - back.filtered - back.accepted


def _plus(*parts: Count) -> Count:
    known = [part for part in parts if part is not None]
    return sum(known) if len(known) == len(parts) else None


def _lost(layout: Layout, sources: Sequence[_Source], probe: int) -> Count:
    """Events lost of a probe's last sides."""
    return _plus(0, *(sources[h.sides[-1].source].lost for h in layout.hooks if h.probe == probe))


def _emits(pipeline: "Pipeline", layout: Layout, sources: Sequence[_Source]) -> list[EmitCounts]:
    bounds = pipeline.bounds
    return [
        EmitCounts(
            probe=probe.index,
            rate_limited=bounds.rate_limited.get(probe.index, 0),
            over_cap=bounds.over_cap.get(probe.index, 0),
            ring_lost=_lost(layout, sources, probe.index),
            recorded=pipeline.recorded.get(probe.index, 0),
        )
        for probe in pipeline.program.probes
        if probe.emit is not None
    ]


def _metrics(
    pipeline: "Pipeline", layout: Layout, sources: Sequence[_Source]
) -> list[MetricCounts]:
    probe_of = {
        spec.index: probe.index for probe in pipeline.program.probes for spec in probe.metrics
    }
    return [
        MetricCounts(
            metric=one.spec.index,
            counted=one.counted,
            filtered=one.filtered,
            map_full=one.map_full,
            map_busy=_lost(layout, sources, probe_of[one.spec.index]),
        )
        for one in pipeline.aggregates
    ]


def with_tables(
    counts: Counts, layout: Layout, program: Program, tables: Sequence[tuple[HistUse, Table]]
) -> Counts:
    """The counters, those of hooks that hist triggers count from the triggers' own totals."""
    if not tables:
        return counts
    hits = {use.source: table.hits for use, table in tables}
    of_hook = {h.hook.id: hits[h.sides[0].source] for h in layout.hooks if h.counted}
    by_metric = {use.metric: (use, table) for use, table in tables}
    return replace(
        counts,
        sides=tuple(
            _hit_side(s, of_hook[s.hook]) if s.hook in of_hook else s for s in counts.sides
        ),
        metrics=tuple(
            _counted_metric(m, program, *by_metric[m.metric]) if m.metric in by_metric else m
            for m in counts.metrics
        ),
    )


def _hit_side(side: SideCounts, hits: int) -> SideCounts:
    """What the trigger counted was accepted; what else of the event's own hits there was, its
    filter rejected (the reader saw nothing, so that all hits stand as rejected so far)."""
    if side.fired is None or side.fired == 0:
        rejected = side.filtered is None or side.not_target is None
        return replace(side, fired=None if rejected else hits, accepted=hits)
    if side.filtered:
        return replace(side, filtered=side.filtered - hits, accepted=hits)
    if side.not_target:
        return replace(side, not_target=side.not_target - hits, accepted=hits)
    return replace(side, accepted=hits)


def _counted_metric(
    counts: MetricCounts, program: Program, use: HistUse, table: Table
) -> MetricCounts:
    """Dropped ones went to `other` where that can be told, and are lost where a sum is."""
    lost = table.dropped if program.metrics[use.metric].kind != "count" else 0
    return replace(
        counts,
        counted=table.hits - table.dropped,
        map_full=table.dropped - lost,
        map_busy=lost,
    )
