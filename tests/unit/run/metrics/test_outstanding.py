"""What is outstanding, summed by key, with growth and age."""

from typing import Any

from orchestrator.backends.protocol import OpenSpans
from orchestrator.output.fields import no_stacks
from orchestrator.run.metrics.outstanding import OutstandingReports
from tests.support.open_spans import HEAP, open_spans, spans_program

S = 10**9


def report(reports: OutstandingReports, spans: OpenSpans, *, is_total: bool = False) -> Any:
    span = spans_program().spans[HEAP]
    return reports.report(span, spans, 10 * S, no_stacks, is_total=is_total)


def cells(fields: Any) -> dict[str, tuple[int, int, int]]:
    return {
        cell["key"]["comm"]: (cell["value"], cell["count"], cell["growth"])
        for cell in fields["cells"]
    }


def test_open_ones_are_summed_by_key_the_largest_first() -> None:
    """By weight; the oldest of each key is reported by its age."""
    spans = open_spans((2 * S, 5, "cat"), (1 * S, 7, "cat"), (4 * S, 9, "dog"), weights=[1, 2, 10])
    fields = report(OutstandingReports(spans_program()), spans)
    assert (fields["value"], fields["count"], fields["growth"]) == (109, 13, 109)
    assert list(cells(fields).items()) == [("dog", (90, 10, 90)), ("cat", (19, 3, 19))]
    assert [cell["oldest_ns"] for cell in fields["cells"]] == [6 * S, 9 * S]


def test_young_ones_are_left_out() -> None:
    """They may be closed at once: the plan has `min_age: 1s`."""
    reports = OutstandingReports(spans_program())
    spans = open_spans((9 * S, 5, "cat"), (9 * S + 1, 7, "cat"))
    assert cells(report(reports, spans)) == {"cat": (5, 1, 5)}
    assert report(reports, open_spans((10 * S, 7, "cat")))["cells"] == []


def test_growth_is_since_the_last_report_and_in_the_totals_since_the_run_began() -> None:
    """What has gone makes the whole shrink."""
    reports = OutstandingReports(spans_program())
    report(reports, open_spans((S, 5, "cat"), (S, 6, "dog")))
    second = report(reports, open_spans((S, 8, "cat")))
    assert (cells(second), second["growth"]) == ({"cat": (8, 1, 3)}, -3)
    total = report(reports, open_spans((S, 8, "cat")), is_total=True)
    assert (cells(total), total["growth"]) == ({"cat": (8, 1, 8)}, 8)
    third = report(reports, open_spans((S, 9, "cat")))
    assert cells(third) == {"cat": (9, 1, 1)}


def test_sums_beyond_64_bits_are_marked_and_the_nearest_word() -> None:
    """Of one key, and of all."""
    word = 1 << 64
    spans = open_spans((S, word - 1, "cat"), (S, word - 1, "cat"), (S, 1, "dog"), weights=[3, 1, 1])
    fields = report(OutstandingReports(spans_program()), spans)
    assert (fields["value"], fields["saturated"]) == (word - 1, True)
    assert cells(fields) == {"cat": (word - 1, 4, word - 1), "dog": (1, 1, 1)}
    assert ["saturated" in cell for cell in fields["cells"]] == [True, False]
