"""What is reported of a check, as records of the log and as rows."""

import json
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from orchestrator.check.explanation.model import Explanation, GrownCell, Growth, KeptRecords
from orchestrator.check.measurement import CommandEnd, WorkloadTrouble
from orchestrator.check.measuring.measure import RepeatProgress
from orchestrator.check.report.explained import (
    explained_fields,
    list_cell_rows,
    list_record_lines,
)
from orchestrator.check.report.records import (
    finished_fields,
    repeat_fields,
    started_fields,
    verdict_fields,
)
from orchestrator.check.report.rows import list_headings, list_remarks, list_rows
from orchestrator.check.verdict.judge import judge_check
from orchestrator.check.verdict.model import CheckVerdict
from orchestrator.output.text import dump_json
from tests.support.checks import good_check
from tests.support.measurements import measured, repeat
from tests.support.paths import ROOT
from tests.support.sides import judge_pairs, measure_pair, two_sides

SCHEMA = json.loads((ROOT / "schema" / "log-v1.schema.json").read_text())
COMMON = {
    "ts": "2026-11-23T02:15:07.123456789Z",
    "level": "info",
    "run_id": "r",
    "plan": "p",
    "plan_sha256": "0" * 64,
    "host": "h",
    "kernel": "6.1",
}


def judge(that: str, values: Sequence[Any], **changes: Any) -> CheckVerdict:
    check = good_check(that)
    repeats = (repeat({"write.calls": value}, check) for value in values)
    return judge_check(check, measured(check, *repeats, **changes), None)


def require_valid(event: str, fields: dict[str, Any]) -> None:
    Draft202012Validator(SCHEMA).validate(
        json.loads(json.dumps({**COMMON, "event": event, **fields}))
    )


@pytest.mark.parametrize(
    ("that", "values"),
    [
        ("write.calls <= 5", (4, 5, 9)),
        ("write.calls / 3 <= 5", (4, 5, 9)),
        ("write.calls == 0", ()),
    ],
)
def test_records_are_as_the_schema_says(that: str, values: Sequence[Any]) -> None:
    verdict = judge(that, values)
    check = verdict.check
    require_valid("check.started", started_fields(check, "bcc"))
    [judged] = verdict.expectations
    require_valid("check.verdict", verdict_fields(check, judged))
    codes = verdict.list_exit_codes()
    finished = finished_fields(verdict, exit_codes=codes, baseline=None, duration_ns=5)
    require_valid("check.finished", finished)
    assert sum(finished["verdicts"].values()) == 1


def test_a_figure_beyond_64_bits_is_a_record_too() -> None:
    """JSON's integers end there for those who read and write it."""
    verdict = judge("write.calls * 2305843009213693952 * 16 >= 0", (4,))
    [judged] = verdict.expectations
    line = dump_json(verdict_fields(verdict.check, judged))
    assert json.loads(line)["series"][0]["value"] == 4.0 * 2**65


@pytest.mark.parametrize(
    ("end", "status"),
    [
        (CommandEnd(code=7), 7),
        (CommandEnd(signal="SIGKILL", timed_out=True), 137),
        (CommandEnd(code=0, left=((12, "sleep"),)), 0),
    ],
)
def test_a_repeat_is_reported_with_its_end(end: CommandEnd, status: int) -> None:
    check = good_check("write.calls == 0")
    done = RepeatProgress(
        number=1, total=4, is_warmup=True, repeat=repeat({"write.calls": 1}, check, command=end)
    )
    fields = repeat_fields(check, done)
    require_valid("check.repeat", fields)
    assert fields["command_status"] == status


