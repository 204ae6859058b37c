"""Sums beyond 64 bits, from the two words that the kernel keeps of them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cells.sums import fits_into_word, restore_sum, saturate

WORD = 1 << 64


def kept(values: list[tuple[int, int]]) -> tuple[int, int, int]:
    """What a BPF program keeps of (value, weight): all words wrap."""
    low = sum(value * weight for value, weight in values) % WORD
    high = sum((value >> 32) * weight for value, weight in values) % WORD
    return low, high, sum(weight for _, weight in values)


def _values(least: int, most: int) -> st.SearchStrategy[list[tuple[int, int]]]:
    edges = st.sampled_from([v for v in (0, 1, -1, 2**31, 2**32 - 1, 2**32, -(2**32), least, most)
                             if least <= v <= most])  # fmt: skip
    weights = st.sampled_from([1, 1, 1, 7, 1000])
    return st.lists(st.tuples(edges | st.integers(least, most), weights), max_size=60)


@given(_values(0, WORD - 1))
def test_unsigned_sums_are_exact_however_large(values: list[tuple[int, int]]) -> None:
    assert restore_sum(*kept(values), signed=False) == sum(v * w for v, w in values)


@given(_values(-(WORD >> 1), (WORD >> 1) - 1))
def test_signed_sums_are_exact_in_both_directions(values: list[tuple[int, int]]) -> None:
    assert restore_sum(*kept(values), signed=True) == sum(v * w for v, w in values)


def test_many_small_values_need_no_upper_word() -> None:
    """More than 2^32 of them."""
    count = 6_000_000_000
    assert restore_sum(100 * count, 0, count, signed=False) == 100 * count


def test_an_upper_word_that_was_read_later_does_no_harm() -> None:
    """It knows of one value of 2^40 that the other word does not have yet: the sum is without its
    upper half, not 2^64 too large."""
    low, high, count = kept([(5, 1), (7, 1)])
    assert restore_sum(low, high + 256, count, signed=False) == 12


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (WORD - 1, WORD - 1),
        (WORD, WORD - 1),
        (1 << 100, WORD - 1),
        (-(WORD >> 1), -(WORD >> 1)),
        (-(WORD >> 1) - 1, -(WORD >> 1)),
    ],
)
def test_a_sum_is_shown_as_the_nearest_word(value: int, shown: int) -> None:
    assert saturate(value) == shown
    assert fits_into_word(value) == (value == shown)
