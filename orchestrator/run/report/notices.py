"""What is told while a run goes on: losses and limits, each when it is first noticed."""

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.backends.protocol import Artifact, AttachedHook, Counts
from orchestrator.output.run_output import Output
from orchestrator.run.report.ledger import Known, ledger_of, total
from orchestrator.run.report.records import Fields, limit_fields, limits_in_force
from orchestrator.run.report.verdict import losses

__all__ = ["Notices"]

_NONE: Mapping[str, int] = {}


class Notices:
    """Tells losses since the last look, and each limit once. `limits`: the records told."""

    def __init__(
        self, artifact: Artifact[Any], attached: Sequence[AttachedHook], output: Output
    ) -> None:
        self._program = artifact.program
        self._attached, self._output = attached, output
        self._in_force = limits_in_force(artifact)
        self._told: dict[tuple[str | None, str, str], int] = {}
        self.limits: list[Fields] = []

    def look(self, counts: Counts, undelivered: Mapping[str, int] = _NONE) -> int | None:
        """Tell what is new in the counters; returns the records and updates lost so far (None:
        unknown)."""
        ledger = ledger_of(self._program, self._attached, counts, {})
        found: list[Known] = []
        for loss in losses(ledger, undelivered):
            if loss.reason != "missed":  # an event that was not seen is no record
                found.append(loss.lost)
            self._loss(loss.probe, loss.reason, loss.lost, loss.detail)
        self._records(counts)
        lost = total(found)
        return None if lost == "unknown" else lost

    def limit(self, limit: str, action: str, own: tuple[str, int] | None = None) -> None:
        """Tell that a limit took effect, the first time. `own`: a probe and its own bound."""
        fields = limit_fields(limit, self._in_force, action, own)
        if fields not in self.limits:
            self.limits.append(fields)
            self._output.record("limit.reached", "warning", **fields)

    def _loss(self, probe: str | None, reason: str, lost: Known, detail: str) -> None:
        key = (probe, reason, detail)
        new = 0 if lost == "unknown" else lost - self._told.get(key, 0)
        if new > 0:
            self._told[key] = self._told.get(key, 0) + new
            self._output.record(
                "events.lost", "warning", probe=probe, lost=new, reason=reason, detail=detail
            )

    def _records(self, counts: Counts) -> None:
        for emit in counts.emits:
            probe = self._program.probes[emit.probe]
            if emit.over_cap and probe.events is not None and emit.recorded == probe.events:
                self.limit("events", "mute", (probe.name, probe.events))
            elif emit.over_cap:
                self.limit("events", self._program.limits.at_cap)
            if emit.rate_limited:
                own = (probe.name, probe.rate.count) if probe.rate else None
                self.limit("rate", "drop", own)
        for span in counts.spans:
            if span.over_cap:
                self.limit("events", self._program.limits.at_cap)
            if span.rate_limited:
                self.limit("rate", "drop")