@pytest.mark.parametrize(
    ("that", "values", "row", "is_good"),
    [
        ("write.calls <= 5", (5, 5, 5), ("5", "exact", "<= 5", "", "ok"), True),
        ("write.calls <= 5", (4, 5, 9), ("5", "4 to 9 (1e+02%)", "<= 5", "", "ok"), True),
        ("write.calls <= 5", (1234,) * 3, ("1,234", "exact", "<= 5", "", "FAIL"), False),
        ("write.calls / 3 == 1/2", (2,), ("0.666667", "", "== 0.5", "", "FAIL"), False),
        ("1 <= write.calls <= 5", (2, 2), ("2", "exact", ">= 1, <= 5", "", "ok"), True),
        ("write.calls <= 5", (), ("-", "", "", "", "inconclusive"), False),
    ],
)
def test_rows_have_value_spread_bound_and_verdict(
    that: str, values: Sequence[Any], row: tuple[str, ...], is_good: bool
) -> None:
    [found] = list_rows(judge(that, values))
    assert found.texts[1:] == row
    assert found.is_good == is_good


@pytest.mark.parametrize(
    ("that", "value", "bound"),
    [
        ("workload.wall <= 6*us", "5 µs", "<= 6 µs"),
        ("workload.user / ops <= 1*ms", "300 ns", "<= 1 ms"),
        ("workload.wall / workload.user <= 20", "16.6667", "<= 20"),
        ("workload.maxrss <= 5000", "4,096", "<= 5,000"),
    ],
)
def test_times_of_the_workload_have_a_unit_and_their_ratios_none(
    that: str, value: str, bound: str
) -> None:
    [found] = list_rows(judge(that, (1, 1)))
    assert (found.texts[1], found.texts[3]) == (value, bound)


def test_what_went_wrong_is_said_below_the_table() -> None:
    trouble = WorkloadTrouble(stage="setup", message="'false' ended with status 1")
    verdict = judge("write.calls <= 5", (), trouble=trouble)
    assert any("setup: 'false' ended with status 1" in text for text in list_remarks(verdict))


# ---------------------------------------------------------------- explanations

RECORD = {
    "ts": "2026-11-23T02:15:07.123456789Z",
    "probe": "write",
    "time_unix_nano": 1,
    "cpu": 0,
    "pid": 7,
    "tid": 7,
    "comm": "make",
    "weight": 1,
    "data": {"fd": 3, "ustack": ["write+0x1 (libc.so.6)"], "failed": True},
}


def explanation(**changes: Any) -> Explanation:
    cells = (
        GrownCell(
            metric="write.calls",
            key={"number": 1, "ustack": ("write+0x1 (libc.so.6)", "main+0x5 (make)")},
            names={"number": "write"},
            value=Fraction(1205),
            before=Fraction(5),
        ),
        GrownCell(metric="x.y", key={}, names={}, value=Fraction(1, 2), before=None),
    )
    fields: dict[str, Any] = {
        "expectation": good_check("write.calls == 0").expectations[0],
        "growth": Growth(compared_with="baseline", cells=cells, omitted=2),
        "records": KeptRecords(records=(RECORD, RECORD), seen=1200),
    }
    return Explanation(**{**fields, **changes})


def test_an_explanation_is_a_record_as_the_schema_says() -> None:
    fields = explained_fields(good_check("write.calls == 0"), explanation())
    require_valid("check.explained", fields)
    assert fields["cells"][0]["key"]["ustack"] == ["write+0x1 (libc.so.6)", "main+0x5 (make)"]
    assert [cell["growth"] for cell in fields["cells"]] == [1200, None]
    none = KeptRecords(unavailable_because="the further repeat failed: 'make' ended with status 2")
    fields = explained_fields(good_check("write.calls == 0"), explanation(records=none))
    require_valid("check.explained", fields)
    assert "status 2" in fields["no_records_because"]


def test_cells_that_grew_have_their_names_and_a_sign() -> None:
    assert list(list_cell_rows(explanation())) == [
        (
            "write.calls (number write, ustack write+0x1 (libc.so.6) < main+0x5 (make))",
            "1,205",
            "5",
            "+1,200",
        ),
        ("x.y", "0.5", "", ""),
    ]


def test_equal_records_are_one_line_and_their_stack_is_below() -> None:
    assert list(list_record_lines(explanation())) == [
        "2 of 1,200 such events of one more repeat:",
        "  2 times write make (pid 7): fd=3 failed=true",
        "    write+0x1 (libc.so.6)",
    ]


