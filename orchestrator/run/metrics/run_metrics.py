"""The metrics of a run on their way into the log: windows as they end, the totals at the end, and
with each what the plan derives of them and warns of."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.backends.protocol import OpenSpans
from orchestrator.compile.program import Program
from orchestrator.output.fields import StackNames, no_stacks
from orchestrator.output.log import format_timestamp
from orchestrator.output.metrics import metric_fields
from orchestrator.output.run_output import RunOutput
from orchestrator.plan.model import Plan
from orchestrator.run.metrics.figures import Counted, Figures, cells_of
from orchestrator.run.metrics.open_spans import with_open
from orchestrator.run.metrics.outstanding import Outstanding
from orchestrator.run.metrics.windows import Totals, window

__all__ = ["Measured", "Metrics"]

Fields = dict[str, Any]


@dataclass(slots=True)
class Measured:
    """The records of one stretch, as logged: metrics, what is derived of them, warnings, and what
    is outstanding at its end. Of the
    totals, `stop` is the stop.reached record, if there is one."""

    metrics: list[Fields] = field(default_factory=list)
    derived: Fields | None = None
    warnings: list[Fields] = field(default_factory=list)
    outstanding: list[Fields] = field(default_factory=list)
    stop: Fields | None = None


class Metrics:
    """Writes the records. `totals`: those of the whole run, once it is over."""

    def __init__(  # noqa: PLR0913  # what a run measures, and where it goes
        self,
        plan: Plan,
        program: Program,
        output: RunOutput,
        read: Callable[[], Totals],
        stacks: StackNames = no_stacks,
        opened: Callable[[int], OpenSpans] | None = None,
    ) -> None:
        self._opened = opened
        self._reports = Outstanding(program)
        self._stacks = stacks
        self._program, self._output, self._read = program, output, read
        self._samples = _samples(plan, program)
        self._figures = Figures(plan, program, stacks)
        self._start = self._last = ""
        self._begun_ns = self._last_ns = 0
        self._before: Totals = {}
        self._stop: Fields | None = None
        self.totals = Measured()

    def begin(self, started: str, armed_ns: int) -> None:
        """Counting began at `started` (RFC 3339), when the probes were armed (CLOCK_MONOTONIC)."""
        self._start = self._last = started
        self._begun_ns = self._last_ns = armed_ns

    def window(self) -> bool:
        """End a window: write what was counted in it, if the plan has windows. Tells whether
        `stop_when` holds."""
        read, now_ns, end = self._read(), time.monotonic_ns(), format_timestamp(time.time_ns())
        now, whole = self._in_window(read, now_ns), self._in_all(read, now_ns)
        if self._program.every_ns:
            self._write(self._measured(now, whole, self._last, end, total=False))
        self._judge(now, whole, end)
        self._before, self._last, self._last_ns = read, end, now_ns
        return self._stop is not None

    def finish(self, ended_ns: int) -> None:
        """Write the last window, if there are windows, and then the totals. Counting ended at
        `ended_ns` (CLOCK_MONOTONIC)."""
        read, end = self._read(), format_timestamp(time.time_ns())
        if self._opened is not None:
            read = with_open(read, self._program, self._opened, ended_ns)
        whole = self._in_all(read, ended_ns)
        if self._program.every_ns:
            now = self._in_window(read, ended_ns)
            self._write(self._measured(now, whole, self._last, end, total=False))
        self.totals = self._measured(whole, whole, self._start, end, total=True)
        self.totals.stop = self._stop
        self._write(self.totals)

    def snapshot(self) -> Measured:
        """What was counted so far, written nowhere."""
        whole = self._in_all(self._read(), time.monotonic_ns())
        return self._measured(
            whole, whole, self._start, format_timestamp(time.time_ns()), total=True
        )

    def _in_window(self, read: Totals, now_ns: int) -> Counted:
        cells = window(read, self._before)
        return Counted(cells=cells, elapsed_ns=now_ns - self._last_ns, ended_ns=now_ns)

    def _in_all(self, read: Totals, now_ns: int) -> Counted:
        elapsed_ns = now_ns - self._begun_ns
        return Counted(cells=read, elapsed_ns=elapsed_ns, ended_ns=now_ns)

    def _judge(self, now: Counted, whole: Counted, end: str) -> None:
        held = self._figures.stop(now, whole)
        if held is not None and self._stop is None:
            self._stop = {**held, "window": {"start": self._last, "end": end}}
            self._output.write_record("stop.reached", "info", **self._stop)

    def _measured(
        self, now: Counted, whole: Counted, start: str, end: str, *, total: bool
    ) -> Measured:
        found = Measured()
        stretch: Mapping[str, Any] = {"window": {"start": start, "end": end}, "total": total}
        for spec in self._program.metrics:
            cells = cells_of(spec, now.cells)
            fields = metric_fields(
                spec, cells, start=start, end=end, total=total, stacks=self._stacks
            )
            found.metrics.append({**fields, "sample": self._samples.get(spec.probe, 1)})
        if self._figures.units:
            values = self._figures.derived(now, whole)
            found.derived = {"values": values, "display_units": self._figures.units, **stretch}
        found.outstanding = [{**one, **stretch} for one in self._held(now.ended_ns, total=total)]
        found.warnings = [{**one, **stretch} for one in self._figures.warnings(now, whole)]
        return found

    def _held(self, now_ns: int, *, total: bool) -> list[Fields]:
        spans = [span for span in self._program.spans if span.resource is not None]
        if self._opened is None:
            return []
        return [
            self._reports.report(span, self._opened(span.index), now_ns, self._stacks, total=total)
            for span in spans
        ]

    def _write(self, measured: Measured) -> None:
        for fields in measured.outstanding:
            self._output.write_record("outstanding.reported", **fields)
        for fields in measured.metrics:
            self._output.write_record("metric.reported", **fields)
        if measured.derived is not None:
            self._output.write_record("figure.reported", **measured.derived)
        for fields in measured.warnings:
            self._output.write_record("metric.warned", "warning", **fields)


def _samples(plan: Plan, program: Program) -> dict[str, int]:
    """By probe and span, that one of so many is kept: of a span, where it starts."""
    kept_of = {probe.name: probe.sample for probe in program.probes}
    spans = {span.name: max(kept_of.get(one, 1) for one in span.start) for span in plan.spans}
    return kept_of | spans
