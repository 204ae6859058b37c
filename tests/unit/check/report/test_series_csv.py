"""Rows of CSV: whole or not at all, and never under other columns."""

import csv
import io
from dataclasses import replace
from datetime import datetime, timedelta, timezone

import pytest

from orchestrator.check.report.check_report import CheckReport
from orchestrator.check.report.series_csv import (
    OtherColumns,
    extend_csv,
    list_columns,
    make_row,
    require_columns,
)
from orchestrator.check.verdict.judge import judge_check
from tests.support.check_reports import (
    all_reports,
    check_report,
    failed_report,
    ok_report,
    undecided_report,
)
from tests.support.checks import good_check
from tests.support.measurements import Counts, cell, measured, repeat

NOW = datetime(2026, 11, 27, 2, 30, tzinfo=timezone(timedelta(hours=1)))


def extended(content: bytes, *reports: CheckReport) -> bytes:
    row = make_row(reports, NOW)
    assert row is not None
    return content + extend_csv(content, list_columns([one.check for one in reports]), row)


def read(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode(), newline="")))


def test_rows_are_under_one_header() -> None:
    content = extended(extended(b"", ok_report(), failed_report()), ok_report(), failed_report())
    first, second = read(content)
    assert first == second
    assert first == {
        "time": "2026-11-27T01:30:00+00:00",
        "commit": "c0ffee",
        "good.e1": "1.66666666666667",
        "good.e2": "5",
        "bad.e1": "9",
        "bad.e2": "9",
        "bad.e3": "9",
    }


def test_a_row_without_all_figures_is_none() -> None:
    for report in all_reports():
        whole = report.verdict is not None and all(one.series for one in report.judged)
        assert (make_row([report], NOW) is not None) == whole
    assert make_row([ok_report(), undecided_report()], NOW) is None


def test_other_columns_are_refused_and_named() -> None:
    content = extended(b"", ok_report())
    columns = list_columns([ok_report().check, failed_report().check])
    with pytest.raises(OtherColumns, match=r"it does not have 'bad\.e1', 'bad\.e2', 'bad\.e3'"):
        extend_csv(content, columns, ["x"] * len(columns))
    with pytest.raises(OtherColumns, match=r"it has 'good\.e1', 'good\.e2', and it does not have"):
        require_columns(content, list_columns([failed_report().check]))


def test_another_order_of_the_columns_is_refused() -> None:
    content = extended(b"", ok_report("a"), ok_report("b"))
    with pytest.raises(OtherColumns, match="their order is another"):
        require_columns(content, list_columns([ok_report("b").check, ok_report("a").check]))


def test_what_is_no_text_is_refused() -> None:
    with pytest.raises(ValueError, match="utf-8"):
        require_columns(b"\xff\xfe\x00", ["time"])


@pytest.mark.parametrize(
    ("before", "after"),
    [(b"\xef\xbb\xbf", b""), (b"", b"\r"), (b"", b"")],
    ids=["mark", "carriage returns", "plain"],
)
def test_what_a_spreadsheet_has_saved_goes_on(before: bytes, after: bytes) -> None:
    content = extended(b"", ok_report())
    saved = before + content.replace(b"\n", after + b"\n")
    assert extended(saved, ok_report())[len(saved) :] == content.partition(b"\n")[2]


def test_a_last_line_without_its_end_is_ended() -> None:
    content = extended(b"", ok_report()).rstrip(b"\n")
    assert len(read(extended(content, ok_report()))) == 2


def test_both_sizes_of_a_workload_have_a_column_where_they_are_judged_apart() -> None:
    check = good_check(
        "write.calls <= 50", "write.calls / ops <= 5", workload="run: [make, $(ops)]\nops: [10, 20]"
    )
    repeats = [repeat({"write.calls": 2 * ops}, check, ops=ops) for ops in (10, 20)] * 3
    verdict = judge_check(check, measured(check, *repeats), None)
    report = CheckReport(check=check, verdict=verdict)
    assert dict(zip(list_columns([check]), make_row([report], NOW), strict=True)) == {
        "time": "2026-11-27T01:30:00+00:00",
        "commit": "",
        "example.e1.ops_10": "20",
        "example.e1.ops_20": "40",
        "example.e2": "2",
    }


@pytest.mark.parametrize(("op", "value"), [("<=", "7"), (">=", "3"), ("!=", "7")])
def test_of_many_cells_the_one_nearest_to_the_bound_is_written(op: str, value: str) -> None:
    cells = [cell(count, number=count, comm="x") for count in (3, 7, 5)]
    counts: list[Counts] = [{"call.named": cells}]
    report = check_report(f"{{that: call.named {op} 6, each: true}}", counts=counts)
    assert make_row([report], NOW)[2] == value


def test_columns_are_the_same_whatever_was_measured() -> None:
    report = ok_report()
    none = replace(report, verdict=None)
    assert list_columns([report.check]) == list_columns([none.check])
    assert make_row([none], NOW) is None
