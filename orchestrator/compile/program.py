"""The backend-neutral program: what `lower` makes of a resolved plan and both backends emit.

A program says *what* is evaluated at which hook; how it is attached and read is decided by the
backends. Nothing in here touches the kernel.
"""

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from orchestrator.cells.buckets import Buckets
from orchestrator.compile.expressions.nodes import Let, Node, ShownForm
from orchestrator.compile.expressions.types import Bool, Int, Type
from orchestrator.kernel.abi.executables import ExecutableId
from orchestrator.kernel.abi.file_identity import FileIdentity
from orchestrator.kernel.tracepoints import Tracepoint
from orchestrator.plan.attach_kinds import KINDS, AttachKind, KindTraits
from orchestrator.plan.findings import NOWHERE, Finding, Position
from orchestrator.plan.model import Limits, Rate, TaskKeys
from orchestrator.values import dataclass

# ---------------------------------------------------------------- records

FieldForm = Literal[
    "u8",
    "u16",
    "u32",
    "u64",
    "s8",
    "s16",
    "s32",
    "s64",
    "bool",
    "string",
    "ipv4",
    "ipv6",
    "ip",
    "bytes",
    "text",
    "strings",
    "path",
    "endpoint",
    "kstack",
    "ustack",
    "usym",
]
#: Forms of numbers under which stacks are kept; of `usym` one frame is shown.
STACK_FORMS: frozenset[FieldForm] = frozenset({"kstack", "ustack", "usym"})
#: Those that are named by the files of processes.
USER_STACK_FORMS: frozenset[FieldForm] = frozenset({"ustack", "usym"})

#: What a number of a field counts, for people: "ns", "bytes"; "address": it is one; "word": it is
#: from a register or a slot of 64 bits, where an address may be.
FieldUnit = Literal["", "ns", "bytes", "address", "word"]

#: Every record starts with this header; both backends deliver arrays of it. Offsets in bytes.
#: time: CLOCK_MONOTONIC ns; emit: index into Program.emits; nulls and truncated: one bit a field.
RECORD_HEADER: tuple[tuple[str, str, int], ...] = (
    ("time", "u64", 0),
    ("emit", "u16", 8),
    ("cpu", "u16", 10),
    ("pid", "u32", 12),
    ("tid", "u32", 16),
    ("weight", "u32", 20),
    ("nulls", "u32", 24),
    ("truncated", "u32", 28),
    ("comm", "string", 32),
)
RECORD_HEADER_SIZE = 48


@dataclass(frozen=True, slots=True, kw_only=True)
class Presentation:
    """How user space shows a value: a number by a table of names and, where it is not in that, as
    `otherwise` (if that is not ""), or by its `form` (the name of an error, null of another number;
    flags of the group `prefix`, bits by the table, a symbol, a device), else as it is; any value,
    if `hashed`, by a digest of `salt` and its bytes. The salt is drawn for each run."""

    names: Mapping[int, str] = field(default_factory=dict)
    form: ShownForm = ""
    prefix: str = ""
    hashed: bool = False
    salt: bytes = b""
    otherwise: str = ""

    @property
    def has_names(self) -> bool:
        """Whether it is a number that is shown as a text."""
        return bool(self.names or self.form or self.otherwise)

    @property
    def names_cgroups(self) -> bool:
        """Whether it is a cgroup's number, shown by the cgroup's or its container's name."""
        return self.form in ("cgroup", "container")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordField:
    """One emitted field: its JSON key under `data`, and where its bytes are in the record.

    `bit` is the field's bit in the header's `nulls` and `truncated` words (null: the read failed).
    `unit` changes how people see a number, and not its JSON.
    """

    name: str
    form: FieldForm
    offset: int
    size: int
    bit: int
    presentation: Presentation | None = None
    unit: FieldUnit = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Emit:
    """The record of one probe or span: `index` is the header's `emit`; `has_task`: pid, tid and
    comm are known (they are not under `task: none`)."""

    index: int
    probe: str
    fields: tuple[RecordField, ...]
    has_task: bool = True


# ---------------------------------------------------------------- metrics


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyField:
    """One part of a metric's key: packed in order, `offset` bytes from the key's start. `unit`: as
    of a RecordField."""

    name: str
    form: FieldForm
    offset: int
    size: int
    presentation: Presentation | None = None
    unit: FieldUnit = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricSpec:
    """An aggregate: `index` is its number in the program, `key_size` the bytes of a packed key
    (padded to 8; 0: no key), `signed`: values are signed; `unit` is "ns", "bytes" or
    "". `display` is the unit in which the plan wants values shown."""

    index: int
    probe: str
    name: str
    kind: Literal["count", "sum", "min", "max", "avg", "histogram"]
    key: tuple[KeyField, ...]
    key_size: int
    keys: int
    buckets: Buckets
    signed: bool
    unit: str
    display: str = ""
    top: int | None = None
    position: Position = NOWHERE


# ---------------------------------------------------------------- hooks


