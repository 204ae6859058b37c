"""`probeplan check`: measure workloads by the probes of a plan, and judge what they did."""

import argparse
import os
from collections.abc import Sequence
from contextlib import ExitStack
from typing import TYPE_CHECKING

from orchestrator.cli import describe_error, report_error
from orchestrator.cli.check.github import findings_on_github, report_to_github
from orchestrator.cli.check.loading import load_all
from orchestrator.cli.check.options import add_arguments
from orchestrator.cli.check.report_files import refuse_reports, write_reports
from orchestrator.cli.check.side_loading import load_all_sides
from orchestrator.cli.messages import print_message
from orchestrator.cli.options import policies_in_force
from orchestrator.cli.tracefs import mount_tracefs
from orchestrator.kernel.facts import live_facts
from orchestrator.plan.findings import PlanError, of_command_line
from orchestrator.run.safety.privileges import require_privileges

if TYPE_CHECKING:
    from orchestrator.check.model import Check
    from orchestrator.check.report.check_report import CheckReport
    from orchestrator.cli.check.invocation import Invocation

__all__ = ["add_arguments", "main"]


def main(args: argparse.Namespace) -> int:
    """Run the checks; returns the exit code."""
    _require_updates_allowed(args)
    with findings_on_github(os.environ):
        all_sides = None if args.sides is None else load_all_sides(args)
        checks = _load_checks(args) if all_sides is None else [one.candidate for one in all_sides]
    refuse_reports(args, checks)
    facts = live_facts()
    policies = policies_in_force(args)
    if any(check.machine is None for check in checks):  # a machine needs nothing of this kernel
        require_privileges(facts)
        mount_tracefs()
    from orchestrator.check.verdict.model import find_exit_code
    from orchestrator.cli.check.invocation import Invocation, open_lines
    from orchestrator.cli.check.sides import run_sides
    from orchestrator.run.signals import Signals

    with ExitStack() as stack:
        signals = stack.enter_context(Signals())
        invocation = Invocation(args, facts, policies, signals, open_lines(args, stack))
        if all_sides is None:
            reports, interrupted = _run_checks(checks, invocation)
        else:
            reports, interrupted = run_sides(all_sides, invocation)
    codes = [code for report in reports for code in report.exit_codes]
    codes += write_reports(args, reports)
    report_to_github(reports, args.on_inconclusive, os.environ)
    return interrupted or find_exit_code(codes)


def _run_checks(
    checks: "Sequence[Check]", invocation: "Invocation"
) -> "tuple[list[CheckReport], int]":
    """A report for each check, also for those that an interruption left out; and the exit code of
    that, or 0."""
    from orchestrator.check.measuring.repeater import Interrupted
    from orchestrator.check.report.check_report import CheckReport

    reports: list[CheckReport] = []
    interrupted = 0
    for check in checks:
        if interrupted:
            reports.append(
                CheckReport(check=check, trouble="the invocation was interrupted before")
            )
            continue
        try:
            reports.append(invocation.run(check))
        except Interrupted as interruption:
            print_message(f"{check.name}: interrupted; everything is detached and ended")
            reports.append(CheckReport(check=check, trouble="it was interrupted"))
            interrupted = 128 + interruption.received
        except Exception as error:  # the other checks are done all the same
            trouble, code = describe_error(error), report_error(error)
            reports.append(CheckReport(check=check, trouble=trouble, exit_codes=(code,)))
        if invocation.signals.received is not None:
            interrupted = 128 + invocation.signals.received
    return reports, interrupted


def _require_updates_allowed(args: argparse.Namespace) -> None:
    in_ci = os.environ.get("CI", "").lower() in ("true", "1")
    if args.update and in_ci and not args.ci_writes:
        message = f"--update {args.update} writes baselines, which CI (CI=true) does not"
        hint = "record them where they are reviewed, or allow it with --ci-writes"
        raise PlanError([of_command_line(message, hint)])


def _load_checks(args: argparse.Namespace) -> "list[Check]":
    """All checks; raises PlanError with the findings of all of them."""
    from orchestrator.check.document.load import load_check

    settings = dict(args.settings)
    return load_all(args.paths, lambda file: load_check(file, settings=settings), lambda one: one)
