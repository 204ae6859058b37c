"""What limits cost: a disarmed or capped probe, detaching many probes, and the watchdog."""

import os
import struct
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

from bench.figures import Figure, Target
from bench.process import Load, Process, attached_to
from bench.setting import NotPossible, Setting
from bench.tools import EVENT, bpftrace, ours, started

if TYPE_CHECKING:
    from orchestrator.backends.protocol import Session

__all__ = ["bounds"]

TURNS = 20  # per round: turns of each contender, for one figure from its quietest quarter
BATCHES, CALLS = 60, 2_000
PROBES = 50
WATCHDOG_MOST_MIB = 12.0
FUSED = Target(at="most", bound=1.15)
FASTER = Target(at="most", bound=1.0)
_SYSCALLS = Path("/sys/kernel/tracing/events/syscalls")
_HEAD = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: bench-bounds, summary: What bounds cost}
"""
_AT = f"attach: 'tracepoint:syscalls:{EVENT}'"
_DISARMED = f"probes: {{p: {{{_AT}, metrics: {{n: {{count: true}}}}}}}}"
_CAPPED = f"limits: {{events: 1}}\nprobes: {{p: {{{_AT}, emit: [pid]}}}}"
#: r0 = 1; exit
_RETURN_1 = struct.pack("<BBhi", 0xB7, 0, 0, 1) + struct.pack("<BBhi", 0x95, 0, 0, 0)


def bounds(setting: Setting) -> list[Figure]:
    """All three, one after the other."""
    return [*_fuse(setting), *_detaching(setting), _watchdog(setting)]


# ---------------------------------------------------------------- disarmed and capped probes


def _fuse(setting: Setting) -> list[Figure]:
    """ns that a disarmed and a capped probe add, compared with a program that returns at once."""
    contenders: dict[str, Callable[[], AbstractContextManager[object]]] = {
        "bare": nullcontext,
        "empty": _empty,
        "disarmed": lambda: _attached(_DISARMED),
        "after the cap": lambda: _capped(setting),
    }
    added: dict[str, list[float]] = {name: [] for name in contenders}
    for number in range(setting.rounds):
        setting.say(f"bounds: a probe that may do no more, round {number + 1}")
        quiet = _round(setting, contenders)
        for name in contenders:
            added[name].append(quiet[name] - quiet["bare"])
    return [
        Figure(
            name=f"added: {name}",
            unit="ns",
            ours=added[name],
            peer="an empty program",
            theirs=added["empty"],
            target=FUSED,
        )
        for name in ("disarmed", "after the cap")
    ]


def _round(
    setting: Setting, contenders: dict[str, Callable[[], AbstractContextManager[object]]]
) -> dict[str, float]:
    """ns per call of each, in turns. Disturbance only ever adds time, so the lower quartile is
    steadier than the median."""
    turns: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(setting.of(TURNS, 3)):
        for name, attached in contenders.items():
            with attached(), Load(setting, "batches", BATCHES, CALLS) as load:
                load.go()
                turns[name].append(_low(load.result()))
    return {name: _low(values) for name, values in turns.items()}


def _low(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 4]


@contextmanager
def _empty() -> Iterator[None]:
    """A program on the same tracepoint that returns at once."""
    from orchestrator.backends.bcc.attach.links import attach_perf_tracepoint
    from orchestrator.backends.bcc.attach.load import load_program
    from orchestrator.kernel.abi import bpf

    program = load_program(_RETURN_1, bpf.TRACEPOINT, name="empty", maps={})
    attachment = attach_perf_tracepoint(_event_id(EVENT), program)
    try:
        yield
    finally:
        attachment.detach()
        os.close(program)


@contextmanager
def _attached(text: str) -> Iterator["Session"]:
    """A plan's probes, attached and never armed."""
    from orchestrator.backends import backend
    from orchestrator.backends.protocol import AttachOptions
    from orchestrator.compile.lower import compile_plan
    from orchestrator.kernel.facts import live_facts
    from orchestrator.plan.load import load_plan

    facts, bcc = live_facts(), backend("bcc")
    program = compile_plan(load_plan((_HEAD + text).encode()), facts)
    session = bcc.attach(bcc.emit(program, facts), facts, AttachOptions(run_id="bench"))
    try:
        yield session
    finally:
        session.detach()


