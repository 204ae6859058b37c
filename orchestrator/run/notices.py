"""What is told while a run goes on: losses and limits, each when it is first noticed, and the
windows of its metrics."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from orchestrator.backends.protocol import Artifact, AttachedHook, Cell, Counts
from orchestrator.output.log import stamp
from orchestrator.output.metrics import metric_fields
from orchestrator.run.ledger import Known, ledger_of, total
from orchestrator.run.output import Output
from orchestrator.run.records import Fields, limit_fields, limits_in_force
from orchestrator.run.verdict import losses
from orchestrator.run.windows import Totals, kept, window

__all__ = ["Metrics", "Notices"]

_NONE: Mapping[str, int] = {}


class Notices:
    """Tells losses since the last look, and each limit once. `limits`: the records told."""

    def __init__(
        self, artifact: Artifact, attached: Sequence[AttachedHook], output: Output
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


class Metrics:
    """Writes metric records: windows as they end, the totals at the end. `totals`: the latter."""

    def __init__(self, artifact: Artifact, output: Output, read: Callable[[], Totals]) -> None:
        self._program = artifact.program
        self._samples = {probe.name: probe.sample for probe in artifact.program.probes}
        self._output, self._read = output, read
        self._start = self._last = ""
        self._before: Totals = {}
        self.totals: list[dict[str, Any]] = []

    def begin(self, started: str) -> None:
        """Counting began at `started` (RFC 3339), when the probes were armed."""
        self._start = self._last = started

    def window(self) -> None:
        """End a window: write what was counted in it."""
        now, end = self._read(), stamp(time.time_ns())
        self._write(window(now, self._before), self._last, end, total=False)
        self._before, self._last = kept(now), end

    def finish(self) -> None:
        """Write the last window, if there are windows, and then the totals."""
        now, end = self._read(), stamp(time.time_ns())
        if self._program.every_ns:
            self._write(window(now, self._before), self._last, end, total=False)
        self.totals = self._write(now, self._start, end, total=True)

    def _write(self, cells: Totals, start: str, end: str, *, total: bool) -> list[dict[str, Any]]:
        records = []
        for spec in self._program.metrics:
            found = cells.get(spec.index) or ([] if spec.key else [Cell(key=b"")])
            fields = metric_fields(spec, found, start=start, end=end, total=total)
            fields["sample"] = self._samples[spec.probe]
            records.append(fields)
            self._output.record("metric", **fields)
        return records
