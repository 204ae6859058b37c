"""Which records a terminal gets: the first of a burst, some a second after that, all counted."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.output.rows.thinning import Thinning

SECOND = 1_000_000_000


def kinds(*numbers: int) -> np.ndarray:
    return np.array(numbers, dtype=np.uint16)


def test_ten_seconds_worth_may_come_at_once_and_then_some_a_second() -> None:
    thinning = Thinning(5, 0)
    assert thinning.choose(kinds(*[0] * 80), 0) == list(range(50))
    assert thinning.choose(kinds(*[0] * 80), 1) == []
    assert len(thinning.choose(kinds(*[0] * 80), 2 * SECOND)) == 10
    assert (thinning.shown, thinning.omitted) == (60, 180)


def test_a_rare_probe_is_not_crowded_out_by_a_flood_of_another() -> None:
    thinning = Thinning(1, 0)
    thinning.choose(kinds(*[0] * 100), 0)
    assert thinning.choose(kinds(0, 0, 1, 0, 1), 1) == [2]
    assert thinning.choose(kinds(0, 1), 2) == []
    assert thinning.choose(kinds(*[0] * 5, 1), SECOND + 2) == [0, 5]


def test_a_terminal_that_takes_nothing_gets_nothing_and_all_is_counted() -> None:
    thinning = Thinning(50, 0)
    assert thinning.choose(kinds(0, 1, 1), 0, is_stuck=True) == []
    assert thinning.report() == {0: 1, 1: 2}
    assert thinning.report() == {}
    assert thinning.choose(kinds(0, 1), 1) == [0, 1]


def test_what_did_not_arrive_counts_as_omitted() -> None:
    thinning = Thinning(50, 0)
    thinning.choose(kinds(0, 0, 0), 0)
    thinning.take_back(2)
    assert (thinning.shown, thinning.omitted) == (1, 2)


@given(
    st.integers(1, 20),
    st.lists(st.tuples(st.lists(st.integers(0, 3), max_size=40), st.integers(0, SECOND))),
)
def test_shown_and_omitted_are_all_records(per_second: int, batches: list) -> None:
    thinning, now, given_records, reported = Thinning(per_second, 0), 0, 0, 0
    for numbers, later in batches:
        now += later
        chosen = thinning.choose(kinds(*numbers), now)
        assert chosen == sorted(set(chosen))
        given_records += len(numbers)
        reported += sum(thinning.report().values())
        assert thinning.shown + thinning.omitted == given_records
    assert reported == thinning.omitted
    most = 10 * per_second + per_second * now / SECOND + 4 * (1 + now / SECOND)
    assert thinning.shown <= most
