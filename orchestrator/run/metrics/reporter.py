"""Writes the metrics of a run to the log: windows as they end, the totals at the end, and with each
the derived figures, the warnings and what is outstanding."""

from collections.abc import Callable, Collection
from dataclasses import field
from typing import Any

from orchestrator.accounting.count import add_counts
from orchestrator.backends.protocol import OpenSpans
from orchestrator.compile.program import Program
from orchestrator.output.fields import StackNames, no_stacks
from orchestrator.output.log import RecordFields
from orchestrator.output.metrics import bound_cells, metric_fields
from orchestrator.output.run_output import RunOutput
from orchestrator.output.wall_clock import WallClock
from orchestrator.plan.model import Plan
from orchestrator.run.metrics.figures import (
    Counted,
    PlanFigures,
    cells_of_metric,
    combined_metrics,
)
from orchestrator.run.metrics.open_spans import count_open_spans
from orchestrator.run.metrics.outstanding import OutstandingReports, bound_outstanding
from orchestrator.run.metrics.reading import Reading
from orchestrator.run.metrics.windows import subtract_totals
from orchestrator.values import dataclass

__all__ = ["Measured", "MetricReporter"]


@dataclass(slots=True)
class Measured:
    """The records of one window, or of the totals, as logged: metrics, derived figures, warnings,
    and what is outstanding at its end. In the totals, `stop` is the stop.reached record, if any,
    and `whole` and `whole_outstanding` are the records with all cells, where they are kept."""

    metrics: list[RecordFields] = field(default_factory=list)
    whole: list[RecordFields] = field(default_factory=list)
    whole_outstanding: list[RecordFields] = field(default_factory=list)
    derived: RecordFields | None = None
    warnings: list[RecordFields] = field(default_factory=list)
    outstanding: list[RecordFields] = field(default_factory=list)
    stop: RecordFields | None = None


