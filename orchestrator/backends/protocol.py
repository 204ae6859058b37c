"""The interface between a run and a backend: artifacts, sessions, and the counts that they report.
`orchestrator.backends.BACKENDS` lists the backends."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Generic, Literal, Protocol, TypeVar

from orchestrator.accounting.count import UNKNOWN, Count
from orchestrator.cells.cell import Cell
from orchestrator.compile.program import Program
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import Finding, HostError
from orchestrator.symbols.frames import Stack
from orchestrator.values import dataclass

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Enforced = Literal["kernel", "user"]
DetailT = TypeVar("DetailT")


class ProgramRefused(HostError):
    """The kernel's verifier has read a program and refused it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class HookPlan:
    """How one hook will be attached: the mechanism chosen, and why each other one was not. `scope`:
    which processes have a probe in user code, in words."""

    hook: int
    mechanism: str
    rejected: Mapping[str, str] = field(default_factory=dict)
    scope: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenNumber:
    """A number of the host that a text leaves open: `name` says what it is, `value` its value."""

    name: str
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Artifact(Generic[DetailT]):
    """A program made ready for one backend: what `explain` prints and `attach` uses. `text`: the C
    or the tracefs writes; `memory`: bytes by purpose (limits.memory bounds their sum); `enforced`:
    where each limit, filter and aggregate is done; `capabilities`: those that attaching needs;
    `numbers`: those of the host that `text` leaves open, by slot; `detail`: data of the backend
    that made it."""

    backend: str
    program: Program
    text: str
    hooks: tuple[HookPlan, ...]
    memory: Mapping[str, int]
    enforced: Mapping[str, Enforced]
    capabilities: tuple[str, ...]
    numbers: tuple[OpenNumber, ...] = ()
    detail: DetailT


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachOptions:
    """What a run adds to an artifact. `root_pid`: a parked child; its descendants are targets too.
    `journal` is called with (kind, name) before something is created in the kernel, `unjournal`
    after it is removed. `stop` is called with each write (path, text) that ends recording at the
    deadline where the kernel does not end it by itself: the watchdog does it if the run is dead.
    `compiling` is called before a program is compiled, which takes seconds. `counting`: for a
    canary: once armed, entries and hits are counted, and whose they are, and nothing else is done;
    returns of calls are not attached for themselves."""

    run_id: str
    root_pid: int | None = None
    journal: Callable[[str, str], None] = lambda _kind, _what: None
    unjournal: Callable[[str, str], None] = lambda _kind, _what: None
    stop: Callable[[str, str], None] = lambda _path, _text: None
    compiling: Callable[[], None] = lambda: None
    counting: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachedHook:
    """A hook that is attached: `target` is the resolved symbol or event, `detail` is for people."""

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
    `side` is entry, return or hit. The counts of CALL_FATES, of an entry: calls that were accepted
    and did not return."""

    hook: int
    side: str
    fired: Count
    expired: Count = 0
    not_target: Count = 0
    filtered: Count = 0
    sampled_out: Count = 0
    unpaired: Count = 0
    map_full: Count = 0
    too_deep: Count = 0
    accepted: Count = 0
    kernel_missed: Count = UNKNOWN
    recursion_misses: Count = UNKNOWN
    abandoned: Count = 0
    execed: Count = 0
    exited: Count = 0
    in_flight: Count = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class EmitCounts:
    """The counts of one probe's records (accounting.vocabulary.RECORDS). `repeated`, `keys_full`:
    ONCE_DISPOSITIONS; None: the probe does not have `once`."""

    probe: int
    repeated: Count | None = None
    keys_full: Count | None = None
    rate_limited: Count = 0
    over_cap: Count = 0
    ring_lost: Count = 0
    recorded: Count = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricCounts:
    """The counts of one metric (accounting.vocabulary.METRIC): `map_full` went to the cell
    `other`, `map_busy` is lost, and so is `ring_lost` with the event's record."""

    metric: int
    counted: Count = 0
    filtered: Count = 0
    map_full: Count = 0
    map_busy: Count = 0
    ring_lost: Count = 0


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
class NoteCounts:
    """The counts of one note (accounting.vocabulary.NOTE)."""

    note: int
    set: Count = 0
    replaced: Count = 0
    dropped: Count = 0
    kept: Count = 0
    repeated: Count = 0
    absent: Count = 0
    full: Count = 0
    found: Count = 0
    missed: Count = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class StackCounts:
    """The counts of all stacks (accounting.vocabulary.STACKS). `kept` are different ones; the
    others are lost, and null in records and keys: at `map_full` there was no room for another
    stack, at `map_busy` no scratch memory or no lock in the kernel."""

    kept: int = 0
    map_full: int = 0
    map_busy: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricsReading:
    """All cells by metric index, totals since `arm`. `events_apart`: how many events one of the
    metrics that were asked for together counted while they were read; 0: they are of one moment,
    but for an event that a CPU was counting just then (at most one per CPU)."""

    cells: Mapping[int, Sequence[Cell]]
    events_apart: Count = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeSwitch:
    """Memory by which any process that has mapped it switches the probes of an armed session,
    without a system call. `descriptor`: of a file that is mapped from its start for `size` bytes;
    `words`: what its first words of 64 bits are while the probes are on. All 0: they are off."""

    descriptor: int
    size: int
    words: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenSpans:
    """The spans that are open, one in each of n rows: `weight` by sampling; `since`, when it was
    started (CLOCK_MONOTONIC ns; 0 if the plan does not use it); `nulls`, a bit for each kept value
    that could not be read; and for each kept value its bytes as (n, size)."""

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
    notes: tuple[NoteCounts, ...] = ()
    faulted: Count = 0
    truncated: Count = 0
    divisions_by_zero: Count = 0
    children_lost: Count = 0
    lost_unattributed: Count = 0
    stacks: StackCounts | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Expense:
    """The cost so far of one program or event of a session. `number` identifies it while it is
    attached; `probes` are those that it serves. Each of its `hits` (None: unknown) costs `price_ns`
    (`calibrated`: measured on this host), and for a program also its run: `run_ns` in `runs`, as
    far as the kernel has measured them (None: it has not). `idle_ns` of each run are the overhead
    of measuring."""

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

    def clear(self) -> None:
        """Forget what was counted so far, and open calls and spans, as if it had never been armed.
        Only while disarmed and once everything is read; `arm` then begins again. The stacks stay
        known, and so do counts of what was lost of them."""

    def take_snapshots(self) -> Sequence[str]:
        """Read the iterators among the attach points, while armed: every object is a hit. Returns
        what went wrong, so that a snapshot is not whole."""

    def count_lost_cgroups(self) -> int | None:
        """Of cgroups that match a pattern of the target, how many its programs do not know because
        there was no room for them. None where programs know only those that there were when they
        were made."""

    def extend(self, deadline_ns: int) -> None:
        """Move the deadline (a lease renewed)."""

    def pause(self, probes: Collection[int]) -> None:
        """Switch probes (by index) off while they stay attached. What happens at them meanwhile is
        not seen, or counted as expired. Raises HostError if one cannot be paused separately."""

    def resume(self, probes: Collection[int]) -> None:
        """Switch paused probes on again; call it once their earlier records are read. Calls that
        began before are not paired with returns after."""

    def find_switch(self) -> ProbeSwitch | None:
        """The memory that switches the probes; None where this backend has none."""

    def wait(self, timeout_s: float, also: Sequence[int] = ()) -> None:
        """Sleep until there may be records, at most `timeout_s`; cheap whether idle or busy.
        `also`: descriptors that end it when one of them can be read."""

    def read(self) -> "Sequence[NDArray[np.uint8]]":
        """Batches of records as (n, record_size) bytes, in time order a batch; valid until
        `release_batch`. Empty if there are none."""

    def release_batch(self) -> None:
        """Give the records of the last `read` back to the kernel."""

    def capped(self) -> bool:
        """True once the plan's event cap is reached."""

    def metrics(self) -> Mapping[int, Sequence[Cell]]:
        """All cells by metric index: totals since `arm`. They are not of one moment."""

    def metrics_together(self, together: Collection[int]) -> MetricsReading:
        """All cells, those of the metrics `together` (by index) read closely one after the other;
        how far apart they are is reported. Read once: the caller may try again."""

    def new_stacks(self, numbers: Collection[int] | None = None) -> Sequence[Stack]:
        """The stacks with these numbers (None: all) that were not returned before. Those of records
        and cells that were read are included; the numbers 0 and 1 are no stacks."""

    def open_spans(self, span: int) -> OpenSpans:
        """What is open now of the span with this index."""

    def counts(self) -> Counts:
        """All counters at this moment."""

    def set_run_time_stats(self, on: bool) -> None:
        """Have the kernel measure the run times of programs, or stop that. Only for moments, since
        it slows all programs of the host. Raises OSError if the kernel refuses."""

    def expenses(self) -> Sequence[Expense]:
        """The cost so far of everything that is attached, since it was armed."""

    def resample(self, probe: int, every: int) -> None:
        """From now on keep one of `every` events of a samplable probe, with that weight."""

    def detach_probe(self, probe: int) -> None:
        """Detach a probe before the others, permanently; its counts and metrics remain. An attach
        point that it shares with other probes is detached with the last of them."""

    def disarm(self) -> None:
        """Stop recording at once; the contents of the buffers remain readable."""

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

    def try_artifact(self, artifact: Artifact[DetailT]) -> None:
        """Do what of attaching needs neither privileges nor the kernel. Raises HostError where the
        artifact cannot be attached for a reason that is found so."""

    def attach(
        self, artifact: Artifact[DetailT], facts: KernelFacts, options: AttachOptions
    ) -> Session:
        """Attach everything or nothing (optional hooks may be skipped); raises HostError."""
