"""Records as tables of a page."""

import re
from typing import Any

from orchestrator.html_report.budget import Budget
from orchestrator.html_report.log_digest import LogDigest, digest_log
from orchestrator.html_report.record_tables import TimeColumn, draw_records
from tests.support.report_runs import HOSTILE, RUN_ID, log_lines

SHOWN = {
    "took": {"form": "u64", "unit": "ns", "shown_as": ""},
    "size": {"form": "s64", "unit": "bytes", "shown_as": ""},
    "at": {"form": "u64", "unit": "address", "shown_as": ""},
    "error": {"form": "s64", "unit": "", "shown_as": "errno"},
}
STARTED = {"event": "run.started", "limits": {}, "fields": {"read": SHOWN}}


def event(data: dict[str, Any], **others: Any) -> dict[str, Any]:
    common = {"event": "event.recorded", "probe": "read", "pid": 7, "comm": "cat", "weight": 1}
    return {**common, "data": data, **others}


def digest(*records: dict[str, Any]) -> LogDigest:
    return digest_log(log_lines(records), RUN_ID)


def cells(table: str) -> list[str]:
    """The cells of its body, with their marks."""
    return re.findall(
        r"<t[dh](?: scope=\"row\")?([^>]*>.*?)</t[dh]>", table.partition("<tbody>")[2]
    )


def test_values_have_units_and_their_exact_number() -> None:
    data = {"took": 12_345_678, "size": 4096, "at": 0xFFFF888000000000, "error": None}
    [table], drawn = draw_records(digest(STARTED, event(data)), Budget(10_000))
    assert drawn == 1
    assert cells(table)[1:] == [
        "><span>cat (7)</span>",
        ' class="number"><span title="12345678 ns">12.3 ms</span>',
        ' class="number"><span title="4096 bytes">4 KiB</span>',
        ' class="number"><span>0xffff888000000000</span>',
        "><span>-</span>",
    ]


def test_errors_and_what_could_not_be_read_are_marked() -> None:
    record = event({"error": "ENOENT", "size": None, "took": -5})
    [table], _ = draw_records(digest(STARTED, record), Budget(10_000))
    assert '<span class="failure">ENOENT</span>' in table
    assert '<span class="unknown">?</span>' in table
    assert '<span class="failure" title="-5 ns">-5 ns</span>' in table


def test_a_log_that_does_not_say_how_fields_are_shown_has_numbers_as_they_are() -> None:
    [table], _ = draw_records(digest(event({"took": 12_345_678})), Budget(10_000))
    assert "<span>12345678</span>" in table


def test_weights_are_shown_where_there_was_sampling() -> None:
    records = [event({"took": 1}), event({"took": 2}, weight=10)]
    [table], _ = draw_records(digest(STARTED, *records), Budget(10_000))
    assert '<th scope="col" class="number">weight</th>' in table
    assert "weight" not in draw_records(digest(STARTED, records[0]), Budget(10_000))[0][0]


def test_a_column_with_texts_is_not_aligned_as_numbers() -> None:
    records = [event({"kind": 1}), event({"kind": "AF_UNIX"})]
    [table], _ = draw_records(digest(*records), Budget(10_000))
    assert '<th scope="col">kind</th>' in table


def test_each_probe_has_its_own_table_of_at_most_so_many() -> None:
    records = [event({"took": at}, probe=probe) for probe in ("read", "write") for at in range(5)]
    tables, drawn = draw_records(digest(*records), Budget(10_000), of=" in B", most=3)
    assert [re.search("<caption>(.*?)</caption>", table)[1] for table in tables] == [  # type: ignore[index]
        "Records of read in B",
        "Records of write in B",
    ]
    assert drawn == 6


def test_records_without_room_are_not_drawn() -> None:
    records = [event({"path": HOSTILE[4] * 50})] * 40
    tables, drawn = draw_records(digest(*records), Budget(20_000))
    assert 0 < drawn < 40
    assert sum(map(len, tables)) < 21_000


def test_a_truncated_value_is_marked() -> None:
    record = event({"path": "/etc/pas", "size": 4096}, truncated=["path"])
    [table], _ = draw_records(digest(STARTED, record), Budget(10_000))
    assert "<span>/etc/pas…</span>" in table
    assert ">4 KiB</span>" in table


def test_times_are_shown_as_the_clock_says() -> None:
    after = TimeColumn("after", lambda record: f"{record['pid']} s")
    [table], _ = draw_records(digest(event({"took": 1})), Budget(10_000), time=after)
    assert '<th scope="col">after</th>' in table
    assert ">7 s</span>" in table
