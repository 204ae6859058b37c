"""`probeplan check`: what it adds to a workload, and whether counts repeat next to other load."""

import json
import resource
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any

from bench.figures import Figure, Target
from bench.setting import ROOT, NotPossible, Setting, command

__all__ = ["checks"]

CHECKS, REPEATS, BUSY = 10, 20, 2
_TIMEOUT_S = 300
_BULK_INSERT = ROOT / "examples/checks/bulk_insert.py"
_METRICS = {
    "system calls": ("calls", "call.calls"),
    "failed calls": ("failed", "call.failed"),
    "execs": ("execs", "exec.execs"),
    "page faults": ("faults", "fault.faults"),
}
_PLAN = """
apiVersion: probeplan/v1
kind: ProbeCheck
metadata: {name: bench, summary: Calls and execs and faults of a program}
plan:
  apiVersion: probeplan/v1
  kind: ProbePlan
  metadata: {name: bench, summary: Calls and execs and faults}
  probes:
    call:
      attach: tracepoint:raw_syscalls:sys_exit
      metrics:
        calls: {count: true}
        failed: {count: args.ret < 0 and args.ret >= -4095}
    exec: {attach: "tracepoint:sched:sched_process_exec", metrics: {execs: {count: true}}}
    fault: {attach: "tracepoint:exceptions:page_fault_user", metrics: {faults: {count: true}}}
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A single-threaded program to be measured, started by another one: an exec is seen."""

    name: str
    argv: Sequence[str]


PROGRAMS = (
    Program(name="C (ls)", argv=["env", "ls", "-lR", "/usr/share/doc/libc6"]),
    Program(name="Python's start", argv=["env", "python3", "-c", "import asyncio, json, sqlite3"]),
    Program(
        name="sqlite3",
        argv=["env", "python3", str(_BULK_INSERT), "$(scratch)/t.db", "50"],
    ),
)


def checks(setting: Setting) -> list[Figure]:
    """The time of a repeat that is not its command's, on a quiet machine, and the spread of counts
    over all repeats of several checks while busy loops run, one for each of two processors."""
    figures = [_added(setting), *_lint(setting)]
    with _busy_loops(BUSY):
        for program in PROGRAMS:
            figures += _spreads(setting, program)
    return figures


# ---------------------------------------------------------------- what a repeat adds


def _added(setting: Setting) -> Figure:
    """ms between the records of two repeats that follow each other, less the command's own."""
    added: list[float] = []
    for number in range(setting.rounds):
        setting.say(f"checks: what a repeat adds, round {number + 1}")
        lines = _check(setting, ["true"], setting.of(REPEATS, 3))
        repeats = [line for line in lines if line["event"] == "check.repeat"]
        for before, after in pairwise(repeats):
            added.append(_read_time_ms(after) - _read_time_ms(before) - after["wall_ns"] / 1e6)
    return Figure(
        name="what a repeat adds, after the first",
        unit="ms",
        ours=added,
        target=Target(at="most", bound=20),
    )


def _read_time_ms(line: Mapping[str, Any]) -> float:
    return datetime.fromisoformat(line["ts"]).timestamp() * 1e3


def _lint(setting: Setting) -> Iterator[Figure]:
    """`lint` of a check and of the plan that it holds."""
    check = setting.directory / "lint-check.yaml"
    plan = setting.directory / "lint-plan.yaml"
    check.write_text(_document(["true"], 3))
    body = _PLAN.partition("plan:\n")[2]
    plan.write_text("".join(line[2:] for line in body.splitlines(keepends=True)))
    mine: list[float] = []
    theirs: list[float] = []
    for number in range(3 * setting.rounds):
        setting.say(f"checks: lint, turn {number + 1}")
        mine.append(_time_lint(str(check)))
        theirs.append(_time_lint(str(plan)))
    target = Target(at="most", bound=1.5)
    yield Figure(
        name="lint of a check",
        unit="ms",
        ours=mine,
        peer="of its plan",
        theirs=theirs,
        target=target,
    )


def _time_lint(path: str) -> float:
    """ms of CPU time; quiet and busy machines differ less in it."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    _run([*command(), "lint", path])
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1e3


# ---------------------------------------------------------------- whether counts repeat


def _spreads(setting: Setting, program: Program) -> Iterator[Figure]:
    seen: dict[str, list[float]] = {name: [] for name, _ in _METRICS.values()}
    for number in range(setting.of(CHECKS, 2)):
        setting.say(f"checks: {program.name} in company, check {number + 1}")
        for line in _check(setting, program.argv, 3):
            if line["event"] == "check.verdict":
                (series,) = line["series"]
                seen[line["expectation"]] += series["values"]
    for what, (name, _) in _METRICS.items():
        values = seen[name]
        yield Figure(
            name=f"spread of {what}, {program.name} ({min(values):,.0f})",
            unit="events",
            ours=[max(values) - min(values)],
            target=Target(at="most", bound=0),
        )


@contextmanager
def _busy_loops(count: int) -> Iterator[None]:
    loops = [subprocess.Popen(["sh", "-c", "while :; do :; done"]) for _ in range(count)]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


# ---------------------------------------------------------------- running checks


def _document(argv: Sequence[str], repeats: int) -> str:
    workload = {"run": list(argv), "repeats": repeats}
    expect = {name: f"{metric} >= 0" for name, metric in _METRICS.values()}
    return f"{_PLAN}workload: {json.dumps(workload)}\nexpect: {json.dumps(expect)}\n"


def _check(setting: Setting, argv: Sequence[str], repeats: int) -> list[Mapping[str, Any]]:
    path = setting.directory / "check.yaml"
    path.write_text(_document(argv, repeats))
    done = _run([*command(), "check", str(path)], exit_code=None)
    return [json.loads(line) for line in done.stdout.splitlines()]


def _run(argv: Sequence[str], exit_code: int | None = 0) -> "subprocess.CompletedProcess[str]":
    done = subprocess.run(argv, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    if exit_code is not None and done.returncode != exit_code:
        raise NotPossible(f"{argv[1:3]} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done
