"""What a run returns."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

from orchestrator.run.report.outcome import CommandResult, Outcome
from orchestrator.run.safety.leftovers import CleanedRun

__all__ = ["RunResult"]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """A run that is over. `finished`, `metrics`, `derived`, `warnings` and `outstanding` (of the
    totals), `stopped` (what `stop_when` held with, if it did) and `limits` are the records as
    logged; `startup_ms` is from the start of this process to the first attached probe; `cleaned` is
    what was done about earlier runs that had died; `output_error` is why the log could not be
    written to its end ("" if it was)."""

    run_id: str
    exit_code: int
    outcome: Outcome
    complete: bool | Literal["unknown"]
    finished: dict[str, Any]
    metrics: Sequence[dict[str, Any]]
    derived: dict[str, Any] | None
    warnings: Sequence[dict[str, Any]]
    outstanding: Sequence[dict[str, Any]]
    stopped: dict[str, Any] | None
    limits: Sequence[dict[str, Any]]
    startup_ms: float | None
    command: CommandResult | None
    cleaned: Sequence[CleanedRun]
    output_error: str
