"""The report of an unattended run that is not made: its result, its JSON line, and why, for
people."""

import argparse
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

from orchestrator.cli.messages import print_error, print_message
from orchestrator.cli.named_plan import is_bundle
from orchestrator.cli.run_options import plan_overrides
from orchestrator.cli.unattended.attempt import UnattendedRun
from orchestrator.kernel.facts import KernelFacts, live_facts
from orchestrator.output.result import ResultDirectory, ResultDirectoryError
from orchestrator.output.run_output import RunOutput
from orchestrator.output.sink import OutputLost, Sink
from orchestrator.output.unblocked import make_log_sink
from orchestrator.plan.findings import HostError, PlanError
from orchestrator.plan.load import load_plan_of
from orchestrator.plan.model import Plan
from orchestrator.policy.ceilings import apply_ceilings
from orchestrator.policy.file import read_policies
from orchestrator.run.delivery import deliver_rest
from orchestrator.run.options import RunNotBegun
from orchestrator.run.report.errors import report_of
from orchestrator.run.signals import Signals
from orchestrator.run.unattended.admission import PlanQuarantined, RunSkipped
from orchestrator.run.unattended.state import StateError
from orchestrator.run.unattended.unmade import (
    UnmadeRun,
    describe_findings,
    describe_reason,
    make_unmade_result,
)
from orchestrator.version import installed_version

__all__ = ["report_unmade"]

_TOO_MANY_RUNS = "PP125"
_REFUSED, _FULL, _LOST = 3, 4, 4


def report_unmade(
    attempt: UnattendedRun,
    error: Exception,
    open_log: Callable[[argparse.Namespace, ExitStack], Sink | None],
) -> int:
    """Keep the result of the run that is not made because of `error`, print the reason, and write
    its record; returns the exit code. Raises `error` where it cannot be known which plan was meant,
    and PlanError where that is invalid. An error that is neither RunSkipped nor HostError is not
    printed: the caller raises it. `open_log`: where the record goes (None: standard
    output)."""
    facts = live_facts()
    plan = attempt.plan or _read_plan(attempt, error)
    run = UnmadeRun(
        run_id=attempt.run_id,
        plan=_with_ceilings(plan, attempt),
        kernel=facts.release,
        command=tuple(attempt.args.workload),
        label=attempt.args.label,
        **_judge(error),
    )
    path = _keep_result(run, attempt, facts)
    if run.outcome == "skipped":
        print_message(f"no run was made: {run.reason}")
    elif isinstance(error, HostError):
        print_error(str(error))
    with ExitStack() as stack:
        sink = open_log(attempt.args, stack) or make_log_sink(sys.stdout.buffer)
        written = _write_record(run, path, sink)
    return run.exit_code if written else run.exit_code or _LOST


def _read_plan(attempt: UnattendedRun, error: Exception) -> Plan:
    """The plan that was not read because of `error`. That of a bundle is read to name it, and by no
    means run: what reads bundles trusts none of their bytes."""
    content, file = attempt.given
    overrides = plan_overrides(attempt.args)
    if not is_bundle(content):
        return load_plan_of(content, file, **overrides)
    from orchestrator.bundle.file import read_bundle
    from orchestrator.bundle.opening import plan_position

    try:
        bundle = read_bundle(content, file, release=installed_version())
        return load_plan_of(bundle.plan_text, plan_position(file, bundle), **overrides)
    except (PlanError, HostError):
        raise error from None


def _with_ceilings(plan: Plan, attempt: UnattendedRun) -> Plan:
    """The plan with the limits that runs here have, so that its result is listed with theirs. A
    policy that is no file was read already, or it is what the run waited for: it is left out."""
    files = [path for path in attempt.args.policy if Path(path).is_file()]
    with suppress(PlanError, HostError):
        return apply_ceilings(plan, read_policies(files))
    return plan


def _judge(error: Exception) -> dict[str, Any]:
    """The outcome, the exit code and the reason of the run that is not made because of `error`."""
    if isinstance(error, RunSkipped):
        return {"outcome": "skipped", "exit_code": error.exit_code, "reason": str(error)}
    if isinstance(error, RunNotBegun):
        return _judge(error.because)
    if not isinstance(error, HostError):
        report = report_of(error)
        reason = describe_reason(report.text)
        return {"outcome": "refused", "exit_code": report.exit_code, "reason": reason}
    reason = describe_findings(error.findings)
    if isinstance(error, PlanQuarantined):
        return {"outcome": "quarantined", "exit_code": _REFUSED, "reason": reason}
    if all(finding.code == _TOO_MANY_RUNS for finding in error.findings):
        return {"outcome": "skipped", "exit_code": 0, "reason": reason}
    full = isinstance(error, StateError) and error.is_full
    return {"outcome": "refused", "exit_code": _FULL if full else _REFUSED, "reason": reason}


def _keep_result(run: UnmadeRun, attempt: UnattendedRun, facts: KernelFacts) -> Path | None:
    """Where the result is now; None where it cannot be kept."""
    if attempt.state is None:
        return None
    try:
        directory = attempt.make_directory(run.plan)
        with ResultDirectory(directory, synced=True) as kept:
            kept.write_result(make_unmade_result(run, facts))
            return kept.result_path
    except (StateError, ResultDirectoryError, OutputLost) as error:
        print_message(f"the result is not kept: {error}")
        return None


def _write_record(run: UnmadeRun, path: Path | None, sink: Sink) -> bool:
    """Whether the record was written."""
    output = RunOutput(sink, run.constants)
    output.write_record(run.event, run.level, **run.record_fields(path))
    output.flush()
    with Signals() as signals:
        deliver_rest(output, signals, print_message)
    sink.close()
    if output.why_failed:
        print_message(f"writing the output failed: {output.why_failed}")
    return not output.why_failed
