"""How hooks are attached: mechanisms for people, and kinds of events for prices."""

from orchestrator.backends.protocol import AttachedHook
from orchestrator.backends.tracefs.design.layout import EventLayout, EventSource, HookEvents
from orchestrator.backends.tracefs.design.writes import RunNames

__all__ = ["attached_hook", "mechanism_of", "price_kind"]


def attached_hook(hook_events: HookEvents, layout: EventLayout, names: RunNames) -> AttachedHook:
    """What is reported of an attached hook; its events are in `detail`."""
    numbers = [source for side in hook_events.sides for source in side.sources]
    events = [names.event_of(layout.sources[number]) for number in numbers]
    return AttachedHook(
        hook=hook_events.hook.id,
        mechanism=mechanism_of(hook_events, layout),
        target=hook_events.hook.symbol or hook_events.hook.label.partition(":")[2],
        detail=", ".join("/".join(event) for event in events),
    )


def mechanism_of(hook_events: HookEvents, layout: EventLayout) -> str:
    """How a hook is attached, for people."""
    kinds = [price_kind(layout.sources[side.source]) for side in hook_events.sides]
    names = ("tracepoint" if kind == "event" else kind for kind in kinds)
    return " and ".join(dict.fromkeys(names))


def price_kind(source: EventSource) -> str:
    """The kind of an event, as in the table of backends/prices.py."""
    if (definition := source.definition) is None:
        return "event"
    space = "k" if definition.symbol is not None else "u"
    return f"{space}{'ret' if definition.returns else ''}probe event"
