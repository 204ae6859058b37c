"""Histograms as rows."""

from collections import Counter
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cells.buckets import LOG, Buckets
from orchestrator.output.percentiles import histogram_fields
from orchestrator.output.terminal.bars import ROWS, BarRow, draw_bar, group_buckets

VALUES = st.lists(
    st.integers(0, 64).flatmap(lambda bits: st.integers(0, (1 << bits) - 1)),
    min_size=1,
    max_size=60,
)


@given(values=VALUES, most=st.integers(1, ROWS))
def test_every_value_is_counted_in_the_row_of_its_range(values: list[int], most: int) -> None:
    """Rows join, are few, begin and end with something, and each counts what lies in it."""
    rows = group_buckets(histogram_fields(Counter(map(LOG.index, values))), most)
    assert 1 <= len(rows) <= max(most, 1)
    assert rows[0].count
    assert rows[-1].count
    assert all(one.high == two.low for one, two in pairwise(rows))
    for row in rows:
        assert row.count == sum(row.low <= value < row.high for value in values)


@given(
    values=st.lists(st.integers(-50, 450), min_size=1, max_size=60),
    low=st.integers(-60, 0),
    size=st.integers(100, 500),
    step=st.integers(1, 60),
)
def test_linear_rows_are_steps_or_several_of_them(
    values: list[int], low: int, size: int, step: int
) -> None:
    """Nothing of what lies within the buckets is missing."""
    linear = Buckets(kind="linear", low=low, high=low + size, step=step)
    counts = Counter(map(linear.index, values))
    within = {index: n for index, n in counts.items() if 0 <= index < linear.count}
    rows = group_buckets(histogram_fields(within, buckets=linear))
    assert len(rows) <= ROWS
    assert sum(row.count for row in rows) == sum(within.values())
    assert all(one.high == two.low for one, two in pairwise(rows))


def test_a_narrow_histogram_is_drawn_in_parts_of_octaves_and_a_wide_one_in_whole_ones() -> None:
    """So that what matters is seen, in rows that one takes in at a glance."""
    narrow = group_buckets(
        histogram_fields({LOG.index(value): 1 for value in range(1024, 2048, 64)})
    )
    assert narrow == [BarRow(1024 + 128 * i, 1152 + 128 * i, 2) for i in range(8)]
    wide = group_buckets(histogram_fields({LOG.index(1 << bits): 1 for bits in range(20)}))
    assert wide == [BarRow(1 << bits, 2 << bits, 1) for bits in range(20)]


@pytest.mark.parametrize(
    ("number", "drawn"),
    [(0, ""), (1, "▏"), (8, "▏"), (100, "█▌"), (256, "████"), (255, "███▉")],
)
def test_bars_are_as_long_as_their_numbers(number: int, drawn: str) -> None:
    """In eighths of a column; whatever is not 0 shows."""
    assert draw_bar(number, 256, 4) == drawn


def test_bars_without_the_characters_for_them() -> None:
    """Where the terminal has but ASCII."""
    assert draw_bar(100, 256, 4, ascii_only=True) == "##"
