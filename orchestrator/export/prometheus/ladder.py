"""Our buckets as Prometheus's: fewer, cumulative, and the same for all series of a family, so that
they can be added up with `sum by (le)`."""

from collections.abc import Iterable, Iterator, Sequence

from orchestrator.cells.buckets import Buckets
from orchestrator.export.snapshot import HistogramCounts

__all__ = ["BUCKETS_PER_OCTAVE", "add_up", "choose_stops"]

#: How many buckets an octave may be divided into; ours has the last of these.
BUCKETS_PER_OCTAVE = (1, 2, 4, 8, 16)
#: Linear histograms are divided into no more than so many.
_MOST_LINEAR = 64


def choose_stops(
    buckets: Buckets, histograms: Iterable[HistogramCounts], per_octave: int
) -> list[int]:
    """Indexes of the buckets whose upper edges are the values of `le`, in ascending order. Of
    logarithmic ones: whole octaves from the least value of all these histograms to the largest, and
    the edge below them; of linear ones: all, or every so many."""
    if buckets.kind == "linear":
        step = -(-buckets.count // _MOST_LINEAR) if per_octave < BUCKETS_PER_OCTAVE[-1] else 1
        stops = list(range(step - 1, buckets.count, step))
        return stops if stops[-1:] == [buckets.count - 1] else [*stops, buckets.count - 1]
    used = [
        index for one in histograms if one.counts for index in (min(one.counts), max(one.counts))
    ]
    if not used:
        return []
    first = buckets.lower_edge(min(used)).bit_length() - 1  # -1: 0 is apart
    last = buckets.lower_edge(max(used)).bit_length() - 1
    below = [buckets.index((1 << first) - 1)] if first >= 0 else []
    return below + [
        stop for octave in range(first, last + 1) for stop in _stops_of(buckets, octave, per_octave)
    ]


def _stops_of(buckets: Buckets, octave: int, per_octave: int) -> Iterator[int]:
    """Of values from 2^octave to 2^(octave+1), excluded; -1: of the value 0."""
    if octave < 0:
        yield 0
        return
    least = 1 << octave
    step = max(1, least // per_octave)
    for value in range(least + step, 2 * least + 1, step):
        yield buckets.index(value - 1)


def add_up(histogram: HistogramCounts, stops: Sequence[int]) -> list[int]:
    """For each of the stops, how many values there are up to its upper edge."""
    sums, seen = [], histogram.below
    counts = iter(sorted(histogram.counts.items()))
    index, count = next(counts, (None, 0))
    for stop in stops:
        while index is not None and index <= stop:
            seen += count
            index, count = next(counts, (None, 0))
        sums.append(seen)
    return sums
