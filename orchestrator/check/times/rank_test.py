"""The rank test of Mann and Whitney, by scipy, which is imported when a time is judged."""

from collections.abc import Sequence
from fractions import Fraction
from importlib.util import find_spec

from orchestrator.check.times.samples import TimeSamples
from orchestrator.run.startup import import_in_own_process

__all__ = ["find_least_p", "find_p", "is_rank_test_installed"]


def is_rank_test_installed() -> bool:
    """Whether scipy is there; does not import it."""
    return find_spec("scipy") is not None


def find_p(samples: TimeSamples) -> float:
    """How likely ranks as extreme as these are where B is exactly at the bound (one-sided)."""
    if samples.is_upper:
        return _test_greater(samples.candidate, samples.limits)
    return _test_greater(samples.limits, samples.candidate)


def find_least_p(repeats: int) -> float:
    """The least p that this many repeats of each side can come to: every value of B is beyond."""
    low = [Fraction(n) for n in range(repeats)]
    return _test_greater([value + repeats for value in low], low)


def _test_greater(greater: Sequence[Fraction], less: Sequence[Fraction]) -> float:
    import_in_own_process("numpy")
    from scipy.stats import mannwhitneyu  # 0.7 s and 70 MB

    first, second = list(map(float, greater)), list(map(float, less))
    return float(mannwhitneyu(first, second, alternative="greater", method="auto").pvalue)
