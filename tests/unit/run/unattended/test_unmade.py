"""The record and the result of a run that is not made."""

from pathlib import Path

from orchestrator.kernel.facts import live_facts
from orchestrator.plan.findings import Finding
from orchestrator.run.unattended.unmade import UnmadeRun, describe_findings, make_unmade_result
from tests.support.fake_runs import a_plan, log_validator
from tests.support.results import result_validator
from tests.support.samples import STAMP


def test_each_outcome_has_a_valid_record_and_a_valid_result() -> None:
    for outcome, event in (
        ("skipped", "run.skipped"),
        ("refused", "run.refused"),
        ("quarantined", "run.refused"),
    ):
        run = UnmadeRun(
            run_id="6b09cff3c70e37",
            plan=a_plan(),
            kernel="6.1.0",
            outcome=outcome,  # type: ignore[arg-type]  # one of the three
            exit_code=3,
            reason="because",
            label="r1",
        )
        record = {"ts": STAMP, "level": run.level, "event": run.event, **run.constants}
        log_validator().validate({**record, **run.record_fields(Path("/x/result.json"))})
        assert run.event == event
        result = make_unmade_result(run, live_facts())
        result_validator().validate(result)
        assert result["run"]["reason"] == run.record_fields(None)["reason"]


def test_a_reason_is_one_line_of_bounded_length_without_hints() -> None:
    findings = [
        Finding(code="PP089", message="the kernel\n  refused it", hint="look"),
        Finding(code="PP089", message="x" * 5000),
    ]
    reason = describe_findings(findings)
    assert reason.startswith("the kernel refused it; xxx")
    assert (len(reason), reason[-1]) == (1000, "…")
