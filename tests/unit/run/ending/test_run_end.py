"""Faults in the report of a run: its last record is run.finished all the same, once, with the exit
code of the error that the run raises."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.run.ending import run_end
from orchestrator.run.report import last_record
from orchestrator.run.report.errors import report_of
from tests.support.fake_backend import Script
from tests.support.fake_runs import Ran


def failing(error: BaseException) -> Callable[..., Any]:
    def fail(*_given: object, **_named: object) -> None:
        raise error

    return fail


def go(ran: Ran, error: BaseException, **more: Any) -> dict[str, Any]:
    """The last record of a run of three records that raises `error`."""
    with pytest.raises(type(error)) as raised:
        ran.go(Script(batches=[[1, 2], [3]]), **more)
    assert raised.value is error
    assert ran.kinds().count("run.finished") == 1
    last = ran.lines[-1]
    assert last["event"] == "run.finished"
    assert last["exit_code"] == report_of(error).exit_code
    return last


ERRORS = [
    (RuntimeError("broken"), 6, "broken"),
    (OSError(errno.EACCES, "Permission denied", "/proc/sys/kernel/osrelease"), 3, "osrelease"),
    (OSError(errno.EMFILE, "Too many open files"), 3, "too many open files"),
    (MemoryError(), 3, "not enough memory"),
    (KeyboardInterrupt(), 130, "interrupted"),
]


@pytest.mark.parametrize(("error", "code", "text"), ERRORS)
def test_a_report_that_cannot_be_made_leaves_a_last_record(
    ran: Ran, monkeypatch: pytest.MonkeyPatch, error: BaseException, code: int, text: str
) -> None:
    monkeypatch.setattr(run_end, "finish_run", failing(error))
    last = go(ran, error)
    assert (last["outcome"], last["exit_code"], last["level"]) == ("error", code, "error")
    assert text in last["error"]
    assert (last["complete"], last["lost"], last["counted"]) == ("unknown", "unknown", "unknown")
    assert last["armed_at"] is not None
    assert last["ledger"]["probes"]["opens"]["emit"]["recorded"] == 3
    assert last["delivered"] == 3
    assert ran.diary[-1] == "detach"


@pytest.mark.parametrize("name", ["describe_host", "fold_stacks"])
@pytest.mark.parametrize(("error", "code", "text"), ERRORS)
def test_a_result_that_cannot_be_kept_for_a_fault_spoils_nothing_of_the_last_record(
    ran: Ran,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    error: BaseException,
    code: int,
    text: str,
) -> None:
    monkeypatch.setattr(run_end, name, failing(error))
    last = go(ran, error, out=tmp_path / "out")
    assert (last["outcome"], last["exit_code"]) == ("duration", code)
    assert text in last["error"]
    assert (last["complete"], last["lost"], last["delivered"]) == (True, 0, 3)
    whole = (tmp_path / "out" / "result.json").exists()
    assert whole is (name == "fold_stacks")
    assert (last["result"] is not None) is whole


def test_where_the_counts_cannot_be_written_the_last_record_has_none(
    ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever they are that no record can have."""
    error = RuntimeError("broken")
    describe = last_record.describe_failed_report

    def spoil(faults: Any, account: Any, *rest: Any) -> dict[str, Any]:
        fields = describe(faults, account, *rest)
        counted = account.delivered > 0
        return fields | ({"ledger": {"probes": object()}} if counted else {})

    monkeypatch.setattr(run_end, "finish_run", failing(error))
    monkeypatch.setattr(run_end, "describe_failed_report", spoil)
    last = go(ran, error)
    assert (last["delivered"], last["complete"], last["exit_code"]) == (0, "unknown", 6)
    assert "broken" in last["error"]


def test_a_fault_after_the_last_record_is_raised_and_writes_no_other(
    ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = RuntimeError("broken")
    monkeypatch.setattr(run_end, "deliver_rest", failing(error))
    with pytest.raises(RuntimeError, match="broken"):
        ran.go(Script(batches=[[1]]))
    assert ran.kinds()[-1] == "run.finished"
    assert ran.kinds().count("run.finished") == 1


def test_a_run_that_attached_nothing_and_cannot_be_reported_leaves_a_last_record(
    ran: Ran, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What went wrong first is what it raises."""
    error, later = OSError(errno.EPERM, "Operation not permitted", "/sys/kernel/x"), RuntimeError()
    monkeypatch.setattr(run_end, "finish_run", failing(later))
    with pytest.raises(OSError, match="not permitted"):
        ran.go(Script(attach_error=error))
    assert ran.kinds() == ["run.started", "run.finished"]
    last = ran.lines[-1]
    assert (last["outcome"], last["exit_code"], last["armed_at"]) == ("error", 3, None)
    assert "/sys/kernel/x" in last["error"]
    assert "RuntimeError" in last["error"]
