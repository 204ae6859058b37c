"""A backend without a kernel: deterministic sessions that follow a script, step by step."""

import struct
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.accounting.count import Count
from orchestrator.backends.protocol import (
    Artifact,
    AttachedHook,
    AttachOptions,
    Counts,
    EmitCounts,
    Expense,
    MetricCounts,
    MetricsReading,
    OpenSpans,
    SideCounts,
    SkippedHook,
)
from orchestrator.cells.buckets import Buckets
from orchestrator.cells.cell import Cell
from orchestrator.compile.program import (
    RECORD_HEADER_SIZE,
    Body,
    Emit,
    Hook,
    KeyField,
    MetricSpec,
    ProbeProgram,
    Program,
    RecordField,
    ResolvedTarget,
)
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import NOWHERE, Finding
from orchestrator.plan.model import Limits
from orchestrator.symbols.frames import Stack

RECORD_SIZE = RECORD_HEADER_SIZE + 8


def program(
    limits: Limits | None = None,
    *,
    every_ns: int | None = None,
    target: Any = None,
    sample: int = 1,
) -> Program:
    """One probe `opens` with a record of one number and a count by comm."""
    emit = Emit(
        index=0,
        probe="opens",
        fields=(RecordField(name="n", form="u64", offset=RECORD_HEADER_SIZE, size=8, bit=0),),
    )
    metric = MetricSpec(
        index=0,
        probe="opens",
        name="calls",
        kind="count",
        key=(KeyField(name="comm", form="string", offset=0, size=16),),
        key_size=16,
        keys=100,
        buckets=Buckets(),
        signed=False,
        unit="",
    )
    hook = Hook(
        id=0,
        probe=0,
        kind="tracepoint",
        label="tracepoint:fake:open",
        body=Body(lets=(), where=(), emit=(), metrics=()),
        position=NOWHERE,
    )
    probe = ProbeProgram(
        index=0,
        name="opens",
        sample=sample,
        events=None,
        rate=None,
        optional=False,
        emit=emit,
        metrics=(metric,),
        hooks=(hook,),
    )
    return Program(
        name="fake-plan",
        sha256="0" * 64,
        limits=limits or Limits(duration_ns=100_000_000),
        target=target or ResolvedTarget(),
        params=(),
        probes=(probe,),
        spans=(),
        skipped=(),
        record_size=RECORD_SIZE,
        every_ns=every_ns,
        kernel="6.1.0-fake",
        arch="x86_64",
    )


def records(numbers: Sequence[int]) -> NDArray[np.uint8]:
    """Records of the probe `opens`."""
    now = time.monotonic_ns()
    packed = (
        struct.pack("<QHHIIIII16sQ", now, 0, 1, 42, 42, 1, 0, 0, b"cat", number)
        for number in numbers
    )
    return np.frombuffer(b"".join(packed), dtype=np.uint8).reshape(-1, RECORD_SIZE)


@dataclass
class Script:
    """What a fake session does. `batches`: records to deliver, one batch a read; `ring_lost`,
    `filtered` and so on go into the counts alongside them. `on_wait` is called at every wait."""

    batches: list[Sequence[int]] = field(default_factory=list)
    filtered: int = 0
    not_target: int = 0
    ring_lost: int = 0
    over_cap: int = 0
    rate_limited: int = 0
    kernel_missed: Count = 0
    phantom: int = 0  # fired, but never accounted for
    capped: bool = False
    expired: int = 0
    on_wait: Callable[[int], None] = lambda _n: None
    detach_error: Exception | None = None
    attach_error: BaseException | None = None
    journalled: tuple[tuple[str, str], ...] = ()
    refusal: tuple[Finding, ...] = ()