def test_different_records_of_one_stack_are_above_it() -> None:
    other = {**RECORD, "data": {**RECORD["data"], "fd": 4}}
    elsewhere = {**RECORD, "data": {**RECORD["data"], "ustack": ["puts+0x2 (libc.so.6)"]}}
    records = KeptRecords(records=(RECORD, elsewhere, other), seen=3)
    assert list(list_record_lines(explanation(records=records))) == [
        "3 of 3 such events of one more repeat:",
        "  write make (pid 7): fd=3 failed=true",
        "  write make (pid 7): fd=4 failed=true",
        "    write+0x1 (libc.so.6)",
        "  write make (pid 7): fd=3 failed=true",
        "    puts+0x2 (libc.so.6)",
    ]


@pytest.mark.parametrize(
    ("records", "line"),
    [
        (KeptRecords(), "one more repeat had no such event"),
        (KeptRecords(unavailable_because="it took too long"), "no records: it took too long"),
    ],
)
def test_where_there_are_no_records_it_says_why(records: KeptRecords, line: str) -> None:
    assert list(list_record_lines(explanation(records=records))) == [line]


# ---------------------------------------------------------------- two sides

FAST, SLOW = [1000 + n for n in range(20)], [1500 + n for n in range(20)]
NOISY = [int(10 * 1.3**n) for n in range(20)]


def compare(*expectations: str, a: Sequence[Any], b: Sequence[Any]) -> CheckVerdict:
    sides = two_sides(*expectations)
    return judge_pairs(sides, measure_pair(sides, a, b))


def test_the_table_of_two_sides_has_both_their_ratio_and_what_shows() -> None:
    verdict = compare("workload.wall <= 1.1 * baseline", "write.calls <= 9", a=FAST, b=SLOW)
    headings = list_headings(verdict)
    time, count = list_rows(verdict)
    shown = dict(zip(headings, time.texts, strict=True))
    assert (shown["A"], shown["B"], shown["B / A"]) == ("1.0095 µs", "1.5095 µs", "1.495")
    assert (shown["bound"], shown["shows"], shown["verdict"]) == (
        "<= 1.11045 µs",
        "0.526 %",
        "FAIL",
    )
    assert 0 < float(shown["p"]) < 0.005
    assert not time.is_good
    shown = dict(zip(headings, count.texts, strict=True))
    assert (shown["A"], shown["B"], shown["p"], shown["shows"]) == ("", "5", "", "exact")


def test_what_is_blunt_is_shown_as_that() -> None:
    verdict = compare("workload.wall <= 1.1 * baseline", a=NOISY, b=NOISY)
    [row] = list_rows(verdict)
    assert (row.texts[-1], row.is_good) == ("ok, blunt", True)


@pytest.mark.parametrize("values", [(FAST, SLOW), (FAST, FAST), (NOISY, NOISY), ([0] * 20,) * 2])
def test_records_of_two_sides_are_as_the_schema_says(values: tuple[Any, Any]) -> None:
    a, b = values
    verdict = compare("workload.wall <= 1.1 * baseline", "write.calls <= baseline", a=a, b=b)
    for judged in verdict.expectations:
        require_valid("check.verdict", verdict_fields(verdict.check, judged))
    require_valid("check.started", started_fields(verdict.check, "bcc", verdict.sides))
    done = RepeatProgress(
        number=1, total=80, is_warmup=False, repeat=repeat({}, verdict.check), side=1
    )
    fields = repeat_fields(verdict.check, done, measurement=2)
    require_valid("check.repeat", fields)
    assert (fields["side"], fields["measurement"]) == ("B", 2)


def test_the_record_of_a_time_has_what_was_compared() -> None:
    verdict = compare("workload.wall <= 1.1 * baseline", a=FAST, b=SLOW)
    [series] = verdict_fields(verdict.check, verdict.expectations[0])["series"]
    [times] = series["times"]
    assert (times["a"], times["b"], times["repeats"]) == (1009.5, 1509.5, 20)
    assert times["ratio"] == times["ratio_again"] == pytest.approx(1.495, abs=1e-3)
    assert (times["worse"], times["worse_at_first"], times["blunt"]) == (True, True, False)
    assert times["tolerance"] == pytest.approx(0.1)
