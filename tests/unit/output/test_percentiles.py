"""Percentiles of histograms, and how exact they are."""

import math
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cells.buckets import LOG, RELATIVE_ERROR, Buckets
from orchestrator.output.percentiles import PERCENTILES, histogram_fields, percentile

U64 = st.integers(0, 2**64 - 1)
VALUES = st.one_of(U64, st.integers(0, 64).flatmap(lambda bits: st.integers(0, 2**bits - 1)))
LINEAR = st.builds(
    lambda low, size, step: Buckets(kind="linear", low=low, high=low + size, step=step),
    st.integers(-1000, 1000), st.integers(1, 500), st.integers(1, 60),
)  # fmt: skip


def true_percentile(values: list[int], permille: int) -> int:
    """Nearest rank, by sorting."""
    return sorted(values)[max(1, math.ceil(len(values) * permille / 1000)) - 1]


@given(values=st.lists(VALUES, min_size=1, max_size=200))
def test_percentiles_are_within_their_error(values: list[int]) -> None:
    """Of the true percentile of the values themselves."""
    counts = Counter(map(LOG.index, values))
    for permille in PERCENTILES.values():
        true = true_percentile(values, permille)
        found = percentile(counts, permille)
        assert found is not None
        assert abs(found - true) <= RELATIVE_ERROR * true


@given(buckets=LINEAR, values=st.lists(st.integers(-2000, 3000), min_size=1, max_size=100))
def test_linear_percentiles_are_within_half_a_step_or_null(
    buckets: Buckets, values: list[int]
) -> None:
    """Null where the true one lies outside of the buckets."""
    counts = Counter(map(buckets.index, values))
    below, above = counts.pop(-1, 0), counts.pop(buckets.count, 0)
    for permille in PERCENTILES.values():
        true = true_percentile(values, permille)
        found = percentile(counts, permille, below=below, above=above, buckets=buckets)
        assert (found is None) == (not buckets.low <= true < buckets.high)
        assert found is None or abs(found - true) <= buckets.step / 2


def test_nothing_counted_has_no_percentiles() -> None:
    """Null, not zero."""
    fields = histogram_fields({})
    assert fields["count"] == 0
    assert set(fields["percentiles"].values()) == {None}
