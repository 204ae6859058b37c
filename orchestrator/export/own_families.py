"""The families that are there for every plan, and their values: what became of runs, whether they
saw everything, and what the export itself did."""

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from orchestrator.export.snapshot import Family, FamilyKind, Sample, SeriesLabels

__all__ = ["OWN_FAMILIES", "OwnFamily", "OwnSeries"]


class OwnFamily(NamedTuple):
    """A family that does not come from a plan's metric. `name`: as Family.name."""

    name: str
    kind: FamilyKind
    help: str
    unit: str = ""


#: In the order in which they are shown.
_TABLE: tuple[OwnFamily, ...] = (
    OwnFamily("probeplan_run_info", "gauge", "The latest run of a plan that began; always 1."),
    OwnFamily("probeplan_run_active", "gauge", "Whether the latest run of a plan has not ended."),
    OwnFamily(
        "probeplan_run_complete",
        "gauge",
        "Whether the last run of a plan saw everything: 1, 0, or NaN where that is unknown.",
    ),
    OwnFamily(
        "probeplan_run_exit_code",
        "gauge",
        "The exit code of the last run of a plan, or of a run that was not made.",
    ),
    OwnFamily(
        "probeplan_run_started_timestamp_seconds",
        "gauge",
        "When the latest run of a plan began.",
        "seconds",
    ),
    OwnFamily(
        "probeplan_run_finished_timestamp_seconds",
        "gauge",
        "When the last run of a plan ended, or was not made.",
        "seconds",
    ),
    OwnFamily(
        "probeplan_run_duration_seconds",
        "gauge",
        "How long the probes of the last run of a plan were armed.",
        "seconds",
    ),
    OwnFamily(
        "probeplan_runs",
        "counter",
        "Runs of a plan by outcome, also those that were not made: skipped, quarantined, refused.",
    ),
    OwnFamily(
        "probeplan_run_lost",
        "counter",
        "Records and events that were lost, by reason; `unreported`: all that no record of the "
        "log was about.",
    ),
    OwnFamily(
        "probeplan_run_lost_unknown", "counter", "Runs of which it is unknown how much they lost."
    ),
    OwnFamily(
        "probeplan_run_held_back",
        "counter",
        "Records that a plan's own limits kept out of the log, by limit.",
    ),
    OwnFamily(
        "probeplan_run_governor_steps",
        "counter",
        "How often the governor sampled or detached a probe, or stopped a run, to keep limits.cpu.",
    ),
    OwnFamily("probeplan_run_warnings", "counter", "How often a `warn` of a plan held, by metric."),
    OwnFamily(
        "probeplan_probe_attached",
        "gauge",
        "Whether an attach point was attached in the latest run of a plan until its end.",
    ),
    OwnFamily(
        "probeplan_probe_kernel_missed",
        "counter",
        "Events that happened while the kernel did not run the probe; known at the end of a run.",
    ),
    OwnFamily("probeplan_export_records", "counter", "Records of the log that were read."),
    OwnFamily(
        "probeplan_export_lines_skipped",
        "counter",
        "Lines that were not read: torn (no JSON), foreign (no record of a log), long, or full "
        "(more plans or metrics than are kept).",
    ),
    OwnFamily(
        "probeplan_export_series_overflowed",
        "counter",
        "Cells that were added to the series `other`, since their metric has --max-series.",
    ),
    OwnFamily(
        "probeplan_export_cells_omitted",
        "counter",
        "Cells that the log omitted because of the metric's `top`: their counts are missing.",
    ),
    OwnFamily(
        "probeplan_export_sends",
        "counter",
        "Exports by OTLP, by signal (metrics, logs) and result (ok, failed).",
    ),
    OwnFamily(
        "probeplan_export_dropped",
        "counter",
        "What was not sent by OTLP: log records that did not fit (overflow), that the collector "
        "refused, or that were left at the end (undelivered); data points that it refused.",
    ),
)
#: By name.
OWN_FAMILIES: Mapping[str, OwnFamily] = {family.name: family for family in _TABLE}
#: Series of one family; more are not kept.
_MOST_SERIES = 2000


class OwnSeries:
    """The values of these families. Not safe for threads."""

    def __init__(self) -> None:
        self._values: dict[str, dict[SeriesLabels, int | float]] = {
            name: {} for name in OWN_FAMILIES
        }

    def add(self, name: str, amount: int = 1, /, **labels: str) -> None:
        """Let a counter grow; by 0, so that it is there."""
        series = self._values[name]
        place = tuple(sorted(labels.items()))
        if place in series or len(series) < _MOST_SERIES:
            series[place] = series.get(place, 0) + amount

    def set(self, name: str, value: int | float, /, **labels: str) -> None:
        """Give a gauge a value."""
        series = self._values[name]
        place = tuple(sorted(labels.items()))
        if place in series or len(series) < _MOST_SERIES:
            series[place] = value

    def change(self, name: str, value: int | float, /, **labels: str) -> None:
        """Give all series with these labels, whatever others they have, a value."""
        wanted = labels.items()
        series = self._values[name]
        series.update((place, value) for place in series if wanted <= dict(place).items())

    def clear(self, name: str, **labels: str) -> None:
        """Remove the series with these labels, whatever others they have."""
        wanted = labels.items()
        series = self._values[name]
        self._values[name] = {
            place: value for place, value in series.items() if not wanted <= dict(place).items()
        }

    def families(self) -> Iterator[Family]:
        """Those that have series."""
        for name, series in self._values.items():
            if series:
                own = OWN_FAMILIES[name]
                yield Family(
                    name=name,
                    kind=own.kind,
                    help=own.help,
                    unit=own.unit,
                    samples=tuple(Sample(*item) for item in series.items()),
                )
