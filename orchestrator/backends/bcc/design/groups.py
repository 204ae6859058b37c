"""Which sides of which hooks are one program: those that fire at one and the same place.

They run in the order of their parts in spans (ends and cancels, starts, vias), then in the order of
the plan, so that one event may end a span and start the next, and are dispatched once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.backends.bcc.design.layout import HookSide, MapLayout
from orchestrator.backends.bcc.design.mechanism import Mechanism, MechanismChoice
from orchestrator.compile.program import Hook
from orchestrator.compile.span_lower import ROLE_ORDER

__all__ = ["ProgramGroup", "cluster_groups", "group_sides", "is_at_return", "price_kind"]
__all__ += ["price_kind_of"]

_NO_SPAN = max(ROLE_ORDER.values()) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramGroup:
    """One program: its sides in the order in which they run."""

    mechanism: Mechanism
    sides: tuple[HookSide, ...]

    @property
    def function(self) -> str:
        """The C function's name."""
        return self.sides[0].function


def group_sides(
    map_layout: MapLayout, choices: Mapping[int, MechanismChoice]
) -> tuple[ProgramGroup, ...]:
    """All programs, in the order of their first sides; hooks without a mechanism have none."""
    found: dict[tuple[object, ...], list[HookSide]] = {}
    for side in map_layout.sides:
        mechanism = choices[side.hook.id].mechanism
        if mechanism is not None:
            found.setdefault((mechanism, *_place_key(side, mechanism)), []).append(side)
    return tuple(
        ProgramGroup(
            mechanism=_mechanism_of(sides[0], choices), sides=tuple(sorted(sides, key=_run_order))
        )
        for sides in found.values()
    )


def cluster_groups(made: Sequence[ProgramGroup]) -> list[tuple[ProgramGroup, ...]]:
    """Groups that stand and fall together: those that share a hook. In each, programs at returns
    come first, so that no call is opened that nobody closes."""
    joined: list[list[ProgramGroup]] = []
    for group in made:
        hooks = {side.hook.id for side in group.sides}
        touching = [one for one in joined if hooks & _hook_ids(one)]
        merged = [group for one in touching for group in one]
        joined = [one for one in joined if one not in touching] + [[*merged, group]]
    ordered = [sorted(one, key=lambda g: g.sides[0].name != "return") for one in joined]
    return sorted(map(tuple, ordered), key=lambda one: min(_hook_ids(one)))


def _hook_ids(made: Sequence[ProgramGroup]) -> set[int]:
    return {side.hook.id for group in made for side in group.sides}


def is_at_return(side: HookSide) -> bool:
    """Whether this side fires when a function returns."""
    return side.name == "return" or side.hook.traits.moment == "return"


def price_kind(group: ProgramGroup) -> str:
    """How a group is attached, by the names in backends/prices.py."""
    return price_kind_of(group.sides[0], group.mechanism)


def price_kind_of(side: HookSide, mechanism: str) -> str:
    """The same of one side. All ways to a function are kprobes or uprobes below."""
    if mechanism in ("fentry", "fexit"):
        return "fentry"
    if mechanism not in ("dynamic event", "kprobe PMU", "uprobe PMU"):
        return mechanism
    return ("u" if side.hook.path else "k") + ("retprobe" if is_at_return(side) else "probe")


def _mechanism_of(side: HookSide, choices: Mapping[int, MechanismChoice]) -> Mechanism:
    mechanism = choices[side.hook.id].mechanism
    assert mechanism is not None
    return mechanism


def _place_key(side: HookSide, mechanism: Mechanism) -> tuple[object, ...]:
    hook = side.hook
    match mechanism:
        case "raw tracepoint":
            return (hook.event or (hook.tracepoint.event if hook.tracepoint else ""),)
        case "perf tracepoint":
            found = hook.exit_tracepoint if side.name == "return" else hook.tracepoint
            return (found.category, found.event) if found is not None else (hook.id,)
        case "perf clock":
            return (hook.frequency,)
        case _:
            return (*_code_place(hook), is_at_return(side))


def _code_place(hook: Hook) -> tuple[object, ...]:
    if hook.path:
        return (hook.path, hook.file_offset, hook.semaphore)
    return (hook.symbol, hook.offset)


def _run_order(side: HookSide) -> tuple[int, int]:
    roles = [ROLE_ORDER[use.role] for use in side.hook.body.spans]
    return (min(roles, default=_NO_SPAN), side.index)