class MetricReporter:
    """Reads the metrics with `read`, which is given the metrics that figures combine, and open
    spans with `read_open`. Windows are shown by `clock`. `totals`: the records of the whole run,
    once it is over; with all cells too, if `keep_whole`."""

    def __init__(  # noqa: PLR0913  # what a run measures, and where it goes
        self,
        plan: Plan,
        program: Program,
        output: RunOutput,
        clock: WallClock,
        read: Callable[[Collection[int]], Reading],
        stacks: StackNames = no_stacks,
        read_open: Callable[[int], OpenSpans] | None = None,
        *,
        keep_whole: bool = False,
    ) -> None:
        self._keep_whole = keep_whole
        self._clock, self._read_with, self._read_open = clock, read, read_open
        self._outstanding = OutstandingReports(program)
        self._stacks = stacks
        self._program, self._output = program, output
        self._samples = _sample_ratios(plan, program)
        self._snapshots = _find_snapshots(program)
        self._figures = PlanFigures(plan, program, stacks)
        self._combined = combined_metrics(plan, program)
        self._start_ns = 0
        self._last = Reading(cells={}, at_ns=0)
        self._stop: RecordFields | None = None
        self.totals = Measured()

    def begin(self, armed_ns: int) -> None:
        """Counting began at `armed_ns` (CLOCK_MONOTONIC)."""
        self._start_ns = armed_ns
        self._last = Reading(cells={}, at_ns=armed_ns)

    def end_window(self) -> bool:
        """Write what was counted since the last window, if the plan has windows; whether
        `stop_when` holds."""
        reading = self._read()
        window, total = self._since_last(reading), self._since_start(reading)
        if self._program.every_ns:
            self._write(self._measure(window, total, is_total=False))
        self._evaluate_stop(window, total)
        self._last = reading
        return self._stop is not None

    def finish(self, ended_ns: int) -> None:
        """Write the last window, if there are windows, and then the totals. Counting ended at
        `ended_ns` (CLOCK_MONOTONIC)."""
        reading = self._read()
        cells = reading.cells
        if self._read_open is not None:
            cells = count_open_spans(cells, self._program, self._read_open, ended_ns)
        last = Reading(cells=cells, at_ns=ended_ns, events_apart=reading.events_apart)
        total = self._since_start(last)
        if self._program.every_ns:
            self._write(self._measure(self._since_last(last), total, is_total=False))
        self.totals = self._measure(total, total, is_total=True, whole=self._keep_whole)
        self.totals.stop = self._stop
        self._write(self.totals)

    def snapshot(self) -> Measured:
        """The totals so far, without writing them."""
        total = self._since_start(self._read())
        return self._measure(total, total, is_total=True)

    def _read(self) -> Reading:
        return self._read_with(self._combined)

    def _since_last(self, reading: Reading) -> Counted:
        return Counted(
            cells=subtract_totals(reading.cells, self._last.cells),
            elapsed_ns=reading.at_ns - self._last.at_ns,
            ended_ns=reading.at_ns,
            window=self._clock.window(self._last.at_ns, reading.at_ns),
            events_apart=add_counts((self._last.events_apart, reading.events_apart)),
        )

    def _since_start(self, reading: Reading) -> Counted:
        """What iterators show is added to nothing: of them, what the last window began with."""
        last = subtract_totals(
            {metric: reading.cells.get(metric, ()) for metric in self._snapshots}, self._last.cells
        )
        return Counted(
            cells={**reading.cells, **last},
            elapsed_ns=reading.at_ns - self._start_ns,
            ended_ns=reading.at_ns,
            window=self._clock.window(self._start_ns, reading.at_ns),
            events_apart=reading.events_apart,
        )

    def _evaluate_stop(self, window: Counted, total: Counted) -> None:
        stop = self._figures.check_stop(window, total)
        if stop is not None and self._stop is None:
            apart = window.events_apart
            self._stop = {**stop, "window": dict(window.window), "events_apart": apart}
            self._output.write_record("stop.reached", "info", **self._stop)

    def _measure(
        self, counted: Counted, total: Counted, *, is_total: bool, whole: bool = False
    ) -> Measured:
        stretch: dict[str, Any] = {"window": dict(counted.window), "total": is_total}
        warnings = self._figures.list_warnings(counted, total)
        metrics = self._metric_records(counted, is_total=is_total, whole=whole)
        outstanding = [
            {**report, **stretch}
            for report in self._report_outstanding(counted.ended_ns, is_total=is_total)
        ]
        return Measured(
            metrics=self._bound(metrics) if whole else metrics,
            whole=metrics if whole else [],
            whole_outstanding=outstanding if whole else [],
            derived=self._derived_record(counted, total, stretch),
            outstanding=self._bound_outstanding(outstanding),
            warnings=[{**warning, **stretch} for warning in warnings],
        )

    def _bound(self, metrics: list[RecordFields]) -> list[RecordFields]:
        """The records with as many cells as are logged."""
        specs = self._program.metrics
        return [bound_cells(spec, record) for spec, record in zip(specs, metrics, strict=True)]

    def _bound_outstanding(self, outstanding: list[RecordFields]) -> list[RecordFields]:
        specs = [span.resource.shown for span in self._program.spans if span.resource is not None]
        return [
            bound_outstanding(spec, report)
            for spec, report in zip(specs, outstanding, strict=False)  # none where none are read
        ]

    def _metric_records(
        self, counted: Counted, *, is_total: bool, whole: bool
    ) -> list[RecordFields]:
        records = []
        for spec in self._program.metrics:
            fields = metric_fields(
                spec,
                cells_of_metric(spec, counted.cells),
                start=counted.window["start"],
                end=counted.window["end"],
                total=is_total,
                stacks=self._stacks,
                whole=whole,
            )
            records.append({**fields, "sample": self._samples.get(spec.probe, 1)})
        return records

    def _derived_record(
        self, counted: Counted, total: Counted, stretch: RecordFields
    ) -> RecordFields | None:
        if not self._figures.units:
            return None
        cells = self._figures.derive_cells(counted, total)
        return {
            "values": self._figures.derive(counted, total),
            **({"by_key": cells} if cells else {}),
            "display_units": self._figures.units,
            **stretch,
            "events_apart": counted.events_apart,
        }

    def _report_outstanding(self, now_ns: int, *, is_total: bool) -> list[RecordFields]:
        if self._read_open is None:
            return []
        return [
            self._outstanding.report(
                span, self._read_open(span.index), now_ns, self._stacks, is_total=is_total
            )
            for span in self._program.spans
            if span.resource is not None
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


def _find_snapshots(program: Program) -> frozenset[int]:
    """The metrics that iterators alone feed, by index."""
    probes = {
        probe.name
        for probe in program.probes
        if probe.hooks and all(hook.traits.site == "iterator" for hook in probe.hooks)
    }
    return frozenset(spec.index for spec in program.metrics if spec.probe in probes)


def _sample_ratios(plan: Plan, program: Program) -> dict[str, int]:
    """By probe and span: one of how many events is kept. For a span, at its start."""
    of_probe = {probe.name: probe.weight for probe in program.probes}
    of_span = {
        span.name: max(of_probe.get(probe, 1) for probe in span.start) for span in plan.spans
    }
    return of_probe | of_span
