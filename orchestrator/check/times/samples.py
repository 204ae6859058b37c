"""What repeats of two sides took, and how far apart they are. Pure and exact.

Only order statistics are used, so that the order of the repeats within a side has no influence.
"""

import math
import statistics
from collections.abc import Sequence
from fractions import Fraction

from orchestrator.values import dataclass

__all__ = ["TimeSamples", "measure_noise"]

#: In units of IQR / median / sqrt(n): the least change that the rule finds in most cases; measured,
#: by 1,500 comparisons for each number of repeats.
_DETECTABLE = 2.5


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeSamples:
    """One comparison: the values of `base` (side A) and `candidate` (side B), in one unit.
    `limits`: for each value of `base` the bound that it sets, such as 1.1 times as much.
    `is_upper`: the candidate may not be above them; otherwise not below."""

    base: tuple[Fraction, ...]
    limits: tuple[Fraction, ...]
    candidate: tuple[Fraction, ...]
    is_upper: bool = True

    @property
    def repeats(self) -> int:
        """How many repeats each side has; the fewer of both."""
        return min(len(self.base), len(self.candidate))

    @property
    def base_median(self) -> Fraction:
        """The median of side A."""
        return _median(self.base)

    @property
    def candidate_median(self) -> Fraction:
        """The median of side B."""
        return _median(self.candidate)

    @property
    def ratio(self) -> Fraction | None:
        """The median of B relative to that of A; None where A took no time, or less than none (a
        difference of two sizes)."""
        base = _median(self.base)
        return _median(self.candidate) / base if base > 0 else None

    @property
    def tolerance(self) -> Fraction:
        """How far the bound is from the median of A, relative to it; 0 where that took no time."""
        base = _median(self.base)
        return abs(_median(self.limits) - base) / base if base > 0 else Fraction(0)

    @property
    def detectable(self) -> float:
        """The smallest relative change that this many values show, by the noisier side."""
        return _DETECTABLE * self._noise / math.sqrt(self.repeats)

    @property
    def repeats_needed(self) -> int | None:
        """With how many repeats of each side a change as large as the tolerance would show; None:
        with no number of them, since there is no tolerance, or nothing to be relative to."""
        if not self._noise:
            return 1
        if not self.tolerance or math.isinf(self._noise):
            return None
        return math.ceil((_DETECTABLE * self._noise / float(self.tolerance)) ** 2)

    @property
    def is_blunt(self) -> bool:
        """Whether a change as large as the tolerance may go unseen."""
        return self.detectable > self.tolerance

    @property
    def is_beyond(self) -> bool:
        """Whether minimum, lower quartile and median of B are all beyond the bound that those of A
        set. The fast repeats are those that nothing else disturbed."""
        pairs = zip(_low_half(self.candidate), _low_half(self.limits), strict=True)
        return all(self._is_past(value, limit) for value, limit in pairs)

    @property
    def is_median_beyond(self) -> bool:
        """Whether the median alone is beyond the bound."""
        return self._is_past(_median(self.candidate), _median(self.limits))

    @property
    def _noise(self) -> float:
        return max(measure_noise(self.base), measure_noise(self.candidate))

    def _is_past(self, value: Fraction, limit: Fraction) -> bool:
        return value > limit if self.is_upper else value < limit


def measure_noise(values: Sequence[Fraction]) -> float:
    """The interquartile range relative to the median; infinite where that is not above 0."""
    middle = _median(values)
    if middle <= 0:
        return math.inf
    return float((_quantile(values, Fraction(3, 4)) - _quantile(values, Fraction(1, 4))) / middle)


def _low_half(values: Sequence[Fraction]) -> tuple[Fraction, Fraction, Fraction]:
    return min(values), _quantile(values, Fraction(1, 4)), _median(values)


def _median(values: Sequence[Fraction]) -> Fraction:
    return Fraction(statistics.median(values))


def _quantile(values: Sequence[Fraction], share: Fraction) -> Fraction:
    """Between the two nearest values, in proportion."""
    ordered = sorted(values)
    place = share * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)
