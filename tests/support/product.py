"""The whole product, run and looked at: what a run's JSON lines report, and whether they add up."""

import json
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from orchestrator.accounting.vocabulary import (
    METRIC_DISPOSITIONS,
    ONCE_DISPOSITIONS,
    RECORD_DISPOSITIONS,
    SIDE_DISPOSITIONS,
    SPAN_FATES,
)
from tests.support.binaries import compile_to
from tests.support.paths import ROOT, WORKLOADS

SCHEMA = ROOT / "schema" / "log-v1.schema.json"
LOAD = WORKLOADS / "load.c"
_RUN = (sys.executable, "-m", "orchestrator.cli", "run")
INCOMPLETE = 4
#: What a run says of events that came while the program of their probe was running on that CPU.
RECURSION = ": it was running on that CPU already, nested or preempted"
#: What it says of events of a perf tracepoint that came in an interrupt of another program, or of
#: bpf(2): the kernel runs none there (trace_call_bpf in kernel/trace/bpf_trace.c).
_NESTED = re.compile(
    r" times tracepoint:[\w:]+(?: \(\w+\))? happened and the kernel did not run the probe$"
)
UNDISTURBED_TRIES = 3
Line = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ran:
    """A run that is over, by its lines; each is valid against the log schema."""

    lines: Sequence[Line]

    @classmethod
    def of(cls, text: bytes | str) -> "Ran":
        lines = [json.loads(line) for line in text.splitlines()]
        for line in lines:
            _validator().validate(line)
        return cls(lines)

    @property
    def finished(self) -> Line:
        assert self.lines[-1]["event"] == "run.finished"
        return self.lines[-1]

    def of_kind(self, kind: str) -> list[Line]:
        return [line for line in self.lines if line["event"] == kind]

    def data(self, probe: str) -> list[dict[str, Any]]:
        """The fields of each record of a probe."""
        return [line["data"] for line in self.of_kind("event.recorded") if line["probe"] == probe]

    def cells(self, probe: str, metric: str) -> list[dict[str, Any]]:
        """The cells of a metric's totals."""
        [found] = [
            line
            for line in self.of_kind("metric.reported")
            if (line["probe"], line["metric"]) == (probe, metric) and line["total"]
        ]
        return list(found["cells"])

    def value(self, probe: str, metric: str, **key: Any) -> Any:
        """The value of the cell with this key; 0 where there is none."""
        found = [cell for cell in self.cells(probe, metric) if cell["key"] == key]
        return found[0]["value"] if found else 0

    def mechanisms(self) -> dict[str, str]:
        """By attach point."""
        return {line["to"]: line["mechanism"] for line in self.of_kind("probe.attached")}

    def ledger(self, probe: str) -> Any:
        return self.finished["ledger"]["probes"][probe]

    def side(self, probe: str, name: str = "hit") -> Any:
        """The counts of a side of the probe's only attach point."""
        [hook] = self.ledger(probe)["hooks"]
        return hook["sides"][name]


@cache
def _validator() -> Any:
    from jsonschema import Draft202012Validator

    return Draft202012Validator(json.loads(SCHEMA.read_text()))


# ---------------------------------------------------------------- the accounts


def check_accounts(ran: Ran) -> None:
    """What came in went somewhere, all the way from the kernel to the lines; nothing is missing.
    Where a count is unknown, nothing can be said of its sum."""
    check_sums(ran)
    assert ran.finished["complete"] is not False, ran.finished["incomplete_because"]


def check_sums(ran: Ran) -> None:
    """The same of what the kernel let us see, which may not be all."""
    delivered = 0
    for name, probe in ran.finished["ledger"]["probes"].items():
        last = [_checked_sides(name, hook["sides"]) for hook in probe["hooks"]]
        emit = probe["emit"]
        if emit:
            ends = [emit[end] for end in RECORD_DISPOSITIONS]
            ends += [emit[end] for end in ONCE_DISPOSITIONS if end in emit]
            _adds_up(f"{name}: accepted", emit["accepted"], ends)
            _adds_up(f"{name}: sides", emit["accepted"], last)
            assert emit["delivered"] == emit["recorded"] == len(ran.data(name)), name
            delivered += emit["delivered"]
        for metric, counts in probe["metrics"].items():
            _adds_up(f"{name}.{metric}", sum(last), [counts[end] for end in METRIC_DISPOSITIONS])
    for name, span in ran.finished["ledger"]["spans"].items():
        delivered += _checked_span(name, span, ran)
    assert ran.finished["delivered"] == delivered == len(ran.of_kind("event.recorded"))


