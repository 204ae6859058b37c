"""The command line: one module a command, imported only when it is chosen.

A command's module has `add_arguments(parser)` and `main(args) -> int`. Exit codes: 0 done, 2
invalid plan or usage, 3 this host cannot run the plan, 4 data was lost, 5 the workload failed, 6
internal or cleanup failure, 130 interrupted.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Mapping, Sequence

from orchestrator.cli.messages import CommandParser, HelpText, print_error, print_message
from orchestrator.run.startup import begin_startup, end_startup

PROGRAM = "probeplan"

#: name → (module, one-line summary)
COMMANDS: Mapping[str, tuple[str, str]] = {
    "plans": ("orchestrator.cli.discover.plans", "find a plan by the question that it answers"),
    "lint": ("orchestrator.cli.lint", "check plans offline, without root"),
    "explain": ("orchestrator.cli.explain", "show exactly what a run would attach"),
    "list": (
        "orchestrator.cli.discover.points",
        "list attach points, with their arguments",
    ),
    "new": ("orchestrator.cli.discover.new", "write a commented plan to begin with"),
    "doctor": ("orchestrator.cli.doctor", "show what this host supports, and what a plan lacks"),
    "check": ("orchestrator.cli.check.command", "measure workloads and judge what they did"),
    "run": ("orchestrator.cli.run", "run a plan within its limits and log what it sees"),
    "rehearse": ("orchestrator.cli.rehearse", "run a plan on another kernel, in a virtual machine"),
    "report": ("orchestrator.cli.report.command", "show the result of a run as an HTML page"),
    "merge": ("orchestrator.cli.fleet.merge", "add up the results of many hosts"),
    "export": ("orchestrator.cli.fleet.export", "turn logs into series for Prometheus and OTLP"),
    "status": ("orchestrator.cli.status", "list the runs of this host and their probes"),
    "stop": ("orchestrator.cli.stop", "end live runs cleanly"),
    "quarantine": (
        "orchestrator.cli.unattended.quarantine",
        "show the plans that unattended runs refuse here, or let one run again",
    ),
    "pause": ("orchestrator.cli.pause", "disable probes of a live run, and keep them attached"),
    "resume": ("orchestrator.cli.resume", "enable paused probes again"),
    "cleanup": ("orchestrator.cli.cleanup", "remove what killed runs left in the kernel"),
    "bundle": (
        "orchestrator.cli.bundle.command",
        "build a plan's programs for hosts of other kernels",
    ),
    "policy": ("orchestrator.cli.policy", "show or check what this host allows plans to do"),
    "facts": ("orchestrator.cli.facts", "record this kernel, to check plans for it elsewhere"),
    "prepare": ("orchestrator.cli.install.prepare", "compile plans ahead of their first run"),
    "schema": ("orchestrator.cli.discover.schema", "print the JSON Schemas of documents"),
    "completion": ("orchestrator.cli.install.completion", "print a shell's completion script"),
}

EPILOG = """\
examples:
  probeplan plans slow disk                 which plans answer that?
  probeplan lint plans/                     check every plan below plans/
  probeplan doctor plans/fs/slow-io.yaml    can this host run it? if not, what is missing?
  probeplan explain slow-io                 what would be attached; shipped plans by name
  probeplan run slow-io                     run it; JSON lines on standard output
  probeplan run opens -- make test          trace a command and its descendants

Each command has its own help, e.g. probeplan run --help.

exit codes:
  0  done                                   4    data was lost
  2  invalid plan or usage                  5    the workload failed
  3  this host cannot run the plan          6    internal or cleanup failure
                                            130  interrupted
"""


_STDERR = 2
_INTERNAL = (
    "\n  hint: this is a fault of probeplan, not of your plan. Please report it with the plan and "
    "the output of the same command under PROBEPLAN_DEBUG=1"
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code and never raises for what a user can cause."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    if argv is None:  # the process is ours
        begin_startup()
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")  # file names need not be UTF-8
    try:
        _occupy_closed_descriptors()
        return _flush_output(_run_command(arguments))
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else 0
    except BaseException as error:  # the one place where errors become exit codes
        return report_error(error)


def _run_command(arguments: Sequence[str]) -> int:
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    parser = _make_parser(chosen)
    if not arguments:
        parser.print_help(sys.stderr)
        return 2
    args = parser.parse_args(arguments)
    command = importlib.import_module(COMMANDS[args.command][0])
    if args.command != "run":  # whose start ends when its probes are armed
        end_startup()
    code: int = command.main(args)
    return code


def make_whole_parser() -> argparse.ArgumentParser:
    """The parser of all commands with all their options, for man pages and completion."""
    return _make_parser(*COMMANDS)


def _make_parser(*chosen: str | None) -> argparse.ArgumentParser:
    """The parser of all commands, with the options of those that are `chosen`."""
    parser = CommandParser(
        prog=PROGRAM,
        description="Kernel probes as code: plans in YAML, limits that the kernel enforces.",
        epilog=EPILOG,
        formatter_class=HelpText,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, summary) in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            formatter_class=HelpText,
        )
        if name in chosen:
            importlib.import_module(module).add_arguments(command)
    return parser


class _Version(argparse.Action):
    """Prints the version."""

    def __call__(self, *_args: object) -> None:
        from orchestrator.version import installed_version  # for --version only

        print(f"{PROGRAM} {installed_version() or 'unknown (not installed)'}")
        raise SystemExit(0)


# ---------------------------------------------------------------- errors


def _flush_output(code: int) -> int:
    """`code`, once all output is out: a full disk or a closed pipe shows only now."""
    if sys.stdout is not None:  # None: it was closed before we began
        sys.stdout.flush()
    return code


def describe_error(error: BaseException) -> str:
    """What the user needs to know about `error`, as `report_error` prints it."""
    from orchestrator.run.report.errors import report_of

    return report_of(error).text


def report_error(error: BaseException) -> int:
    """Print what the user needs to know about `error`; returns the exit code."""
    if os.environ.get("PROBEPLAN_DEBUG") == "1":
        import traceback  # only for debugging

        traceback.print_exception(error)
    if isinstance(error, BrokenPipeError) and error.filename is None:
        return _leave_broken_pipe()
    from orchestrator.run.report.errors import report_of  # only where something went wrong

    report = report_of(error)
    if report.bare:
        print_error(report.text)
    else:
        print_message(report.text + (_INTERNAL if report.internal else ""))
    return report.exit_code


def _occupy_closed_descriptors() -> None:
    """A standard stream that was closed is the null device from now on. Otherwise the next file
    that is opened would get its number, and with it whatever a child or a library prints."""
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= _STDERR:
        os.set_inheritable(descriptor, True)
    os.close(descriptor)


def _leave_broken_pipe() -> int:
    """Nothing reads our output any more: exit quietly, as if by SIGPIPE (128 + 13)."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    if sys.stdout is not None:
        os.dup2(nowhere, sys.stdout.fileno())  # or the interpreter's last flush complains
    os.close(nowhere)
    return 141
