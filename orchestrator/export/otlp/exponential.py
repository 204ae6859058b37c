"""Our histograms as OTLP has them: exponential, or with explicit bounds.

An exponential histogram of scale s has 2^s buckets an octave; bucket i holds the values above
2^(i/2^s), up to and including 2^((i+1)/2^s) (OpenTelemetry, metrics data model). A bucket of ours
is counted where its middle falls. At scale 5 the middle of the bucket there is at most 1.1 % from
ours, which is at most 3.2 % from the values themselves.
Explicit bounds are our own edges: upper edges are included in both, so that nothing is moved.
"""

import math
from collections.abc import Callable, Mapping
from functools import lru_cache

from orchestrator.cells.buckets import Buckets
from orchestrator.values import dataclass

__all__ = [
    "MAX_BUCKETS",
    "SCALE",
    "BucketRun",
    "ExplicitCounts",
    "ExponentialCounts",
    "convert_to_explicit",
    "convert_to_exponential",
]

#: 32 buckets an octave, twice as many as ours.
SCALE = 5
#: So many buckets hold all values of 64 bits at SCALE: no scale has to be lowered.
MAX_BUCKETS = (64 << SCALE) + 1
#: OTLP's least scale is -10: one bucket for 1024 octaves.
_MIN_SCALE = -10


@dataclass(frozen=True, slots=True, kw_only=True)
class BucketRun:
    """Counts of neighbouring buckets, the first of which has the index `offset`."""

    offset: int = 0
    counts: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ExponentialCounts:
    """An exponential histogram. `zero_count`: values that are 0, or below all buckets of a
    logarithmic histogram (negative ones)."""

    scale: int
    zero_count: int
    positive: BucketRun
    negative: BucketRun


@dataclass(frozen=True, slots=True, kw_only=True)
class ExplicitCounts:
    """A histogram with bounds: `counts` has one more element than `bounds`, for what is above
    the last; each bound belongs to the bucket below it."""

    bounds: tuple[float, ...]
    counts: tuple[int, ...]


def convert_to_exponential(
    buckets: Buckets,
    counts: Mapping[int, int],
    *,
    per_unit: int = 1,
    max_buckets: int = MAX_BUCKETS,
) -> ExponentialCounts:
    """An exponential histogram of `counts` by bucket index, as `Buckets.index` numbers them.

    `per_unit`: how many units of the values are one of the result. `max_buckets`: where more lie
    between the least and the largest value of one sign, the scale is lowered by one until they fit;
    each step doubles the error. The sum of all counts stays what it was.
    """
    places = _place_middles(buckets, per_unit)
    zero = 0
    positive: dict[int, int] = {}
    negative: dict[int, int] = {}
    for index, count in counts.items():
        sign, place = places(index)
        if sign == 0:
            zero += count
        else:
            side = positive if sign > 0 else negative
            side[place] = side.get(place, 0) + count
    scale = SCALE
    while scale > _MIN_SCALE and max(_width(positive), _width(negative)) > max(max_buckets, 1):
        positive, negative = _halve(positive), _halve(negative)
        scale -= 1
    return ExponentialCounts(
        scale=scale, zero_count=zero, positive=_pack(positive), negative=_pack(negative)
    )


def convert_to_explicit(
    buckets: Buckets, counts: Mapping[int, int], *, per_unit: int = 1
) -> ExplicitCounts:
    """A histogram with the edges of `buckets` as bounds, of those that are not empty. No count is
    moved: each of ours is one of the result, at the same edges, in units of `per_unit`."""
    bounds: list[float] = []
    kept: list[int] = []
    edge: int | None = None
    beyond = 0
    for index, count in sorted(counts.items()):
        if index >= buckets.count:
            beyond += count
            continue
        below, upper = _edges(buckets, index)
        if below is not None and below != edge:
            bounds.append(below / per_unit)
            kept.append(0)
        bounds.append(upper / per_unit)
        kept.append(count)
        edge = upper
    last = buckets.upper_edge(buckets.count - 1)
    if beyond and edge != last:
        bounds.append(last / per_unit)
        kept.append(0)
    return ExplicitCounts(bounds=tuple(bounds), counts=(*kept, beyond))


def _edges(buckets: Buckets, index: int) -> tuple[int | None, int]:
    """The upper edges of the bucket before this one (None: there is none) and of this one. What is
    below all buckets lies in one that has no lower edge."""
    first = buckets.lower_edge(0)
    if index < 0:
        return None, first - 1
    return buckets.lower_edge(index) - 1, buckets.upper_edge(index)


def _place_middles(buckets: Buckets, per_unit: int) -> Callable[[int], tuple[int, int]]:
    """Says where the values of a bucket of ours go: their sign, and the bucket at SCALE."""
    if buckets.kind == "log":
        return _place_log_middles(per_unit).__getitem__
    return lambda index: _place(_middle(buckets, index) / per_unit)


@lru_cache(maxsize=8)
def _place_log_middles(per_unit: int) -> dict[int, tuple[int, int]]:
    log = Buckets()
    places = {index: _place(log.middle(index) / per_unit) for index in range(log.count + 1)}
    return places | {-1: (0, 0)}


def _middle(buckets: Buckets, index: int) -> float:
    """What stands for a bucket of a linear histogram; outside of all buckets, the next value."""
    if index < 0:
        return buckets.low - 1
    return buckets.high if index >= buckets.count else buckets.middle(index)


def _place(value: float) -> tuple[int, int]:
    """The sign of a value, and the bucket of its amount at SCALE."""
    if value == 0:
        return 0, 0
    return (1 if value > 0 else -1), math.ceil(math.log2(abs(value)) * (1 << SCALE)) - 1


def _width(side: Mapping[int, int]) -> int:
    return max(side) - min(side) + 1 if side else 0


def _halve(side: Mapping[int, int]) -> dict[int, int]:
    """The same counts at half as many buckets an octave."""
    halved: dict[int, int] = {}
    for place, count in side.items():
        halved[place >> 1] = halved.get(place >> 1, 0) + count
    return halved


def _pack(side: Mapping[int, int]) -> BucketRun:
    if not side:
        return BucketRun()
    first, last = min(side), max(side)
    return BucketRun(
        offset=first, counts=tuple(side.get(place, 0) for place in range(first, last + 1))
    )
