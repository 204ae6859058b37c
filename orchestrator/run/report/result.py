"""The result of a run."""

from collections.abc import Sequence
from typing import Any

from orchestrator.output.log import Level
from orchestrator.run.report.outcome import CommandResult, Outcome
from orchestrator.run.report.verdict import Completeness
from orchestrator.run.safety.leftovers import CleanedRun
from orchestrator.values import dataclass

__all__ = ["RunResult"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """A run that is over. Records as logged: `finished` (run.finished, with its `level`), the total
    `metrics` (metric.reported), `figures` (figure.reported), `warnings` (metric.warned) and
    `outstanding` (outstanding.reported), `stopped` (stop.reached, if `stop_when` held) and `limits`
    (limit.reached). `startup_ms`: from the start of this process to the first attached probe;
    `cleaned`: what was cleaned up after earlier runs that had died; `output_error`: why the output
    could not be written completely ("" if it was)."""

    run_id: str
    exit_code: int
    outcome: Outcome
    complete: Completeness
    level: Level
    finished: dict[str, Any]
    metrics: Sequence[dict[str, Any]]
    figures: dict[str, Any] | None
    warnings: Sequence[dict[str, Any]]
    outstanding: Sequence[dict[str, Any]]
    stopped: dict[str, Any] | None
    limits: Sequence[dict[str, Any]]
    startup_ms: float | None
    command: CommandResult | None
    cleaned: Sequence[CleanedRun]
    output_error: str
