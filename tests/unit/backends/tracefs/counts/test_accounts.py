"""The run's counters, from what was booked and what the kernel counted."""

from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.accounting.count import UNKNOWN
from orchestrator.backends.protocol import Counts, SideCounts
from orchestrator.backends.tracefs import backend as tracefs
from orchestrator.backends.tracefs.counts.accounts import make_counts
from orchestrator.backends.tracefs.counts.event_hits import RunHits
from orchestrator.backends.tracefs.counts.hist_tables import HistTable
from orchestrator.backends.tracefs.design.layout import EventLayout
from orchestrator.backends.tracefs.instance.trace_instance import CpuStats
from orchestrator.backends.tracefs.reader.side_tally import SideTally
from orchestrator.compile.program import Program
from orchestrator.kernel.abi.dynamic_events import Hits
from orchestrator.kernel.facts import load_facts
from tests.support.paths import KERNELS
from tests.support.tracefs_runs import compiled

FACTS = load_facts(KERNELS / "6.1.facts.xz")
FUNCTION = "probes: {p: {attach: 'entry:vfs_read', where: args.count > 7, emit: {n: args.count}}}\n"
UNFILTERED = "probes: {p: {attach: 'entry:vfs_read', emit: {n: args.count}}}\n"
PAIRED = "probes: {p: {attach: 'function:vfs_read', emit: {got: retval}}}\n"
TRACEPOINT = "probes: {p: {attach: 'tracepoint:sched:sched_switch', emit: {n: args.prev_pid}}}\n"
COUNTED = """
probes:
  p:
    attach: entry:vfs_read
    where: args.count > 7
    metrics: {n: {count: true, by: [tid]}}
"""
BOTH = "emit: {}\n    metrics: {n: {count: true}, most: {max: args.count}}"
SHARED = """
probes:
  p: {attach: 'entry:vfs_read', metrics: {n: {count: true, by: [tid]}}}
  q: {attach: 'tracepoint:sched:sched_switch', emit: {n: args.prev_pid}}
"""


def laid_out(text: str) -> tuple[Program, EventLayout]:
    artifact = tracefs.emit(compiled(text, FACTS), FACTS)
    return artifact.program, artifact.detail


def counted(
    text: str,
    booked: dict[str, SideTally],
    *,
    hits: tuple[int | None, ...] = (),
    is_exact: bool = True,
    dropped: int = 0,
    unread: int = 0,
    corrupt: int = 0,
    table: HistTable | None = None,
) -> Counts:
    """The counts of a plan whose sides `booked` these events, by name, and whose sources the kernel
    says were hit that often."""
    program, layout = laid_out(text)
    empty: dict[int, int] = {}
    pipeline = SimpleNamespace(
        program=program,
        booked_sides=lambda: {
            (hook.hook.id, side.name): booked.get(side.name, SideTally())
            for hook in layout.hooks
            for side in hook.sides
        },
        bounds=SimpleNamespace(rate_limited=empty, over_cap=empty),
        recorded=empty,
        faulted=0,
        truncated=0,
        tally=SimpleNamespace(division_by_zero=0),
        aggregates=[
            SimpleNamespace(spec=spec, counted=0, filtered=0, map_full=0)
            for spec in program.metrics
        ],
    )
    stats = CpuStats(entries=unread, overrun=0, commit_overrun=0, dropped=dropped, read=0)
    known = [None if n is None else Hits(hits=n, misses=0) for n in hits]
    reading: Any = SimpleNamespace(pipeline=pipeline, corrupt=corrupt, lost_of_tasks=0)
    instance: Any = SimpleNamespace(read_stats=lambda: [stats])
    run = RunHits(by_source=known or [None] * len(layout.sources), is_exact=is_exact)
    return make_counts(
        reading, layout, instance, run, [(use, table) for use in layout.hists if table]
    )


def balances(side: SideCounts) -> bool:
    """fired is the sum of everything that became of it."""
    parts = (
        side.expired, side.not_target, side.filtered, side.sampled_out, side.unpaired,
        side.map_full, side.accepted,
    )  # fmt: skip
    return side.fired == sum(part for part in parts if isinstance(part, int))


SMALL = st.integers(0, 50)


