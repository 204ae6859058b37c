"""What a probe adds to each call, in ns of the caller's CPU time: the same question asked by our
plan and by bpftrace, each compared with the bare loop, in turns."""

from contextlib import nullcontext
from dataclasses import dataclass
from statistics import median

from bench.figures import Figure, Target
from bench.process import Load, Process
from bench.setting import Setting
from bench.tools import EVENT, bpftrace, ours

__all__ = ["cost"]

BATCHES, CALLS = 100, 5_000
_AT = f"tracepoint:syscalls:{EVENT}"
_RETURN = "tracepoint:syscalls:sys_exit_getppid"


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """`plan` in bench/plans asks the same as `bpftrace`. `most`: the target ratio, None: reported
    only. `slow`: a call takes microseconds, so fewer calls are made."""

    name: str
    plan: str
    bpftrace: str
    most: float | None = None
    slow: bool = False


QUESTIONS = (
    Question(name="count", plan="count", bpftrace=f"{_AT} {{ @ = count(); }}", most=0.75),
    Question(name="histogram", plan="histogram", bpftrace=f"{_AT} {{ @ = hist(pid); }}", most=0.75),
    Question(
        name="rejected",
        plan="rejected",
        bpftrace=f"{_AT} /pid == 1/ {{ @ = count(); }}",
        most=0.75,
    ),
    Question(name="count by comm", plan="by-comm", bpftrace=f"{_AT} {{ @[comm] = count(); }}"),
    Question(
        name="sample 1/100",
        plan="sampled",
        bpftrace=f"{_AT} /rand % 100 == 0/ {{ @ = count(); }}",
    ),
    Question(
        name="after the cap",
        plan="capped",
        bpftrace=f'{_AT} /@n < 1/ {{ @n++; printf("%d\\n", pid); }}',
    ),
    Question(
        name="record", plan="record", bpftrace=f'{_AT} {{ printf("%d\\n", pid); }}', slow=True
    ),
    Question(
        name="latency histogram",
        plan="latency",
        bpftrace=(
            f"{_AT} {{ @s[tid] = nsecs; }} "
            f"{_RETURN} /@s[tid]/ {{ @ = hist(nsecs - @s[tid]); delete(@s[tid]); }}"
        ),
        most=0.8,
    ),
    Question(
        name="span histogram",
        plan="span",
        bpftrace=(
            f"{_AT} {{ @s[tid] = nsecs; }} "
            f"{_RETURN} /@s[tid]/ {{ @ = hist(nsecs - @s[tid]); delete(@s[tid]); }}"
        ),
        most=0.8,
    ),
    Question(
        name="span sum by comm",
        plan="span-by-comm",
        bpftrace=(
            f"{_AT} {{ @s[tid] = nsecs; }} "
            f"{_RETURN} /@s[tid]/ {{ @[comm] = sum(nsecs - @s[tid]); delete(@s[tid]); }}"
        ),
        most=0.8,
    ),
)


def cost(setting: Setting) -> list[Figure]:
    """One figure per question: the median of many short batches, minus the bare loop of that
    round."""
    bare: list[float] = []
    figures: list[Figure] = []
    for question in QUESTIONS:
        mine: list[float] = []
        theirs: list[float] = []
        for number in range(setting.rounds):
            setting.say(f"cost: {question.name}, round {number + 1}")
            base = _measure(setting, question)
            mine.append(_measure(setting, question, ours(setting, question.plan)) - base)
            base = (base + _measure(setting, question)) / 2
            theirs.append(_measure(setting, question, bpftrace(setting, question.bpftrace)) - base)
            bare.append(base)
        figures.append(_figure(question, mine, theirs))
    return [Figure(name="the bare call", unit="ns", ours=bare), *figures]


def _figure(question: Question, mine: list[float], theirs: list[float]) -> Figure:
    return Figure(
        name=f"added: {question.name}",
        unit="ns",
        ours=mine,
        peer="bpftrace",
        theirs=theirs,
        target=None if question.most is None else Target(at="most", bound=question.most),
    )


def _measure(setting: Setting, question: Question, process: Process | None = None) -> float:
    """ns of CPU time per call while `process` runs; it is ended afterwards."""
    batches = setting.of(BATCHES // 5 if question.slow else BATCHES, 5)
    with process or nullcontext(), Load(setting, "batches", batches, CALLS) as load:
        load.go()
        return median(load.result())
