"""Buckets for Prometheus: exact counts at fewer edges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cells.buckets import LOG, Buckets
from orchestrator.export.prometheus.ladder import BUCKETS_PER_OCTAVE, add_up, choose_stops
from orchestrator.export.snapshot import HistogramCounts

VALUES = st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 40), max_size=40)


def histogram_of(values: list[int], buckets: Buckets = LOG) -> HistogramCounts:
    indexes = [buckets.index(value) for value in values]
    inside = sorted(index for index in indexes if 0 <= index < buckets.count)
    return HistogramCounts(
        buckets=buckets,
        counts={index: inside.count(index) for index in inside},
        below=indexes.count(-1),
        above=indexes.count(buckets.count),
    )


@given(VALUES, VALUES, st.sampled_from(BUCKETS_PER_OCTAVE))
def test_each_stop_has_exactly_the_values_up_to_its_edge(
    values: list[int], others: list[int], per_octave: int
) -> None:
    histograms = [histogram_of(values), histogram_of(others)]
    stops = choose_stops(LOG, histograms, per_octave)
    assert stops == sorted(set(stops))
    for found, histogram in zip((values, others), histograms, strict=True):
        expected = [sum(value <= LOG.upper_edge(stop) for value in found) for stop in stops]
        assert add_up(histogram, stops) == expected
        if found:
            assert expected[-1] == len(found)
            assert expected[0] == 0 or LOG.upper_edge(stops[0]) == 0


@pytest.mark.parametrize("per_octave", BUCKETS_PER_OCTAVE)
def test_an_octave_has_so_many_edges(per_octave: int) -> None:
    stops = choose_stops(LOG, [histogram_of([1000])], per_octave)
    edges = [LOG.upper_edge(stop) for stop in stops]
    assert edges == [511 + 512 * step // per_octave for step in range(per_octave + 1)]


def test_sixteen_an_octave_are_all_of_ours() -> None:
    stops = choose_stops(LOG, [histogram_of([0, 2**64 - 1])], 16)
    assert stops == list(range(LOG.count))


def test_small_values_have_an_edge_each() -> None:
    stops = choose_stops(LOG, [histogram_of([0, 20])], 4)
    assert [LOG.upper_edge(stop) for stop in stops] == [
        0, 1, 2, 3, 4, 5, 6, 7, 9, 11, 13, 15, 19, 23, 27, 31,
    ]  # fmt: skip


@pytest.mark.parametrize(("high", "count"), [(1000, 10), (100_000, 63), (1_050, 11)])
def test_linear_buckets_are_all_there_or_at_most_64(high: int, count: int) -> None:
    buckets = Buckets(kind="linear", low=0, high=high, step=100)
    values = list(range(-5, high + 7, 13))
    histogram = histogram_of(values, buckets)
    stops = choose_stops(buckets, [histogram], 4)
    assert len(stops) == count
    assert buckets.upper_edge(stops[-1]) == high - 1
    assert add_up(histogram, stops) == [
        sum(value <= buckets.upper_edge(stop) for value in values) for stop in stops
    ]


def test_of_nothing_there_are_no_stops() -> None:
    assert choose_stops(LOG, [histogram_of([])], 4) == []
