"""`probeplan check`: measure workloads by the probes of a plan, and judge what they did."""

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING

from orchestrator.backends.descriptors import BACKEND_DESCRIPTORS
from orchestrator.cli import report_error
from orchestrator.cli.messages import print_error, print_message, print_note
from orchestrator.cli.options import add_policy_option, policies_in_force
from orchestrator.cli.tracefs import mount_tracefs
from orchestrator.kernel.facts import KernelFacts, live_facts
from orchestrator.output.log import Level
from orchestrator.output.run_output import RunOutput
from orchestrator.plan.findings import Finding, PlanError, of_command_line
from orchestrator.policy.model import Policy
from orchestrator.run.safety.privileges import require_privileges

if TYPE_CHECKING:
    from orchestrator.check.measurement import Measurement
    from orchestrator.check.measuring.measure import RepeatProgress
    from orchestrator.check.model import Check
    from orchestrator.check.verdict.model import CheckVerdict
    from orchestrator.run.signals import Signals

EPILOG = """\
A check says what a workload may do, and is a file next to the code that it is about:

  apiVersion: probeplan/v1
  kind: ProbeCheck
  metadata: {name: start, summary: What the start of the program costs}
  plan: opens                                what is counted: a shipped plan, or one's own
  workload: {run: [./server, --version]}     measured from its first instruction to its end
  expect:
    few: open.opens <= 300                   an absolute bound
    no-more: open.opens <= 1.01 * baseline   relative to what was recorded

examples:
  probeplan check checks/start.yaml                one check; a table on standard error
  probeplan check checks/ > checks.jsonl           all checks below a folder
  probeplan check checks/ --update new             record what has no baseline yet; commit the file
  probeplan check checks/ --on-inconclusive warn   only what is proven turns CI red
  probeplan lint checks/                           are they valid? needs no root

The workload runs as the user who called sudo, with a clean environment, in a scratch folder that is
removed afterwards. Verdicts: ok, fail, inconclusive (the figures prove neither: the reason is
said), workload (the command failed). Baselines are written by --update alone, and under CI=true
only with --ci-writes.

exit codes, the first that applies:
  6  internal or cleanup failure       5  the workload failed
  2  invalid check or usage            4  inconclusive (0 with --on-inconclusive warn)
  3  this host cannot attach the plan  0  all expectations hold
  1  an expectation fails              130 Ctrl-C, 143 SIGTERM
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `check`."""
    parser.epilog = EPILOG
    parser.add_argument(
        "paths", nargs="+", metavar="PATH", help="files of checks, folders with checks, or -"
    )
    parser.add_argument(
        "--update",
        choices=("new", "all"),
        help="record what the baseline lacks (new), or everything again (all)",
    )
    parser.add_argument(
        "--ci-writes", action="store_true", help="let --update write although CI=true"
    )
    parser.add_argument(
        "--set",
        dest="settings",
        action="append",
        type=_setting,
        default=[],
        metavar="NAME=VALUE",
        help="set a param of the checks",
    )
    parser.add_argument(
        "--out", metavar="FILE", help="append the JSON lines to FILE (default: standard output)"
    )
    parser.add_argument(
        "--on-inconclusive",
        choices=("fail", "warn"),
        default="fail",
        help="whether what is inconclusive fails (the default) or is only said",
    )
    add_policy_option(parser)
    parser.add_argument(
        "--backend",
        choices=("auto", *BACKEND_DESCRIPTORS),
        default="auto",
        help="how to attach; auto (the default) takes the first that supports the plan",
    )


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value


