"""The summary of a step: a table for each check, read by a parser of Markdown."""

import re

import pytest
from markdown_it import MarkdownIt

from orchestrator.check.report.step_summary import MOST_BYTES, make_summary
from tests.support.check_reports import (
    HOSTILE,
    all_reports,
    failed_report,
    hostile_report,
    ok_report,
    repeated,
    sided_report,
    unmeasured_report,
)

CUT = "The summary is cut here"


def render(summary: bytes) -> str:
    """As HTML, by the rules of GitHub's tables."""
    return MarkdownIt("commonmark", {"html": True}).enable("table").render(summary.decode())


def rows(summary: bytes) -> list[list[str]]:
    found = re.findall(r"<tr>(.*?)</tr>", render(summary), re.DOTALL)
    return [re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.DOTALL) for row in found]


def test_each_check_has_a_table_and_each_expectation_a_row() -> None:
    assert rows(make_summary([ok_report(), failed_report()])) == [
        ["expectation", "value", "spread", "bound", "baseline", "verdict"],
        ["e1", "1.66667", "1.33333 to 2 (40%)", "&lt;= 5", "", "ok"],
        ["e2", "5", "4 to 6 (40%)", "&gt;= 1, &lt;= 8", "", "ok"],
        ["expectation", "value", "spread", "bound", "baseline", "verdict"],
        ["e1", "9", "exact", "&lt;= 5", "", "<strong>FAIL</strong>"],
        ["e2", "9", "exact", "&lt;= 2", "", "<strong>fails (warn)</strong>"],
        ["e3", "9", "exact", "== 9", "", "ok"],
    ]


def test_two_sides_have_columns_of_their_own() -> None:
    headings, row = rows(make_summary([sided_report()]))
    assert headings == ["expectation", "A", "B", "B / A", "bound", "p", "shows", "verdict"]
    assert row[:4] == ["e1", "1.0095 µs", "1.5095 µs", "1.495"]
    assert row[-1] == "<strong>FAIL</strong>"


def test_what_went_wrong_is_said() -> None:
    html = render(make_summary(all_reports()))
    assert "e1: write.calls &lt;= 5: 9 was measured, the bound is 5" in html
    assert "not measured: no such probe" in html
    assert html.count("<h3>") == 6


def test_hostile_text_is_text() -> None:
    summary = make_summary([hostile_report(), unmeasured_report(trouble=HOSTILE)])
    html = render(summary)
    assert set(re.findall(r"</?(\w+)", html)) <= {
        *("h3", "p", "table", "thead", "tbody", "tr", "th", "td", "ul", "li", "strong")
    }
    assert all(len(row) == 6 for row in rows(summary))
    assert "c&lt;d&gt;&amp;" in html
    assert "`h`*i*,j:k" in html
    assert summary.decode().replace("\n", "").isprintable()


@pytest.mark.parametrize("room", [200, 1000, 5000, MOST_BYTES])
def test_it_is_cut_at_a_row_and_says_so(room: int) -> None:
    reports = repeated(failed_report(), 3000)
    summary = make_summary(reports, room)
    assert len(summary) <= room
    assert CUT in summary.decode()
    whole = make_summary(reports, 1 << 30)
    kept = summary.decode().rpartition("\n*")[0]
    assert whole.decode().startswith(kept)
    assert kept.endswith("\n") or not kept


def test_what_fits_is_not_cut() -> None:
    reports = all_reports()
    whole = make_summary(reports)
    assert CUT not in whole.decode()
    assert CUT in make_summary(reports, len(whole)).decode()  # there has to be room to say so


def test_without_any_room_there_is_nothing() -> None:
    assert make_summary([ok_report()], 10) == b""
    assert make_summary([ok_report()], -5) == b""