@contextmanager
def _capped(setting: Setting) -> Iterator[None]:
    """A plan whose only record has been taken: the kernel has disarmed it."""
    with _attached(_CAPPED) as session:
        session.arm(time.monotonic_ns() + 10**12)
        with Load(setting, "burst", 10) as load:
            load.go()
            load.result()
        if not session.capped():
            raise NotPossible("the cap was not reached")
        yield


def _event_id(name: str) -> int:
    return int((_SYSCALLS / name / "id").read_text())


# ---------------------------------------------------------------- detaching


def _detaching(setting: Setting) -> list[Figure]:
    """ms until PROBES probes are detached: as a run does it, compared with closing one after
    another, and with bpftrace from its interrupt to its end. The kernel ends one perf event at a
    time, each after a grace period, so that this has a lower bound."""
    found = sorted(path.name for path in _SYSCALLS.glob("sys_enter_*"))
    if len(found) < PROBES:
        raise NotPossible(f"this kernel has no {PROBES} tracepoints of system calls")
    events = found[:: len(found) // PROBES][:PROBES]
    together: list[float] = []
    alone: list[float] = []
    theirs: list[float] = []
    for number in range(setting.rounds):
        setting.say(f"bounds: detaching {PROBES} probes, round {number + 1}")
        together.append(_detached(_many("tracepoint:syscalls:", events)))
        alone.append(_one_by_one(events))
        theirs.append(_bpftrace_ends(setting, events))
    raw = [_detached(_many("rawtracepoint:", ["sys_enter"] * PROBES)) for _ in together]
    return [
        Figure(
            name=f"detaching {PROBES} perf tracepoints",
            unit="ms",
            ours=together,
            peer="one after the other",
            theirs=alone,
        ),
        Figure(
            name=f"detaching {PROBES} perf tracepoints",
            unit="ms",
            ours=together,
            peer="bpftrace",
            theirs=theirs,
            target=FASTER,
        ),
        Figure(name=f"detaching {PROBES} raw tracepoints", unit="ms", ours=raw),
    ]


def _many(kind: str, events: Sequence[str]) -> str:
    probes = (
        f"  p{number}: {{attach: '{kind}{event}', metrics: {{n: {{count: true}}}}}}"
        for number, event in enumerate(events)
    )
    return "\n".join(["probes:", *probes])


def _detached(text: str) -> float:
    with _attached(text) as session:
        began = time.monotonic()
        session.detach()
        return (time.monotonic() - began) * 1e3


def _bpftrace_ends(setting: Setting, events: Sequence[str]) -> float:
    points = ", ".join(f"tracepoint:syscalls:{event}" for event in events)
    with bpftrace(setting, f"{points} {{ @ = count(); }}", wait=False) as process:
        process.watch(lambda: attached_to(process.pid, events[-1]), "its last probe is attached")
        began = time.monotonic()
        process.finish()
        return (time.monotonic() - began) * 1e3


def _one_by_one(events: Sequence[str]) -> float:
    from orchestrator.backends.bcc.attach.links import attach_perf_tracepoint
    from orchestrator.backends.bcc.attach.load import load_program
    from orchestrator.kernel.abi import bpf

    program = load_program(_RETURN_1, bpf.TRACEPOINT, name="empty", maps={})
    attachments = [attach_perf_tracepoint(_event_id(event), program) for event in events]
    began = time.monotonic()
    for attachment in attachments:
        attachment.detach()
    took = (time.monotonic() - began) * 1e3
    os.close(program)
    return took


# ---------------------------------------------------------------- the watchdog


def _watchdog(setting: Setting) -> Figure:
    """Resident MiB of a run's watchdog."""
    sizes: list[float] = []
    for number in range(setting.rounds):
        setting.say(f"bounds: the watchdog, round {number + 1}")
        with ours(setting, "count", backend="tracefs") as process:
            sizes.append(_resident_mib(_watchdog_of(process)))
    return Figure(
        name="the watchdog's memory",
        unit="MiB",
        ours=sizes,
        target=Target(at="most", bound=WATCHDOG_MOST_MIB),
    )


def _watchdog_of(run: Process) -> int:
    """The process that watches `run`: its journal argument contains the run's name."""
    run_id = started(run)["run_id"].encode()
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if run_id in (folder / "cmdline").read_bytes():
                return int(folder.name)
        except OSError:
            continue
    raise NotPossible("the run has no watchdog")


def _resident_mib(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    [kib] = [line.split()[1] for line in lines if line.startswith("VmRSS:")]
    return int(kib) / 1024
