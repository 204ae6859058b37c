"""`probeplan pause`: switch probes of a live run off while they stay attached."""

import argparse

from orchestrator.run.remote.control import send_request
from orchestrator.run.remote.live_runs import live_runs, select_run

EPILOG = """\
examples:
  probeplan pause 6568            all probes of the run whose id begins with 6568
  probeplan pause 6568 open       its probe `open`
  probeplan resume 6568           enable them again

Paused probes stay attached but record nothing. What happens there meanwhile does not count as lost;
run.finished reports how long each probe was paused. The run's duration and limits keep counting.

exit codes: 0 done; 2 no such run or probe; 3 the run does not answer
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `pause`, and of `resume`."""
    parser.epilog = EPILOG
    parser.add_argument(
        "run", metavar="RUN", help="the id of a run, or its beginning (`probeplan status`)"
    )
    parser.add_argument(
        "probes", nargs="*", metavar="PROBE", help="names of probes (default: all of the run)"
    )


def main(args: argparse.Namespace) -> int:
    """Pause; returns 0."""
    return request_switch(args, "pause", "paused")


def request_switch(args: argparse.Namespace, request: str, done: str) -> int:
    """Ask the run to pause or resume its probes (`request`), and print which it has; returns 0."""
    run = select_run(live_runs(), args.run)
    answer = send_request(run.path, {"do": request, "probes": args.probes})
    names = ", ".join(answer[done]) or f"nothing: all of these were already {done}"
    print(f"{run.run_id} ({run.plan}): {done} {names}")
    return 0
