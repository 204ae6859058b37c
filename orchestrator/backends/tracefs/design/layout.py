"""What the tracefs backend makes of a program: the artifact's detail, as plain data."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from orchestrator.compile.expressions.nodes import Node
from orchestrator.compile.program import Emit, Hook, MetricUse
from orchestrator.kernel.abi.dynamic_events import Event

__all__ = [
    "EventDefinition",
    "EventLayout",
    "EventSide",
    "EventSource",
    "HistUse",
    "HookEvents",
    "SideName",
]

SideName = Literal["hit", "entry", "return"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventDefinition:
    """A dynamic event to be made: of a kernel function (`symbol`) or of a file (`path`)."""

    symbol: str | None = None
    path: str | None = None
    offset: int = 0
    returns: bool = False
    ref_counter: int = 0
    fetch: tuple[str, ...] = ()

    def event(self, group: str, name: str) -> Event:
        """The definition under a name. Raises ValueError where tracefs could misread it."""
        return Event(
            group=group,
            name=name,
            symbol=self.symbol,
            path=self.path,
            offset=self.offset,
            returns=self.returns,
            ref_counter=self.ref_counter,
            fetch=self.fetch,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSource:
    """An event of the instance that is switched on.

    `category` and `event` name a tracepoint of the kernel; with a `definition` the event is ours
    and `event` is its name without the run's part. `filter` is what the kernel tests.
    `leaves` maps each node that this event's record answers to the name of its field there;
    `reads` are those of them that read memory without telling when that failed. `tests_comm`:
    the filter tests target.comm.
    """

    category: str
    event: str
    definition: EventDefinition | None = None
    filter: str | None = None
    leaves: Mapping[Node, str] = field(default_factory=dict)
    reads: frozenset[Node] = frozenset()
    tests_comm: bool = False

    @property
    def key(self) -> str:
        """The same for every run."""
        return f"{self.category}/{self.event}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSide:
    """One side of a hook: the event it is seen by (index into Layout.sources), what the kernel
    filters, and what is left to user space."""

    name: SideName
    source: int
    pushed: tuple[Node, ...] = ()
    where: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class HistUse:
    """A metric that a hist trigger of a source counts, in a table of `size` entries: `keys` are
    the names of its key fields in order, `value` that of the summed one, `condition` the filter
    of what is counted."""

    metric: int
    source: int
    keys: tuple[str, ...]
    value: str | None
    size: int
    condition: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HookEvents:
    """A hook in terms of events; `emit` and `metrics` have definitions and params put in.

    `nested` hooks are paired by thread and stack pointer, the others by thread alone. `counted`
    hooks are counted by hist triggers and record nothing.
    """

    hook: Hook
    probe: int
    sides: tuple[EventSide, ...]
    captures: tuple[Node, ...]
    emit: tuple[Node, ...]
    metrics: tuple[MetricUse, ...]
    record: Emit | None
    sample: int
    nested: bool = False
    counted: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EventLayout:
    """All of a program. `buffer_kb` is each CPU's; `by_pid`: threads are chosen in the kernel."""

    sources: tuple[EventSource, ...]
    hooks: tuple[HookEvents, ...]
    hists: tuple[HistUse, ...]
    buffer_kb: int
    by_pid: bool
    stack_step: int
