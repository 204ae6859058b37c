"""What it costs that programs leave the host's numbers open: instructions and ns, compared with the
same programs with the numbers written out."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

from bench.figures import Figure, Target
from bench.process import Load
from bench.setting import ROOT, NotPossible, Setting

if TYPE_CHECKING:
    from orchestrator.backends.protocol import Artifact, Session
    from orchestrator.kernel.facts import KernelFacts

__all__ = ["KERNELS", "literal_artifact", "open_numbers", "recorded_pairs", "shipped_plans"]

TURNS = 20  # per round: turns of each contender, for one figure from its quietest quarter
BATCHES, CALLS = 60, 2_000
SIDE_BY_SIDE = 2
KERNELS = tuple(
    ROOT / "kernels" / f"{name}.facts.xz"
    for name in ("5.10", "6.1", "6.12", "6.18-no-kprobes", "7.x")
)
ADDED_MOST = 1.03
MEAN_MOST_PERCENT, WORST_MOST_PERCENT = 1, 10
_GETPPID = {"x86_64": 110, "aarch64": 173}
_HEAD = """
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: bench-open, summary: A probe with open numbers of each form}
limits: {cpu: 100%, events: 1M, rate: 100M/s, memory: 64MiB}
target: {uid: 0}
"""
#: An argument's place, a member's offset and the target's uid, in that order of the program.
_CALL = "where: args.id == NUMBER and args.regs.REGISTER != 1"
_REGISTER = {"x86_64": "ax", "aarch64": "sp"}
_ENTER = f"attach: rawtracepoint:sys_enter, {_CALL}"
QUESTIONS: Mapping[str, str] = {
    "count": f"probes: {{call: {{{_ENTER}, metrics: {{n: {{count: true}}}}}}}}",
    "histogram": f"probes: {{call: {{{_ENTER}, metrics: {{n: {{histogram: args.id}}}}}}}}",
    "record": f"probes: {{call: {{{_ENTER}, emit: {{id: args.id}}}}}}",
    "span": (
        f"probes: {{a: {{{_ENTER}}}, b: {{attach: rawtracepoint:sys_exit}}}}\n"
        "spans: {call: {start: a, end: b, key: [tid], metrics: {took: {histogram: elapsed}}}}"
    ),
}


def open_numbers(setting: Setting) -> list[Figure]:
    """ns on this kernel, then instructions on all recorded ones."""
    return [*_added(setting), *_instructions(setting)]


# ---------------------------------------------------------------- ns


@dataclass(frozen=True, slots=True, kw_only=True)
class Contender:
    """An artifact and its instructions, ready to be attached any number of times."""

    artifact: "Artifact[Any]"
    code: Mapping[str, bytes]


def _added(setting: Setting) -> list[Figure]:
    """ns that each question adds to the call it asks about, in turns."""
    figures = []
    for name, text in QUESTIONS.items():
        filled, literal = _contenders(text)
        ours: list[float] = []
        theirs: list[float] = []
        for number in range(setting.rounds):
            setting.say(f"open-numbers: {name}, round {number + 1}")
            bare, mine, written_out = _round(setting, (None, filled, literal))
            ours.append(mine - bare)
            theirs.append(written_out - bare)
        figures.append(
            Figure(
                name=f"added: {name}",
                unit="ns",
                ours=ours,
                peer="numbers written out",
                theirs=theirs,
                target=Target(at="most", bound=ADDED_MOST),
            )
        )
    return figures


def _contenders(text: str) -> tuple[Contender, Contender]:
    from orchestrator.backends import backend
    from orchestrator.backends.compiled import compile_artifact
    from orchestrator.compile.lower import compile_plan
    from orchestrator.kernel.facts import live_facts
    from orchestrator.plan.load import load_plan

    facts = live_facts()
    if facts.arch not in _GETPPID:
        raise NotPossible(f"the number of getppid is not known for {facts.arch}")
    text = text.replace("NUMBER", str(_GETPPID[facts.arch]))
    text = text.replace("REGISTER", _REGISTER[facts.arch])
    program = compile_plan(load_plan((_HEAD + text).encode()), facts)
    filled = backend("bcc").emit(program, facts)
    literal = literal_artifact(filled, facts)
    return (
        Contender(artifact=filled, code=compile_artifact(filled)),
        Contender(artifact=literal, code=compile_artifact(literal)),
    )


def literal_artifact(artifact: "Artifact[Any]", facts: "KernelFacts") -> "Artifact[Any]":
    """The same program with the numbers of the host written out."""
    from orchestrator.backends.bcc.emit.open_numbers import OpenNumbers
    from orchestrator.backends.bcc.emit.source import render_source

    detail, numbers = artifact.detail, OpenNumbers(literal=True)
    text = render_source(artifact.program, detail.layout, detail.choices, facts, numbers)
    return replace(artifact, text=text, numbers=())


def _round(setting: Setting, contenders: Sequence[Contender | None]) -> list[float]:
    """ns per call with each attached (None: nothing), in turns whose order is turned round.
    Disturbance only ever adds time, so the lower quartile is steadier than the median."""
    turns: dict[int, list[float]] = {number: [] for number in range(len(contenders))}
    for turn in range(setting.of(TURNS, 2)):
        order = range(len(contenders))
        for number in order if turn % 2 else reversed(order):
            with _armed(contenders[number]), Load(setting, "batches", BATCHES, CALLS) as load:
                load.go()
                turns[number].append(_low(load.result()))
    return [_low(values) for values in turns.values()]


def _low(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 4]


@contextmanager
def _armed(contender: Contender | None) -> Iterator[None]:
    """Its probes attached and armed, and its records read. Raises NotPossible where records were
    lost, since a full buffer is another path."""
    from orchestrator.backends.compiled import attach_compiled
    from orchestrator.backends.protocol import AttachOptions

    if contender is None:
        yield
        return
    options = AttachOptions(run_id="bench")
    session = attach_compiled(contender.artifact, contender.code, options)
    ended = threading.Event()
    reader = threading.Thread(target=_read_on, args=(session, ended))
    try:
        session.arm(time.monotonic_ns() + 10**12)
        reader.start()
        yield
        ended.set()
        reader.join()
        session.disarm()
        _check_counts(session)
    finally:
        ended.set()
        session.detach()


def _read_on(session: "Session", ended: threading.Event) -> None:
    while not ended.is_set():
        session.wait(0.01)
        session.read()
        session.release_batch()


def _check_counts(session: "Session") -> None:
    counts = session.counts()
    if not any(side.accepted for side in counts.sides):
        raise NotPossible("the probe saw none of the calls")
    if any(emit.ring_lost != 0 for emit in counts.emits):
        raise NotPossible("records were lost, and what losing one costs is no figure")


# ---------------------------------------------------------------- instructions


def shipped_plans(setting: Setting) -> list[Path]:
    """All shipped plans; with a scale below 1, some of them."""
    files = sorted((ROOT / "plans").rglob("*.yaml"))
    return files[:: max(1, len(files) // setting.of(len(files)))]


def recorded_pairs(setting: Setting) -> "Iterator[tuple[KernelFacts, Artifact[Any]]]":
    """Every shipped plan on every recorded kernel that has what it needs: the facts and the
    artifact."""
    from orchestrator.backends import backend
    from orchestrator.compile.lower import compile_plan
    from orchestrator.kernel.facts import load_facts
    from orchestrator.plan.findings import HostError, PlanError
    from orchestrator.plan.load import load_plan

    files = shipped_plans(setting)
    for recording in KERNELS:
        facts = load_facts(recording)
        for file in files:
            try:
                program = compile_plan(load_plan(str(file)), facts)
                yield facts, backend("bcc").emit(program, facts)
            except (PlanError, HostError):
                continue  # the kernel lacks what the plan asks for


def _instructions(setting: Setting) -> list[Figure]:
    """How many more instructions programs have than with the numbers written out."""
    from orchestrator.backends.compiled import compile_artifact

    setting.say("open-numbers: compiling all plans for all recorded kernels, twice")

    def compare(pair: "tuple[KernelFacts, Artifact[Any]]") -> float:
        facts, artifact = pair
        literal = _length(compile_artifact(literal_artifact(artifact, facts)))
        return 100 * (_length(compile_artifact(artifact)) / literal - 1)

    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        more = list(pool.map(compare, recorded_pairs(setting)))
    return [
        Figure(
            name=f"more instructions, {name} of {len(more)} pairs of plan and kernel",
            unit="%",
            ours=[value],
            target=Target(at="most", bound=bound),
        )
        for name, value, bound in (
            ("mean", mean(more), MEAN_MOST_PERCENT),
            ("most", max(more), WORST_MOST_PERCENT),
        )
    ]


def _length(code: Mapping[str, bytes]) -> int:
    return sum(map(len, code.values()))
