"""Counts, some of which are unknown."""

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.accounting.count import (
    UNKNOWN,
    add_counts,
    at_least,
    is_known,
    subtract_counts,
)

numbers = st.integers(0, 2**64)
counts = numbers | st.just(UNKNOWN)


@given(st.lists(numbers))
def test_known_counts_add_up(parts) -> None:
    assert add_counts(parts) == sum(parts)


@given(st.lists(counts), st.lists(counts))
def test_a_sum_with_an_unknown_part_is_unknown(before, after) -> None:
    assert add_counts([*before, UNKNOWN, *after]) == UNKNOWN


@given(counts, st.lists(counts))
def test_what_is_subtracted_can_be_added_again(count, parts) -> None:
    rest = subtract_counts(count, *parts)
    assert is_known(rest) == all(map(is_known, (count, *parts)))
    assert rest == UNKNOWN or add_counts([rest, *parts]) == count


@given(counts)
def test_an_unknown_count_has_happened_at_least_0_times(count) -> None:
    assert at_least(count) == (count if is_known(count) else 0)
