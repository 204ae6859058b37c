"""From exec to the first attached probe, observed from outside: for bpftrace by asking the kernel
for a program on the tracepoint among its descriptors, for ours by the event's `enable` file and
`tracing_on` in its instance, or in the same way. Ours start warm: such a run was made before.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.figures import Figure, Target
from bench.process import Load, Process, attached_to, until
from bench.setting import NotPossible, Setting
from bench.state import own_state
from bench.tools import EVENT, bpftrace, ours

__all__ = ["startup"]

TURNS = 3  # per round: a start takes a fraction of a second
PAIRS = 10  # per round: two starts that differ by a few percent
TICK_US = 200
HALF = Target(at="most", bound=0.5)
ALIKE = Target(at="most", bound=1.05)
SAME, RECORD, MEMORY = (Target(at="most", bound=bound) for bound in (1.0, 1.5, 0.4))
_INSTANCES = Path("/sys/kernel/tracing/instances")
_AT = f"tracepoint:syscalls:{EVENT}"
_LOOK_S = 0.001
_RECORD = b'"event":"event.recorded"'


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """`plan` in bench/plans asks the same as `bpftrace`, whose lines begin with `first`."""

    name: str
    plan: str
    bpftrace: str
    judged: bool


QUESTIONS = (
    Question(
        name="a field of the event",
        plan="first-argument",
        bpftrace=f'{_AT} {{ printf("first %d\\n", args->__syscall_nr); }}',
        judged=True,
    ),
    Question(
        name="no field",
        plan="first-record",
        bpftrace=f'{_AT} {{ printf("first %d\\n", pid); }}',
        judged=False,
    ),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One start: ms until attached and until the first record was written; peak MB until attached,
    and until the end; ms of CPU time of the whole run."""

    attached_ms: float
    record_ms: float
    attached_mb: float
    peak_mb: float
    cpu_ms: float


def startup(setting: Setting) -> list[Figure]:
    """The same questions asked by both, in turns, while the load makes the probed call 5,000 times
    per second: one reads the event's fields, for which bpftrace has a compiler parse the event's
    format, and one reads none."""
    if not _INSTANCES.is_dir():
        raise NotPossible("tracefs with instances is not mounted at /sys/kernel/tracing")
    figures: list[Figure] = []
    with Load(setting, "tick", TICK_US) as load:
        load.go()
        for question in QUESTIONS:
            mine, with_programs, theirs = _turns(setting, question)
            figures += _figures(question, mine, theirs)
            figures += _figures_of_programs(question, with_programs, theirs)
            if question.judged:
                figures.append(_beside_a_whole_run(setting, question, mine))
        with own_state() as before:
            for backend in ("tracefs", "bcc"):
                figures += _compare_unattended(setting, backend, before)
    return figures


def _compare_unattended(setting: Setting, backend: str, before: Sequence[str]) -> list[Figure]:
    """Runs with and without --unattended, started by `before`, in turns; of each pair the other one
    comes first than of the last. The first pair fills the caches and is discarded."""
    unattended: list[Turn] = []
    plain: list[Turn] = []
    for number in range(1 + setting.rounds * setting.of(PAIRS)):
        setting.say(f"startup: run --unattended on {backend}, pair {number}")
        pair = [(unattended, ("--unattended",)), (plain, ())]
        for turns, options in pair if number % 2 else pair[::-1]:
            turns.append(_start(setting, "first-record", backend, *options, before=before))
    name = "run --unattended" if backend == "tracefs" else f"run --unattended, {backend}"
    return [
        Figure(
            name=f"{name}: {what}, against plain",
            unit="ms",
            ours=[of(turn) for turn in unattended[1:]],
            peer="run",
            theirs=[of(turn) for turn in plain[1:]],
            target=target,
        )
        for what, of, target in (
            ("to the first attached probe", _attached, ALIKE),
            ("CPU of the whole run", lambda turn: turn.cpu_ms, None),
        )
    ]


def _beside_a_whole_run(setting: Setting, question: Question, mine: list[Turn]) -> Figure:
    """Our start compared with the wall time of a bpftrace that attaches, ends at once and detaches:
    the wait for an answer."""
    program = f"{question.bpftrace} BEGIN {{ exit(); }}"
    whole = []
    for number in range(len(mine)):
        setting.say(f"startup: bpftrace from start to end, {number}")
        with bpftrace(setting, program, wait=False) as process:
            until(
                lambda: not process.running(), "the end of bpftrace", pause_s=_LOOK_S
            )  # called at once
            whole.append((time.monotonic_ns() - process.started_ns) / 1e6)
            process.finish()
    return Figure(
        name=f"{question.name}: to the first attached probe, against a whole run",
        unit="ms",
        ours=[turn.attached_ms for turn in mine],
        peer="bpftrace",
        theirs=whole,
        target=HALF,
    )


