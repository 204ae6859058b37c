"""A run that was not made: the result that it leaves, and its only record."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from orchestrator.accounting.vocabulary import UnmadeOutcome
from orchestrator.kernel.facts import KernelFacts
from orchestrator.output.log import EventKind, Level, RecordFields
from orchestrator.plan.findings import Finding
from orchestrator.plan.model import Plan
from orchestrator.run.report.host_identity import describe_clock, describe_host
from orchestrator.run.report.kept_result import RESULT_FORMAT, settings_fields
from orchestrator.values import dataclass
from orchestrator.version import installed_version

__all__ = ["UnmadeRun", "describe_findings", "describe_reason", "make_unmade_result"]

_LONGEST_REASON = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class UnmadeRun:
    """A run of `plan` that was not made, and why: `reason`, in words. `command` and `label` as for
    `run_plan`."""

    run_id: str
    plan: Plan
    kernel: str
    outcome: UnmadeOutcome
    exit_code: int
    reason: str
    command: Sequence[str] = ()
    label: str | None = None

    @property
    def event(self) -> EventKind:
        """The kind of its record."""
        return "run.skipped" if self.outcome == "skipped" else "run.refused"

    @property
    def level(self) -> Level:
        """How serious the record is."""
        return "info" if self.outcome == "skipped" else "warning"

    @property
    def constants(self) -> dict[str, str]:
        """The common fields of records."""
        return {
            "run_id": self.run_id,
            "plan": self.plan.metadata.name,
            "plan_sha256": self.plan.sha256,
            "host": os.uname().nodename or "unknown",
            "kernel": self.kernel,
        }

    def record_fields(self, result: Path | None) -> RecordFields:
        """The other fields of its record; `result`: where its result is (None: nowhere)."""
        return {
            "outcome": self.outcome,
            "reason": self.reason,
            "exit_code": self.exit_code,
            "label": self.label,
            "result": None if result is None else str(result),
        }


def describe_findings(findings: Sequence[Finding]) -> str:
    """The findings as the reason of a run that was refused, in one line: their hints are for the
    people in front of a terminal."""
    return describe_reason("; ".join(finding.message for finding in findings))


def describe_reason(text: str) -> str:
    """`text` in one line of bounded length."""
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_REASON else f"{line[: _LONGEST_REASON - 1]}…"


def make_unmade_result(run: UnmadeRun, facts: KernelFacts) -> dict[str, Any]:
    """What result.json has of it, as schema/result-v1.schema.json has it. Its settings are those
    of the runs that were made, so that they are listed together."""
    return {
        "format": RESULT_FORMAT,
        "version": installed_version() or "0",
        **describe_host(facts),
        "clock": describe_clock(0),
        "label": run.label,
        "backend": None,
        "mechanisms": {},
        "settings": settings_fields(run.plan, run.plan, run.command),
        "resampled": [],
        "run": {
            **run.constants,
            "outcome": run.outcome,
            "exit_code": run.exit_code,
            "reason": run.reason,
        },
        "metrics": [],
        "figures": None,
        "warnings": [],
        "outstanding": [],
        "stopped": None,
        "limits": [],
        "startup_ms": None,
        "signatures": [],
        "bundle": None,
    }
