"""All series of an export: records of runs go in, and a snapshot comes out."""

import time
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import Any

from orchestrator.export.counting.accumulation import MetricAccumulation
from orchestrator.export.counting.gauge_records import (
    GaugeReading,
    parse_figure_record,
    parse_outstanding_record,
)
from orchestrator.export.counting.latest_gauges import LatestGauges
from orchestrator.export.counting.lifecycle import LAST_EVENTS, LiveRun, RunLifecycle
from orchestrator.export.counting.metric_record import (
    MetricRecord,
    parse_metric_record,
)
from orchestrator.export.families import list_plan_families
from orchestrator.export.names import check_plan_name
from orchestrator.export.own_families import OwnSeries
from orchestrator.export.snapshot import Snapshot

__all__ = ["MAX_SERIES", "SeriesStore"]

#: Series of one metric; the cells of all further keys are added up.
MAX_SERIES = 1000
_MOST_PLANS, _MOST_METRICS, _MOST_GAUGES, _MOST_LIVE_RUNS = 64, 256, 256, 64
#: What a record may lack or have another type of.
_FOREIGN = (LookupError, TypeError, ValueError, AttributeError, OverflowError)


class _Full(Exception):
    """There are more plans, metrics or gauges than are kept."""


class SeriesStore:
    """Accumulates the records of runs, one after the other or at the same time. `accept` and
    `snapshot` may be called in different threads."""

    def __init__(self, max_series: int = MAX_SERIES) -> None:
        self._max_series = max_series
        self._created = time.time_ns()
        self._lock = Lock()
        self._own = OwnSeries()
        self._lifecycle = RunLifecycle(self._own)
        self._metrics: dict[tuple[str, str, str], MetricAccumulation] = {}
        self._gauges = LatestGauges(_MOST_GAUGES)
        self._plans: set[str] = set()
        self._live: OrderedDict[str, LiveRun] = OrderedDict()
        for reason in ("torn", "foreign", "long", "full"):
            self.count("probeplan_export_lines_skipped", 0, reason=reason)
        self.count("probeplan_export_records", 0)

    def accept(self, record: Mapping[str, Any]) -> None:
        """Add one record of a log. What is none is counted, and changes nothing else; nothing is
        raised."""
        with self._lock:
            try:
                self._accept(record)
            except _FOREIGN:
                self._own.add("probeplan_export_lines_skipped", reason="foreign")
            except _Full:
                self._own.add("probeplan_export_lines_skipped", reason="full")
            else:
                self._own.add("probeplan_export_records")

    def count(self, family: str, amount: int = 1, /, **labels: str) -> None:
        """Let one of `own_families.OWN_FAMILIES` that is a counter grow."""
        with self._lock:
            self._own.add(family, amount, **labels)

    def snapshot(self) -> Snapshot:
        """All series as they are now."""
        with self._lock:
            return Snapshot(
                families=(
                    *self._own.families(),
                    *list_plan_families(self._metrics.values(), self._gauges),
                ),
                created_unix_nano=self._created,
                taken_unix_nano=time.time_ns(),
            )

    def _accept(self, record: Mapping[str, Any]) -> None:
        event, run_id = record["event"], record["run_id"]
        if not isinstance(event, str) or not isinstance(run_id, str):
            raise TypeError("event or run_id is no text")
        if event.startswith("check."):
            return
        run = self._find_run(run_id, check_plan_name(record["plan"]))
        if event == "metric.reported":
            self._add_metric(parse_metric_record(record), run)
            return
        if event == "figure.reported":
            self._keep_gauges(list(parse_figure_record(record)))
            return
        if event == "outstanding.reported":
            readings, overflowed = parse_outstanding_record(record, self._max_series)
            self._keep_gauges(readings)
            names = {"plan": run.plan, "probe": "", "metric": record["outstanding"]}
            self._own.add("probeplan_export_series_overflowed", overflowed, **names)
            return
        self._lifecycle.accept(record, run)
        if event == "run.started":
            self._begin_run(run)
        if event in LAST_EVENTS:
            self._end_run(run_id, run)

    def _find_run(self, run_id: str, plan: str) -> LiveRun:
        run = self._live.get(run_id)
        if run is not None and run.plan == plan:
            return run
        if plan not in self._plans:
            if len(self._plans) >= _MOST_PLANS:
                raise _Full
            self._plans.add(plan)
            self._lifecycle.know_plan(plan)
        run = self._live[run_id] = LiveRun(plan)
        if len(self._live) > _MOST_LIVE_RUNS:  # one that was killed, and has no end
            self._end_run(*next(iter(self._live.items())))
        return run

    def _keep_gauges(self, readings: Sequence[GaugeReading]) -> None:
        if not self._gauges.has_room(readings):
            raise _Full
        for reading in readings:
            self._gauges.accept(reading)

    def _begin_run(self, run: LiveRun) -> None:
        self._gauges.begin_run(run.plan)
        for metric in self._metrics.values():
            if metric.metric.plan == run.plan:
                metric.begin_run()

    def _end_run(self, run_id: str, run: LiveRun) -> None:
        self._live.pop(run_id, None)
        for metric in self._metrics.values():
            if metric.metric.plan == run.plan:
                metric.end_run(run_id)

    def _add_metric(self, record: MetricRecord, run: LiveRun) -> None:
        identity = record.metric
        place = identity.plan, identity.probe, identity.metric
        metric = self._metrics.get(place)
        if metric is None and len(self._metrics) >= _MOST_METRICS:
            raise _Full
        if metric is None or metric.metric != identity:  # the plan has changed: it begins at 0
            metric = self._metrics[place] = MetricAccumulation(identity, self._max_series)
        names = dict(zip(("plan", "probe", "metric"), place, strict=True))
        overflowed = metric.accept(record, whole_run=run.is_whole)
        self._own.add("probeplan_export_series_overflowed", overflowed, **names)
        omitted = 0  # totals omit none that windows did not
        if not record.is_total or not metric.has_windows(record.run_id):
            omitted = record.cells_omitted
        self._own.add("probeplan_export_cells_omitted", omitted, **names)
