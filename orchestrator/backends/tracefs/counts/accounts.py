"""The run's counters: what was booked by side, with what the kernel's own counters add.

With a filter in the kernel the events that it rejected are not recorded. For dynamic events
the kernel counts hits, rejected ones included; for its tracepoints it counts none, and then these
counts are unknown. The kernel excludes our own threads before anything is counted.
"""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from orchestrator.accounting.count import (
    UNKNOWN,
    Count,
    add_counts,
    at_least,
    count_from_number,
    is_known,
    subtract_counts,
)
from orchestrator.backends.protocol import Counts, EmitCounts, MetricCounts, SideCounts
from orchestrator.backends.tracefs.counts.event_hits import RunHits
from orchestrator.backends.tracefs.counts.hist_tables import HistTable
from orchestrator.backends.tracefs.design.layout import (
    EventLayout,
    EventSide,
    EventSource,
    HistUse,
    HookEvents,
)
from orchestrator.backends.tracefs.instance.trace_instance import TraceInstance, sum_stats
from orchestrator.backends.tracefs.reader.side_tally import SideTally
from orchestrator.kernel.abi.dynamic_events import Hits
from orchestrator.values import dataclass

if TYPE_CHECKING:
    from orchestrator.backends.tracefs.reader.aggregate import Aggregate
    from orchestrator.backends.tracefs.reader.pipeline import Pipeline
    from orchestrator.backends.tracefs.reader.reading_side import ReadingSide

__all__ = ["make_counts", "read_by_source"]

Tables = Sequence[tuple[HistUse, HistTable]]
#: By hook id and side.
Booked = Mapping[tuple[int, str], SideTally]


@dataclass(frozen=True, slots=True, kw_only=True)
class _SourceCounts:
    """What the kernel did with one event: `lost` did not fit into the buffer, `rejected` were
    filtered, `missed` could not run."""

    lost: Count
    rejected: Count
    missed: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class _BufferCounts:
    """Of all events together: `lost` did not fit into the buffer, `unread` are still in it.
    `recorders` is the number of sources that are recorded at all."""

    lost: Count
    unread: int
    recorders: int


def make_counts(
    reading: "ReadingSide",
    layout: EventLayout,
    instance: TraceInstance,
    hits: RunHits,
    tables: Tables,
) -> Counts:
    """All counters at this moment. `hits` are read before everything else, so that an event that
    comes meanwhile is found in the buffers and not taken for a rejected one. Where a page or
    an event could not be read, it is unknown how many were lost. Raises OSError
    when the instance's counters cannot be read."""
    pipeline = reading.pipeline
    buffers = _buffer_counts(layout, instance, reading.corrupt)
    booked = _book_sides(pipeline, layout, tables)
    sources = _count_sources(layout, buffers, booked, hits)
    has_unchecked_reads = any(source.unchecked_reads for source in layout.sources)
    return Counts(
        sides=tuple(
            _side_counts(layout, hook, side, booked, sources) for hook, side in _sides_of(layout)
        ),
        emits=tuple(_emit_counts(pipeline, layout, sources)),
        metrics=tuple(_metric_counts(pipeline, layout, sources, tables)),
        faulted=UNKNOWN if has_unchecked_reads else pipeline.faulted,
        truncated=pipeline.truncated,
        divisions_by_zero=pipeline.tally.division_by_zero,
        lost_unattributed=add_counts(
            (
                _lost_unattributed(buffers.lost, [source.lost for source in sources]),
                reading.lost_of_tasks,
            )
        ),
    )


def _sides_of(layout: EventLayout) -> list[tuple[HookEvents, EventSide]]:
    return [(hook, side) for hook in layout.hooks for side in hook.sides]


def _lost_unattributed(lost: Count, by_source: Sequence[Count]) -> Count:
    """What was lost of those sources together for which it is unknown."""
    if not is_known(lost):
        return UNKNOWN
    if all(map(is_known, by_source)):
        return 0
    return max(0, lost - sum(map(at_least, by_source)))


# ---------------------------------------------------------------- what was booked


