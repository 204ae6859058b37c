"""The course of one invocation: each check is measured, judged, recorded and printed."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestrator.cli.check.display import RepeatLine, print_verdict
from orchestrator.cli.check.failures import FailureExplainer, print_explanation
from orchestrator.cli.check.machine_course import measure_booted
from orchestrator.cli.messages import print_error, print_message, print_note
from orchestrator.kernel.facts import KernelFacts
from orchestrator.output.log import Level
from orchestrator.output.run_output import RunOutput
from orchestrator.policy.model import Policy
from orchestrator.values import dataclass

if TYPE_CHECKING:
    from orchestrator.check.baseline.model import Baseline
    from orchestrator.check.measurement import Measurement
    from orchestrator.check.measuring.measure import RepeatProgress
    from orchestrator.check.model import Check
    from orchestrator.check.report.check_report import CheckReport
    from orchestrator.check.sides import SideChoice
    from orchestrator.check.verdict.model import CheckVerdict
    from orchestrator.run.choice import Prepared
    from orchestrator.run.signals import Signals


def open_lines(args: argparse.Namespace, stack: ExitStack) -> "Callable[[Check], RunOutput]":
    """Where the JSON lines go; of one run_id for all checks. Who called sudo can read them."""
    from orchestrator.output.safe_open import open_for_append
    from orchestrator.output.unblocked import make_log_sink
    from orchestrator.run.groundwork import draw_run_id

    if args.out is None:
        sink = make_log_sink(sys.stdout.buffer)
    else:
        file = os.fdopen(open_for_append(args.out, give=True), "wb", buffering=0)
        sink = make_log_sink(stack.enter_context(file), owned=True)
    stack.callback(sink.close)
    run_id, host = draw_run_id(), os.uname().nodename or "unknown"

    def open_output(check: "Check") -> RunOutput:
        constants = {
            "run_id": run_id,
            "plan": check.plan.metadata.name,
            "plan_sha256": check.plan.sha256,
            "host": host,
            "kernel": os.uname().release,
        }
        output = RunOutput(sink, constants)
        output.flush()
        return output

    return open_output


@dataclass(frozen=True, slots=True)
class Invocation:
    """What the checks of one invocation share."""

    args: argparse.Namespace
    facts: KernelFacts
    policies: Sequence[Policy]
    signals: "Signals"
    open_output: "Callable[[Check], RunOutput]"

    def run(self, check: "Check") -> "CheckReport":
        """Measure and judge one check."""
        from orchestrator.check.baseline.store import read_baseline
        from orchestrator.check.expectation.constants import constants_of
        from orchestrator.check.report.check_report import CheckReport
        from orchestrator.check.verdict.judge import judge_check

        began, began_ns = datetime.now(UTC), time.monotonic_ns()
        baseline, constants = read_baseline(check.baseline), constants_of(self.facts.arch)
        output = self.open_output(check)
        measurement = self._measure(check, output)
        verdict = judge_check(check, measurement, baseline, constants)
        written = self._update(verdict, measurement)
        if written:
            baseline = read_baseline(check.baseline)
            verdict = judge_check(check, measurement, baseline, constants)
        codes = verdict.list_exit_codes(inconclusive=self.args.on_inconclusive)
        write_verdicts(output, verdict)
        print_verdict(verdict, measurement)
        self.explain(output, verdict, measurement, baseline, constants)
        write_finished(output, verdict, codes, written=written, began_ns=began_ns)
        if written:
            print_message(f"{check.name}: recorded in {check.baseline}; review and commit it")
        return CheckReport(
            check=check,
            verdict=verdict,
            began=began,
            duration_ns=time.monotonic_ns() - began_ns,
            commit=measurement.environment.commit,
            exit_codes=(*codes, *([4] if output.why_failed else [])),
        )

    def _measure(self, check: "Check", output: RunOutput) -> "Measurement":
        from orchestrator.check.measuring.measure import measure_check, prepare_check
        from orchestrator.check.report.records import repeat_fields
        from orchestrator.run.options import RunOptions

        line = RepeatLine(check.name)

        def on_start(prepared: "Prepared") -> None:
            write_started(output, check, prepared)

        def on_repeat(done: "RepeatProgress") -> None:
            output.write_record("check.repeat", "info", **repeat_fields(check, done))
            line.show(done)

        try:
            if check.machine is not None:
                return measure_booted(
                    check,
                    self.policies,
                    self.signals,
                    backend=self.args.backend,
                    on_start=on_start,
                    on_repeat=on_repeat,
                )
            prepared = prepare_check(check, self.facts, self.policies, backend=self.args.backend)
            on_start(prepared)
            return measure_check(
                check,
                prepared,
                self.signals,
                options=RunOptions(notify=print_message),
                on_repeat=on_repeat,
            )
        finally:
            line.hide()

    def explain(
        self,
        output: RunOutput,
        verdict: "CheckVerdict",
        measurement: "Measurement",
        baseline: "Baseline | None",
        constants: Mapping[str, int],
    ) -> None:
        """Report and show why gates over counts failed."""
        from orchestrator.check.report.explained import explained_fields

        explainer = FailureExplainer(
            facts=self.facts,
            policies=self.policies,
            signals=self.signals,
            backend=self.args.backend,
            constants=constants,
        )
        for explanation in explainer.explain(verdict, measurement, baseline):
            fields = explained_fields(verdict.check, explanation)
            output.write_record("check.explained", "warning", **fields)
            print_explanation(explanation)

    def _update(self, verdict: "CheckVerdict", measurement: "Measurement") -> bool:
        """Write the baseline if that is asked for and allowed; whether it was written."""
        if not self.args.update:
            return False
        check = verdict.check
        if not verdict.may_be_recorded:
            print_note(f"{check.name}: nothing is recorded: the figures are not valid")
            return False
        from orchestrator.check.baseline.store import change_baseline
        from orchestrator.check.baseline.update import update_baseline

        recorded = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return change_baseline(
            check.baseline,
            lambda stored: update_baseline(
                stored, check.name, measurement, recorded, self.args.update
            ),
        )


def write_started(
    output: RunOutput, check: "Check", prepared: "Prepared", sides: "SideChoice | None" = None
) -> None:
    """The record of the beginning; and what is doubtful about the plan, for people."""
    from orchestrator.check.report.records import started_fields

    for doubt in prepared.program.doubts:
        print_error(str(doubt))
    backend = prepared.choice.artifact.backend
    fields = started_fields(check, backend, sides, prepared.acceptances)
    output.write_record("check.started", "info", **fields)


def write_verdicts(output: RunOutput, verdict: "CheckVerdict") -> None:
    """The records of what each expectation came to."""
    from orchestrator.check.report.records import verdict_fields

    for judged in verdict.expectations:
        level: Level = "info" if judged.verdict == "ok" else "warning"
        output.write_record("check.verdict", level, **verdict_fields(verdict.check, judged))


def write_finished(
    output: RunOutput, verdict: "CheckVerdict", codes: list[int], *, written: bool, began_ns: int
) -> None:
    """The record of what the check came to. `codes`: the exit codes that it asks for."""
    from orchestrator.check.report.records import finished_fields

    fields = finished_fields(
        verdict,
        exit_codes=codes,
        baseline=str(verdict.check.baseline) if written else None,
        duration_ns=time.monotonic_ns() - began_ns,
    )
    output.write_record("check.finished", "warning" if any(codes) else "info", **fields)
