"""What the runner asks of a backend. A backend is one module that offers `NAME`, `unsupported`,
`emit` and `attach` as below; `orchestrator.backends.BACKENDS` lists the two."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

from orchestrator.accounting.count import UNKNOWN, Count
from orchestrator.cells.cell import Cell
from orchestrator.compile.program import Program
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import Finding
from orchestrator.symbols.frames import Stack

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Enforced = Literal["kernel", "user"]
DetailT = TypeVar("DetailT")


@dataclass(frozen=True, slots=True, kw_only=True)
class HookPlan:
    """How one hook will be attached: the mechanism chosen, and why each other one was not."""

    hook: int
    mechanism: str
    rejected: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact(Generic[DetailT]):
    """What `explain` prints and `attach` uses. `text` is the C or the tracefs writes; `memory` is
    bytes by purpose (their sum is what limits.memory bounds); `enforced` says where each limit,
    filter and aggregate is done; `capabilities` are what attaching needs. `detail` is what
    only the backend that made the artifact understands."""

    backend: str
    program: Program
    text: str
    hooks: tuple[HookPlan, ...]
    memory: Mapping[str, int]
    enforced: Mapping[str, Enforced]
    capabilities: tuple[str, ...]
    detail: DetailT


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachOptions:
    """What a run adds to an artifact. `root_pid`: a parked child whose descendants are the
    target too; `journal` is told of everything before it is created and `unjournal` after it is
    gone. `stop` is told of each write (path, text) that has to be done at the deadline to end
    recording, where the kernel does not end it by itself: whoever outlives us does it."""

    run_id: str
    root_pid: int | None = None
    journal: Callable[[str, str], None] = lambda _kind, _what: None
    unjournal: Callable[[str, str], None] = lambda _kind, _what: None
    stop: Callable[[str, str], None] = lambda _path, _text: None


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedHook:
    """A hook that is attached: `target` is the resolved symbol or event, `detail` prose."""

    hook: int
    mechanism: str
    target: str
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class SkippedHook:
    """An optional hook that could not be attached, and why."""

    hook: int
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class SideCounts:
    """The counts of one side of one hook (accounting.vocabulary.SIDE), each exact or unknown.
    `side` is entry, return or hit. `in_flight`, of an entry: calls that were accepted and whose
    return was not seen by the end."""

    hook: int
    side: str
    fired: Count
    expired: Count = 0
    not_target: Count = 0
    filtered: Count = 0
    sampled_out: Count = 0
    unpaired: Count = 0
    map_full: Count = 0
    accepted: Count = 0
    kernel_missed: Count = UNKNOWN
    recursion_misses: Count = UNKNOWN
    in_flight: Count = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EmitCounts:
    """The counts of one probe's records (accounting.vocabulary.RECORDS)."""

    probe: int
    rate_limited: Count = 0
    over_cap: Count = 0
    ring_lost: Count = 0
    recorded: Count = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricCounts:
    """The counts of one metric (accounting.vocabulary.METRIC): `map_full` went to the cell
    `other`, `map_busy` is lost."""

    metric: int
    counted: Count = 0
    filtered: Count = 0
    map_full: Count = 0
    map_busy: Count = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanCounts:
    """The counts of one span (accounting.vocabulary.SPAN) and of its records (RECORDS)."""

    span: int
    started: Count = 0
    ended: Count = 0
    cancelled: Count = 0
    replaced: Count = 0
    not_target: Count = 0
    in_flight: Count = 0
    repeated: Count = 0
    no_start: Count = 0
    raced: Count = 0
    map_full: Count = 0
    filtered: Count = 0
    accepted: Count = 0
    rate_limited: Count = 0
    over_cap: Count = 0
    ring_lost: Count = 0
    recorded: Count = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StackCounts:
    """The counts of all stacks (accounting.vocabulary.STACKS). `kept` are different ones; the
    others are lost, and null where they were asked for: `map_full` had no room, `map_busy` found no
    scratch memory or no lock in the kernel."""

    kept: int = 0
    map_full: int = 0
    map_busy: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSpans:
    """The spans that are open, a row each: `weight` by sampling, `since` (CLOCK_MONOTONIC ns; 0
    where nobody asks), `nulls` (a bit for each kept value that could not be read), and by kept
    value its bytes as (rows, size)."""

    weight: "NDArray[np.uint32]"
    since: "NDArray[np.uint64]"
    nulls: "NDArray[np.uint64]"
    kept: "tuple[NDArray[np.uint8], ...]"


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """All counters of a run at one moment, for the ledger. `lost_unattributed`: events lost of
    several sides together, where it is not known of which; their own counts of it are unknown.
    `stacks` None: none are taken."""

    sides: tuple[SideCounts, ...]
    emits: tuple[EmitCounts, ...]
    metrics: tuple[MetricCounts, ...]
    spans: tuple[SpanCounts, ...] = ()
    faulted: Count = 0
    truncated: Count = 0
    divisions_by_zero: Count = 0
    children_lost: Count = 0
    lost_unattributed: Count = 0
    stacks: StackCounts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expense:
    """What one program or event of a session has cost so far. `number` is its own for as long as it
    is attached; `probes` are those that it serves. Each of its `hits` (None: unknown) costs
    `price_ns` (`calibrated`: measured on this host) and the run of a program, if it is one:
    `run_ns` in `runs` as far as the kernel has measured them (None: it has not), of which
    `idle_ns` a run are the measuring's own."""

    number: int
    probes: tuple[int, ...]
    hits: int | None
    price_ns: float
    calibrated: bool
    run_ns: int | None = None
    runs: int | None = None
    idle_ns: float = 0.0