def _book_sides(pipeline: "Pipeline", layout: EventLayout, tables: Tables) -> Booked:
    """Where each side's events went: as the reader booked them, or as the hook's hist trigger
    counted them. A trigger counts exactly what its hook accepts."""
    hits = {use.source: table.hits for use, table in tables}
    by_trigger = {
        (hook.hook.id, side.name): SideTally(accepted=hits.get(side.source, 0))
        for hook, side in _sides_of(layout)
        if hook.counted
    }
    return pipeline.booked_sides() | by_trigger


def read_by_source(booked: Booked, layout: EventLayout) -> dict[int, int]:
    """Events that were booked of each source; every hook on it has booked them all. Those of a
    source that only shows some returns of a side are booked with the side's own."""
    others = dict.fromkeys(range(len(layout.sources)), 0)
    sides = _sides_of(layout)
    return others | {side.source: booked[hook.hook.id, side.name].read for hook, side in sides}


# ---------------------------------------------------------------- what the kernel knows


def _buffer_counts(layout: EventLayout, instance: TraceInstance, corrupt: int) -> _BufferCounts:
    stats = instance.read_stats()
    lost = sum(sum_stats(stats, name) for name in ("dropped", "overrun", "commit_overrun"))
    return _BufferCounts(
        lost=UNKNOWN if corrupt else lost,
        unread=sum_stats(stats, "entries"),
        recorders=len(layout.sources) - len(_trigger_sources(layout)),
    )


def _trigger_sources(layout: EventLayout) -> set[int]:
    """Sources that a hist trigger counts and that record nothing."""
    return {hook.sides[0].source for hook in layout.hooks if hook.counted}


def _count_sources(
    layout: EventLayout, buffers: _BufferCounts, booked: Booked, hits: RunHits
) -> list[_SourceCounts]:
    numbers = range(len(layout.sources))
    read = read_by_source(booked, layout)
    lost = _lost_by_source(layout, buffers)
    is_exact = hits.is_exact and not buffers.unread
    return [
        _source_counts(
            has_filter=layout.sources[number].filter is not None or layout.by_pid,
            read=read[number],
            lost=lost[number],
            hits=hits.by_source[number],
            is_exact=is_exact,
            is_late=_is_user_return(layout.sources[number]),
        )
        for number in numbers
    ]


def _lost_by_source(layout: EventLayout, buffers: _BufferCounts) -> list[Count]:
    """Unknown where several events share buffers that lost some of them."""
    by_trigger = _trigger_sources(layout)
    each = buffers.lost if buffers.recorders == 1 or buffers.lost == 0 else UNKNOWN
    return [0 if number in by_trigger else each for number in range(len(layout.sources))]


def _is_user_return(source: EventSource) -> bool:
    definition = source.definition
    return definition is not None and definition.returns and definition.path is not None


def _source_counts(  # noqa: PLR0913  # what is known of a source
    *,
    has_filter: bool,
    read: int,
    lost: Count,
    hits: Hits | None,
    is_exact: bool,
    is_late: bool,
) -> _SourceCounts:
    """`hits` is None for the kernel's tracepoints, and where the hits are not known. `is_late`: of
    a user function's return, of which the kernel counts a hit at the entry (uprobe_dispatcher,
    kernel/trace/trace_uprobe.c). Hits beyond those that were read may be calls without a return."""
    missed = 0 if hits is None else count_from_number(hits.misses)
    if hits is None or not is_exact:
        return _SourceCounts(lost=lost, rejected=UNKNOWN if has_filter else 0, missed=missed)
    if not has_filter:
        lost = 0 if lost == 0 else max(0, hits.hits - read)
        return _SourceCounts(lost=lost, rejected=0, missed=missed)
    rejected = subtract_counts(hits.hits, read, lost)
    if is_late and rejected != 0:
        rejected = UNKNOWN
    return _SourceCounts(lost=lost, rejected=rejected, missed=missed)


# ---------------------------------------------------------------- both together


