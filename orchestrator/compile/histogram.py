"""Histogram buckets: the arithmetic that the kernel's programs and the reader share.

Log-linear: values below 16 have a bucket each; above, every octave has 16 buckets, chosen by the
four bits after the leading one. A bucket's middle is less than 1/32 (3.13 %) away from any value in
it, whatever its size. Linear: `low`, `high` and `step` chosen in the plan; what lies outside is
counted apart, as `below` and `above`.
"""

from dataclasses import dataclass

__all__ = [
    "BUCKETS",
    "RELATIVE_ERROR",
    "LinearBuckets",
    "bucket_index",
    "bucket_middle",
    "lower_edge",
    "upper_edge",
]

#: Buckets of a log-linear histogram over 64-bit values: index 0 to 975.
BUCKETS = 976
#: A percentile taken at its bucket's middle is less than this far from the true one, relatively.
RELATIVE_ERROR = 1 / 32

_SUB_BITS = 4
_SUB = 1 << _SUB_BITS


def bucket_index(value: int) -> int:
    """The bucket of a value, 0 ≤ value < 2**64. Negative values are counted apart, as `below`."""
    if value < _SUB:
        return value
    top = value.bit_length() - 1
    return (top - _SUB_BITS + 1) * _SUB + (value >> (top - _SUB_BITS)) % _SUB


def lower_edge(index: int) -> int:
    """The least value of a bucket."""
    octave, sub = divmod(index, _SUB)
    return index if octave == 0 else (_SUB + sub) << (octave - 1)


def upper_edge(index: int) -> int:
    """The largest value of a bucket, itself included."""
    return lower_edge(index + 1) - 1


def bucket_middle(index: int) -> int | float:
    """Where a percentile within this bucket is taken: between its least and largest value."""
    low, high = lower_edge(index), upper_edge(index)
    return low if low == high else (low + high) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearBuckets:
    """Steps of `step` from `low` (included) to `high` (excluded); `high` may cut the last short."""

    low: int
    high: int
    step: int

    @property
    def count(self) -> int:
        """How many buckets there are between `low` and `high`."""
        return -(-(self.high - self.low) // self.step)

    def index(self, value: int) -> int:
        """The bucket of a value of either sign; -1: below all, `count`: above all."""
        if value >= self.high:
            return self.count
        return max((value - self.low) // self.step, -1)

    def lower_edge(self, index: int) -> int:
        """The least value of a bucket."""
        return self.low + index * self.step

    def upper_edge(self, index: int) -> int:
        """The largest value of a bucket, itself included."""
        return min(self.lower_edge(index + 1), self.high) - 1

    def middle(self, index: int) -> int | float:
        """Where a percentile within this bucket is taken."""
        low, high = self.lower_edge(index), self.upper_edge(index)
        return low if low == high else (low + high) / 2
