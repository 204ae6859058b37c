import copy
from typing import Any

import pytest

from orchestrator.html_report.comparison import compare_metrics, compare_table, list_differences
from orchestrator.html_report.comparison_page import make_comparison_page
from tests.support.report_runs import HOSTILE, cell, make_metric, recorded_document, source_of

Document = dict[str, Any]


def document_of(*cells: Document, seconds: float = 2) -> Document:
    document = recorded_document()
    document["run"]["duration_ns"] = int(seconds * 1e9)
    document["metrics"] = [make_metric("calls", cells)]
    return document


def rows_of(*documents: Document) -> list[list[Any]]:
    [metric] = compare_metrics([source_of(document) for document in documents])
    return [list(row) for row in compare_table(metric).rows]


def test_keys_are_compared_and_the_largest_changes_come_first() -> None:
    before = document_of(cell(10, comm="a"), cell(4, comm="b"), cell(1, comm="gone"))
    after = document_of(cell(20, comm="b"), cell(11, comm="a"), cell(3, comm="new"))
    assert rows_of(before, after) == [
        ["b", 4, 20, 16, 5.0],
        ["new", 0, 3, 3, "new"],
        ["a", 10, 11, 1, 1.1],
        ["gone", 1, 0, -1, "gone"],
    ]


def test_a_key_that_may_be_in_other_is_not_known() -> None:
    before = document_of(cell(10, comm="a"), cell(4, True))
    after = document_of(cell(20, comm="b"))
    assert [row for row in rows_of(before, after) if row[0] == "b"] == [["b", None, 20, None, None]]


def test_ratios_are_of_rates_where_times_differ() -> None:
    before, after = document_of(cell(10), seconds=1), document_of(cell(10), seconds=10)
    assert rows_of(before, after) == [[10, 10, 0, 0.1]]
    differences = list_differences([source_of(before), source_of(after)])
    assert any("rates" in text for text in differences)


def test_percentiles_are_compared_of_histograms() -> None:
    document = recorded_document()
    [latency] = [one for one in document["metrics"] if one["metric"] == "latency"]
    document["metrics"] = [latency]
    slower = copy.deepcopy(document)
    slower["metrics"][0]["cells"][0]["percentiles"]["p99"] *= 2
    [row] = rows_of(document, slower)
    assert row[-1] == 2
    assert row[3] == 1


def test_metrics_of_other_units_are_not_the_same() -> None:
    other = document_of(cell(10))
    other["metrics"][0]["unit"] = "ns"
    assert len(compare_metrics([source_of(document_of(cell(10))), source_of(other)])) == 2


def test_keys_that_are_digests_are_not_compared() -> None:
    document = document_of(cell(10, comm="7f"))
    document["metrics"][0]["hashed"] = ["comm"]
    page = make_comparison_page([source_of(document), source_of(document)])
    assert "Values of comm are digests" in page
    assert "<td" not in page.partition('id="metrics"')[2].partition("</section>")[0]


@pytest.mark.parametrize("count", [2, 8])
def test_pages_of_several_runs_have_all_of_them(count: int) -> None:
    sources = [source_of(recorded_document()) for _ in range(count)]
    page = make_comparison_page(sources)
    assert f"{count} runs compared" in page
    assert f"{'ABCDEFGH'[count - 1]} / A" in page
    assert "read: fired" in page


def test_a_run_that_was_not_made_is_named() -> None:
    unmade = recorded_document()
    unmade["run"] |= {"outcome": "skipped", "reason": "not in the shard"}
    unmade["metrics"] = []
    page = make_comparison_page([source_of(recorded_document()), source_of(unmade)])
    assert "Not made: skipped" in page


def test_hostile_keys_are_text() -> None:
    document = document_of(*(cell(1, comm=name) for name in HOSTILE))
    page = make_comparison_page([source_of(document), source_of(document_of())])
    assert "<img" not in page
    assert "window.pwned=1&gt;" in page
