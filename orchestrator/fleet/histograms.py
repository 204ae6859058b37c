"""Histograms as results keep them, by the upper edges of their buckets: which edges a layout has,
and percentiles of counts by edge."""

import re
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from functools import lru_cache
from itertools import accumulate
from operator import itemgetter
from typing import Any

from orchestrator.cells.buckets import LOG, RELATIVE_ERROR, Buckets
from orchestrator.values import dataclass

__all__ = ["HistogramLayout", "find_layout", "find_percentiles", "name_old_layout"]

_LINEAR = re.compile(r"linear\((-?\d{1,19}), (-?\d{1,19}), (\d{1,19})\)")
_STEP = re.compile(r"linear steps of (\d{1,19})")
#: The middles of a layout with more buckets are computed one by one.
_MOST_LISTED = 10_000


@dataclass(frozen=True, slots=True, kw_only=True)
class HistogramLayout:
    """One way to divide values into buckets. `buckets` None: steps of `step`, whose bounds are not
    known. `middles`: of each bucket by its upper edge; None: there are too many."""

    buckets: Buckets | None
    middles: Mapping[int, float] | None = None
    step: int = 1

    def has_edges(self, edges: Sequence[int]) -> bool:
        """Whether all of these are upper edges of its buckets."""
        if not edges:
            return True
        if self.middles is not None:
            try:
                itemgetter(*edges)(self.middles)  # a loop in C
            except KeyError:
                return False
            return True
        buckets = self.buckets
        return buckets is None or all(
            buckets.low <= edge < buckets.high and buckets.upper_edge(buckets.index(edge)) == edge
            for edge in edges
        )

    def find_middle(self, edge: int) -> float:
        """The value that stands for the bucket with this upper edge."""
        if self.middles is not None:
            return self.middles[edge]
        if self.buckets is None:
            return edge - (self.step - 1) / 2
        return self.buckets.middle(self.buckets.index(edge))

    def width_at(self, value: float) -> float:
        """The width of the bucket of a value."""
        if self.buckets is LOG:
            return max(1.0, value * 2 * RELATIVE_ERROR)
        return self.step


@lru_cache(maxsize=256)
def find_layout(text: str) -> HistogramLayout | None:
    """The layout of this name, as results write it; None: it is not known."""
    if text == "log(16)":
        return HistogramLayout(buckets=LOG, middles=_list_middles(LOG))
    if match := _LINEAR.fullmatch(text):
        low, high, step = map(int, match.groups())
        if low >= high or step < 1:
            return None
        buckets = Buckets(kind="linear", low=low, high=high, step=step)
        return HistogramLayout(buckets=buckets, middles=_list_middles(buckets), step=step)
    if match := _STEP.fullmatch(text):
        return HistogramLayout(buckets=None, step=int(match[1]))
    return None


def _list_middles(buckets: Buckets) -> dict[int, float] | None:
    if buckets.count > _MOST_LISTED:
        return None
    return {buckets.upper_edge(index): buckets.middle(index) for index in range(buckets.count)}


def name_old_layout(cell: Mapping[str, Any]) -> str:
    """The layout of a histogram in a result that does not name it: it follows from how exact its
    percentiles are."""
    if cell["relative_error"] == RELATIVE_ERROR:
        return "log(16)"
    return f"linear steps of {int(2 * cell['absolute_error'])}"


def find_percentiles(  # noqa: PLR0913  # a histogram has these parts
    edges: Sequence[int],
    counts: Sequence[int],
    layout: HistogramLayout,
    permilles: Sequence[int],
    *,
    count: int,
    below: int,
) -> list[float | None]:
    """For each of `permilles`, the value that so many parts of a thousand do not exceed (nearest
    rank), at the middle of its bucket, as in the log. None: nothing was counted, or it is outside
    of the buckets. `edges` are in ascending order."""
    reached = list(accumulate(counts, initial=below))
    found: list[float | None] = []
    for permille in permilles:
        place = bisect_left(reached, max(1, -(-count * permille // 1000))) - 1
        found.append(layout.find_middle(edges[place]) if 0 <= place < len(edges) else None)
    return found