class Session(Protocol):
    """Attached probes. Made disarmed: nothing is recorded before `arm`. `samplable` are the probes
    (by index) whose sampling can be changed."""

    attached: Sequence[AttachedHook]
    skipped: Sequence[SkippedHook]

    @property
    def samplable(self) -> Collection[int]: ...

    def arm(self, deadline_ns: int) -> None:
        """Let records and metrics flow until `deadline_ns` (CLOCK_MONOTONIC)."""

    def extend(self, deadline_ns: int) -> None:
        """Move the deadline (a lease renewed)."""

    def pause(self, probes: Collection[int]) -> None:
        """Switch probes (by index) off while they stay attached. What happens at them meanwhile is
        not seen, or counted as expired. Raises HostError when one cannot be switched by itself."""

    def resume(self, probes: Collection[int]) -> None:
        """Switch paused probes on again, once what they recorded before is read. Calls that began
        before are not paired with returns after."""

    def wait(self, timeout_s: float) -> None:
        """Sleep until there may be records, at most `timeout_s`; cheap when idle and when busy."""

    def read(self) -> "Sequence[NDArray[np.uint8]]":
        """Batches of records as (n, record_size) bytes, in time order a batch; valid until
        `release_batch`. An empty sequence: nothing there."""

    def release_batch(self) -> None:
        """Give the records of the last `read` back to the kernel."""

    def capped(self) -> bool:
        """True once the plan's event cap is reached."""

    def metrics(self) -> Mapping[int, Sequence[Cell]]:
        """All cells by metric index, as of now (totals since `arm`)."""

    def new_stacks(self, numbers: Collection[int] | None = None) -> Sequence[Stack]:
        """Of the stacks with these numbers, or of all, those that were not returned before. What
        records and cells show that were read before is there; that 0 and 1 are none is known."""

    def open_spans(self, span: int) -> OpenSpans:
        """The spans that are open as of now, of the span with this index."""

    def counts(self) -> Counts:
        """All counters as of now."""

    def set_run_time_stats(self, on: bool) -> None:
        """Have the kernel measure run times, or no longer: for moments only, since it makes all
        programs of the host slower. Raises OSError where it will not."""

    def expenses(self) -> Sequence[Expense]:
        """What everything that is attached has cost since it was armed."""

    def resample(self, probe: int, every: int) -> None:
        """From now on keep one of `every` events of a probe that is samplable, with that weight."""

    def detach_probe(self, probe: int) -> None:
        """Detach a probe before the others, for good; its counts and metrics stay. A place that it
        shares with other probes goes with the last of them."""

    def disarm(self) -> None:
        """Stop recording at once; what is in the buffers stays readable."""

    def detach(self) -> None:
        """Undo everything that attach created, in reverse. Idempotent."""


class Backend(Protocol[DetailT]):
    """One way to bring a program into the kernel."""

    NAME: str

    def unsupported(
        self, program: Program, facts: KernelFacts, *, user_space: bool
    ) -> tuple[Finding, ...]:
        """Why this backend cannot run `program` on that kernel; empty when it can. `user_space`:
        the user named this backend, so filters and sampling may be done in user space."""

    def emit(self, program: Program, facts: KernelFacts) -> Artifact[DetailT]:
        """The artifact: pure, needs no root. Raises HostError when `unsupported` is not empty."""

    def attach(
        self, artifact: Artifact[DetailT], facts: KernelFacts, options: AttachOptions
    ) -> Session:
        """Attach everything or nothing (optional hooks may be skipped); raises HostError."""
