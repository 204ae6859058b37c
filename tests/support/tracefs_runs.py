"""Short tracefs runs with a workload whose events are known: used here and in guests."""

import os
import subprocess
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from orchestrator.backends.protocol import Artifact, AttachOptions, Counts, Session
from orchestrator.backends.tracefs import backend as tracefs
from orchestrator.backends.tracefs.design.layout import EventLayout
from orchestrator.cells.cell import Cell
from orchestrator.compile.lower import compile_plan
from orchestrator.compile.program import Program
from orchestrator.kernel.facts import KernelFacts, live_facts
from orchestrator.plan.load import load_plan
from tests.support.paths import WORKLOADS

SOURCE = WORKLOADS / "load.c"
TRACING = Path("/sys/kernel/tracing")
HEAD = """\
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: t, summary: t}
"""
RUNS: list[str] = []
ROOM = "limits: {events: 1M, rate: 10M/s, duration: 1m}\n"
_FORMS = {"bool": (1, False)} | {
    f"{sign}{bits}": (bits // 8, sign == "s") for sign in "us" for bits in (8, 16, 32, 64)
}


def build(directory: Path, name: str = "load") -> Path:
    """The workload, compiled into `directory`; static, so that it runs in any guest."""
    program = directory / name
    subprocess.run(
        ["gcc", "-O1", "-static", "-pthread", "-o", str(program), str(SOURCE)], check=True
    )
    return program


def prepare_load(kernel: object, share: Path, **_: object) -> dict[str, str]:
    """Puts the workload where a guest finds it."""
    build(share)
    return {}


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What a run came to: records as dictionaries, cells by metric name, counters."""

    records: list[dict[str, Any]] = field(default_factory=list)
    cells: dict[str, list[Cell]] = field(default_factory=dict)
    counts: Counts
    artifact: Artifact[EventLayout]
    pid: int = 0

    def side(self, name: str = "hit", hook: int = 0) -> Any:
        """One side's counters."""
        return next(s for s in self.counts.sides if (s.hook, s.side) == (hook, name))


def compiled(text: str, facts: KernelFacts | None = None, room: str = ROOM) -> Program:
    """The program of a plan's text; its head and generous limits are added."""
    return compile_plan(load_plan((HEAD + room + text).encode()), facts or live_facts())


def run(
    text: str,
    command: Sequence[str],
    *,
    room: str = ROOM,
    seconds: float = 60.0,
    meanwhile: Callable[[Session], None] = lambda _session: None,
) -> Outcome:
    """Attach, arm, let the waiting workload go, disarm at its end, drain, detach. `comm: load`
    stands for the workload's name, which others on the machine do not bear."""
    facts = live_facts()
    text = text.replace("comm: load", f"comm: {Path(command[0]).name}")
    program = compiled(text, facts, room)
    findings = tracefs.unsupported(program, facts, user_space=True)
    assert not findings, findings
    artifact = tracefs.emit(program, facts)
    session = tracefs.attach(artifact, facts, AttachOptions(run_id=new_run()))
    batches = []
    try:
        with subprocess.Popen(
            [command[0], "-w", *command[1:]], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdout.readline()
            session.arm(time.monotonic_ns() + int(seconds * 1e9))
            process.stdin.write(b"\n")
            process.stdin.flush()
            meanwhile(session)
            process.stdout.read()
        session.disarm()
        batches += [batch.copy() for batch in session.read()]
        session.release_batch()
        counts = session.counts()
        cells = {m.name: list(session.metrics()[m.index]) for m in program.metrics}
    finally:
        session.detach()
    records = [record for batch in batches for record in decoded(program, batch)]
    return Outcome(records=records, cells=cells, counts=counts, artifact=artifact, pid=process.pid)


def new_run() -> str:
    """A run id that `leftovers` knows to be ours."""
    RUNS.append(uuid.uuid4().hex[:12])
    return RUNS[-1]


def decoded(program: Program, batch: Any) -> list[dict[str, Any]]:
    """Records as dictionaries, read as the contract says and by nothing of the backend's."""
    return [_record(program, bytes(row)) for row in batch]


def _record(program: Program, raw: bytes) -> dict[str, Any]:
    emit = program.emits[int.from_bytes(raw[8:10], "little")]
    nulls = int.from_bytes(raw[24:28], "little")
    truncated = int.from_bytes(raw[28:32], "little")
    data: dict[str, Any] = {
        "time": int.from_bytes(raw[0:8], "little"),
        "probe": emit.probe,
        "pid": int.from_bytes(raw[12:16], "little"),
        "tid": int.from_bytes(raw[16:20], "little"),
        "weight": int.from_bytes(raw[20:24], "little"),
        "comm": raw[32:48].split(b"\0")[0].decode(),
        "truncated": [f.name for f in emit.fields if truncated >> f.bit & 1],
    }
    for part in emit.fields:
        value = raw[part.offset : part.offset + part.size]
        data[part.name] = None if nulls >> part.bit & 1 else _value(part.form, value)
    return data


def _value(form: str, raw: bytes) -> Any:
    if form in _FORMS:
        size, signed = _FORMS[form]
        return int.from_bytes(raw[:size], "little", signed=signed)
    return raw.split(b"\0")[0].decode() if form == "string" else raw


def leftovers() -> set[str]:
    """Instances and definitions of this process's runs that are in the kernel now."""
    found = {path.name for path in (TRACING / "instances").iterdir()}
    for name in ("uprobe_events", "kprobe_events"):
        if (TRACING / name).exists():
            found |= set((TRACING / name).read_text().split())
    return {name for name in found if any(run in name for run in RUNS)}


def alive(pid: int) -> bool:
    """Whether a process is there."""
    return os.path.exists(f"/proc/{pid}")  # noqa: PTH110  # plain and short
