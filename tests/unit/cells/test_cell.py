"""Cells: add, merge and minus agree with each other and with a model that keeps every value."""

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cells.buckets import LOG, Buckets
from orchestrator.cells.cell import Cell, merge_all

Values = list[tuple[int, int]]

LINEAR = Buckets(kind="linear", low=-50, high=100, step=7)
values = st.lists(
    st.tuples(st.one_of(st.integers(-100, 200), st.integers(-(2**63), 2**64)), st.integers(1, 50)),
    max_size=20,
)
bucket_choices = st.sampled_from([LOG, LINEAR, None])
cells = st.builds(
    lambda some, buckets: Cell(key=b"k").add(some, buckets), values, st.sampled_from([LOG, LINEAR])
)


def model(raw: Values, buckets: Buckets | None) -> Cell:
    """The cell of these values, from the values themselves, each repeated by its weight."""
    repeated = [value for value, weight in raw for _ in range(weight)]
    indexes = [buckets.index(value) for value in repeated] if buckets else []
    end = buckets.count if buckets else 0
    return Cell(
        key=b"k",
        count=len(repeated),
        sum=sum(repeated),
        min=min(repeated) if repeated else None,
        max=max(repeated) if repeated else None,
        buckets={index: indexes.count(index) for index in indexes if 0 <= index < end},
        below=indexes.count(-1),
        above=indexes.count(end),
    )


def without_extremes(cell: Cell) -> Cell:
    """What can be subtracted."""
    return replace(cell, min=None, max=None)


@given(raw=values, buckets=bucket_choices)
def test_adding_counts_each_value_by_its_weight(raw: Values, buckets: Buckets | None) -> None:
    """All at once or one after the other, with the same result."""
    assert Cell(key=b"k").add(raw, buckets) == model(raw, buckets)
    one_by_one = Cell(key=b"k")
    for pair in raw:
        one_by_one = one_by_one.add([pair], buckets)
    assert one_by_one == model(raw, buckets)


@given(first=values, second=values, buckets=bucket_choices)
def test_merging_is_counting_both(first: Values, second: Values, buckets: Buckets | None) -> None:
    """A merged cell is the cell of all values, and add is the merge of a cell of what is added."""
    one, other = model(first, buckets), model(second, buckets)
    assert one.merge(other) == model(first + second, buckets)
    assert one.merge(other) == one.add(second, buckets)


@given(first=values, second=values, buckets=bucket_choices)
def test_subtracting_is_counting_only_what_came_later(
    first: Values, second: Values, buckets: Buckets | None
) -> None:
    """But for the extremes: those of the later cell remain, as bounds of what came later."""
    earlier, added = model(first, buckets), model(second, buckets)
    later = earlier.merge(added)
    difference = later.minus(earlier)
    assert without_extremes(difference) == without_extremes(added)
    assert (difference.min, difference.max) == (later.min, later.max)
    if added.min is not None and added.max is not None:
        assert difference.min is not None
        assert difference.max is not None
        assert difference.min <= added.min <= added.max <= difference.max
    assert without_extremes(earlier.merge(difference)) == without_extremes(later)


@given(one=cells, two=cells, three=cells)
def test_merging_is_associative_and_commutative(one: Cell, two: Cell, three: Cell) -> None:
    """Parts may be combined in any order; nothing is changed by what is empty."""
    assert one.merge(two) == two.merge(one)
    assert one.merge(two).merge(three) == one.merge(two.merge(three))
    assert one.merge(Cell(key=b"k")) == one == Cell(key=b"k").merge(one)
    assert merge_all([one, two, three], b"k") == one.merge(two).merge(three)


@given(cell=cells)
def test_a_cell_less_itself_is_empty(cell: Cell) -> None:
    """Also a cell that holds only values outside of its buckets is not empty before."""
    assert cell.minus(cell).is_empty
    assert cell.is_empty == (cell.count == 0)


def test_nothing_counted_has_no_extremes() -> None:
    """None, not 0, also after merging, and where a cell with some is merged with one without."""
    nothing = Cell(key=None)
    assert (nothing.min, nothing.max) == (None, None)
    assert nothing.merge(nothing) == merge_all([], None) == nothing
    assert nothing.add([(-3, 1)]).merge(nothing).max == -3


def test_a_cell_keeps_its_key_and_other_merges_like_the_rest() -> None:
    """The cell `other` has the key None."""
    other = Cell(key=None, count=2).merge(Cell(key=b"a", count=3))
    assert (other.key, other.count) == (None, 5)
    assert merge_all([Cell(key=b"a", count=3), Cell(key=None, count=2)]) == Cell(key=b"", count=5)


def test_cells_do_not_change_when_others_are_made_of_them() -> None:
    """Windows keep cells of earlier readings."""
    cell = Cell(key=b"k").add([(5, 1)], LOG)
    cell.add([(5, 1)], LOG)
    cell.merge(cell)
    cell.minus(cell)
    assert cell.buckets == {5: 1}


def test_cells_are_merged_as_if_there_had_been_no_key() -> None:
    """Counts, sums and buckets add up; extremes compete; cells without any do not matter."""
    cells = [
        Cell(key=b"a", count=2, sum=5, min=2, max=9, buckets={3: 1, 4: 1}, below=1),
        Cell(key=b"b", count=1, sum=7, min=1, max=4, buckets={4: 5}, above=2),
        Cell(key=None, count=1),
    ]
    assert merge_all(cells) == Cell(
        key=b"", count=4, sum=12, min=1, max=9, buckets={3: 1, 4: 6}, below=1, above=2
    )
    assert merge_all([]) == Cell(key=b"")
