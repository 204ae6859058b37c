"""The detail of a tracefs artifact, as plain data: events, filters, and what user space does."""

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from orchestrator.compile.expressions.nodes import Node
from orchestrator.compile.program import Emit, Hook, MetricUse
from orchestrator.kernel.abi.dynamic_events import Event
from orchestrator.kernel.abi.file_identity import FileIdentity
from orchestrator.values import dataclass

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
    """A dynamic event to create: in a kernel function (`symbol`) or in a file (`path`)."""

    symbol: str | None = None
    path: str | None = None
    identity: FileIdentity | None = None
    offset: int = 0
    returns: bool = False
    ref_counter: int = 0
    fetch: tuple[str, ...] = ()

    def make_event(self, group: str, name: str) -> Event:
        """The event under a name. Raises ValueError where tracefs could misread its definition."""
        return Event(
            group=group,
            name=name,
            symbol=self.symbol,
            path=self.path,
            identity=self.identity,
            offset=self.offset,
            returns=self.returns,
            ref_counter=self.ref_counter,
            fetch=self.fetch,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSource:
    """An event that is enabled in the instance.

    `category` and `event` name a tracepoint of the kernel; with a `definition` the event is ours
    and `event` is its name without the part that is different for every run. `filter` is what the
    kernel tests. `field_names` maps each node that the event's record holds to its field there;
    `unchecked_reads` are those of them that read memory without reporting failure. `tests_comm`:
    the filter tests target.comm.
    """

    category: str
    event: str
    definition: EventDefinition | None = None
    filter: str | None = None
    field_names: Mapping[Node, str] = field(default_factory=dict)
    unchecked_reads: frozenset[Node] = frozenset()
    tests_comm: bool = False

    @property
    def key(self) -> str:
        """CATEGORY/EVENT, the same for every run."""
        return f"{self.category}/{self.event}"


@dataclass(frozen=True, slots=True, kw_only=True)
class EventSide:
    """One side of a hook: the event that shows it (`source`, an index into EventLayout.sources),
    the conditions that the kernel tests (`pushed`) and those that user space tests (`where`).
    `other`: a source whose events are returns too, where they are those of an open call."""

    name: SideName
    source: int
    other: int | None = None
    pushed: tuple[Node, ...] = ()
    where: tuple[Node, ...] = ()

    @property
    def sources(self) -> tuple[int, ...]:
        """All sources whose events are looked at for this side."""
        return (self.source,) if self.other is None else (self.source, self.other)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistUse:
    """A metric that a hist trigger of a source counts in a table of `size` entries. `keys` are the
    names of its key fields in order, `value` is the name of the summed field, `condition` the
    filter of what is counted."""

    metric: int
    source: int
    keys: tuple[str, ...]
    value: str | None
    size: int
    condition: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class HookEvents:
    """A hook in terms of events. In `emit` and `metrics`, lets and params are replaced by their
    values.

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
    """A whole program. `buffer_kb` and `task_buffer_kb` (task_events.py; 0: none) are per CPU;
    `by_pid`: the kernel selects threads (set_event_pid); `stack_step`: see
    event_fields.STACK_STEP."""

    sources: tuple[EventSource, ...]
    hooks: tuple[HookEvents, ...]
    hists: tuple[HistUse, ...]
    buffer_kb: int
    task_buffer_kb: int
    by_pid: bool
    stack_step: int
