"""What each event of a session has cost so far. The governor uses it."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from orchestrator.backends.prices import Price, look_up_prices
from orchestrator.backends.protocol import Expense
from orchestrator.backends.tracefs.counts.accounts import read_by_source
from orchestrator.backends.tracefs.counts.event_hits import EventHits
from orchestrator.backends.tracefs.design.layout import EventLayout
from orchestrator.backends.tracefs.design.mechanism import price_kind
from orchestrator.backends.tracefs.instance.trace_instance import TraceInstance, sum_stats

if TYPE_CHECKING:
    from orchestrator.backends.tracefs.reader.pipeline import Pipeline

__all__ = ["list_expenses", "price_events"]


def price_events(layout: EventLayout, instance: TraceInstance) -> Mapping[str, Price]:
    """The price of each kind of event in a layout. A kind is measured when a host first uses it, in
    a second instance that is journalled like `instance`."""

    def measure_price(kind: str) -> tuple[float, float] | None:
        from orchestrator.backends.tracefs.instance.calibration import (
            make_calibration_instance,
            measure_event,
        )

        return measure_event(kind, make_calibration_instance(instance))

    return look_up_prices({price_kind(source) for source in layout.sources}, measure_price)


def list_expenses(  # noqa: PLR0913  # what a session knows of its events
    layout: EventLayout,
    instance: TraceInstance,
    pipeline: "Pipeline",
    prices_of: Mapping[str, Price],
    hits: EventHits,
    detached: Collection[int],
) -> list[Expense]:
    """One for each event that is on, that is, which serves a probe that is not `detached`.
    `prices_of`: by kind of event. Hits of a tracepoint that its filter rejects are not counted by
    the kernel, and cost less."""
    kinds = [price_kind(source) for source in layout.sources]
    probes = _probes_by_source(layout)
    fired = _fired_by_source(layout, instance, pipeline, hits)
    return [
        Expense(
            number=number,
            probes=probes[number],
            hits=fired[number],
            price_ns=prices_of[kind].ns,
            calibrated=prices_of[kind].calibrated,
        )
        for number, kind in enumerate(kinds)
        if not set(detached).issuperset(probes[number])
    ]


def _probes_by_source(layout: EventLayout) -> list[tuple[int, ...]]:
    probes: list[dict[int, None]] = [{} for _ in layout.sources]
    for hook in layout.hooks:
        for side in hook.sides:
            for source in side.sources:
                probes[source][hook.probe] = None
    return [tuple(numbers) for numbers in probes]


def _fired_by_source(
    layout: EventLayout, instance: TraceInstance, pipeline: "Pipeline", hits: EventHits
) -> list[int]:
    """Hits since arming. The kernel counts those of dynamic events. All other events that went
    through the buffers are divided among the tracepoints in proportion to what was read of each."""
    own = hits.count_so_far()
    read = read_by_source(pipeline.booked_sides(), layout)
    fired = [read[number] if h is None else h.hits for number, h in enumerate(own)]
    stats = instance.read_stats()
    passed = sum(sum_stats(stats, name) for name in ("entries", "dropped", "overrun", "read"))
    unassigned = max(passed - sum(fired), 0)
    weights = [0 if h is not None else 1 + read[number] for number, h in enumerate(own)]
    whole = max(sum(weights), 1)
    return [
        count + unassigned * weight // whole for count, weight in zip(fired, weights, strict=True)
    ]
