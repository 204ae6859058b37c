"""Histograms as OTLP has them: nothing is lost, and percentiles stay where they were."""

import math
from collections import Counter
from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cells.buckets import LOG, RELATIVE_ERROR, Buckets
from orchestrator.export.otlp.exponential import (
    MAX_BUCKETS,
    SCALE,
    BucketRun,
    ExponentialCounts,
    convert_to_explicit,
    convert_to_exponential,
)

VALUES = st.integers(0, 64).flatmap(lambda bits: st.integers(0, 2**bits - 1))
LINEAR = st.builds(
    lambda low, size, step: Buckets(kind="linear", low=low, high=low + size, step=step),
    st.integers(-1000, 1000), st.integers(1, 500), st.integers(1, 60),
)  # fmt: skip
PARTS = (0.5, 0.75, 0.9, 0.95, 0.99, 0.999)
PER_SECOND = 10**9


def test_a_value_is_in_the_bucket_that_the_specification_names() -> None:
    """Bucket i holds the values above 2^(i/32), up to and including 2^((i+1)/32): 1 is the upper
    edge of bucket -1, 2 of bucket 31."""
    taken = convert_to_exponential(LOG, {0: 5, 1: 1, 2: 2, 3: 3})
    assert (taken.scale, taken.zero_count) == (5, 5)
    assert taken.positive.offset == -1
    filled = {-1 + i: n for i, n in enumerate(taken.positive.counts) if n}
    assert filled == {-1: 1, 31: 2, math.ceil(math.log2(3) * 32) - 1: 3}
    assert taken.negative == BucketRun()


@given(values=st.lists(VALUES, max_size=60), below=st.integers(0, 3))
def test_no_count_is_lost_and_the_largest_values_fit(values: list[int], below: int) -> None:
    """All values of 64 bits have room at the finest scale."""
    counts = Counter(map(LOG.index, values)) + Counter({-1: below})
    taken = convert_to_exponential(LOG, counts, per_unit=PER_SECOND)
    assert taken.scale == SCALE
    assert taken.zero_count + sum(taken.positive.counts) == len(values) + below
    assert taken.zero_count == values.count(0) + below
    assert len(taken.positive.counts) <= MAX_BUCKETS


def test_the_whole_range_of_64_bits_has_the_finest_scale() -> None:
    """From 1 to 2^64 - 1: no more than MAX_BUCKETS, so that no scale is lowered."""
    taken = convert_to_exponential(LOG, {1: 1, LOG.count - 1: 1})
    assert taken.scale == SCALE
    assert MAX_BUCKETS - 64 < len(taken.positive.counts) <= MAX_BUCKETS


@given(values=st.lists(VALUES, min_size=1, max_size=200), per_unit=st.sampled_from((1, PER_SECOND)))
def test_a_percentile_is_at_most_1_1_percent_off_ours(values: list[int], per_unit: int) -> None:
    """Read at the middle of its bucket, as we read ours; and at most 4.3 % off the value itself,
    however the values lie."""
    counts = Counter(map(LOG.index, values))
    taken = convert_to_exponential(LOG, counts, per_unit=per_unit)
    for part in PARTS:
        rank = max(1, math.ceil(len(values) * part))
        exact = sorted(values)[rank - 1]
        ours = LOG.middle(LOG.index(exact))
        theirs = read_percentile(taken, rank) * per_unit
        assert theirs == pytest.approx(ours, rel=0.011)
        assert theirs == pytest.approx(exact, rel=0.043)
    assert RELATIVE_ERROR + 0.011 <= 0.043


@given(
    values=st.lists(VALUES, min_size=1, max_size=60), most=st.integers(1, 400),
)  # fmt: skip
def test_a_bound_on_buckets_lowers_the_scale_no_further_than_needed(
    values: list[int], most: int
) -> None:
    """Counts stay; one scale more would have been too many buckets."""
    counts = Counter(map(LOG.index, values))
    whole = convert_to_exponential(LOG, counts)
    bounded = convert_to_exponential(LOG, counts, max_buckets=most)
    assert sum(bounded.positive.counts) == sum(whole.positive.counts)
    assert len(bounded.positive.counts) <= most or bounded.scale == -10
    if bounded.scale < SCALE:
        step = SCALE - bounded.scale - 1
        finer = {(whole.positive.offset + i) >> step
                 for i, n in enumerate(whole.positive.counts) if n}  # fmt: skip
        assert max(finer) - min(finer) + 1 > most


@given(buckets=LINEAR, values=st.lists(st.integers(-1200, 1600), max_size=60))
def test_linear_buckets_with_negative_values_keep_all_counts(
    buckets: Buckets, values: list[int]
) -> None:
    """Each value is on the side of its bucket's middle."""
    counts = Counter(map(buckets.index, values))
    taken = convert_to_exponential(buckets, counts)
    parts = (taken.zero_count, sum(taken.positive.counts), sum(taken.negative.counts))
    assert sum(parts) == len(values)
    if buckets.low > 1:
        assert parts[1] == len(values)


@given(
    values=st.lists(VALUES, max_size=60), below=st.integers(0, 3), above=st.integers(0, 3)
)  # fmt: skip
def test_explicit_bounds_of_log_buckets_move_no_count(
    values: list[int], below: int, above: int
) -> None:
    """Every one of our counts is found again between the edges of its bucket."""
    outside = Counter({-1: below, LOG.count: above})
    check_explicit(LOG, Counter(map(LOG.index, values)) + outside)


@given(buckets=LINEAR, values=st.lists(st.integers(-1200, 1600), max_size=60))
def test_explicit_bounds_of_linear_buckets_move_no_count(
    buckets: Buckets, values: list[int]
) -> None:
    """The last bucket may be cut short; below and above are counted too."""
    check_explicit(buckets, Counter(map(buckets.index, values)))


def test_explicit_bounds_are_our_edges_in_the_other_unit() -> None:
    """16 to 31 ns have buckets of one ns each, 32 and 33 share one."""
    taken = convert_to_explicit(LOG, {LOG.index(20): 7, LOG.index(32): 2}, per_unit=PER_SECOND)
    assert taken.bounds == (19e-9, 20e-9, 31e-9, 33e-9)
    assert taken.counts == (0, 7, 0, 2, 0)


def check_explicit(buckets: Buckets, counts: Counter[int]) -> None:
    """Counting the explicit histogram bucket by bucket gives `counts` again."""
    taken = convert_to_explicit(buckets, counts)
    assert len(taken.counts) == len(taken.bounds) + 1
    assert list(taken.bounds) == sorted(set(taken.bounds))
    edges = {
        float(buckets.upper_edge(index)): index for index in counts if 0 <= index < buckets.count
    }
    edges |= {float(buckets.lower_edge(0) - 1): -1, math.inf: buckets.count}
    found = Counter[int]()
    for bound, count in zip((*taken.bounds, math.inf), taken.counts, strict=True):
        if count:
            found[edges[bound]] += count
    assert found == counts


def read_percentile(taken: ExponentialCounts, rank: int) -> float:
    """The middle of the bucket that holds the value of this rank, from 1."""
    if rank <= taken.zero_count:
        return 0.0
    reached = accumulate(taken.positive.counts, initial=taken.zero_count)
    place = next(i for i, so_far in enumerate(reached) if so_far >= rank) - 1
    index, steps = taken.positive.offset + place, 2**taken.scale
    return float(2 ** (index / steps) + 2 ** ((index + 1) / steps)) / 2
