"""The metrics of a run on their way into the log: windows as they end, the totals at the end, and
with each what the plan derives of them and warns of."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from orchestrator.compile.program import Program
from orchestrator.output.fields import StackNames, no_stacks
from orchestrator.output.log import stamp
from orchestrator.output.metrics import metric_fields
from orchestrator.plan.model import Plan
from orchestrator.run.figures import Counted, Figures, cells_of
from orchestrator.run.output import Output
from orchestrator.run.windows import Totals, kept, window

__all__ = ["STOP_WINDOW_NS", "Measured", "Metrics", "window_ns"]

Fields = dict[str, Any]

#: How often `stop_when` is judged in a plan without `every`.
STOP_WINDOW_NS = 1_000_000_000


def window_ns(plan: Plan, program: Program) -> int | None:
    """The length of a run's windows; None: it has none."""
    return program.every_ns or (STOP_WINDOW_NS if plan.stop_when is not None else None)


@dataclass(slots=True)
class Measured:
    """The records of one stretch, as logged: metrics, what is derived of them, warnings. Of the
    totals, `stop` is the stop.reached record, if there is one."""

    metrics: list[Fields] = field(default_factory=list)
    derived: Fields | None = None
    warnings: list[Fields] = field(default_factory=list)
    stop: Fields | None = None


class Metrics:
    """Writes the records. `totals`: those of the whole run, once it is over."""

    def __init__(
        self,
        plan: Plan,
        program: Program,
        output: Output,
        read: Callable[[], Totals],
        stacks: StackNames = no_stacks,
    ) -> None:
        self._stacks = stacks
        self._program, self._output, self._read = program, output, read
        self._samples = {probe.name: probe.sample for probe in program.probes}
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
        read, now_ns, end = self._read(), time.monotonic_ns(), stamp(time.time_ns())
        now, whole = self._in_window(read, now_ns), self._in_all(read, now_ns)
        if self._program.every_ns:
            self._write(self._measured(now, whole, self._last, end, total=False))
        self._judge(now, whole, end)
        self._before, self._last, self._last_ns = kept(read), end, now_ns
        return self._stop is not None

    def finish(self, ended_ns: int) -> None:
        """Write the last window, if there are windows, and then the totals. Counting ended at
        `ended_ns` (CLOCK_MONOTONIC)."""
        read, end = self._read(), stamp(time.time_ns())
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
        return self._measured(whole, whole, self._start, stamp(time.time_ns()), total=True)

    def _in_window(self, read: Totals, now_ns: int) -> Counted:
        return Counted(cells=window(read, self._before), elapsed_ns=now_ns - self._last_ns)

    def _in_all(self, read: Totals, now_ns: int) -> Counted:
        return Counted(cells=read, elapsed_ns=now_ns - self._begun_ns)

    def _judge(self, now: Counted, whole: Counted, end: str) -> None:
        held = self._figures.stop(now, whole)
        if held is not None and self._stop is None:
            self._stop = {**held, "window": {"start": self._last, "end": end}}
            self._output.record("stop.reached", "info", **self._stop)

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
            found.derived = {"values": values, "units": self._figures.units, **stretch}
        found.warnings = [{**one, **stretch} for one in self._figures.warnings(now, whole)]
        return found

    def _write(self, measured: Measured) -> None:
        for fields in measured.metrics:
            self._output.record("metric", **fields)
        if measured.derived is not None:
            self._output.record("derive", **measured.derived)
        for fields in measured.warnings:
            self._output.record("metric.warning", "warning", **fields)
