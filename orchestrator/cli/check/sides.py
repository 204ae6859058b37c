"""The course of `check --ab`: all checks are measured with both values, then judged together."""

import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from orchestrator.check.sides import CheckSides
from orchestrator.cli import describe_error, report_error
from orchestrator.cli.check.display import RepeatLine, print_verdict
from orchestrator.cli.check.invocation import (
    Invocation,
    write_finished,
    write_started,
    write_verdicts,
)
from orchestrator.cli.messages import print_message
from orchestrator.output.run_output import RunOutput

if TYPE_CHECKING:
    from orchestrator.check.measuring.measure import RepeatProgress
    from orchestrator.check.report.check_report import CheckReport
    from orchestrator.check.verdict.model import CheckVerdict
    from orchestrator.check.verdict.time_gates import SideMeasurements
    from orchestrator.run.choice import Prepared

__all__ = ["run_sides"]


def run_sides(
    all_sides: Sequence[CheckSides], invocation: Invocation
) -> "tuple[list[CheckReport], int]":
    """A report for each check; and the exit code of an interruption, or 0. Nothing is judged before
    all is measured, and so nothing where that was interrupted."""
    from orchestrator.check.expectation.constants import constants_of
    from orchestrator.check.measuring.repeater import Interrupted
    from orchestrator.check.measuring.side_source import SideSource
    from orchestrator.check.report.check_report import CheckReport
    from orchestrator.check.times.looks import decide_times
    from orchestrator.check.verdict.judge import judge_sides

    constants = constants_of(invocation.facts.arch)
    courses = [_Course(sides, invocation) for sides in all_sides]
    by_identity = {id(sides): course for sides, course in zip(all_sides, courses, strict=True)}

    def measure(sides: CheckSides) -> "SideMeasurements | None":
        return by_identity[id(sides)].measure()

    source = SideSource(all_sides, measure, constants)
    reports: list[CheckReport] = []
    try:
        outcomes = decide_times(source)
        for number, (sides, course) in enumerate(zip(all_sides, courses, strict=True)):
            measured = source.judged[number]
            times = {gate: one for (owner, gate), one in outcomes.items() if owner == number}
            verdict = None if measured is None else judge_sides(sides, measured, times, constants)
            reports.append(course.conclude(verdict, measured, constants))
    except Interrupted as interrupted:
        print_message("interrupted; everything is detached and ended")
        trouble = "the invocation was interrupted"
        left = all_sides[len(reports) :]
        reports += (CheckReport(check=one.candidate, trouble=trouble) for one in left)
        return reports, 128 + interrupted.received
    return reports, 0


class _Course:
    """Measures one check with two sides as often as it is asked, and reports it."""

    def __init__(self, sides: CheckSides, invocation: Invocation) -> None:
        self._sides, self._invocation = sides, invocation
        self._output: RunOutput | None = None
        self._measurements = 0
        self._began, self._began_ns = datetime.now(UTC), time.monotonic_ns()
        self._troubles: list[tuple[str, int]] = []

    def measure(self) -> "SideMeasurements | None":
        """Both sides; None where that is not possible, which is reported. Raises Interrupted."""
        from orchestrator.check.measuring.repeater import Interrupted

        if (received := self._invocation.signals.received) is not None:
            raise Interrupted(received)
        if self._output is None:
            self._began, self._began_ns = datetime.now(UTC), time.monotonic_ns()
        try:
            return self._measure()
        except Interrupted:
            raise
        except Exception as error:  # the other checks are done all the same
            self._troubles.append((describe_error(error), report_error(error)))
            return None

    def _measure(self) -> "SideMeasurements":
        from orchestrator.check.measuring.measure import measure_sides, prepare_check
        from orchestrator.check.report.records import repeat_fields
        from orchestrator.run.options import RunOptions

        check, invocation = self._sides.candidate, self._invocation
        args = invocation.args
        prepared = prepare_check(check, invocation.facts, invocation.policies, backend=args.backend)
        if self._output is None:
            self._output = self._start(prepared)
        self._measurements += 1
        output, measurement, line = self._output, self._measurements, RepeatLine(check.name)

        def on_repeat(done: "RepeatProgress") -> None:
            fields = repeat_fields(check, done, measurement=measurement)
            output.write_record("check.repeat", "info", **fields)
            line.show(done)

        try:
            base, candidate = measure_sides(
                self._sides.checks,
                prepared,
                invocation.signals,
                options=RunOptions(notify=print_message),
                on_repeat=on_repeat,
            )
        finally:
            line.hide()
        return base, candidate

    def _start(self, prepared: "Prepared") -> RunOutput:
        """Report once that the check begins."""
        check = self._sides.candidate
        output = self._invocation.open_output(check)
        write_started(output, check, prepared, self._sides.choice)
        return output

    def conclude(
        self,
        verdict: "CheckVerdict | None",
        measured: "SideMeasurements | None",
        constants: Mapping[str, int],
    ) -> "CheckReport":
        """Report what the check came to. None: it could not be measured. Raises Interrupted."""
        from orchestrator.check.report.check_report import CheckReport

        codes = [code for _, code in self._troubles]
        if verdict is not None and measured is not None and self._output is not None:
            rule = self._invocation.args.on_inconclusive
            codes += verdict.list_exit_codes(inconclusive=rule)
            write_verdicts(self._output, verdict)
            print_verdict(verdict, measured[1])
            codes += self._explain(self._output, verdict, measured, constants)
            write_finished(self._output, verdict, codes, written=False, began_ns=self._began_ns)
            codes += [4] if self._output.why_failed else []
        return CheckReport(
            check=self._sides.candidate,
            verdict=verdict,
            trouble="" if verdict is not None else "; ".join(text for text, _ in self._troubles),
            began=self._began,
            duration_ns=time.monotonic_ns() - self._began_ns,
            commit="" if measured is None else measured[1].environment.commit,
            exit_codes=tuple(codes),
        )

    def _explain(
        self,
        output: RunOutput,
        verdict: "CheckVerdict",
        measured: "SideMeasurements",
        constants: Mapping[str, int],
    ) -> list[int]:
        """Report and show why gates over counts failed: side A is what would be recorded. Returns
        the exit codes of what went wrong meanwhile."""
        from orchestrator.check.baseline.update import update_baseline
        from orchestrator.check.measuring.repeater import Interrupted

        base, candidate = measured
        recorded = update_baseline(None, verdict.check.name, base, "", "new")
        try:
            self._invocation.explain(output, verdict, candidate, recorded, constants)
        except Interrupted:
            raise
        except Exception as error:  # the verdict is there all the same
            return [report_error(error)]
        return []
