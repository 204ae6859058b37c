"""Windows are differences of totals."""

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cells.cell import Cell
from orchestrator.run.metrics.windows import subtract_cells, subtract_totals

buckets = st.dictionaries(st.integers(0, 975), st.integers(1, 1000), max_size=5)


cells = st.builds(
    Cell,
    key=st.just(b"k"),
    count=st.integers(1, 1000),
    sum=st.integers(-1000, 1000),
    buckets=buckets,
    below=st.integers(0, 9),
    above=st.integers(0, 9),
)


@given(cells, cells)
def test_a_window_is_what_was_added_to_the_totals(before: Cell, added: Cell) -> None:
    assert subtract_cells([before.merge(added)], [before]) == [added]


@given(cells)
def test_a_cell_that_did_not_change_is_left_out(cell: Cell) -> None:
    assert subtract_cells([cell], [cell]) == []


def test_a_new_key_counts_from_nothing_and_other_is_a_key_of_its_own() -> None:
    before = [Cell(key=None, count=4)]
    now = [Cell(key=b"new", count=1), Cell(key=None, count=6)]
    assert subtract_totals({7: now}, {7: before}) == {
        7: [Cell(key=b"new", count=1), Cell(key=None, count=2)]
    }


def test_min_and_max_are_those_of_the_run_so_far() -> None:
    [cell] = subtract_cells(
        [Cell(key=b"", count=3, min=1, max=9)], [Cell(key=b"", count=2, min=1, max=9)]
    )
    assert (cell.count, cell.min, cell.max) == (1, 1, 9)
