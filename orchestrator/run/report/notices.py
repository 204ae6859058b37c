"""What is reported while a run goes on: losses and limits, each when it is first noticed."""

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.accounting.count import Count, add_counts, at_least, is_known
from orchestrator.backends.protocol import Artifact, AttachedHook, Counts
from orchestrator.output.log import RecordFields
from orchestrator.output.run_output import RunOutput
from orchestrator.run.report.ledger import make_ledger
from orchestrator.run.report.records import limit_fields, limits_in_force, rate_bound
from orchestrator.run.report.verdict import Loss, describe_losses

__all__ = ["Notices"]

_NONE: Mapping[str, int] = {}


class Notices:
    """Reports losses since the last look, and each limit once. `limits`: the limit.reached records
    written so far."""

    def __init__(
        self, artifact: Artifact[Any], attached: Sequence[AttachedHook], output: RunOutput
    ) -> None:
        self._program = artifact.program
        self._attached, self._output = attached, output
        self._in_force = limits_in_force(artifact)
        self._reported: dict[tuple[str | None, str, str], int] = {}
        self.limits: list[RecordFields] = []

    def look(self, counts: Counts, undelivered: Mapping[str, int] = _NONE) -> Count:
        """Report what is new in the counters; returns the records and updates lost so far."""
        ledger = make_ledger(self._program, self._attached, counts, {})
        losses = [loss for loss in describe_losses(ledger, undelivered) if not loss.is_repeated]
        for loss in losses:
            self._report_loss(loss)
        self._report_limits(counts)
        # An event that was not seen is no record.
        return add_counts(loss.count for loss in losses if loss.reason != "missed")

    def report_limit(
        self, limit: str, action: str, own: tuple[str, RecordFields] | None = None
    ) -> None:
        """Report that a limit took effect, the first time. `own`: a probe and its own bound."""
        fields = limit_fields(limit, self._in_force, action, own)
        if fields not in self.limits:
            self.limits.append(fields)
            self._output.write_record("limit.reached", "warning", **fields)

    def _report_loss(self, loss: Loss) -> None:
        key = (loss.owner, loss.reason, loss.detail)
        before = self._reported.get(key, 0)
        if is_known(loss.count) and loss.count > before:
            self._reported[key] = loss.count
            self._output.write_record(
                "events.lost",
                "warning",
                probe=loss.owner,
                lost=loss.count - before,
                reason=loss.reason,
                detail=loss.detail,
            )

    def _report_limits(self, counts: Counts) -> None:
        at_cap = self._program.limits.at_cap
        for emit in counts.emits:
            probe = self._program.probes[emit.probe]
            if (
                at_least(emit.over_cap)
                and probe.events is not None
                and emit.recorded == probe.events
            ):
                self.report_limit("events", "mute", (probe.name, {"value": probe.events}))
            elif at_least(emit.over_cap):
                self.report_limit("events", at_cap)
            if at_least(emit.rate_limited):
                own = (probe.name, rate_bound(probe.rate)) if probe.rate else None
                self.report_limit("rate", "drop", own)
        for span in counts.spans:
            if at_least(span.over_cap):
                self.report_limit("events", at_cap)
            if at_least(span.rate_limited):
                self.report_limit("rate", "drop")
