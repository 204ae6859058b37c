"""`probeplan report`: results of runs as one HTML page that needs no network."""

import argparse
import sys

from orchestrator.cli.messages import print_message
from orchestrator.cli.report.loading import load_run
from orchestrator.html_report.comparison import MOST_RUNS
from orchestrator.html_report.comparison_page import make_comparison_page
from orchestrator.html_report.run_page import make_run_page
from orchestrator.output.replace_file import check_replaceable, replace_file
from orchestrator.output.terminal.human_units import format_amount
from orchestrator.plan.findings import PlanError, of_command_line

EPILOG = """\
examples:
  probeplan report result/                       report.html, about one run
  probeplan report result/ -o slow.html          another name
  probeplan report before/ after/ -o change.html  what changed from the first to the second
  probeplan report result.json --log run.jsonl   of a result and a log that were kept apart
  probeplan run slow-io --report slow.html       while running, without keeping the result

RESULT is the directory of `probeplan run --out DIR`, or its result.json. With several, up to
eight, the page compares them: each number by key next to those of the other runs, its change and
its ratio to the first; windows by the time since each run began, and the first records of each.
The results of many hosts are added up by `probeplan merge`.

The page is one file that loads nothing: it can be sent, kept, and opened without a network. It
shows the verdict, what became of all events, metrics with their tables and charts, windows as heat
maps, call paths as flame graphs, records, the plan, and what was attached where.

exit codes:
  0  the page is written
  2  invalid usage, a RESULT that is none, or the page cannot be written
"""

_USUAL_NAME = "report.html"
_STDOUT = "-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `report`."""
    parser.usage = "probeplan report RESULT [RESULT ...] [options]"
    parser.epilog = EPILOG
    parser.add_argument(
        "results", nargs="+", metavar="RESULT", help="directories or files with results of runs"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        default=_USUAL_NAME,
        help=f"the page; - is standard output (default: {_USUAL_NAME})",
    )
    parser.add_argument(
        "--log", metavar="FILE", help="the log of the run, where it is not in RESULT's directory"
    )


def main(args: argparse.Namespace) -> int:
    """Write the page; returns the exit code."""
    if args.output != _STDOUT:
        _check_output(args.output)
    page = _make_page(args).encode()
    if args.output == _STDOUT:
        sys.stdout.buffer.write(page)
        return 0
    try:
        replace_file(args.output, page)
    except OSError as error:
        raise _refuse_output(args.output, error) from None
    print_message(f"wrote {args.output} ({format_amount(len(page), 'bytes')})")
    return 0


def _make_page(args: argparse.Namespace) -> str:
    """One run as it is; several next to each other."""
    if len(args.results) == 1:
        return make_run_page(load_run(args.results[0], args.log))
    _check_several(args)
    return make_comparison_page([load_run(path) for path in args.results])


def _check_several(args: argparse.Namespace) -> None:
    if args.log is not None:
        hint = "leave out --log: of several runs, each directory's own log is read"
        raise PlanError([of_command_line("--log is of one run, and several are named", hint)])
    if len(args.results) > MOST_RUNS:
        message = f"{len(args.results)} results are named, and at most {MOST_RUNS} are compared"
        hint = "add up the results of many hosts: probeplan merge"
        raise PlanError([of_command_line(message, hint)])


def _check_output(path: str) -> None:
    try:
        check_replaceable(path)
    except OSError as error:
        raise _refuse_output(path, error) from None


def _refuse_output(path: str, error: OSError) -> PlanError:
    message = f"the report {path!r} cannot be written: {error.strerror}"
    return PlanError([of_command_line(message, "name a file that you may write: -o FILE")])
