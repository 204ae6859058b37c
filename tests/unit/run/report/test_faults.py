"""A step that fails does not keep later steps from being done."""

from orchestrator.output.sink import OutputLost
from orchestrator.plan.findings import Finding, HostError, PlanError
from orchestrator.run.report.faults import Faults

FINDING = Finding(code="PP080", message="no such symbol", hint="name another")


def fail(error: BaseException) -> int:
    raise error


def test_the_first_error_chooses_the_exit_code() -> None:
    for first, code in (
        (PlanError([FINDING]), 2),
        (HostError([FINDING]), 3),
        (PermissionError(1, "no", "/sys/kernel/tracing"), 3),
        (OutputLost(28, 3), 4),
        (OSError("x"), 6),
    ):
        faults = Faults()
        assert faults.attempt(lambda first=first: fail(first), 5) == 5  # type: ignore[misc]  # a default
        assert faults.attempt(lambda: fail(KeyboardInterrupt()), 7) == 7
        assert faults.exit_code == code
        assert faults.errors[0] is first


def test_a_step_that_works_leaves_no_fault() -> None:
    faults = Faults()
    assert faults.attempt(lambda: 3, 0) == 3
    assert (faults.errors, faults.describe()) == ([], None)


def test_everything_that_went_wrong_is_described_in_order() -> None:
    faults = Faults()
    faults.notes.append("the journal is elsewhere")
    faults.left_behind.append("event x is left behind")
    faults.attempt(lambda: fail(KeyboardInterrupt()), 0)
    assert faults.describe() == ("interrupted; event x is left behind; the journal is elsewhere")