def main(args: argparse.Namespace) -> int:
    """Run the checks; returns the exit code."""
    _require_updates_allowed(args)
    checks = _load_checks(args)
    facts = live_facts()
    require_privileges(facts)
    policies = policies_in_force(args)
    mount_tracefs()
    from orchestrator.check.measuring.repeater import Interrupted
    from orchestrator.check.verdict.model import find_exit_code
    from orchestrator.run.signals import Signals

    codes: list[int] = []
    with ExitStack() as stack:
        signals = stack.enter_context(Signals())
        invocation = _Invocation(args, facts, policies, signals, _open_lines(args, stack))
        for check in checks:
            try:
                codes += invocation.run(check)
            except Interrupted as interrupted:
                print_message(f"{check.name}: interrupted; everything is detached and ended")
                return 128 + interrupted.received
            except Exception as error:  # the other checks are done all the same
                codes.append(report_error(error))
            if signals.received is not None:
                return 128 + signals.received
    return find_exit_code(codes)


def _require_updates_allowed(args: argparse.Namespace) -> None:
    in_ci = os.environ.get("CI", "").lower() in ("true", "1")
    if args.update and in_ci and not args.ci_writes:
        message = f"--update {args.update} writes baselines, which CI (CI=true) does not"
        hint = "record them where they are reviewed, or allow it with --ci-writes"
        raise PlanError([of_command_line(message, hint)])


def _load_checks(args: argparse.Namespace) -> "list[Check]":
    """All checks; raises PlanError with the findings of all of them."""
    from orchestrator.check.document.load import find_repeated_names, load_check
    from orchestrator.check.find import find_check_files

    checks: list[Check] = []
    findings: list[Finding] = []
    for file in find_check_files(args.paths):
        try:
            checks.append(load_check(file, settings=dict(args.settings)))
        except PlanError as error:
            findings += error.findings
    findings += find_repeated_names(checks)
    if findings:
        raise PlanError(findings)
    return checks


def _open_lines(args: argparse.Namespace, stack: ExitStack) -> "Callable[[Check], RunOutput]":
    """Where the JSON lines go; of one run_id for all checks."""
    from orchestrator.output.safe_open import open_for_append
    from orchestrator.output.unblocked import make_log_sink
    from orchestrator.run.groundwork import draw_run_id

    if args.out is None:
        sink = make_log_sink(sys.stdout.buffer)
    else:
        file = os.fdopen(open_for_append(args.out), "wb", buffering=0)
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
class _Invocation:
    """What the checks of one invocation share."""

    args: argparse.Namespace
    facts: KernelFacts
    policies: Sequence[Policy]
    signals: "Signals"
    open_output: "Callable[[Check], RunOutput]"

    def run(self, check: "Check") -> list[int]:
        """Measure and judge one check; returns the exit codes that it asks for."""
        from orchestrator.check.baseline.store import read_baseline
        from orchestrator.check.verdict.judge import judge_check

        began_ns = time.monotonic_ns()
        baseline, constants = read_baseline(check.baseline), _constants(self.facts.arch)
        output = self.open_output(check)
        measurement = self._measure(check, output)
        verdict = judge_check(check, measurement, baseline, constants)
        written = self._update(verdict, measurement)
        if written:
            verdict = judge_check(check, measurement, read_baseline(check.baseline), constants)
        codes = verdict.list_exit_codes(inconclusive=self.args.on_inconclusive)
        _write_verdict(output, verdict, codes, written=written, began_ns=began_ns)
        _print_verdict(verdict, measurement)
        if written:
            print_message(f"{check.name}: recorded in {check.baseline}; review and commit it")
        return codes + ([4] if output.why_failed else [])

    def _measure(self, check: "Check", output: RunOutput) -> "Measurement":
        from orchestrator.check.measuring.measure import measure_check, prepare_check
        from orchestrator.check.report.records import repeat_fields, started_fields
        from orchestrator.run.options import RunOptions

        prepared = prepare_check(check, self.facts, self.policies, backend=self.args.backend)
        for doubt in prepared.program.doubts:
            print_error(str(doubt))
        backend = prepared.choice.artifact.backend
        output.write_record("check.started", "info", **started_fields(check, backend))
        line = _RepeatLine(check.name)

        def on_repeat(done: "RepeatProgress") -> None:
            output.write_record("check.repeat", "info", **repeat_fields(check, done))
            line.show(done)

        try:
            return measure_check(
                check,
                prepared,
                self.signals,
                options=RunOptions(notify=print_message),
                on_repeat=on_repeat,
            )
        finally:
            line.hide()

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


