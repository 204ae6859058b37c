"""Which entries and returns are one call."""

import numpy as np

from orchestrator.backends.tracefs.reader.arrays import IntArray
from orchestrator.backends.tracefs.reader.pairs import MatchedCalls, match_calls


def numbers(*values: int) -> IntArray:
    return np.array(values, dtype=np.int64)


def match(entries: list[tuple[int, int]], returns: list[tuple[int, int]]) -> MatchedCalls:
    """Calls given as (task, order)."""

    def split(calls: list[tuple[int, int]]) -> tuple[tuple[IntArray, IntArray], IntArray]:
        tasks, order = numbers(*(t for t, _ in calls)), numbers(*(o for _, o in calls))
        return (tasks, np.zeros_like(tasks)), order

    return match_calls(*split(entries), *split(returns))


def test_a_return_meets_the_entry_just_before_it_in_its_task() -> None:
    matched = match([(1, 0), (2, 1), (1, 4)], [(2, 2), (1, 3)])
    assert matched.returns.tolist() == [0, 1]
    assert matched.entries.tolist() == [1, 0]
    assert matched.open.tolist() == [2]


def test_returns_of_others_that_have_no_entry_are_left_out() -> None:
    """Of four returns, the first and third are those of others, and only the third is taken."""
    matched = match([(1, 4), (2, 5)], [(3, 1), (4, 2), (1, 6), (2, 7)])
    rows, ours = matched.without_others(np.array([False, True, False, True]))
    assert rows.tolist() == [1, 2, 3]
    assert ours.returns.tolist() == [1, 2]
    assert ours.entries.tolist() == [0, 1]
