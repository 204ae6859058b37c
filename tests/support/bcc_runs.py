"""Run a plan on this machine's kernel by the bcc backend, and see everything that came of it."""

import struct
import subprocess
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from orchestrator.accounting.count import add_counts, at_least
from orchestrator.backends import backend
from orchestrator.backends.bcc.attach.attaching import attach_compiled, compile_artifact
from orchestrator.backends.bcc.attach.session import BccSession
from orchestrator.backends.bcc.design import layout
from orchestrator.backends.bcc.design.detail import BccDetail
from orchestrator.backends.protocol import (
    Artifact,
    AttachOptions,
    Counts,
    Expense,
    Session,
    SideCounts,
)
from orchestrator.cells.cell import Cell
from orchestrator.compile.lower import compile_plan
from orchestrator.compile.program import Emit, Program
from orchestrator.kernel.facts import KernelFacts, live_facts
from orchestrator.plan.load import load_plan
from tests.support.binaries import compile_to
from tests.support.settling import settled

HEAD = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: test, summary: A test}
"""
FORMATS = {"u8": "B", "u16": "H", "u32": "I", "u64": "Q", "s8": "b", "s16": "h", "s32": "i",
           "s64": "q", "bool": "B"}  # fmt: skip


@cache
def facts() -> KernelFacts:
    """This machine's."""
    return live_facts()


def program_of(text: str, of: KernelFacts | None = None) -> Program:
    """The program of a plan without its first lines."""
    return compile_plan(load_plan((HEAD + text).encode()), of or facts())


@dataclass(slots=True)
class Run:
    """What a run gave. Records are dictionaries: the header's words and the probe's fields; a null
    field is None, and `truncated` names the fields that were cut."""

    program: Program
    counts: Counts
    cells: Mapping[int, Sequence[Cell]]
    records: list[dict[str, Any]] = field(default_factory=list)
    output: str = ""
    deadline_ns: int = 0

    def side(self, hook: int = 0, name: str = "hit") -> SideCounts:
        """The counts of one side."""
        return next(s for s in self.counts.sides if (s.hook, s.side) == (hook, name))

    def metric(self, name: str) -> Sequence[Cell]:
        """The cells of a metric."""
        return self.cells[next(m.index for m in self.program.metrics if m.name == name)]


def is_balanced(run: Run) -> bool:
    """Whether the ledger's identities hold."""
    try:
        balanced(run)
    except AssertionError:
        return False
    return True


def balanced(run: Run) -> None:
    """The ledger's identities hold."""
    for side in run.counts.sides:
        ends = (side.expired, side.not_target, side.filtered, side.sampled_out, side.unpaired,
                side.map_full, side.too_deep, side.accepted)  # fmt: skip
        assert side.fired == add_counts(ends)
    for emit in run.counts.emits:
        records = (emit.rate_limited, emit.over_cap, emit.ring_lost, emit.recorded)
        accepted = sum(
            at_least(side.accepted)
            for side in run.counts.sides
            if side.side != "entry" and run.program.hooks[side.hook].probe == emit.probe
        )
        assert accepted == sum(at_least(end) for end in records)
    assert sum(at_least(emit.recorded) for emit in run.counts.emits) == len(run.records)


def run(
    text: str | Program,
    argv: Sequence[str] = (),
    *,
    seconds: float = 20,
    during: Callable[[Session], object] | None = None,
    drain: bool = True,
    root: bool = False,
) -> Run:
    """Attach, arm, run `argv` (or `during`), disarm, drain and detach. `root`: argv is followed
    as the run's command, parked until the programs are armed."""
    program = program_of(text) if isinstance(text, str) else text
    artifact = backend("bcc").emit(program, facts())
    return run_artifact(artifact, compile_artifact(artifact), argv, seconds=seconds, during=during,
                        drain=drain, root=root)  # fmt: skip


