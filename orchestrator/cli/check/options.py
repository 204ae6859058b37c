"""The options of `probeplan check`, and its help."""

import argparse

from orchestrator.check.sides import SideChoice
from orchestrator.cli.options import add_backend_option, add_policy_option

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
  probeplan check checks/ --junit checks.xml       a report that CI systems show
  probeplan check speed.yaml --ab build=./old,./new
                                                   both builds in turns; times may be compared
  probeplan lint checks/                           are they valid? needs no root

The workload runs as the user who called sudo, with a clean environment, in a scratch folder that is
removed afterwards. Verdicts: ok, fail, inconclusive (the figures prove neither: the reason is
said), workload (the command failed). Baselines are written by --update alone, and under CI=true
only with --ci-writes. Where a gate over counts fails, the workload runs once more, with records:
the cells that grew are shown, and up to 20 events. Where GITHUB_ACTIONS=true, what is not ok is
annotated at its line, and the step's summary has all tables.

With `machine: {kernel: debian:6.1}` it is measured in a virtual machine whose clock counts
instructions: times are exact there, and compared with a baseline. That needs QEMU, and no root.

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
        "--ab",
        dest="sides",
        type=_read_sides,
        metavar="NAME=A,B",
        help="run the workload with both values of a param, in turns: `baseline` is what A takes, "
        "B is judged; times need: pip install 'probeplan[check]'",
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
    _add_report_options(parser)
    add_policy_option(parser)
    add_backend_option(parser)


def _add_report_options(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("reports, written once all checks are done")
    group.add_argument(
        "--junit", metavar="FILE", help="JUnit XML (needs: pip install 'probeplan[check]')"
    )
    group.add_argument(
        "--openmetrics", metavar="FILE", help="OpenMetrics text, for GitLab's metrics reports"
    )
    group.add_argument("--bmf", metavar="FILE", help="JSON for Bencher (Bencher Metric Format)")
    group.add_argument(
        "--csv", metavar="FILE", help="append a row of the values to FILE, for Apache Otava"
    )


def _read_sides(text: str) -> SideChoice:
    name, equals, values = text.partition("=")
    sides = values.split(",")
    if not name or not equals or len(sides) != 2 or not all(sides):
        raise argparse.ArgumentTypeError(
            f"{text!r} is not NAME=A,B: a param and two values without commas"
        )
    return SideChoice(param=name, values=(sides[0], sides[1]))


def _setting(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=VALUE")
    return name, value
