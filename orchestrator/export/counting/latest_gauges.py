"""Figures and what is outstanding, as the latest records say."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from orchestrator.export.counting.gauge_records import GaugeName, GaugeReading
from orchestrator.export.names import FamilyName
from orchestrator.export.snapshot import SeriesLabels
from orchestrator.values import dataclass

__all__ = ["LatestGauges", "PlanGauge"]


@dataclass(slots=True)
class _LatestValues:
    family: FamilyName
    help: str
    values: dict[SeriesLabels, int | float]


class PlanGauge(NamedTuple):
    """A gauge with its series, by labels without the plan's."""

    plan: str
    family: FamilyName
    help: str
    values: dict[SeriesLabels, int | float]


class LatestGauges:
    """At most `most` gauges of all plans."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._kept: dict[GaugeName, _LatestValues] = {}

    def has_room(self, readings: Iterable[GaugeReading]) -> bool:
        """Whether all of these can be kept."""
        new = sum(reading.gauge not in self._kept for reading in readings)
        return len(self._kept) + new <= self._most

    def accept(self, reading: GaugeReading) -> None:
        """Keep what is the latest now. One whose unit has changed begins again."""
        kept = self._kept.get(reading.gauge)
        if kept is None or kept.family != reading.family:
            kept = self._kept[reading.gauge] = _LatestValues(reading.family, reading.help, {})
        kept.values = reading.values if reading.replaces else {**kept.values, **reading.values}

    def begin_run(self, plan: str) -> None:
        """A run begins: what holds is of the latest run."""
        for gauge, kept in self._kept.items():
            if gauge.plan == plan:
                kept.values = {}

    def __iter__(self) -> Iterator[PlanGauge]:
        for gauge, kept in self._kept.items():
            if kept.values:
                yield PlanGauge(gauge.plan, kept.family, kept.help, kept.values)
