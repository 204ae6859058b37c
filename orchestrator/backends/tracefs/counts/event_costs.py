"""What each event of a session has cost so far: what the governor goes by."""

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING

from orchestrator.backends.prices import Price, prices
from orchestrator.backends.protocol import Expense
from orchestrator.backends.tracefs.counts.accounts import Hits, hits_of, read_by_source
from orchestrator.backends.tracefs.design.layout import Layout
from orchestrator.backends.tracefs.design.mechanism import price_kind
from orchestrator.backends.tracefs.instance.trace_instance import Instance, total

if TYPE_CHECKING:
    from orchestrator.backends.tracefs.reader.pipeline import Pipeline

__all__ = ["expenses", "priced"]


def priced(layout: Layout, instance: Instance) -> Mapping[str, Price]:
    """What the events of a layout cost, by kind; measured at first use on a host, beside
    `instance`."""

    def measured(kind: str) -> tuple[float, float] | None:
        from orchestrator.backends.tracefs.instance.calibration import beside, measure

        return measure(kind, beside(instance))

    return prices({price_kind(source) for source in layout.sources}, measured)


def expenses(  # noqa: PLR0913  # what a session knows of its events
    layout: Layout,
    instance: Instance,
    pipeline: "Pipeline",
    prices_of: Mapping[str, Price],
    base: Mapping[str, Hits],
    dropped: Collection[int],
) -> list[Expense]:
    """One for each event that is on, that is one which serves a probe that was not `dropped`.
    `prices_of`: by kind of event; `base`: hits at arming. A tracepoint's hits that its filter
    rejects are not seen, and cost less."""
    kinds = [price_kind(source) for source in layout.sources]
    probes = _probes_of(layout)
    hits = _fired(layout, instance, pipeline, base)
    return [
        Expense(
            number=number,
            probes=probes[number],
            hits=hits[number],
            price_ns=prices_of[kind].ns,
            calibrated=prices_of[kind].calibrated,
        )
        for number, kind in enumerate(kinds)
        if not set(dropped).issuperset(probes[number])
    ]


def _probes_of(layout: Layout) -> list[tuple[int, ...]]:
    """By source, the probes that it serves."""
    found: list[dict[int, None]] = [{} for _ in layout.sources]
    for hook in layout.hooks:
        for side in hook.sides:
            found[side.source][hook.probe] = None
    return [tuple(probes) for probes in found]


def _fired(
    layout: Layout, instance: Instance, pipeline: "Pipeline", base: Mapping[str, Hits]
) -> list[int]:
    """By source: hits since arming. The kernel counts those of our own events; of what else is
    in the buffers or was, each tracepoint has the part that it has of what was read."""
    everyone = range(len(layout.sources))
    own = [hits.hits if hits else None for hits in hits_of(layout, instance, everyone)]
    first = [base.get(instance.names.event(one)[1]) for one in layout.sources]
    read = read_by_source(pipeline, layout)
    stats = instance.stats()
    seen = sum(total(stats, name) for name in ("entries", "dropped", "overrun", "read"))
    fired = [
        read[number] if hits is None else hits - (before.hits if before else 0)
        for number, (hits, before) in enumerate(zip(own, first, strict=True))
    ]
    more = max(seen - sum(fired), 0)
    weights = [0 if hits is not None else 1 + read[n] for n, hits in enumerate(own)]
    whole = max(sum(weights), 1)
    return [count + more * weight // whole for count, weight in zip(fired, weights, strict=True)]