def _write_verdict(
    output: RunOutput, verdict: "CheckVerdict", codes: list[int], *, written: bool, began_ns: int
) -> None:
    """The records of what a check came to. `codes`: the exit codes that it asks for."""
    from orchestrator.check.report.records import finished_fields, verdict_fields

    check = verdict.check
    for judged in verdict.expectations:
        level: Level = "info" if judged.verdict == "ok" else "warning"
        output.write_record("check.verdict", level, **verdict_fields(check, judged))
    fields = finished_fields(
        verdict,
        exit_codes=codes,
        baseline=str(check.baseline) if written else None,
        duration_ns=time.monotonic_ns() - began_ns,
    )
    output.write_record("check.finished", "warning" if any(codes) else "info", **fields)


def _constants(arch: str) -> Mapping[str, int]:
    """The constants of expressions by name; system calls as on this machine."""
    from orchestrator.kernel.constants import CONSTANTS
    from orchestrator.kernel.syscalls import syscall_numbers

    return {**CONSTANTS, **syscall_numbers(arch)}


# ---------------------------------------------------------------- for people


class _RepeatLine:
    """One line on a terminal that says which repeat is done; nothing elsewhere."""

    def __init__(self, check: str) -> None:
        self._check = check
        self._is_shown = sys.stderr is not None and sys.stderr.isatty()

    def show(self, done: "RepeatProgress") -> None:
        """Say that a repeat is done."""
        warmup = " (warm-up)" if done.is_warmup else ""
        self._draw(f"{self._check}: repeat {done.number} of {done.total}{warmup}")

    def hide(self) -> None:
        """Take the line off the terminal."""
        self._draw("")

    def _draw(self, text: str) -> None:
        if self._is_shown:
            sys.stderr.write(f"\r\x1b[K{text}")
            sys.stderr.flush()


def _print_verdict(verdict: "CheckVerdict", measurement: "Measurement") -> None:
    """The table of a check, and what there is to say of it."""
    if sys.stderr is None:
        return
    from rich.console import Console  # 23 ms, once all is measured

    from orchestrator.check.report.rows import HEADINGS, list_remarks, list_rows
    from orchestrator.output.terminal.human_units import make_printable
    from orchestrator.output.terminal.progress import measure_terminal
    from orchestrator.output.terminal.tables import WARNING, make_table
    from orchestrator.output.unblocked import unblocked_text

    width, lines = measure_terminal(sys.stderr)
    console = Console(
        file=unblocked_text(sys.stderr),
        width=width,
        height=lines,
        highlight=False,
        markup=False,
        emoji=False,
    )
    table = make_table([HEADINGS[0]], list(HEADINGS[1:]))
    for row in list_rows(verdict):
        style = None if row.is_good else WARNING
        table.add_row(*map(make_printable, row.texts), style=style)
    console.print(f"{make_printable(verdict.check.name)}: {_describe(verdict.check)}")
    console.print(table)
    for remark in (*list_remarks(verdict), *_list_costs(measurement)):
        print_error(f"  {remark}")


def _describe(check: "Check") -> str:
    sizes = "" if len(check.workload.ops) == 1 else f" of {len(check.workload.ops)} sizes each"
    return f"{check.metadata.summary} ({check.workload.repeats} repeats{sizes})"


def _list_costs(measurement: "Measurement") -> Iterator[str]:
    """What the probes cost, where a run would have been limited: times are not the workload's."""
    costs = dict.fromkeys(cost for repeat in measurement.repeats for cost in repeat.would_have)
    for cost in list(costs)[:1]:
        yield f"note: {cost}; the counts are whole, and times include that"
