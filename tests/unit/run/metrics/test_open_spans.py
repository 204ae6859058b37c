"""Spans that are open when a run ends, counted in their metrics."""

from collections.abc import Sequence

from orchestrator.backends.protocol import OpenSpans
from orchestrator.cells.cell import Cell
from orchestrator.run.metrics.open_spans import count_open_spans
from orchestrator.run.metrics.reading import Totals
from tests.support.open_spans import HELD, NOT_READ, name_key, open_spans, spans_program

COUNT, SIZES, TIMES, ENDS = range(4)
ENDED = 1000


def counted(spans: OpenSpans, totals: Totals | None = None) -> dict[int, Sequence[Cell]]:
    def read_open(span: int) -> OpenSpans:
        assert span == HELD, "only these have open_at_end"
        return spans

    return dict(count_open_spans(totals or {}, spans_program(), read_open, ENDED))


def test_open_spans_are_counted_under_their_keys_by_their_weight() -> None:
    """`elapsed` is the time until the run ended; the histogram holds what is beyond it as above."""
    spans = open_spans((950, 20, "cat"), (999, 30, "cat"), (0, 40, "dog"), weights=[1, 1, 5])
    found = counted(spans)
    [count] = found[COUNT]
    assert (count.count, count.sum) == (7, 0)
    assert {cell.key: (cell.count, cell.sum) for cell in found[SIZES]} == {
        name_key("cat"): (2, 50),
        name_key("dog"): (5, 200),
    }
    [times] = found[TIMES]
    assert (times.buckets, times.above, times.below) == ({5: 1, 0: 1}, 5, 0)


def test_the_condition_of_the_span_holds_for_open_ones_too() -> None:
    """What was not read holds for nothing."""
    found = counted(open_spans((1, 10, "cat"), (1, NOT_READ, "cat"), (1, 11, "cat")))
    assert [cell.count for cell in found[COUNT]] == [1]


def test_values_of_the_end_are_null() -> None:
    """There was none, so that a metric of them counts nothing."""
    assert ENDS not in counted(open_spans((1, 20, "cat")))


def test_they_are_added_to_what_ended() -> None:
    """Other cells and metrics stay as they are."""
    before: Totals = {
        COUNT: [Cell(key=None, count=3)],
        SIZES: [Cell(key=name_key("cat"), count=1, sum=7), Cell(key=None, count=1, sum=9)],
        9: [Cell(key=b"")],
    }
    found = counted(open_spans((1, 20, "cat"), (1, 20, "new")), before)
    assert [cell.count for cell in found[COUNT]] == [5]
    assert [(cell.key, cell.sum) for cell in found[SIZES]] == [
        (name_key("cat"), 27), (None, 9), (name_key("new"), 20)
    ]  # fmt: skip
    assert found[9] == [Cell(key=b"")]
    assert before[SIZES][0].sum == 7
