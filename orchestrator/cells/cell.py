"""One cell of a metric, and how cells add up.

`merge` is associative and commutative, so that parts may be combined in any order: the CPUs of a
host, the processes behind one name, the keys of a metric, the results of several hosts.
"""

from collections.abc import Iterable, Mapping
from dataclasses import field, replace

from orchestrator.cells.buckets import Buckets
from orchestrator.values import dataclass

__all__ = ["Cell", "merge_all", "weigh_cell"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """What was counted under one key; immutable, its `buckets` too.

    `key` is packed as MetricSpec.key describes; the cell `other`, for keys that did not fit, has
    None. All numbers are weighted by sampling. `count`: values, or events where a metric has no
    value. `min` and `max` are None when nothing was counted. `buckets`: for histograms, the count
    by index of buckets.Buckets; `below` and `above` are values outside of all buckets. A backend
    may leave at their defaults the numbers that the metric's kind does not need.
    """

    key: bytes | None
    count: int = 0
    sum: int = 0
    min: int | None = None
    max: int | None = None
    buckets: Mapping[int, int] = field(default_factory=dict)
    below: int = 0
    above: int = 0

    def add(self, values: Iterable[tuple[int, int]], buckets: Buckets | None = None) -> "Cell":
        """The cell with values counted in addition, given as (value, weight) with weights above 0.
        `buckets`: those of the metric, if it is a histogram."""
        weights: dict[int, int] = {}
        for value, weight in values:
            weights[value] = weights.get(value, 0) + weight
        indexes = {} if buckets is None else _counts_by_index(weights, buckets)
        added = Cell(
            key=self.key,
            count=sum(weights.values()),
            sum=sum(value * weight for value, weight in weights.items()),
            min=min(weights, default=None),
            max=max(weights, default=None),
            below=indexes.pop(-1, 0),
            above=0 if buckets is None else indexes.pop(buckets.count, 0),
            buckets=indexes,
        )
        return self.merge(added)

    def merge(self, other: "Cell") -> "Cell":
        """Both cells as one, under this one's key."""
        return merge_all((self, other), self.key)

    def minus(self, earlier: "Cell") -> "Cell":
        """What was counted since the cell was `earlier`.

        Extremes cannot be subtracted: `min` and `max` remain this cell's. They are bounds of the
        values since then, not the extremes of those. Buckets that did not change are left out.
        """
        before = earlier.buckets
        buckets = {
            index: count - before.get(index, 0)
            for index, count in self.buckets.items()
            if count != before.get(index, 0)
        }
        return replace(
            self,
            count=self.count - earlier.count,
            sum=self.sum - earlier.sum,
            buckets=buckets,
            below=self.below - earlier.below,
            above=self.above - earlier.above,
        )

    @property
    def is_empty(self) -> bool:
        """Whether nothing was counted."""
        return not (self.count or self.below or self.above or self.buckets)


def merge_all(cells: Iterable[Cell], key: bytes | None = b"") -> Cell:
    """All cells as one with this key, which is exact for every kind of metric."""
    parts = list(cells)
    buckets: dict[int, int] = {}
    for part in parts:
        for index, count in part.buckets.items():
            buckets[index] = buckets.get(index, 0) + count
    return Cell(
        key=key,
        count=sum(part.count for part in parts),
        sum=sum(part.sum for part in parts),
        min=min((part.min for part in parts if part.min is not None), default=None),
        max=max((part.max for part in parts if part.max is not None), default=None),
        buckets=buckets,
        below=sum(part.below for part in parts),
        above=sum(part.above for part in parts),
    )


def weigh_cell(kind: str, count: int, total: int, least: int | None, most: int | None) -> float:
    """By what cells of a metric are ordered, from a cell's numbers: the heaviest comes first, of
    `min` the one with the least value."""
    match kind:
        case "sum":
            return total
        case "min":
            return -(least or 0)
        case "max":
            return most or 0
        case "avg":
            return total / count if count else 0
    return count


def _counts_by_index(weights: Mapping[int, int], buckets: Buckets) -> dict[int, int]:
    counts: dict[int, int] = {}
    for value, weight in weights.items():
        index = buckets.index(value)
        counts[index] = counts.get(index, 0) + weight
    return counts
