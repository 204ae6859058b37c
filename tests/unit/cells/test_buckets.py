"""Buckets: index, edges and middle agree, for every index and for values of any size."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cells.buckets import LOG, LOG_BUCKETS, RELATIVE_ERROR, Buckets

U64 = st.integers(0, 2**64 - 1)
VALUES = st.one_of(U64, st.integers(0, 64).flatmap(lambda bits: st.integers(0, 2**bits - 1)))
LINEAR = st.builds(
    lambda low, size, step: Buckets(kind="linear", low=low, high=low + size, step=step),
    st.integers(-1000, 1000), st.integers(1, 500), st.integers(1, 60),
)  # fmt: skip
FAR = Buckets(kind="linear", low=-(2**63), high=2**64, step=2**58)


@given(value=VALUES)
def test_a_value_is_within_its_log_bucket_and_near_the_middle(value: int) -> None:
    """At most 3.2 % away, over all 64 bits; exact below 16."""
    index = LOG.index(value)
    assert 0 <= index < LOG.count
    assert LOG.lower_edge(index) <= value <= LOG.upper_edge(index)
    assert abs(LOG.middle(index) - value) <= RELATIVE_ERROR * value
    assert LOG.middle(index) == value or value >= 16
    assert RELATIVE_ERROR <= 0.032


def test_log_buckets_cover_all_values_without_gap_or_overlap() -> None:
    """976 buckets from 0 to 2**64 - 1, as the kernel's programs have them."""
    assert LOG.count == LOG_BUCKETS
    edges = [(LOG.lower_edge(index), LOG.upper_edge(index)) for index in range(LOG.count)]
    assert edges[0] == (0, 0)
    assert edges[-1][1] == 2**64 - 1
    assert all(upper + 1 == lower for (_, upper), (lower, _) in pairwise(edges))
    for index, (lower, upper) in enumerate(edges):
        assert LOG.index(lower) == LOG.index(upper) == index
        assert lower <= LOG.middle(index) <= upper


@given(value=st.integers(1, 2**70))
def test_what_is_outside_of_the_log_buckets_is_below_or_above(value: int) -> None:
    """Negative values are below all buckets, and beyond 64 bits is above all."""
    assert LOG.index(-value) == -1
    assert (LOG.index(value) == LOG.count) == (value >= 2**64)


@given(buckets=LINEAR)
def test_linear_buckets_cover_low_to_high_without_gap_or_overlap(buckets: Buckets) -> None:
    """The last one may be cut short."""
    edges = [(buckets.lower_edge(i), buckets.upper_edge(i)) for i in range(buckets.count)]
    assert (edges[0][0], edges[-1][1]) == (buckets.low, buckets.high - 1)
    assert all(upper + 1 == lower for (_, upper), (lower, _) in pairwise(edges))
    for index, (lower, upper) in enumerate(edges):
        assert buckets.index(lower) == buckets.index(upper) == index
        assert lower <= buckets.middle(index) <= upper


@given(buckets=st.one_of(LINEAR, st.just(FAR)), value=st.integers(-(2**65), 2**65))
def test_linear_buckets_contain_their_values(buckets: Buckets, value: int) -> None:
    """-1 below all, count above all; within, the middle is at most half a step away."""
    index = buckets.index(value)
    assert (index == -1) == (value < buckets.low)
    assert (index == buckets.count) == (value >= buckets.high)
    if 0 <= index < buckets.count:
        assert buckets.lower_edge(index) <= value <= buckets.upper_edge(index)
        assert buckets.absolute_error is not None
        assert abs(buckets.middle(index) - value) <= buckets.absolute_error


def test_the_error_is_relative_for_log_buckets_and_absolute_for_linear_ones() -> None:
    """The other one is None."""
    linear = Buckets(kind="linear", high=10, step=5)
    assert (LOG.relative_error, LOG.absolute_error) == (1 / 32, None)
    assert (linear.relative_error, linear.absolute_error) == (None, 2.5)
