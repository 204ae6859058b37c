"""Histogram buckets: the arithmetic that user space shares with the kernel's programs.

Log-linear: values below 16 have a bucket each; above, every octave has 16 buckets, chosen by the
four bits after the leading one. A bucket's middle is less than 1/32 (3.13 %) away from any value in
it, whatever its size. Linear: steps from `low` (included) to `high` (excluded), chosen in the plan.
Values outside are counted separately, as `below` and `above`.

The C for log-linear buckets is `pp_log_bucket` in backends/bcc/headers/include/probeplan/runtime.h,
for linear ones it is written by backends/bcc/emit/metric.py.
"""

from typing import Literal

from orchestrator.values import dataclass

__all__ = ["LOG", "LOG_BUCKETS", "RELATIVE_ERROR", "Buckets"]

#: Buckets of a log-linear histogram over 64-bit values: index 0 to 975.
LOG_BUCKETS = 976
#: A percentile taken at the middle of a log-linear bucket is at most this far from the true one,
#: relative to it.
RELATIVE_ERROR = 1 / 32

_SUB_BITS = 4
_SUB = 1 << _SUB_BITS


@dataclass(frozen=True, slots=True, kw_only=True)
class Buckets:
    """How a histogram counts: `log`, with 16 buckets an octave, or `linear`, in steps of `step`
    from `low` (included) to `high` (excluded; it may cut the last bucket short)."""

    kind: Literal["log", "linear"] = "log"
    low: int = 0
    high: int = 0
    step: int = 1

    @property
    def count(self) -> int:
        """Number of buckets."""
        return LOG_BUCKETS if self.kind == "log" else -(-(self.high - self.low) // self.step)

    def index(self, value: int) -> int:
        """The bucket of a value, from 0; -1: below all buckets, `count`: above all."""
        if self.kind == "log":
            return _log_index(value)
        if value >= self.high:
            return self.count
        return max((value - self.low) // self.step, -1)

    def lower_edge(self, index: int) -> int:
        """The least value of a bucket."""
        return _log_edge(index) if self.kind == "log" else self.low + index * self.step

    def upper_edge(self, index: int) -> int:
        """The largest value of a bucket (included)."""
        following = self.lower_edge(index + 1)
        return (following if self.kind == "log" else min(following, self.high)) - 1

    def middle(self, index: int) -> int | float:
        """The value that stands for a bucket in percentiles, halfway between its edges."""
        low, high = self.lower_edge(index), self.upper_edge(index)
        return low if low == high else (low + high) / 2

    @property
    def relative_error(self) -> float | None:
        """How far a middle is from the values of its bucket, relative to them; None: linear."""
        return RELATIVE_ERROR if self.kind == "log" else None

    @property
    def absolute_error(self) -> float | None:
        """How far a middle is from the values of its bucket; None: logarithmic."""
        return None if self.kind == "log" else self.step / 2


#: Log-linear buckets; without parameters, they are the same everywhere.
LOG = Buckets()


def _log_index(value: int) -> int:
    if value < _SUB:
        return max(value, -1)
    top = value.bit_length() - 1
    index = (top - _SUB_BITS + 1) * _SUB + (value >> (top - _SUB_BITS)) % _SUB
    return min(index, LOG_BUCKETS)


def _log_edge(index: int) -> int:
    octave, sub = divmod(index, _SUB)
    return index if octave == 0 else (_SUB + sub) << (octave - 1)