@dataclass(frozen=True, slots=True, kw_only=True)
class EntrySide:
    """What happens at the entry of a paired hook: conditions pushed down to it (all must hold; no
    memory reads but those inside `entry()`), then values kept for the return."""

    where: tuple[Node, ...]
    captures: tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricUse:
    """How a hook feeds a metric: its key parts, its value (None: 1) and its own filter, converted
    to the metric's forms."""

    metric: int
    key: tuple[Node, ...]
    value: Node | None
    where: Node | None


SpanRole = Literal["start", "via", "add", "end", "cancel"]
#: Ends before starts, so that one event may end a span and start the next; what continues it last.
ROLE_ORDER: Mapping[SpanRole, int] = {"end": 0, "cancel": 0, "start": 1, "via": 2, "add": 2}


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanEnd:
    """What a span evaluates at its end: its filter, record and metrics."""

    where: tuple[Node, ...]
    emit: tuple[Node, ...]
    metrics: tuple[MetricUse, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanUse:
    """A hook's part in a span: `key` in the forms of SpanProgram.key; `kept`: (index into
    SpanProgram.kept, value) of what a start or via contributes, or is added; `end` of an end only.
    `samplable`:
    events may be left out."""

    span: int
    role: SpanRole
    key: tuple[Node, ...]
    kept: tuple[tuple[int, Node], ...] = ()
    end: SpanEnd | None = None
    samplable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteUse:
    """What a hook does to a note: `key` in the forms of NoteProgram.key; `kept`: (index into
    NoteProgram.kept, value), of a set."""

    note: int
    role: Literal["set", "drop"]
    key: tuple[Node, ...]
    kept: tuple[tuple[int, Node], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Body:
    """What is evaluated at a hook. `entry` is None unless the hook is paired; `task` is the
    address of the task_struct of the event, None for the current task, "none" for no task.
    `emit` holds a node for each field of the probe's Emit, in order. `spans` are in the order in
    which they are done: ends before starts. `notes` are dropped and set after all else, so that
    what the hook reads of them is what was kept before. `tests_target` is False where the plan's
    target was tested earlier in a span's life. `once`: the parts of the probe's OnceSpec.key."""

    lets: tuple[Let, ...]
    where: tuple[Node, ...]
    emit: tuple[Node, ...]
    metrics: tuple[MetricUse, ...]
    entry: EntrySide | None = None
    task: Node | Literal["none"] | None = None
    spans: tuple[SpanUse, ...] = ()
    notes: tuple[NoteUse, ...] = ()
    tests_target: bool = True
    once: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Hook:
    """One attach point with its body. Only what its kind needs is set:

    symbol, offset: kernel functions. btf_id (in the BTF of `module`, "": the kernel's), arguments
    (their number), also of raw tracepoints.
    tracepoint, exit_tracepoint: tracepoints and the two of a syscall; other_exit: that of another
    syscall, as which this one may return. event: a raw tracepoint's.
    path, file_offset, semaphore (file offset of the reference counter, 0: none), symbol: user code;
    identity: the file that `path` named when the offset was found (None: not on this host).
    frequency: profile, in Hz. period_ns: interval. event, btf_id, arguments
    also of iterators; element: which argument is the object, null past the last one.
    counter: perf, its type and config for perf_event_open(2); one in `period` of its events is a
    hit, which stands for all of them.
    """

    id: int
    probe: int
    kind: AttachKind
    label: str  # KIND:TARGET as attached, for people
    body: Body
    position: Position
    optional: bool = False
    symbol: str = ""
    offset: int = 0
    btf_id: int = 0
    module: str = ""
    arguments: int | None = None
    tracepoint: Tracepoint | None = None
    exit_tracepoint: Tracepoint | None = None
    other_exit: Tracepoint | None = None
    event: str = ""
    path: str = ""
    identity: FileIdentity | None = None
    file_offset: int = 0
    semaphore: int = 0
    frequency: int = 0
    period_ns: int = 0
    element: int = 0
    counter: tuple[int, int] | None = None
    period: int = 1

    @property
    def traits(self) -> KindTraits:
        """What holds for every hook of this kind."""
        return KINDS[self.kind]

    @property
    def paired(self) -> bool:
        """True when entry and return are seen as one probe."""
        return self.body.entry is not None

    @property
    def sides(self) -> tuple[str, ...]:
        """The ledger's sides of this hook, in the order in which they fire."""
        return ("entry", "return") if self.paired else ("hit",)


# ---------------------------------------------------------------- the program


#: A path of a cgroup with its id in cgroup v2 (None: there is none here).
CgroupOfPath = tuple[str, int | None]
#: A path of a program with its file (None: there is none here).
ProgramOfPath = tuple[str, ExecutableId | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedKeys(TaskKeys[CgroupOfPath, ProgramOfPath]):
    """Keys on one host. `patterns`: the paths of cgroups that end with `*`, of which `cgroup` has
    those that there were."""

    patterns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedLeftOut(ResolvedKeys):
    """The tasks whose events do not count, on one host."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResolvedTarget(ResolvedKeys):
    """The tasks whose events count, on one host; empty: all tasks."""

    exclude_self: bool = True
    left_out: ResolvedLeftOut = ResolvedLeftOut()


@dataclass(frozen=True, slots=True, kw_only=True)
class ParamSlot:
    """A scalar param in the control element; value as a 64-bit integer."""

    name: str
    slot: int
    type: Int | Bool
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Skipped:
    """An attach item that was not taken, and why: shown by `explain` and logged by `run`. `doubts`:
    warnings, where an optional attach point is there and a name in its expressions is not, which
    is how a misspelt name looks. `position`: the item's."""

    probe: str
    item: str
    reason: str
    position: Position = NOWHERE
    doubts: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class OnceSpec:
    """Of events with the same key, packed as a metric's, one in `per_ns` is a record (0: one in the
    run). There is room for `keys` of them."""

    key: tuple[KeyField, ...]
    key_size: int
    per_ns: int
    keys: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeProgram:
    """A probe, resolved: its record, metrics and hooks. `sample` N: one of N is kept."""

    index: int
    name: str
    sample: int
    events: int | None
    rate: Rate | None
    optional: bool
    emit: Emit | None
    metrics: tuple[MetricSpec, ...]
    hooks: tuple[Hook, ...]
    once: OnceSpec | None = None

    @property
    def weight(self) -> int:
        """One in how many events is kept at first, where that is most."""
        return self.sample * max((hook.period for hook in self.hooks), default=1)

    @property
    def samplable(self) -> bool:
        """Whether events may be left out: not where a span continues or ends, which has the weight
        of its start, nor where a start would take the place of one that was left out, nor where a
        note is set or dropped."""
        spans = all(use.samplable for hook in self.hooks for use in hook.body.spans)
        return spans and not any(hook.body.notes for hook in self.hooks)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptField:
    """A value that an open span keeps: `name` as written (`start.comm`), and its layout. `role`:
    who writes it; `add`: it is a sum, 0 at the start."""

    name: str
    role: SpanRole
    type: Type
    form: FieldForm
    size: int
    presentation: Presentation | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Resource:
    """Makes a span an outstanding resource: nothing is done at its end, and what is open is shown.
    `value` is an index into `kept`, and `by` has the indexes of the parts of `shown.key`; `shown`
    specifies how open spans are summed up."""

    value: int
    by: tuple[int, ...]
    min_age_ns: int
    shown: MetricSpec


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanProgram:
    """A span: `index` is its number in the program. `key` is packed (`key_size` bytes) and joins
    its hooks; `kept` are the values carried from start and via to the end. `timed`: its
    duration is used. `tests_target`: some of its starts have no task, so that the target can only
    be tested later."""

    index: int
    name: str
    key: tuple[KeyField, ...]
    key_size: int
    kept: tuple[KeptField, ...]
    again: Literal["replace", "keep", "nest"]
    max_open: int
    open_at_end: bool
    timed: bool
    has_via: bool
    tests_target: bool
    emit: Emit | None
    metrics: tuple[MetricSpec, ...]
    position: Position
    resource: Resource | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteField:
    """A value that a note keeps, and its layout."""

    name: str
    type: Type
    form: FieldForm
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NoteProgram:
    """A note: `index` is its number in the program. `key` is packed (`key_size` bytes) and finds
    it again; `once`: what is kept stays until it is dropped; at most `most` keys are kept."""

    index: int
    name: str
    key: tuple[KeyField, ...]
    key_size: int
    kept: tuple[NoteField, ...]
    most: int
    once: bool
    position: Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """All of a plan for one kernel. `record_size` is the size in bytes of every record (header
    included, a multiple of 8): the largest that any probe needs, so that a batch is an array."""

    name: str
    sha256: str
    limits: Limits
    target: ResolvedTarget
    params: tuple[ParamSlot, ...]
    probes: tuple[ProbeProgram, ...]
    spans: tuple[SpanProgram, ...]
    skipped: tuple[Skipped, ...]
    record_size: int
    every_ns: int | None
    kernel: str
    arch: str
    notes: tuple[NoteProgram, ...] = ()

    @property
    def hooks(self) -> tuple[Hook, ...]:
        """All hooks, in order of their ids."""
        return tuple(hook for probe in self.probes for hook in probe.hooks)

    @property
    def doubts(self) -> tuple[Finding, ...]:
        """Warnings about what was left out, and perhaps only misspelt."""
        return tuple(finding for skipped in self.skipped for finding in skipped.doubts)

    @property
    def emits(self) -> tuple[Emit, ...]:
        """All records' layouts, in order of their indexes."""
        makers: tuple[ProbeProgram | SpanProgram, ...] = (*self.probes, *self.spans)
        return tuple(maker.emit for maker in makers if maker.emit is not None)

    @property
    def metrics(self) -> tuple[MetricSpec, ...]:
        """All metrics, in order of their indexes."""
        makers: tuple[ProbeProgram | SpanProgram, ...] = (*self.probes, *self.spans)
        return tuple(metric for maker in makers for metric in maker.metrics)
