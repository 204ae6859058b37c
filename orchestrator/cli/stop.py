"""`probeplan stop`: end live runs cleanly, and wait until they are gone."""

import argparse
import sys

from orchestrator.plan.findings import PlanError, of_command_line
from orchestrator.run.remote.live_runs import chosen, live_runs, stop
from orchestrator.run.safety.journal import Record

EPILOG = """\
A run is named by its id or the beginning of it (`probeplan status`). It ends as with Ctrl-C: it
detaches and writes run.finished; a COMMAND of its own gets the signal and two seconds.

Exit code: 0 gone; 2 no such run; 3 it may not be ended; 6 it was still there after --timeout.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `stop`."""
    parser.epilog = EPILOG
    parser.add_argument("run", nargs="?", metavar="RUN", help="a run's id, or how it begins")
    parser.add_argument("--all", action="store_true", help="every live run that this user sees")
    parser.add_argument(
        "--timeout", type=float, default=10.0, metavar="S", help="seconds to wait (default: 10)"
    )


def main(args: argparse.Namespace) -> int:
    """Stop the runs; returns 0, or 6 when one is still there."""
    runs = _wanted(args)
    if not runs:
        print("no live runs")
    return max([_stopped(run, args.timeout) for run in runs], default=0)


def _wanted(args: argparse.Namespace) -> tuple[Record, ...]:
    if (args.run is None) != args.all:
        hint = "`probeplan status` lists the live runs"
        raise PlanError([of_command_line("stop needs either RUN or --all", hint)])
    runs = live_runs()
    return runs if args.all else (chosen(runs, args.run),)


def _stopped(run: Record, timeout_s: float) -> int:
    if stop(run, timeout_s):
        print(f"{run.run_id} ({run.plan}): stopped")
        return 0
    text = f"{run.run_id} ({run.plan}): still there after {timeout_s:g} s, pid {run.pid}"
    print(text, file=sys.stderr)
    return 6
