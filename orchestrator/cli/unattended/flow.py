"""An unattended run is made or not, and in each case a result and a last JSON line say so."""

import argparse
from collections.abc import Callable
from contextlib import ExitStack, suppress
from typing import TYPE_CHECKING, TypeVar

from orchestrator.cli.named_plan import read_named
from orchestrator.cli.unattended.attempt import PlanBytes, UnattendedRun
from orchestrator.cli.unattended.interruption import Interruption, interruptible
from orchestrator.output.sink import Sink
from orchestrator.plan.findings import HostError, PlanError
from orchestrator.plan.model import Plan
from orchestrator.run.options import RunNotBegun, RunOptions
from orchestrator.run.unattended.admission import RunInterrupted, RunSkipped

__all__ = ["run_unattended"]

if TYPE_CHECKING:  # making these at a start takes as long as a module does
    ReadyT = TypeVar("ReadyT")
    #: Opens the log that the command line names, until the context ends.
    OpenLog = Callable[[argparse.Namespace, ExitStack], Sink | None]
    #: Gets the plan as soon as it is known; returns the options that the run begins with.
    Admit = Callable[[Plan], RunOptions]
    #: Makes the run that the command line asks for ready.
    Prepare = Callable[[argparse.Namespace, Admit, PlanBytes], ReadyT]


def run_unattended(
    args: argparse.Namespace,
    prepare: "Prepare[ReadyT]",
    execute: "Callable[[ReadyT], int]",
    open_log: "OpenLog",
) -> int:
    """Prepare and execute the run, or report why not to what `open_log` returns (None: standard
    output); returns the exit code. Raises PlanError for an invalid plan, of which nothing is
    kept, and what else went wrong before the run began, once that is reported, too."""
    attempt = UnattendedRun(args, read_named(args.plan))
    try:
        return _attempt_run(attempt, prepare, execute, open_log)
    finally:
        attempt.close()


def _attempt_run(
    attempt: UnattendedRun,
    prepare: "Prepare[ReadyT]",
    execute: "Callable[[ReadyT], int]",
    open_log: "OpenLog",
) -> int:
    try:
        with interruptible():
            attempt.open_state()
            ready = prepare(attempt.args, attempt.admit, attempt.given)
    except Interruption as end:
        return _report(attempt, RunInterrupted(end.signal), open_log)
    except (RunSkipped, HostError) as error:
        return _report(attempt, error, open_log)
    except PlanError as error:
        if attempt.plan is None:
            raise
        only_here = HostError(error.findings)  # it is valid, but not on this kernel
        return _report(attempt, only_here, open_log)
    except Exception as error:  # most likely a fault of this program, which the caller describes
        with suppress(Exception):  # what went wrong first is what matters
            _report(attempt, error, open_log)
        raise
    try:
        return execute(ready)
    except RunNotBegun as error:
        return _report(attempt, error, open_log)


def _report(attempt: UnattendedRun, error: Exception, open_log: "OpenLog") -> int:
    from orchestrator.cli.unattended.report import report_unmade  # of a run that is not made

    return report_unmade(attempt, error, open_log)
