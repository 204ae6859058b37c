"""The contenders: probeplan with one of our plans, bpftrace with a one-liner, a bcc script."""

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from bench.process import Process, attached_to
from bench.setting import HERE, PLANS, ROOT, NotPossible, Setting, command

__all__ = ["EVENT", "bpftrace", "emitted", "events_in", "finished", "ours", "perf_buffer", "side"]
__all__ += ["started"]

EVENT = "sys_enter_getppid"
_ARM_S = 0.2  # from run.started, or a program attached, until everything is certainly on
_PIECE = 8 << 20


def ours(  # noqa: PLR0913  # what a run can be given
    setting: Setting,
    plan: str,
    *more: str,
    backend: str = "bcc",
    wait: bool = True,
    room: int = 0,
    cpu: str | None = "100%",
    before: Sequence[str] = (),
) -> Process:
    """`probeplan run` of bench/plans/PLAN.yaml, or of the shipped plan of that name; with `wait`,
    armed when this returns. `before`: words that start it. `cpu`: the limit, so that the governor
    does not act on an intended flood; None: the plan's."""
    limit = [] if cpu is None else ["--limit", f"cpu={cpu}"]
    own = PLANS / f"{plan}.yaml"
    named = str(own) if own.exists() else plan
    argv = [*before, *command(), "run", named, "--backend", backend, *limit, *more]
    process = Process(setting, argv, f"ours-{plan}", cpu=setting.reader_cpu, room=room)
    if wait:
        # The log is flushed when the probes are attached, just before they are armed.
        process.watch(lambda: process.written() > 0, "its probes are attached")
        time.sleep(_ARM_S)
    return process


def bpftrace(
    setting: Setting, program: str, *options: str, wait: bool = True, room: int = 0
) -> Process:
    """bpftrace with one program; with `wait`, attached when this returns."""
    argv = ["bpftrace", *options, "-e", program]
    if shutil.which(argv[0]) is None:
        raise NotPossible("bpftrace is not installed")
    process = Process(setting, argv, "bpftrace", cpu=setting.reader_cpu, insist=True, room=room)
    if wait:
        _wait_attached(process)
    return process


def perf_buffer(setting: Setting, pid: int, *, room: int = 0) -> Process:
    """The bcc script of bench/peers, attached when this returns."""
    argv = [*_headers(), sys.executable, str(HERE / "peers" / "perf_buffer.py"), str(pid)]
    process = Process(setting, argv, "perf-buffer", cpu=setting.reader_cpu, room=room)
    _wait_attached(process)
    return process


def _headers() -> list[str]:
    """bcc needs kernel headers; where none are installed it gets ours."""
    if Path(f"/lib/modules/{os.uname().release}/build").exists():
        return []
    return ["env", f"BCC_KERNEL_SOURCE={ROOT / 'orchestrator/backends/bcc/headers'}"]


def _wait_attached(process: Process) -> None:
    process.watch(lambda: attached_to(process.pid, EVENT), "its probe is attached")
    time.sleep(_ARM_S)


# ---------------------------------------------------------------- reading their output


def started(process: Process) -> dict[str, Any]:
    """The record run.started of a run of ours."""
    with process.output.open("rb") as log:
        record: dict[str, Any] = json.loads(log.readline())
    return record


def finished(process: Process) -> dict[str, Any]:
    """The record run.finished of an ended run of ours."""
    last = b""
    with process.output.open("rb") as file:
        file.seek(max(0, process.output.stat().st_size - (1 << 20)))
        for line in file:
            if b'"event":"run.finished"' in line:
                last = line
    if not last:
        raise NotPossible(f"{process.name} reported no end: {process.said()}")
    record: dict[str, Any] = json.loads(last)
    return record


def events_in(path: Path, mark: bytes) -> int:
    """How many times `mark` occurs in a file; it occurs once in each counted line."""
    return sum(piece.count(mark) for piece in _pieces(path))


def _pieces(path: Path) -> Iterator[bytes]:
    """A file in pieces that end at line boundaries."""
    rest = b""
    with path.open("rb") as file:
        while block := file.read(_PIECE):
            whole, newline, rest = (rest + block).rpartition(b"\n")
            yield whole + newline
    yield rest


def side(record: dict[str, Any]) -> dict[str, int]:
    """The dispositions of the single side of the single probe of a plan in bench/plans."""
    counts: dict[str, int] = record["ledger"]["probes"]["call"]["hooks"][0]["sides"]["hit"]
    return counts


def emitted(record: dict[str, Any]) -> dict[str, int]:
    """Where the records of that probe went."""
    counts: dict[str, int] = record["ledger"]["probes"]["call"]["emit"]
    return counts
