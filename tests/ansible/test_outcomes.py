"""Which runs fail a task, and what is returned of each."""

from types import SimpleNamespace
from typing import Any

import pytest

from tests.support.collection import load_plugin

outcomes = load_plugin("module_utils.outcomes")
following = load_plugin("module_utils.following")

DIGEST = "ab" * 32


@pytest.mark.parametrize(
    ("exit_code", "outcome", "fails", "fails_if_allowed"),
    [
        (0, "duration", False, False),
        (0, "skipped", False, False),
        (2, "invalid", True, True),
        (3, "refused", True, True),
        (3, "quarantined", True, True),
        (4, "events", True, False),
        (4, "refused", True, True),
        (5, "command", True, True),
        (6, "error", True, True),
        (143, "interrupted", True, True),
    ],
)
def test_what_fails(exit_code: int, outcome: str, fails: bool, fails_if_allowed: bool) -> None:
    returned = {"exit_code": exit_code, "outcome": outcome}
    assert outcomes.is_failure(returned, allow_incomplete=False) == fails
    assert outcomes.is_failure(returned, allow_incomplete=True) == fails_if_allowed


def _describe(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> dict[str, Any]:
    entries = [{"plan_sha256": "cd" * 32}, {"plan_sha256": DIGEST, "cause": "cost"}]
    monkeypatch.setattr(outcomes, "list_quarantined", lambda _module, _command: entries)
    usual = {
        "exit_code": 0,
        "record": None,
        "governor_steps": 0,
        "messages": "",
        "timed_out": False,
    }
    module = SimpleNamespace(params={"fetch": False, "timeout": 60})
    ended = following.Ended(**{**usual, **changes})
    returned: dict[str, Any] = outcomes.describe_run(module, ["probeplan"], ended)
    return returned


def test_a_run_without_a_record_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    returned = _describe(monkeypatch, exit_code=6, messages="probeplan: it broke\n")
    assert (returned["outcome"], returned["changed"]) == ("error", False)
    assert returned["reason"] == "probeplan: it broke"
    assert returned["quarantine"] == {}


def test_a_run_that_made_its_plan_quarantined_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    record = {"outcome": "cpu", "plan_sha256": DIGEST, "error": "too expensive", "result": None}
    returned = _describe(monkeypatch, exit_code=4, record=record, governor_steps=3)
    assert (returned["outcome"], returned["changed"]) == ("cpu", True)
    assert returned["quarantine"] == {"plan_sha256": DIGEST, "cause": "cost"}
    assert (returned["reason"], returned["governor_steps"]) == ("too expensive", 3)


def test_a_run_that_was_asked_to_end_names_the_timeout(monkeypatch: pytest.MonkeyPatch) -> None:
    record = {"outcome": "interrupted", "plan_sha256": "ef" * 32, "result": None}
    returned = _describe(monkeypatch, exit_code=143, record=record, timed_out=True)
    assert returned["reason"].startswith("the run was asked to end after 60 s, the task's timeout")
    assert returned["quarantine"] == {}


def test_a_skipped_run_is_no_change(monkeypatch: pytest.MonkeyPatch) -> None:
    record = {"outcome": "skipped", "reason": "not in the shard", "result": "/r/result.json"}
    returned = _describe(monkeypatch, record=record)
    assert (returned["changed"], returned["reason"]) == (False, "not in the shard")
    assert returned["result"] == "/r/result.json"


def test_of_a_wrong_option_only_the_reason_is_returned(monkeypatch: pytest.MonkeyPatch) -> None:
    usage = "usage: probeplan run PLAN [options]\n"
    said = f"{usage}probeplan run: error: argument --shard: 'abc' is no percentage\n"
    returned = _describe(monkeypatch, exit_code=2, messages=said)
    assert returned["outcome"] == "invalid"
    assert returned["reason"] == "argument --shard: 'abc' is no percentage"
