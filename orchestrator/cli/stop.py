"""`probeplan stop`: end live runs cleanly, and wait until they have ended."""

import argparse

from orchestrator.cli.messages import print_error
from orchestrator.plan.findings import PlanError, of_command_line
from orchestrator.run.remote.live_runs import live_runs, select_run, stop_run
from orchestrator.run.safety.journal import JournalRecord

EPILOG = """\
examples:
  probeplan stop 6568             end the run whose id begins with 6568
  probeplan stop --all            end every run that this user can see

A run ends as with Ctrl-C: it detaches and writes run.finished. If it was started with a COMMAND,
the command gets the signal and two seconds to end.

exit codes: 0 ended; 2 no such run; 3 not permitted; 6 still running after --timeout
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `stop`."""
    parser.epilog = EPILOG
    parser.add_argument(
        "run",
        nargs="?",
        metavar="RUN",
        help="the id of a run, or its beginning (`probeplan status`)",
    )
    parser.add_argument(
        "--all", action="store_true", help="end every live run that this user can see"
    )
    parser.add_argument(
        "--timeout",
        type=float,
        default=10.0,
        metavar="S",
        help="seconds to wait for each (default: 10)",
    )


def main(args: argparse.Namespace) -> int:
    """Stop the runs; returns 0, or 6 when one is still running. Raises PlanError and HostError."""
    runs = _select_runs(args)
    if not runs:
        print("no live runs")
    return max([_stop_one(run, args.timeout) for run in runs], default=0)


def _select_runs(args: argparse.Namespace) -> tuple[JournalRecord, ...]:
    if (args.run is None) != args.all:
        hint = "`probeplan status` lists the live runs"
        raise PlanError([of_command_line("stop needs either RUN or --all", hint)])
    runs = live_runs()
    return runs if args.all else (select_run(runs, args.run),)


def _stop_one(run: JournalRecord, timeout_s: float) -> int:
    if stop_run(run, timeout_s):
        print(f"{run.run_id} ({run.plan}): stopped")
        return 0
    print_error(f"{run.run_id} ({run.plan}): still running after {timeout_s:g} s, pid {run.pid}")
    return 6
