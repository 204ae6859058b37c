"""What is reported of a check, as records of the log and as rows."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from orchestrator.check.measurement import CommandEnd, WorkloadTrouble
from orchestrator.check.measuring.measure import RepeatProgress
from orchestrator.check.report.records import (
    finished_fields,
    repeat_fields,
    started_fields,
    verdict_fields,
)
from orchestrator.check.report.rows import list_remarks, list_rows
from orchestrator.check.verdict.judge import judge_check
from orchestrator.check.verdict.model import CheckVerdict
from tests.support.checks import good_check
from tests.support.measurements import measured, repeat
from tests.support.paths import ROOT

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


def test_what_went_wrong_is_said_below_the_table() -> None:
    trouble = WorkloadTrouble(stage="setup", message="'false' ended with status 1")
    verdict = judge("write.calls <= 5", (), trouble=trouble)
    assert any("setup: 'false' ended with status 1" in text for text in list_remarks(verdict))
