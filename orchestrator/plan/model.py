"""The plan as typed, frozen values: what a checked document means on any kernel.

Numbers are in base units: nanoseconds, bytes, events; `None` means "not given" unless said
otherwise. Every element has its position in the file, for later findings.
"""

from collections.abc import Mapping
from dataclasses import field, fields
from typing import Generic, Literal, TypeVar, get_args

from orchestrator.cells.buckets import LOG, Buckets
from orchestrator.plan.attach_kinds import AttachKind
from orchestrator.plan.expression.syntax import Expr
from orchestrator.plan.findings import NOWHERE, Position
from orchestrator.values import dataclass

ParamType = Literal[
    "int",
    "duration",
    "bytes",
    "ratio",
    "string",
    "bool",
    "path",
    "symbol",
    "attach",
    "choice",
    "net",
]
#: Param types that live in the control map; the others are text, used by `$(params.x)`.
SCALAR_PARAM_TYPES = frozenset({"int", "duration", "bytes", "bool"})

MetricKind = Literal["count", "sum", "min", "max", "avg", "histogram"]
METRIC_KINDS: tuple[MetricKind, ...] = get_args(MetricKind)


@dataclass(frozen=True, slots=True, kw_only=True)
class Param:
    """A value that the user may set. `value` is the default or what `--set` gave, in base units
    (int, bool or str; a ratio is N of 1/N); None: required and not set yet."""

    name: str
    type: ParamType
    value: int | bool | str | None
    default: int | bool | str | None = None
    choices: tuple[str, ...] = ()
    min: int | None = None
    max: int | None = None
    summary: str = ""
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """`count` records per `per_ns` nanoseconds, of which `burst` may come at once (0: as many as
    `count`): after a pause so many are taken however fast they come, and a period takes at most
    `count + burst`."""

    count: int
    per_ns: int
    burst: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "burst", self.burst or self.count)

    @property
    def gap_ns(self) -> int:
        """The time between two records at this rate; one is due so long after the last."""
        return max(self.per_ns // self.count, 1)

    @property
    def early_ns(self) -> int:
        """How long before it is due a record is taken, which makes the burst."""
        return (self.burst - 1) * self.gap_ns


#: Where a limit's value comes from.
OverrideOption = Literal["set", "limit", "target", "by", "enrich"]
LimitSource = Literal["plan", "default", "command line", "policy"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of a run. `duration_ns` None: unlimited, i.e. a lease that the reader renews.
    `cpu` is a fraction of one CPU; memory and output are bytes. `incomplete`: whether a run that
    lost data fails."""

    duration_ns: int | None = 30_000_000_000
    events: int = 10_000
    rate: Rate = Rate(count=1000, per_ns=1_000_000_000)
    at_cap: Literal["stop", "mute"] = "stop"
    cpu: float = 0.02
    memory: int = 32 << 20
    probes: int = 64
    output: int = 1 << 30
    incomplete: Literal["fail", "allow"] = "fail"


_Cgroup = TypeVar("_Cgroup")
_Program = TypeVar("_Program")


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskKeys(Generic[_Cgroup, _Program]):
    """The keys by which tasks are chosen or left out, each with alternatives (none: it is not
    given). `comm` holds globs of at most 15 bytes, `cgroup` paths below the cgroup v2 mount or what
    they lead to, `exe` paths of programs or their files, `pidns` PID namespaces: `host`,
    `container` (any other) or a number. `children`: the descendants of `pid`, too."""

    pid: tuple[int, ...] = ()
    tid: tuple[int, ...] = ()
    uid: tuple[int, ...] = ()
    comm: tuple[str, ...] = ()
    cgroup: tuple[_Cgroup, ...] = ()
    exe: tuple[_Program, ...] = ()
    pidns: tuple[str, ...] = ()
    children: bool = False


#: The keys that have lists of values.
TASK_LISTS: tuple[str, ...] = tuple(
    each.name for each in fields(TaskKeys) if each.name != "children"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class LeftOut(TaskKeys[str, str]):
    """The tasks whose events do not count: those that match any key."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target(TaskKeys[str, str]):
    """The tasks whose events count: those that match all keys. `left_out`: the key `not`."""

    exclude_self: bool = True
    left_out: LeftOut = LeftOut()
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class AttachItem:
    """One attach point as written, after `$(params.x)`: `kind` and `target` of `KIND:TARGET`.

    `let`, `args`, `returns`, `task` override the probe's own, and `unsafe_return` is the probe's
    alone. `deferred` names a required param
    that is not set yet, so that kind and target are not known (lint only).
    """

    text: str
    kind: AttachKind
    target: str
    tag: str = ""  # `as`
    optional: bool = False
    let: Mapping[str, Expr] = field(default_factory=dict)
    args: Mapping[str, str] = field(default_factory=dict)
    returns: str = ""
    task: Expr | Literal["none"] | None = None
    unsafe_return: bool = False
    deferred: str = ""
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Metric:
    """An aggregate in the kernel. `value` None: every kept event counts (`count: true`). `warn` is
    evaluated for each cell. `by` are the labels of its key; `computed` has the expression of those
    that are not names."""

    name: str
    kind: MetricKind
    value: Expr | None
    by: tuple[str, ...] = ()
    computed: Mapping[str, Expr] = field(default_factory=dict)
    where: Expr | None = None
    keys: int = 10_000
    buckets: Buckets = LOG
    top: int | None = None
    unit: str = ""
    warn: Expr | None = None
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Once:
    """Of events with the same key, the first in `per_ns` is a record (None: in the run). Labels of
    the key as a metric's; at most `keys` of them at a time."""

    by: tuple[str, ...]
    computed: Mapping[str, Expr] = field(default_factory=dict)
    per_ns: int | None = None
    keys: int = 1000
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Redact:
    """What is shown of a string from user memory: a digest, or its first `size` bytes."""

    kind: Literal["hash", "truncate"]
    size: int = 0

    def __str__(self) -> str:
        return self.kind if self.kind == "hash" else f"truncate({self.size})"


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """A probe: where it attaches, which events it keeps, what it records and counts.

    `mode`: `one` (attach), `first` (attach_first) or `all` (attach_all). `emit` None: no records;
    an empty mapping: records with the common fields only. `sample` N keeps one event of N, on the
    average. `events` and `rate` are the probe's own bounds in addition to the plan's. `redact`: how
    strings from user memory are shown; None: as they are. `unsafe_return`: the return of a user
    function may be probed even if that may kill the programs that call it.
    """

    name: str
    mode: Literal["one", "first", "all"]
    items: tuple[AttachItem, ...]
    args: Mapping[str, str] = field(default_factory=dict)
    returns: str = ""
    task: Expr | Literal["none"] | None = None
    let: Mapping[str, Expr] = field(default_factory=dict)
    where: Expr | None = None
    sample: int = 1
    events: int | None = None
    rate: Rate | None = None
    once: Once | None = None
    optional: bool = False
    unsafe_return: bool = False
    redact: Redact | None = None
    emit: Mapping[str, Expr] | None = None
    metrics: tuple[Metric, ...] = ()
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class SpanSum:
    """A sum that an open span keeps: `value` of each event of the probes `of` with its key."""

    name: str
    of: tuple[str, ...]
    value: Expr
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """The time from an event of a `start` probe to one of an `end` probe with the same `key`.
    `again`: what a second start does while one is open. `let`, `where`, `emit` and `metrics`
    are evaluated at the end, where `start.x`, `via.x` and `end.x` are the three probes' values, and
    `sum.x` those of `add`."""

    name: str
    start: tuple[str, ...]
    end: tuple[str, ...]
    key: tuple[str, ...]
    via: tuple[str, ...] = ()
    cancel: tuple[str, ...] = ()
    add: tuple[SpanSum, ...] = ()
    again: Literal["replace", "keep", "nest"] = "replace"
    max_open: int = 10_000
    open_at_end: bool = False
    let: Mapping[str, Expr] = field(default_factory=dict)
    where: Expr | None = None
    emit: Mapping[str, Expr] | None = None
    metrics: tuple[Metric, ...] = ()
    position: Position = NOWHERE

    @property
    def adding(self) -> tuple[str, ...]:
        """The probes whose events add to the span."""
        return tuple(dict.fromkeys(name for one in self.add for name in one.of))

    @property
    def probes(self) -> tuple[str, ...]:
        """All its probes."""
        named = (*self.start, *self.end, *self.via, *self.cancel, *self.adding)
        return tuple(dict.fromkeys(named))


@dataclass(frozen=True, slots=True, kw_only=True)
class Outstanding:
    """What `open` probes opened and `close` probes have not closed: `value`, and `by` with its
    `computed` labels as a metric's, are of the opening. Only what is at least `min_age_ns` old is
    shown, the `top` largest of it."""

    name: str
    open: tuple[str, ...]
    close: tuple[str, ...]
    key: tuple[str, ...]
    value: Expr
    by: tuple[str, ...] = ()
    computed: Mapping[str, Expr] = field(default_factory=dict)
    min_age_ns: int = 0
    top: int = 20
    max_open: int = 100_000
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """State that events of the probes `set_by` keep and that any probe reads: the values `keep`, by
    the key, whose names each probe defines. Events of `drop_by` drop what is kept of their key.
    `once`: what is kept stays until it is dropped. At most `most` keys are kept."""

    name: str
    set_by: tuple[str, ...]
    key: tuple[str, ...]
    drop_by: tuple[str, ...] = ()
    keep: Mapping[str, Expr] = field(default_factory=dict)
    most: int = 10_000
    once: bool = False
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class DerivedFigure:
    """A figure computed from metrics, in user space. `unit` is for display: durations are in ns and
    sizes in bytes. `warn` is evaluated over it and may name it `value`. `by`: the labels of the key
    of its metrics, for each cell of which it is computed, too; the `top` largest are shown."""

    name: str
    value: Expr
    by: tuple[str, ...] = ()
    top: int = 20
    unit: str = ""
    warn: Expr | None = None
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class LabelTable:
    """Names for numbers, which a plan gives: by the number or the name of a constant. `otherwise`
    is the name of all other numbers; None: they are shown as they are."""

    name: str
    names: Mapping[int | str, str]
    otherwise: str | None = None
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class SpelledType:
    """A type as a plan spells it: `base` is the name of a number, `string`, `pointer`, the name of
    a structure of the plan or `struct NAME` of the kernel; then how many `*`, and the numbers of
    elements, from the outside. The last number of a `string` is its bytes."""

    base: str
    pointers: int = 0
    counts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredMember:
    """A member of a structure: its type, and its offset in bytes."""

    type: SpelledType
    at: int
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class DeclaredStruct:
    """A structure in memory, as the plan declares it under `types`. `size` in bytes; None: that of
    its members, as C lays them out."""

    name: str
    members: Mapping[str, DeclaredMember]
    size: int | None = None
    position: Position = NOWHERE


@dataclass(frozen=True, slots=True, kw_only=True)
class Metadata:
    """The plan's name, purpose and owner. `equivalents`: other collections' tools for the same
    question; `cost`: what the host pays for, in words."""

    name: str
    summary: str
    description: str = ""
    owner: str = ""
    tags: tuple[str, ...] = ()
    equivalents: tuple[str, ...] = ()
    cost: str = ""
    runbook: str = ""
    requires: str = ""

    def is_written_for(self, release: tuple[int, int]) -> bool:
        """Whether the plan requires this release of the language, or a later one: what means
        something else in it than before does so in these plans alone."""
        numbers = tuple(map(int, (self.requires or "1.0").split(".")))
        return numbers >= release


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanOverride:
    """A param, a limit or a key of the target that the command line set, by its name; or what it
    added, as it was given."""

    option: OverrideOption
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """A whole plan. `source` is the file's bytes as read, `sha256` its digest in hex,
    `every_ns` the window length or None. `let` holds definitions shared by all probes.
    `limits_from`: by the name of a limit, where its value comes from; others are defaults.
    `overridden`: what the command line set, in addition to the file."""

    metadata: Metadata
    limits: Limits
    target: Target
    probes: tuple[Probe, ...]
    spans: tuple[Span, ...] = ()
    outstanding: tuple[Outstanding, ...] = ()
    notes: tuple[Note, ...] = ()
    params: Mapping[str, Param] = field(default_factory=dict)
    let: Mapping[str, Expr] = field(default_factory=dict)
    labels: Mapping[str, LabelTable] = field(default_factory=dict)
    types: Mapping[str, DeclaredStruct] = field(default_factory=dict)
    every_ns: int | None = None
    derive: tuple[DerivedFigure, ...] = ()
    stop_when: Expr | None = None
    file: str = "<plan>"
    source: bytes = b""
    sha256: str = ""
    limits_from: Mapping[str, LimitSource] = field(default_factory=dict)
    overridden: tuple[PlanOverride, ...] = ()