def run_artifact(
    artifact: Artifact[BccDetail],
    code: Mapping[str, bytes],
    argv: Sequence[str] = (),
    *,
    seconds: float = 20,
    during: Callable[[Session], object] | None = None,
    drain: bool = True,
    root: bool = False,
) -> Run:
    """As `run`, with what was emitted and compiled before."""
    program = artifact.program
    command = _parked(argv) if root else None
    options = AttachOptions(
        run_id=f"t{uuid.uuid4().hex[:12]}", root_pid=command.pid if command else None
    )
    session = attach_compiled(artifact, code, options)
    try:
        records: list[dict[str, Any]] = []
        deadline = time.monotonic_ns() + int(seconds * 1e9)
        session.arm(deadline)
        output = _act(session, argv, command, during, records if drain else None)
        session.disarm()

        def look() -> Run:
            take(session, program, records)
            return Run(
                program=program,
                counts=session.counts(),
                cells=session.metrics(),
                records=records,
                output=output,
                deadline_ns=deadline,
            )

        return settled(look, is_balanced)
    finally:
        session.detach()


@dataclass(frozen=True, slots=True)
class OnlyCounted:
    """What a canary's programs did. `changed`: the maps whose contents they changed, apart from the
    ledger and its switches; `records`: how many records they made."""

    counts: Counts
    expenses: Sequence[Expense]
    changed: tuple[str, ...]
    records: int


def only_count(
    artifact: Artifact[BccDetail], code: Mapping[str, bytes], argv: Sequence[str]
) -> OnlyCounted:
    """Attach as a canary does, and run `argv` while it counts."""
    options = AttachOptions(run_id=f"t{uuid.uuid4().hex[:12]}", counting=True)
    session = attach_compiled(artifact, code, options)
    try:
        before = _contents_of(session)
        session.arm(time.monotonic_ns() + 120 * 10**9)
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
        session.disarm()
        records: list[dict[str, Any]] = []
        take(session, artifact.program, records)
        after = _contents_of(session)
        return OnlyCounted(
            counts=session.counts(),
            expenses=session.expenses(),
            changed=tuple(session._maps[n].spec.name for n in before if before[n] != after[n]),
            records=len(records),
        )
    finally:
        session.detach()


def _contents_of(session: BccSession) -> dict[int, dict[bytes, bytes]]:
    switches = (layout.CONTROL, layout.LEDGER, layout.RING)
    maps = {number: made for number, made in session._maps.items() if number not in switches}
    return {number: dict(made.items()) for number, made in maps.items()}


def _parked(argv: Sequence[str]) -> "subprocess.Popen[str]":
    """A shell past its own start, which would be seen too: dash calls getppid for $PPID."""
    shell = ["/bin/sh", "-c", 'echo; read go; exec "$@"', "sh", *argv]
    child = subprocess.Popen(shell, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    child.stdout.readline()
    return child


def _act(
    session: Session,
    argv: Sequence[str],
    command: "subprocess.Popen[str] | None",
    during: Callable[[Session], object] | None,
    records: list[dict[str, Any]] | None,
) -> str:
    if during is not None:
        during(session)
        return ""
    child = command or subprocess.Popen(argv, stdout=subprocess.PIPE, text=True)
    if command is not None:
        assert command.stdin is not None
        command.stdin.write("go\n")
        command.stdin.close()
    while child.poll() is None:
        session.wait(0.05)
        if records is not None:
            take(session, session.program, records)  # type: ignore[attr-defined]  # BccSession's
    assert child.stdout is not None
    return child.stdout.read()


def take(session: Session, program: Program, into: list[dict[str, Any]]) -> None:
    """Read until nothing is left."""
    emits = program.emits
    while batches := session.read():
        for batch in batches:
            into += [_record(bytes(row), emits) for row in batch]
        session.release_batch()


def _record(raw: bytes, emits: Sequence[Emit]) -> dict[str, Any]:
    stamp, number, cpu, pid, tid, weight, nulls, cut = struct.unpack_from("=QHHIIIII", raw)
    emit = emits[number]
    found: dict[str, Any] = {
        "time": stamp, "probe": emit.probe, "cpu": cpu, "pid": pid, "tid": tid, "weight": weight,
        "comm": raw[32:48].split(b"\0")[0].decode(),
        "truncated": [f.name for f in emit.fields if cut >> f.bit & 1],
    }  # fmt: skip
    for part in emit.fields:
        data = raw[part.offset : part.offset + part.size]
        if nulls >> part.bit & 1:
            value: Any = None
        elif part.form in FORMATS:
            value = struct.unpack("=" + FORMATS[part.form], data)[0]
        else:
            value = data.split(b"\0")[0] if part.form == "string" else data
        found[part.name] = value
    return found


def build(source: Path, to: Path) -> Path:
    """Compile a workload."""
    return compile_to(to, source, flags=("-pthread",))
