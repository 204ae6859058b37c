import pytest

from orchestrator.html_report.log_digest import SHOWN_RECORDS, digest_log
from orchestrator.output.fields import ShownField
from tests.support.report_runs import RUN_ID, cell, log_lines, make_metric, windows_of

EVENT = {"event": "event.recorded", "probe": "read", "data": {"fd": 3}}


def test_the_first_records_are_kept_and_the_rest_is_counted() -> None:
    digest = digest_log(log_lines([EVENT] * (SHOWN_RECORDS + 7)), RUN_ID)
    assert (len(digest.records), digest.records_omitted) == (SHOWN_RECORDS, 7)


def test_lines_of_other_runs_are_counted() -> None:
    digest = digest_log(log_lines([EVENT]), "another")
    assert (digest.records, digest.foreign, digest.unread) == ([], 1, 0)


@pytest.mark.parametrize(
    "line",
    [
        b"no JSON\n",
        b"[]\n",
        log_lines([EVENT])[0][:-9],
        *log_lines([{**EVENT, "data": None}, {"event": "metric.reported", "total": False}]),
        *log_lines([{"event": "probe.attached", "probe": "read"}]),
    ],
)
def test_a_line_that_is_no_whole_record_is_counted(line: bytes) -> None:
    assert digest_log([line], RUN_ID).unread == 1


def test_how_fields_are_shown_is_kept() -> None:
    one = {"form": "u64", "unit": "ns", "shown_as": ""}
    started = {"event": "run.started", "limits": {}, "fields": {"read": {"took": one}}}
    digest = digest_log(log_lines([started]), RUN_ID)
    assert digest.fields == {"read": {"took": ShownField("u64", "ns", "")}}
    torn = {**started, "fields": {"read": {"took": {"form": "u64"}}}}
    assert digest_log(log_lines([torn]), RUN_ID).unread == 1


def test_kinds_of_records_that_are_not_known_are_passed_over() -> None:
    assert digest_log(log_lines([{"event": "later.added"}]), RUN_ID).unread == 0


def test_windows_become_a_series_and_totals_do_not() -> None:
    metric = make_metric("calls", [cell(2, comm="a")])
    total = {**metric, "event": "metric.reported"}
    digest = digest_log(log_lines([*windows_of(metric, 3), total]), RUN_ID)
    assert digest.series["read", "calls"].windows == 3
