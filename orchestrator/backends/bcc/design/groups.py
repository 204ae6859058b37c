"""Which sides of which hooks become one program: those that fire at the same place.

They run in the order of their roles in spans (ends and cancels, starts, vias), then in the order of
the plan, so that one event can end a span and start the next. One program means one dispatch.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from orchestrator.backends.bcc.design.layout import HookSide, MapLayout
from orchestrator.backends.bcc.design.mechanism import Mechanism, MechanismChoice
from orchestrator.compile.program import ROLE_ORDER, Hook
from orchestrator.values import dataclass

__all__ = [
    "WITNESS_PRICE",
    "ProgramGroup",
    "cluster_groups",
    "group_sides",
    "is_at_return",
    "price_kind",
]
__all__ += ["price_kind_of"]

#: How witnesses are attached, by the names in backends/prices.py.
WITNESS_PRICE = "raw tracepoint"
_AT_FUNCTIONS = ("dynamic event", "kprobe PMU", "uprobe PMU", "kprobe multi", "uprobe multi")
_NO_SPAN = max(ROLE_ORDER.values()) + 1


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramGroup:
    """One program: its sides in the order in which they run. `witness`: the raw tracepoint at which
    a second program counts the same events (MechanismChoice). `joined`: the sides of other hooks,
    at other places, that do the same as the only one in `sides`."""

    mechanism: Mechanism
    sides: tuple[HookSide, ...]
    witness: str = ""
    joined: tuple[HookSide, ...] = ()

    @property
    def served(self) -> tuple[HookSide, ...]:
        """All sides that the program counts."""
        return (*self.sides, *self.joined)

    @property
    def function(self) -> str:
        """The C function's name."""
        first = self.sides[0]
        return f"{first.function}_by_other" if first.by_other else first.function

    @property
    def sees_beginnings(self) -> bool:
        """Whether it sees more than returns of calls whose entries are seen too."""
        return any(side.name != "return" for side in self.sides)

    @property
    def witness_function(self) -> str:
        """The C function's name of the witness."""
        return f"witness_{self.sides[0].index}"


def group_sides(
    map_layout: MapLayout, choices: Mapping[int, MechanismChoice]
) -> tuple[ProgramGroup, ...]:
    """All programs, in the order of their first sides. Hooks without a mechanism have none."""
    by_place: dict[tuple[object, ...], list[HookSide]] = {}
    for side in _list_sides(map_layout):
        choice = choices[side.hook.id]
        if choice.mechanism is not None:
            joined = choice.joined is not None
            place = (choice.joined, side.name) if joined else _place_key(side, choice.mechanism)
            by_place.setdefault((choice.mechanism, *place), []).append(side)
    return tuple(_make_group(sides, choices) for sides in by_place.values())


def _make_group(sides: Sequence[HookSide], choices: Mapping[int, MechanismChoice]) -> ProgramGroup:
    choice = choices[sides[0].hook.id]
    assert choice.mechanism is not None
    if choice.joined is not None:
        return ProgramGroup(mechanism=choice.mechanism, sides=(sides[0],), joined=tuple(sides[1:]))
    return ProgramGroup(
        mechanism=choice.mechanism,
        sides=tuple(sorted(sides, key=_run_order)),
        witness=choice.witness,
    )


def _list_sides(map_layout: MapLayout) -> Iterator[HookSide]:
    """All sides; those that have returns at two places once for each."""
    for side in map_layout.sides:
        yield side
        if side.name == "return" and side.hook.other_exit is not None:
            yield replace(side, by_other=True)


def find_spots(groups: Sequence[ProgramGroup]) -> Mapping[int, int]:
    """By the id of a hook that is paired: the first id of those at the same attach point."""
    entries = [[s.hook.id for s in group.sides if s.name == "entry"] for group in groups]
    joined = [[s.hook.id] for group in groups for s in group.joined if s.name == "entry"]
    return {hook: min(hooks) for hooks in (*entries, *joined) for hook in hooks}


def cluster_groups(groups: Sequence[ProgramGroup]) -> list[tuple[ProgramGroup, ...]]:
    """Groups that are attached together or not at all: those that share a hook. In each, programs
    at returns come first, so that no call is opened without a program that closes it."""
    joined: list[list[ProgramGroup]] = []
    for group in groups:
        hooks = {side.hook.id for side in group.served}
        touching = [cluster for cluster in joined if hooks & _hook_ids(cluster)]
        merged = [group for cluster in touching for group in cluster]
        joined = [cluster for cluster in joined if cluster not in touching] + [[*merged, group]]
    ordered = [sorted(cluster, key=lambda g: g.sides[0].name != "return") for cluster in joined]
    return sorted(map(tuple, ordered), key=lambda cluster: min(_hook_ids(cluster)))


def _hook_ids(groups: Sequence[ProgramGroup]) -> set[int]:
    return {side.hook.id for group in groups for side in group.served}


def is_at_return(side: HookSide) -> bool:
    """Whether this side fires when a function returns."""
    return side.name == "return" or side.hook.traits.moment == "return"


def price_kind(group: ProgramGroup) -> str:
    """How a group is attached, by the names in backends/prices.py."""
    return price_kind_of(group.sides[0], group.mechanism)


def price_kind_of(side: HookSide, mechanism: str) -> str:
    """The same for one side. Apart from fentry, probes of functions are kprobes or uprobes."""
    if mechanism in ("fentry", "fexit"):
        return "fentry"
    if mechanism not in _AT_FUNCTIONS:
        return mechanism
    return ("u" if side.hook.path else "k") + ("retprobe" if is_at_return(side) else "probe")


def _place_key(side: HookSide, mechanism: Mechanism) -> tuple[object, ...]:
    hook = side.hook
    match mechanism:
        case "iterator":
            return (hook.event,)
        case "raw tracepoint":
            return (hook.event or (hook.tracepoint.event if hook.tracepoint else ""),)
        case "perf tracepoint":
            event = side.tracepoint
            return (event.category, event.event) if event is not None else (hook.id,)
        case "perf clock":
            return (hook.frequency, hook.period_ns)
        case "perf event":
            return (hook.counter, hook.period)
        case _:
            return (*_code_place(hook), is_at_return(side))


def _code_place(hook: Hook) -> tuple[object, ...]:
    if hook.path:
        return (hook.path, hook.file_offset, hook.semaphore)
    return (hook.symbol, hook.offset)


def _run_order(side: HookSide) -> tuple[int, int]:
    roles = [ROLE_ORDER[use.role] for use in side.hook.body.spans]
    return (min(roles, default=_NO_SPAN), side.index)
