"""What a check has measured: repeats of its workload, and what identifies them.

Only data: the measuring fills it in, and verdicts and baselines read it. All figures are exact
integers. Cells are all there are, uncut by `top`.
"""

from collections.abc import Mapping
from dataclasses import field, replace
from typing import Literal

from orchestrator.accounting.count import Count
from orchestrator.accounting.vocabulary import ProbeLedger
from orchestrator.cells.cell import Cell
from orchestrator.values import dataclass

__all__ = ["CellValue", "CommandEnd", "Environment", "MeasuredCell", "Measurement"]
__all__ += ["MetricIdentity", "ProbeIdentity", "ProbePlace", "Repeat", "WorkloadTrouble"]
__all__ += ["join_measurements"]

#: A part of a cell's key: a number as the probe read it (never its name), a text,
#: a truth value, the frames of a stack; None: it could not be read.
CellValue = str | int | bool | tuple[str, ...] | None
#: What a probe looks at: what the program does itself (system calls, user functions, USDT), which
#: does not depend on the kernel, or what the kernel does for it.
ProbePlace = Literal["user-visible", "kernel-side"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredCell:
    """What was counted under one key. `key`: by the names of the metric's `by` (empty without
    `by`); None: the cell `other`, of keys that did not fit. `value`: the metric's figure by its
    kind, that is the count, the sum, the least or the greatest value (None: nothing was counted);
    of avg and histogram, the count. `count`: values, or events. `names`: of the parts of the key
    whose number stands for something, its text (`fdatasync`). The rest as in cells.Cell."""

    key: Mapping[str, CellValue] | None
    value: int | None
    count: int
    names: Mapping[str, str] = field(default_factory=dict)
    sum: int = 0
    min: int | None = None
    max: int | None = None
    buckets: Mapping[int, int] = field(default_factory=dict)
    below: int = 0
    above: int = 0

    def to_cell(self) -> Cell:
        """Its numbers as a cell without its key, to be added to others."""
        return Cell(
            key=b"",
            count=self.count,
            sum=self.sum,
            min=self.min,
            max=self.max,
            buckets=self.buckets,
            below=self.below,
            above=self.above,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CommandEnd:
    """How the command ended: by its exit `code`, or by the `signal` (its name) that ended it.
    `timed_out`: it was ended because it took longer than the workload's timeout. `left`: (pid,
    comm) of descendants that still ran at its end; they were ended too."""

    code: int | None = None
    signal: str | None = None
    timed_out: bool = False
    left: tuple[tuple[int, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Repeat:
    """One repeat. `ops`: the workload's size. `cells`: by probe and metric. `outcome`: what ended
    the counting, "command" if all of the command was counted. `ledger`: by probe and span, where
    the events went. `fired_on_host`: by probe, how often it fired for any process of the host
    while it was counting. `losses`: by probe and span, what was or may have been lost of its
    events; under "" what was lost of it is not known whose. `faulted`: values that could not be
    read in conditions and keys, of all probes together. `others`: (probe, metric) with keys in
    `other`. `would_have`: what the governor would have done to keep limits.cpu; nothing was done.
    Times and memory are the command's with its waited-for children's; `maxrss_bytes` None: less
    than the process that it was forked from, which hides it."""

    ops: int
    cells: Mapping[str, Mapping[str, tuple[MeasuredCell, ...]]]
    wall_ns: int
    user_ns: int
    sys_ns: int
    maxrss_bytes: int | None
    command: CommandEnd
    outcome: str
    ledger: Mapping[str, ProbeLedger]
    fired_on_host: Mapping[str, Count]
    losses: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    children_lost: Count = 0
    faulted: Count = 0
    others: frozenset[tuple[str, str]] = frozenset()
    would_have: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricIdentity:
    """What a metric is on this host. `digest` (sha256): of its resolved definition; another digest
    means another quantity. `by`: the names of its key."""

    kind: str
    unit: str
    by: tuple[str, ...]
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeIdentity:
    """How a probe was attached: its mechanisms in order of its attach points, the alternative of
    its plan that was chosen (KIND:TARGET), its sampling (1: every event). `skipped`: why it, or a
    part of it, was not attached; None: all of it was."""

    mechanisms: tuple[str, ...]
    alternative: str
    place: ProbePlace
    sample: int = 1
    skipped: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where it was measured. `libc`: name and version; `commit`: of the repository that the check
    is in, "" if it is in none. `machine`: what identifies a deterministic machine; "": it was this
    host."""

    kernel: str
    arch: str
    cpu: str
    cpus: int
    libc: str
    probeplan: str
    backend: str
    commit: str = ""
    machine: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadTrouble:
    """Why the workload could not be repeated to its end: at which `stage` (setup, ready, run,
    teardown, witness), and what happened, in words for people."""

    stage: str
    message: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Measurement:
    """All repeats of one check, without the warm-up. `witness`: the repeat of the witness command,
    if the check has one. `trouble` None: everything went well."""

    repeats: tuple[Repeat, ...]
    probes: Mapping[str, ProbeIdentity]
    metrics: Mapping[str, Mapping[str, MetricIdentity]]
    environment: Environment
    witness: Repeat | None = None
    trouble: WorkloadTrouble | None = None


def join_measurements(first: Measurement, more: Measurement) -> Measurement:
    """A measurement with the repeats of both, of one check that was attached twice alike."""
    return replace(
        first,
        repeats=(*first.repeats, *more.repeats),
        witness=first.witness or more.witness,
        trouble=first.trouble or more.trouble,
    )
