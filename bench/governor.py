"""A flood above limits.cpu: the slowdown before and after the governor reacts, how long that takes,
and the governor's own cost."""

import json
import sys
import time
from dataclasses import dataclass
from datetime import datetime
from statistics import median

from bench.figures import Figure, Target
from bench.process import Load, Process
from bench.setting import PLANS, Setting
from bench.tools import ours

__all__ = ["governor"]

BATCHES, CALLS = 600, 20_000
_WATCHED_S = 6.0
_FEW = 20  # batches at either end
#: Runs the command line with a clock around the governor's checks; prints their CPU seconds last.
_CLOCK = """
import sys, time
from orchestrator.run.cost.governor import Governor
look, taken = Governor.look, [0]
def timed(self, now):
    start = time.thread_time_ns()
    try:
        return look(self, now)
    finally:
        taken[0] += time.thread_time_ns() - start
Governor.look = timed
from orchestrator.cli import main
try:
    main(sys.argv[1:])
finally:
    print("governor", taken[0] / 1e9, file=sys.stderr)
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """ns per call: without a probe, before the governor's last step, and at the end; seconds from
    the flood's start to that step; the number of steps."""

    bare: float
    before: float
    after: float
    reaction_s: float
    steps: int


def governor(setting: Setting) -> list[Figure]:
    """One flood per round, and once the governor alone."""
    turns = []
    for number in range(setting.rounds):
        setting.say(f"governor: round {number + 1}, {BATCHES * CALLS:,} calls")
        turns.append(_turn(setting))
    setting.say(f"governor: its own CPU time, {_WATCHED_S:g} s")
    limit = Target(at="most", bound=0.5)
    return [
        Figure(name="a call without a probe", unit="ns", ours=[turn.bare for turn in turns]),
        Figure(
            name="slower before the reaction", unit="x", ours=[t.before / t.bare for t in turns]
        ),
        Figure(name="slower after it", unit="x", ours=[turn.after / turn.bare for turn in turns]),
        Figure(name="from flood to last step", unit="s", ours=[turn.reaction_s for turn in turns]),
        Figure(name="steps", unit="", ours=[turn.steps for turn in turns]),
        Figure(name="the governor's own CPU", unit="%", ours=[_own_cpu(setting)], target=limit),
    ]


def _turn(setting: Setting) -> Turn:
    with Load(setting, "batches", _FEW, CALLS) as load:
        load.go()
        bare = median(load.result())
    with (
        Load(setting, "batches", setting.of(BATCHES, 4 * _FEW), CALLS) as load,
        ours(setting, "heavy", "--target", f"pid={load.pid}", cpu=None) as process,
    ):
        started = time.time()
        load.go()
        calls = load.result()
        process.settle()
        if process.running():
            process.finish()
        steps = [json.loads(line) for line in process.output.read_text().splitlines()]
        taken = [one for one in steps if one["event"] == "governor.stepped"]
        last = max(
            (datetime.fromisoformat(one["ts"]).timestamp() for one in taken), default=started
        )
        return Turn(
            bare=bare,
            before=median(calls[:_FEW]),
            after=median(calls[-_FEW:]),
            reaction_s=last - started,
            steps=len(taken),
        )


def _own_cpu(setting: Setting) -> float:
    """Percent of one CPU, at one call per millisecond."""
    argv = [sys.executable, "-c", _CLOCK, "run", str(PLANS / "heavy.yaml"), "--backend", "bcc"]
    with Load(setting, "tick", 1000) as load:
        with Process(setting, argv, "governor", cpu=setting.reader_cpu) as process:
            process.watch(lambda: process.written() > 0, "its probes are attached")
            load.go()
            time.sleep(_WATCHED_S)
            process.finish()
            seconds = process.said().splitlines()[-1].split()[1]
        return float(seconds) / _WATCHED_S * 100