def _side_counts(
    layout: EventLayout,
    hook: HookEvents,
    side: EventSide,
    booked: Booked,
    sources: Sequence[_SourceCounts],
) -> SideCounts:
    """What user space could not see is counted where it belongs: events lost as accepted (and
    lost after that), events rejected by what rejected them, unknown where two things could."""
    tally, kernel = booked[hook.hook.id, side.name], sources[side.source]
    not_target, filtered = _rejected_by(layout, side, kernel.rejected)
    return SideCounts(
        hook=hook.hook.id,
        side=side.name,
        fired=add_counts([tally.read, kernel.lost, kernel.rejected]),
        expired=tally.expired,
        not_target=add_counts([tally.not_target, not_target]),
        filtered=add_counts([tally.filtered, filtered]),
        sampled_out=tally.sampled_out,
        unpaired=tally.unpaired,
        map_full=tally.map_full,
        too_deep=tally.too_deep,
        accepted=add_counts([tally.accepted, kernel.lost]),
        kernel_missed=kernel.missed,
        in_flight=_in_flight(hook, booked, sources) if side.name == "entry" else 0,
    )


def _rejected_by(layout: EventLayout, side: EventSide, rejected: Count) -> tuple[Count, Count]:
    """(not_target, filtered): what the kernel rejected, by the part of its filter that did."""
    if rejected == 0:
        return 0, 0
    source = layout.sources[side.source]
    tests_target = layout.by_pid or source.tests_comm
    tests_fields = source.filter is not None and (bool(side.pushed) or not source.tests_comm)
    if tests_target and tests_fields:
        return UNKNOWN, UNKNOWN
    return rejected if tests_target else 0, rejected if tests_fields else 0


def _in_flight(hook: HookEvents, booked: Booked, sources: Sequence[_SourceCounts]) -> Count:
    """Calls without a return so far; unknown where events were lost, or where the kernel rejected
    returns by their conditions and knows nothing of their entries."""
    kernel = [sources[side.source] for side in hook.sides]
    rejects_returns = hook.sides[-1].pushed and kernel[-1].rejected != 0
    if rejects_returns or any(counts.lost != 0 for counts in kernel):
        return UNKNOWN
    entries, returns = (booked[hook.hook.id, side.name] for side in hook.sides)
    return entries.accepted - returns.filtered - returns.accepted


def _lost_of_probe(layout: EventLayout, sources: Sequence[_SourceCounts], probe: int) -> Count:
    """Events lost of a probe's last sides."""
    return add_counts(sources[h.sides[-1].source].lost for h in layout.hooks if h.probe == probe)


def _emit_counts(
    pipeline: "Pipeline", layout: EventLayout, sources: Sequence[_SourceCounts]
) -> list[EmitCounts]:
    bounds = pipeline.bounds
    return [
        EmitCounts(
            probe=probe.index,
            rate_limited=bounds.rate_limited.get(probe.index, 0),
            over_cap=bounds.over_cap.get(probe.index, 0),
            ring_lost=_lost_of_probe(layout, sources, probe.index),
            recorded=pipeline.recorded.get(probe.index, 0),
        )
        for probe in pipeline.program.probes
        if probe.emit is not None
    ]


def _metric_counts(
    pipeline: "Pipeline", layout: EventLayout, sources: Sequence[_SourceCounts], tables: Tables
) -> list[MetricCounts]:
    probe_of = {
        spec.index: probe.index for probe in pipeline.program.probes for spec in probe.metrics
    }
    table_of = {use.metric: table for use, table in tables}
    return [
        _table_counts(aggregate, table_of[aggregate.spec.index])
        if aggregate.spec.index in table_of
        else _aggregate_counts(
            aggregate, _lost_of_probe(layout, sources, probe_of[aggregate.spec.index])
        )
        for aggregate in pipeline.aggregates
    ]


def _aggregate_counts(aggregate: "Aggregate", lost: Count) -> MetricCounts:
    return MetricCounts(
        metric=aggregate.spec.index,
        counted=aggregate.counted,
        filtered=aggregate.filtered,
        map_full=aggregate.map_full,
        ring_lost=lost,
    )


def _table_counts(aggregate: "Aggregate", table: HistTable) -> MetricCounts:
    """Of a metric that a trigger counts. Events that did not fit into the table are in the cell
    `other` of a count, and are lost to a sum."""
    has_other = aggregate.spec.kind == "count"
    return MetricCounts(
        metric=aggregate.spec.index,
        counted=table.hits - table.dropped,
        map_full=table.dropped if has_other else 0,
        map_busy=0 if has_other else table.dropped,
    )