def _checked_span(name: str, span: Mapping[str, Any], ran: Ran) -> int:
    """Every start is accounted for, and every record and count of the ends; records delivered."""
    counts, emit = span["counts"], span["emit"]
    _adds_up(f"{name}: started", counts["started"], [counts[fate] for fate in SPAN_FATES])
    for metric, reported in span["metrics"].items():
        _adds_up(
            f"{name}.{metric}", counts["accepted"], [reported[end] for end in METRIC_DISPOSITIONS]
        )
    if emit is None:
        return 0
    _adds_up(f"{name}: records", counts["accepted"], [emit[end] for end in RECORD_DISPOSITIONS])
    assert emit["delivered"] == emit["recorded"] == len(ran.data(name)), name
    return int(emit["delivered"])


def _checked_sides(probe: str, sides: Mapping[str, Any]) -> int:
    for name, side in sides.items():
        _adds_up(f"{probe} {name}", side["fired"], [side[end] for end in SIDE_DISPOSITIONS])
    return int((sides.get("return") or sides["hit"])["accepted"])


def _adds_up(what: str, whole: Any, parts: Sequence[Any]) -> None:
    if "unknown" not in (whole, *parts):
        assert whole == sum(parts), f"{what}: {whole} is not the sum of {parts}"


# ---------------------------------------------------------------- running


def run_cli(
    *arguments: str, command: Sequence[str], confined: Sequence[str] = (), exit_code: int = 0
) -> Ran:
    """`probeplan run … -- command` in a separate process, until it ends by itself with `exit_code`;
    its accounts are right. `confined`: a program that starts it with less than we have."""
    done = _run_process([*confined, *_RUN, *arguments, "--no-progress", "--", *command])
    return _accept(done, exit_code)


def run_alone(*arguments: str) -> Ran:
    """As `run_cli` without a command, until the plan's duration is over."""
    return _accept(_run_process([*_RUN, *arguments, "--no-progress"]), 0)


def run_undisturbed(*arguments: str, command: Sequence[str]) -> Ran:
    """As `run_cli` where all events of the host are counted, interrupts' among them. An interrupt
    in the middle of a probe's program has its own events passed over by the kernel: such a run says
    that it is incomplete, has no exact counts to judge, and is made again."""
    for attempt in range(UNDISTURBED_TRIES):
        done = _run_process([*_RUN, *arguments, "--no-progress", "--", *command])
        if done.returncode != INCOMPLETE or not was_disturbed(done.stdout):
            break
        warnings.warn(f"{arguments[0]} was disturbed, run {attempt + 1}", stacklevel=2)
    return _accept(done, 0)


def was_disturbed(lines: bytes) -> bool:
    """Whether a run is incomplete for no other reason than that events came while the program of
    their probe, or of a perf tracepoint any, was running on that CPU."""
    reasons = json.loads(lines.splitlines()[-1]).get("incomplete_because") or ()
    return bool(reasons) and all(map(_is_nested, reasons))


def _is_nested(reason: str) -> bool:
    return reason.endswith(RECURSION) or _NESTED.search(reason) is not None


def _run_process(argv: Sequence[str]) -> "subprocess.CompletedProcess[bytes]":
    return subprocess.run(argv, cwd=ROOT, capture_output=True, timeout=120, check=False)


def _accept(done: "subprocess.CompletedProcess[bytes]", exit_code: int) -> Ran:
    assert done.returncode == exit_code, done.stderr.decode(errors="replace")
    ran = Ran.of(done.stdout)
    if exit_code == 0:
        check_accounts(ran)
    return ran


def build_load(folder: Path) -> Path:
    """The workload of known counts (workload/load.c), under a name of this process's own."""
    binary = folder / f"pl{os.getpid()}"
    if not binary.exists():
        compile_to(binary, LOAD, flags=("-pthread",))
    return binary


def build_tasks(folder: Path, name: str = "") -> Path:
    """The workload of tasks that change what they are (workload/tasks.c), under `name` or a name of
    this process alone; static, so that it runs anywhere."""
    binary = folder / (name or f"pt{os.getpid()}")
    if not binary.exists():
        compile_to(binary, WORKLOADS / "tasks.c", flags=("-O1", "-static", "-pthread"))
    return binary
