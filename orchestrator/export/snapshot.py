"""All series at one moment, as values that do not change. Formats for other programs are pure
functions of a snapshot."""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from orchestrator.cells.buckets import Buckets
from orchestrator.values import dataclass

__all__ = ["Family", "FamilyKind", "HistogramCounts", "Sample", "SeriesLabels", "Snapshot"]

FamilyKind = Literal["counter", "gauge", "histogram"]
#: Names and values, sorted by name.
SeriesLabels = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramCounts:
    """One histogram. `counts`: by index of `buckets`, in ascending order, those above 0; `below`
    and `above`: values outside of all buckets. Edges and values are whole numbers of the log's
    unit: Family.per_unit of them are one unit of the family."""

    buckets: Buckets
    counts: Mapping[int, int]
    below: int = 0
    above: int = 0

    @property
    def count(self) -> int:
        """All values, also those outside of the buckets."""
        return self.below + self.above + sum(self.counts.values())

    @property
    def estimated_sum(self) -> float | None:
        """The sum of the values, each taken at the middle of its bucket. None: some are not known,
        or may be negative, so that the sum need not grow."""
        if self.below or self.above or self.buckets.low < 0:
            return None
        return sum(self.buckets.middle(index) * count for index, count in self.counts.items())


class Sample(NamedTuple):
    """One series of a family. `value`: of a counter or a gauge a number, of which `per_unit` of the
    family are one of its units; NaN: it is unknown. Whole numbers are exact, and may have more than
    64 bits."""

    labels: SeriesLabels
    value: int | float | HistogramCounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Series of one name. `name`: without `_total`, which Prometheus adds to counters; `unit`:
    seconds, bytes or none, and part of the name; `per_unit`: see Sample (10^9 where values are in
    ns)."""

    name: str
    kind: FamilyKind
    help: str
    unit: str = ""
    per_unit: int = 1
    samples: tuple[Sample, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All families by name. Counters and histograms grow since `created_unix_nano`, and are as they
    were at `taken_unix_nano` (ns since 1970)."""

    families: tuple[Family, ...]
    created_unix_nano: int
    taken_unix_nano: int
