import copy
from typing import Any

import pytest

from orchestrator.accounting.vocabulary import NOTE
from orchestrator.html_report.comparison import compare_metrics, compare_table, list_differences
from orchestrator.html_report.comparison_page import make_comparison_page
from orchestrator.html_report.log_digest import digest_log
from orchestrator.html_report.model import RunSource
from tests.support.report_runs import (
    HOSTILE,
    RUN_ID,
    cell,
    log_lines,
    make_metric,
    recorded_document,
    source_of,
    windows_of,
)

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


def with_log(document: Document, *records: Document, notes: tuple[str, ...] = ()) -> RunSource:
    log = digest_log(log_lines(records), RUN_ID)
    return RunSource(name="result", document=document, plan_text=None, log=log, notes=notes)


def section_of(page: str, name: str) -> str:
    return page.partition(f'<section id="{name}"')[2].partition("</section>")[0]


def test_windows_of_all_runs_are_in_one_chart() -> None:
    document = document_of(cell(10, comm="a"), cell(4, comm="b"))
    document["run"]["armed_at"] = "2026-11-27T14:30:00.000000000Z"
    windows = windows_of(document["metrics"][0], 3)
    page = make_comparison_page(
        [with_log(document, *windows), with_log(document, *windows[:2]), with_log(document)]
    )
    metrics = section_of(page, "metrics")
    assert metrics.count('data-chart="heat"') == 1
    assert "read.calls: over time, by window, in each run" in metrics
    assert "Time since each run began; one column is 1 s. C has no windows of it." in metrics


def test_a_run_that_never_began_has_no_windows() -> None:
    document = document_of(cell(10))
    document["run"]["armed_at"] = None
    windows = windows_of(document["metrics"][0], 3)
    page = make_comparison_page([with_log(document, *windows), with_log(document, *windows)])
    assert "over time" not in page
    assert "never armed" in page


def test_records_of_each_run_are_tables_with_the_time_since_it_began() -> None:
    document = document_of(cell(10))
    document["run"]["armed_at"] = "2026-11-27T14:30:00.750000000Z"
    started = {
        "event": "run.started", "limits": {},
        "fields": {"read": {"took": {"form": "u64", "unit": "ns", "shown_as": ""}}},
    }  # fmt: skip
    record = {"event": "event.recorded", "probe": "read", "data": {"took": 1500}}
    first = with_log(document, started, record)
    second = with_log(document, started, *[record] * 60)
    records = section_of(make_comparison_page([first, second]), "records")
    assert "Records of read in A" in records
    assert "Records of read in B" in records
    assert records.count(">1.5 µs</span>") == 51
    assert '<span title="2026-11-27T14:30:01.000000000Z">+0.250000 s</span>' in records
    assert "B: the first 50; 10 more are in its log." in records
    assert "A: the first" not in records


def test_each_run_has_its_share_of_the_room_for_records() -> None:
    record = {"event": "event.recorded", "probe": "read", "data": {"path": HOSTILE[4] * 100}}
    sources = [with_log(document_of(cell(1)), *[record] * 60) for _ in range(8)]
    page = make_comparison_page(sources)
    assert [page.count(f"<caption>Records of read in {letter}<") for letter in "ABCDEFGH"] == [
        1
    ] * 8
    assert "A: the first 0;" not in page
    assert len(section_of(page, "records").encode()) < 300_000
    assert len(page.encode()) < 3_000_000


def test_windows_without_room_are_named() -> None:
    document = document_of(*(cell(1, comm=f"{number:>0100}") for number in range(24)))
    document["run"]["armed_at"] = "2026-11-27T14:30:00.000000000Z"
    document["metrics"] = [
        {**document["metrics"][0], "metric": f"calls{number}"} for number in range(12)
    ]
    windows = [one for metric in document["metrics"] for one in windows_of(metric, 59)]
    sources = [with_log(copy.deepcopy(document), *windows) for _ in range(4)]
    page = make_comparison_page(sources)
    drawn = page.count('data-chart="heat"')
    assert 0 < drawn < 12
    assert page.count("the windows have no room on this page") == 12 - drawn
    assert len(page.encode()) < 3_000_000


def test_notes_of_runs_are_compared() -> None:
    documents = [document_of(cell(1)), document_of(cell(1))]
    for document, missed in zip(documents, (4, 8), strict=True):
        counts = dict.fromkeys(NOTE.counts, 0)
        document["run"]["ledger"]["notes"] = {
            "call": {**counts, "set": 9, "dropped": 9, "full": missed - 4, "missed": missed}
        }
    ledger = section_of(make_comparison_page([*map(source_of, documents)]), "ledger")
    assert ">call (note): not found</th>" in ledger
    assert '<span class="lost">4</span>' in ledger
    assert '<td class="number">2</td>' in ledger


def test_how_a_log_was_read_is_said_of_its_run() -> None:
    document = document_of(cell(1))
    page = make_comparison_page([source_of(document), with_log(document, notes=("It is torn.",))])
    assert "B: It is torn." in page
