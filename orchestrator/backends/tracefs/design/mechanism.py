"""How hooks are attached, in words."""

from orchestrator.backends.protocol import AttachedHook
from orchestrator.backends.tracefs.design.layout import EventLayout, EventSource, HookEvents
from orchestrator.backends.tracefs.design.writes import RunNames

__all__ = ["attached_hook", "mechanism_of", "price_kind"]


def attached_hook(placed: HookEvents, layout: EventLayout, names: RunNames) -> AttachedHook:
    """What is told of an attached hook: the events are in `detail`."""
    events = [names.event(layout.sources[side.source]) for side in placed.sides]
    return AttachedHook(
        hook=placed.hook.id,
        mechanism=mechanism_of(placed, layout),
        target=placed.hook.symbol or placed.hook.label.partition(":")[2],
        detail=", ".join("/".join(event) for event in events),
    )


def mechanism_of(placed: HookEvents, layout: EventLayout) -> str:
    """How a hook is attached, for people."""
    kinds = [price_kind(layout.sources[side.source]) for side in placed.sides]
    told = ("tracepoint" if kind == "event" else kind for kind in kinds)
    return " and ".join(dict.fromkeys(told))


def price_kind(source: EventSource) -> str:
    """What an event is, by the names in backends/prices.py."""
    if (definition := source.definition) is None:
        return "event"
    space = "k" if definition.symbol is not None else "u"
    return f"{space}{'ret' if definition.returns else ''}probe event"
