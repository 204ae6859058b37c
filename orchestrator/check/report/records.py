"""The fields of a check's records, as in the log schema. Pure."""

import math
import signal
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.check.measurement import CommandEnd
from orchestrator.check.measuring.measure import RepeatProgress
from orchestrator.check.model import Check
from orchestrator.check.report.numbers import number_from
from orchestrator.check.sides import SIDE_NAMES, SideChoice
from orchestrator.check.times.looks import TimeOutcome
from orchestrator.check.times.samples import TimeSamples
from orchestrator.check.verdict.model import (
    CheckVerdict,
    ExpectationVerdict,
    JudgedSeries,
    Verdict,
    find_exit_code,
)
from orchestrator.policy.signed_files import Acceptance
from orchestrator.run.report.records import acceptance_fields

__all__ = ["count_verdicts", "finished_fields", "repeat_fields", "started_fields", "verdict_fields"]

_VERDICTS: tuple[Verdict, ...] = ("ok", "fail", "inconclusive", "workload")


def started_fields(
    check: Check,
    backend: str,
    sides: SideChoice | None = None,
    acceptances: Sequence[Acceptance] = (),
) -> dict[str, Any]:
    """The fields of check.started. `sides`: those that are compared, if there are two;
    `acceptances`: by what policies accept the plan."""
    return {
        "check": check.name,
        "file": check.path,
        "backend": backend,
        "signatures": acceptance_fields(acceptances),
        "expectations": [expectation.name for expectation in check.expectations],
        "ops": list(check.workload.ops),
        "warmup": check.workload.warmup,
        "repeats": check.workload.repeats,
        "sides": None
        if sides is None
        else {"param": sides.param, **dict(zip(SIDE_NAMES, sides.values, strict=True))},
    }


def repeat_fields(
    check: Check, progress: RepeatProgress, *, measurement: int = 0
) -> dict[str, Any]:
    """The fields of check.repeat. `measurement`: of two sides, the how many-th it is, from 1; 0:
    there is one side."""
    repeat = progress.repeat
    return {
        "check": check.name,
        "side": SIDE_NAMES[progress.side] if measurement else None,
        "measurement": max(1, measurement),
        "number": progress.number,
        "total": progress.total,
        "warmup": progress.is_warmup,
        "ops": repeat.ops,
        "outcome": repeat.outcome,
        "wall_ns": repeat.wall_ns,
        "user_ns": repeat.user_ns,
        "sys_ns": repeat.sys_ns,
        "maxrss_bytes": repeat.maxrss_bytes,
        "command_status": _shell_status(repeat.command),
        "timed_out": repeat.command.timed_out,
        "command_descendants_left": [
            {"pid": pid, "comm": comm} for pid, comm in repeat.command.left
        ],
        "cost_exceeded": "; ".join(repeat.would_have) or None,
    }


def _shell_status(end: CommandEnd) -> int:
    """128 and the number of a signal that has a name; of others 128."""
    if end.code is not None:
        return end.code
    numbers = {one.name: one.value for one in signal.Signals}
    return 128 + numbers.get(end.signal or "", 0)


def verdict_fields(check: Check, judged: ExpectationVerdict) -> dict[str, Any]:
    """The fields of check.verdict."""
    expectation = judged.expectation
    return {
        "check": check.name,
        "expectation": expectation.name,
        "that": expectation.that.text,
        "at": str(expectation.position),
        "severity": expectation.severity,
        "verdict": judged.verdict,
        "reasons": list(judged.reasons),
        "notes": list(judged.notes),
        "series": [_series_fields(series) for series in judged.series],
    }


def _series_fields(series: JudgedSeries) -> dict[str, Any]:
    return {
        "label": series.label,
        "values": [number_from(value) for value in series.values],
        "value": number_from(series.value),
        "bounds": [number_from(value) for value in series.bounds],
        "baseline": None if series.baseline is None else number_from(series.baseline),
        "exact": series.is_exact,
        "holds": series.holds,
        "varies": series.varies,
        "improved": series.improved,
        "times": [_times_fields(outcome) for outcome in series.times],
    }


def _times_fields(outcome: TimeOutcome) -> dict[str, Any]:
    look, again = outcome.first, outcome.again
    samples = look.samples
    return {
        "a": number_from(samples.base_median),
        "b": number_from(samples.candidate_median),
        "ratio": _ratio(samples),
        "p": look.p,
        "repeats": samples.repeats,
        "tolerance": float(samples.tolerance),
        "detectable": samples.detectable if math.isfinite(samples.detectable) else None,
        "repeats_needed": samples.repeats_needed,
        "blunt": outcome.is_blunt,
        "worse": outcome.is_worse,
        "worse_at_first": look.is_worse,
        "ratio_again": None if again is None else _ratio(again.samples),
    }


def _ratio(samples: TimeSamples) -> float | None:
    return None if samples.ratio is None else float(samples.ratio)


def finished_fields(
    verdict: CheckVerdict, *, exit_codes: list[int], baseline: str | None, duration_ns: int
) -> dict[str, Any]:
    """The fields of check.finished. `exit_codes`: those that the check asks for; `baseline`: the
    file that was written."""
    return {
        "check": verdict.check.name,
        "exit_code": find_exit_code(exit_codes),
        "verdicts": dict(count_verdicts(verdict)),
        "warnings": list(verdict.warnings),
        "baseline_written": baseline,
        "duration_ns": duration_ns,
    }


def count_verdicts(verdict: CheckVerdict) -> Mapping[Verdict, int]:
    """How many expectations came to each verdict."""
    found = [one.verdict for one in verdict.expectations]
    return {name: found.count(name) for name in _VERDICTS}