class FakeSession:
    """A Session (backends.protocol) that keeps a diary of what was asked of it."""

    def __init__(self, script: Script) -> None:
        self.script = script
        self.attached = (AttachedHook(hook=0, mechanism="fake", target="open"),)
        self.skipped: tuple[SkippedHook, ...] = ()
        self.diary: list[str] = []
        self.recorded = 0
        self._left = list(script.batches)
        self._waits = 0

    def arm(self, deadline_ns: int) -> None:
        self.diary.append("arm")
        self.deadline_ns = deadline_ns

    def clear(self) -> None:
        self.diary.append("clear")
        self.recorded = 0

    def take_snapshots(self) -> tuple[str, ...]:
        self.diary.append("snapshot")
        return ()

    def count_lost_cgroups(self) -> int | None:
        return None

    def extend(self, deadline_ns: int) -> None:
        self.diary.append("extend")
        self.deadline_ns = deadline_ns

    @property
    def samplable(self) -> tuple[int, ...]:
        return (0,)

    def set_run_time_stats(self, on: bool) -> None:
        pass

    def expenses(self) -> list[Expense]:
        return []

    def resample(self, probe: int, every: int) -> None:
        self.diary.append(f"resample {probe} 1/{every}")

    def detach_probe(self, probe: int) -> None:
        self.diary.append(f"detach_probe {probe}")

    def wait(self, timeout_s: float, also: Sequence[int] = ()) -> None:
        self._waits += 1
        self.script.on_wait(self._waits)
        if not self._left:
            time.sleep(min(timeout_s, 0.005))

    def read(self) -> list[NDArray[np.uint8]]:
        self.diary.append("read")
        if not self._left:
            return []
        batch = records(self._left.pop(0))
        self.recorded += len(batch)
        return [batch]

    def release_batch(self) -> None:
        assert self.diary[-1] == "read", "release_batch follows a read"
        self.diary[-1] = "read+release"

    def capped(self) -> bool:
        return self.script.capped and not self._left

    def metrics(self) -> Mapping[int, Sequence[Cell]]:
        if not self.recorded:
            return {0: []}
        return {0: [Cell(key=b"cat".ljust(16, b"\0"), count=self.recorded)]}

    def metrics_together(self, together: Collection[int]) -> MetricsReading:
        self.together = frozenset(together)
        return MetricsReading(cells=self.metrics())

    def new_stacks(self, numbers: Any = None) -> Sequence[Stack]:
        del numbers
        return ()

    def open_spans(self, span: int) -> OpenSpans:
        raise ValueError(f"no span {span}")

    def counts(self) -> Counts:
        script = self.script
        held_back = script.rate_limited + script.over_cap + script.ring_lost
        accepted = self.recorded + held_back
        fired = accepted + script.filtered + script.not_target + script.expired + script.phantom
        return Counts(
            sides=(
                SideCounts(
                    hook=0,
                    side="hit",
                    fired=fired,
                    filtered=script.filtered,
                    not_target=script.not_target,
                    expired=script.expired,
                    accepted=accepted,
                    kernel_missed=script.kernel_missed,
                ),
            ),
            emits=(
                EmitCounts(
                    probe=0,
                    rate_limited=script.rate_limited,
                    over_cap=script.over_cap,
                    ring_lost=script.ring_lost,
                    recorded=self.recorded,
                ),
            ),
            metrics=(MetricCounts(metric=0, counted=accepted),),
        )

    def disarm(self) -> None:
        self.diary.append("disarm")

    def detach(self) -> None:
        self.diary.append("detach")
        if self.script.detach_error:
            raise self.script.detach_error


class FakeBackend:
    """A Backend (backends.protocol) that attaches fake sessions."""

    def __init__(self, script: Script | None = None, name: str = "bcc") -> None:
        self.NAME = name
        self.script = script or Script()
        self.session: FakeSession | None = None
        self.options: AttachOptions | None = None

    def unsupported(
        self, program: Program, facts: KernelFacts, *, user_space: bool
    ) -> tuple[Finding, ...]:
        return () if user_space else self.script.refusal

    def emit(self, program: Program, facts: KernelFacts) -> Artifact[Any]:
        return Artifact(
            backend=self.NAME,
            program=program,
            text="fake program",
            hooks=(),
            memory={"ring": 4096},
            enforced={"duration": "kernel", "events": "kernel", "rate": "kernel"},
            capabilities=(),
            detail=None,
        )

    def try_artifact(self, artifact: Artifact[Any]) -> None:
        """Nothing to try."""

    def attach(
        self, artifact: Artifact[Any], facts: KernelFacts, options: AttachOptions
    ) -> FakeSession:
        self.options = options
        for kind, what in self.script.journalled:
            options.journal(kind, what)
        if self.script.attach_error:
            raise self.script.attach_error
        self.session = FakeSession(self.script)
        return self.session