def _turns(setting: Setting, question: Question) -> tuple[list[Turn], list[Turn], list[Turn]]:
    """Ours on tracefs and on bcc, and bpftrace's; the first start of each fills the caches and is
    discarded."""
    mine: list[Turn] = []
    with_programs: list[Turn] = []
    theirs: list[Turn] = []
    for number in range(1 + setting.rounds * setting.of(TURNS)):
        setting.say(f"startup: {question.name}, start {number}")
        mine.append(_start(setting, question.plan, "tracefs"))
        with_programs.append(_start(setting, question.plan, "bcc"))
        theirs.append(_bpftrace(setting, question.bpftrace))
    return mine[1:], with_programs[1:], theirs[1:]


def _figures(question: Question, mine: list[Turn], theirs: list[Turn]) -> list[Figure]:
    half = HALF if question.judged else None  # of the time and memory that attaching takes
    name = question.name
    return [
        _figure(f"{name}: to the first attached probe", "ms", mine, theirs, _attached, half),
        _figure(
            f"{name}: peak memory until then", "MB", mine, theirs, lambda t: t.attached_mb, half
        ),
        _figure(f"{name}: peak memory, whole run", "MB", mine, theirs, lambda t: t.peak_mb),
        _figure(f"{name}: to the first record", "ms", mine, theirs, lambda t: t.record_ms),
    ]


def _figures_of_programs(question: Question, mine: list[Turn], theirs: list[Turn]) -> list[Figure]:
    name = f"{question.name}, bcc"
    same, memory, record = (SAME, MEMORY, RECORD) if question.judged else (None, None, None)
    return [
        _figure(f"{name}: to the first attached probe", "ms", mine, theirs, _attached, same),
        _figure(f"{name}: peak memory, whole run", "MB", mine, theirs, lambda t: t.peak_mb, memory),
        _figure(f"{name}: to the first record", "ms", mine, theirs, lambda t: t.record_ms, record),
    ]


def _attached(turn: Turn) -> float:
    return turn.attached_ms


def _figure(  # noqa: PLR0913  # a figure has this many parts
    name: str,
    unit: str,
    mine: list[Turn],
    theirs: list[Turn],
    of: Callable[[Turn], float],
    target: Target | None = None,
) -> Figure:
    return Figure(
        name=name,
        unit=unit,
        ours=[of(turn) for turn in mine],
        peer="bpftrace",
        theirs=[of(turn) for turn in theirs],
        target=target,
    )


def _start(
    setting: Setting, plan: str, backend: str, *options: str, before: Sequence[str] = ()
) -> Turn:
    """Of a run of ours on `backend`, started by the words `before`."""
    others = _instances()
    process = ours(setting, plan, *options, backend=backend, wait=False, before=before)
    if backend == "tracefs":
        return _watch(process, lambda: _enabled(_instances() - others), _RECORD)
    return _watch(process, lambda: attached_to(process.pid, EVENT), _RECORD)


def _bpftrace(setting: Setting, program: str) -> Turn:
    process = bpftrace(setting, program, wait=False)
    return _watch(process, lambda: attached_to(process.pid, EVENT), b"\nfirst ")


def _watch(process: Process, attached: Callable[[], bool], mark: bytes) -> Turn:
    with process:
        process.watch(attached, "its probe is attached", pause_s=_LOOK_S)
        attached_ns, so_far = time.monotonic_ns(), _peak(process.pid)
        process.watch(
            lambda: mark in process.output.read_bytes(), "its first record", pause_s=_LOOK_S
        )
        record_ns = time.monotonic_ns()
        usage = process.finish()
        return Turn(
            attached_ms=(attached_ns - process.started_ns) / 1e6,
            record_ms=(record_ns - process.started_ns) / 1e6,
            attached_mb=so_far / 1e6,
            peak_mb=usage.peak_bytes / 1e6,
            cpu_ms=usage.cpu_s * 1e3,
        )


def _instances() -> set[Path]:
    return set(_INSTANCES.iterdir())


def _enabled(instances: set[Path]) -> bool:
    """Whether one of the instances records the event; they may come and go at any time."""
    for instance in instances:
        try:
            event = (instance / "events/syscalls" / EVENT / "enable").read_text()
            if event.startswith("1") and (instance / "tracing_on").read_text().startswith("1"):
                return True
        except OSError:
            continue
    return False


def _peak(pid: int) -> int:
    """VmHWM, in bytes (proc(5))."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) << 10
    return 0
