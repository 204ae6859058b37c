"""`probeplan pause`: switch probes of a live run off while they stay attached."""

import argparse

from orchestrator.run.remote.control import ask
from orchestrator.run.remote.live_runs import chosen, live_runs

EPILOG = """\
RUN is a run's id or the beginning of it (`probeplan status`). Without PROBE all are switched. What
happens at a paused probe is not seen; that was asked for, so it makes the run no less complete, and
run.finished tells for how long. The run's duration and its other limits go on.

Exit code: 0 done; 2 no such run or probe; 3 the run does not answer.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `pause`, and of `resume`."""
    parser.epilog = EPILOG
    parser.add_argument("run", metavar="RUN", help="a run's id, or how it begins")
    parser.add_argument("probes", nargs="*", metavar="PROBE", help="a probe's name (default: all)")


def main(args: argparse.Namespace) -> int:
    """Pause; returns 0."""
    return switch(args, "pause", "paused")


def switch(args: argparse.Namespace, request: str, done: str) -> int:
    """Have the run do it, and tell which probes were switched."""
    run = chosen(live_runs(), args.run)
    answer = ask(run.path, {"do": request, "probes": args.probes})
    names = ", ".join(answer[done]) or f"nothing: all of these were {done} already"
    print(f"{run.run_id} ({run.plan}): {done} {names}")
    return 0