@given(expired=SMALL, filtered=SMALL, accepted=SMALL, rejected=SMALL, lost=SMALL)
def test_every_hit_is_counted_once(
    expired: int, filtered: int, accepted: int, rejected: int, lost: int
) -> None:
    """What the kernel rejected is filtered, what it lost was accepted."""
    tally = SideTally(expired=expired, filtered=filtered, accepted=accepted)
    fired = tally.read + rejected + lost
    counts = counted(FUNCTION, {"hit": tally}, hits=(fired,), dropped=lost)
    (side,) = counts.sides
    assert (side.fired, side.filtered, side.accepted) == (
        fired,
        filtered + rejected,
        accepted + lost,
    )
    assert balances(side)
    assert counts.emits[0].ring_lost == lost


@pytest.mark.parametrize("unknown", [{"is_exact": False}, {"unread": 1}, {"hits": (None,)}])
def test_what_a_filter_rejected_is_unknown_without_exact_hits(unknown: dict[str, Any]) -> None:
    counts = counted(FUNCTION, {"hit": SideTally(accepted=3)}, **{"hits": (9,), **unknown})
    (side,) = counts.sides
    assert (side.fired, side.filtered, side.accepted) == (UNKNOWN, UNKNOWN, 3)


def test_without_a_filter_nothing_is_rejected() -> None:
    (side,) = counted(TRACEPOINT, {"hit": SideTally(accepted=3)}).sides
    assert (side.fired, side.filtered, side.not_target) == (3, 0, 0)


def test_losses_of_unreadable_pages_are_unknown() -> None:
    counts = counted(TRACEPOINT, {"hit": SideTally(accepted=3)}, corrupt=1)
    assert counts.lost_unattributed == UNKNOWN
    assert counts.sides[0].fired == UNKNOWN


def test_hits_say_what_was_lost_where_there_is_no_filter() -> None:
    """Even when pages could not be read."""
    counts = counted(UNFILTERED, {"hit": SideTally(accepted=3)}, hits=(10,), corrupt=1)
    assert (counts.sides[0].accepted, counts.emits[0].ring_lost) == (10, 7)


def test_calls_without_a_return_are_in_flight_unless_events_were_lost() -> None:
    sides = {"entry": SideTally(accepted=5), "return": SideTally(accepted=3)}
    entry, _ = counted(PAIRED, sides, hits=(5, 3)).sides
    assert entry.in_flight == 2
    entry, _ = counted(PAIRED, sides, hits=(6, 3), dropped=1).sides
    assert entry.in_flight == UNKNOWN


def table(hits: int, dropped: int = 0) -> HistTable:
    return HistTable(info="", rows=(), hits=hits, dropped=dropped)


def test_a_trigger_s_hook_is_booked_from_its_table() -> None:
    """The filter rejected the other hits of the event."""
    counts = counted(COUNTED, {}, hits=(30,), table=table(20, dropped=4))
    (side,) = counts.sides
    assert (side.fired, side.filtered, side.accepted) == (30, 10, 20)
    assert balances(side)
    (metric,) = counts.metrics
    assert (metric.counted, metric.map_full, metric.map_busy) == (16, 4, 0)


def test_a_sum_loses_what_finds_no_room_in_its_table() -> None:
    """Its values are unknown, so that they are in no cell."""
    summed = """
probes:
  p:
    attach: entry:chmod_common
    where: args.mode > 7
    metrics: {n: {sum: args.mode, by: [tid]}}
"""
    (metric,) = counted(summed, {}, hits=(30,), table=table(20, dropped=4)).metrics
    assert (metric.counted, metric.map_full, metric.map_busy) == (16, 0, 4)


def test_what_the_reader_did_not_get_is_lost_to_each_metric_with_its_record() -> None:
    both = COUNTED.replace("metrics: {n: {count: true, by: [tid]}}", BOTH)
    tally = SideTally(accepted=6)
    counts = counted(both, {"hit": tally}, hits=(9,), dropped=3)
    assert [emit.ring_lost for emit in counts.emits] == [3]
    assert [(metric.ring_lost, metric.map_busy) for metric in counts.metrics] == [(3, 0)] * 2


def test_a_trigger_s_hook_loses_nothing_to_a_full_buffer() -> None:
    """It records nothing: all that was lost was the other event's."""
    counts = counted(
        SHARED, {"hit": SideTally(accepted=6)}, hits=(5, None), dropped=2, table=table(5)
    )
    by_trigger, recorded = counts.sides
    assert (by_trigger.fired, by_trigger.accepted) == (5, 5)
    assert (recorded.fired, recorded.accepted) == (8, 8)
    assert counts.lost_unattributed == 0
