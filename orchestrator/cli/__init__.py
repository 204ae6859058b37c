"""The command line: one module a command, imported only when it is chosen.

A command's module has `add_arguments(parser)` and `main(args) -> int`. Exit codes: 0 done, 1 a
check failed, 2 plan or usage invalid, 3 host cannot run this plan, 4 data incomplete, 5 workload
failed, 6 internal failure, 130 interrupted.
"""

import argparse
import errno
import importlib
import os
import sys
from collections.abc import Mapping, Sequence

from orchestrator.plan.findings import HostError, PlanError

PROGRAM = "probeplan"

#: name → (module, one-line summary)
COMMANDS: Mapping[str, tuple[str, str]] = {
    "lint": ("orchestrator.cli.lint", "check plans: offline, without root"),
    "explain": ("orchestrator.cli.explain", "show what a plan would attach, and what it costs"),
    "doctor": ("orchestrator.cli.doctor", "show what this host offers, and what a plan lacks"),
    "run": ("orchestrator.cli.run", "run a plan under its limits and log what it sees"),
    "status": ("orchestrator.cli.status", "list live runs and probes of this host"),
    "stop": ("orchestrator.cli.stop", "end a live run cleanly"),
    "pause": ("orchestrator.cli.pause", "switch probes of a live run off, and leave them attached"),
    "resume": ("orchestrator.cli.resume", "switch paused probes on again"),
    "cleanup": ("orchestrator.cli.cleanup", "remove what dead runs left behind"),
    "policy": ("orchestrator.cli.policy", "show or check what this host allows plans to do"),
    "facts": ("orchestrator.cli.facts", "record this kernel's facts, to check plans elsewhere"),
}

EPILOG = """\
examples:
  probeplan lint plans/                     check every plan below plans/
  probeplan doctor plans/fs/slow-io.yaml    can this host run it? what is missing?
  probeplan explain slow-io                 what exactly would be attached; shipped plans by name
  probeplan run slow-io                     run it; JSON lines on standard output
  probeplan run opens -- make test          watch a command and its descendants

Each command has its own help: probeplan run --help
Exit codes: 0 done, 1 a check failed, 2 invalid plan or usage, 3 this host cannot run the plan,
4 incomplete data, 5 the workload failed, 6 internal failure, 130 interrupted.
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code and never raises for what a user can cause."""
    arguments = list(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="backslashreplace")  # file names need not be UTF-8
    try:
        return _flushed(_run(arguments))
    except SystemExit as leaving:
        return leaving.code if isinstance(leaving.code, int) else 0
    except BaseException as error:  # the one place where errors become exit codes
        return _told(error)


def _run(arguments: Sequence[str]) -> int:
    chosen = next((word for word in arguments if not word.startswith("-")), None)
    parser = _parser(chosen)
    if not arguments:
        parser.print_help(sys.stderr)
        return 2
    args = parser.parse_args(arguments)
    command = importlib.import_module(COMMANDS[args.command][0])
    code: int = command.main(args)
    return code


def _parser(chosen: str | None) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog=PROGRAM,
        description="Kernel probes as code: plans in YAML, limits that the kernel enforces.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and exit")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND", required=True)
    for name, (module, summary) in COMMANDS.items():
        command = commands.add_parser(
            name,
            help=summary,
            description=f"{summary[0].upper()}{summary[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if name == chosen:
            importlib.import_module(module).add_arguments(command)
    return parser


class _Version(argparse.Action):
    """Prints the version."""

    def __call__(self, *_args: object) -> None:
        from orchestrator.version import installed_version  # 20 ms, for --version only

        print(f"{PROGRAM} {installed_version() or 'unknown (not installed)'}")
        raise SystemExit(0)


# ---------------------------------------------------------------- errors


def _flushed(code: int) -> int:
    """`code`, once all output is out: a full disk or a closed pipe shows only now."""
    sys.stdout.flush()
    return code


def _told(error: BaseException) -> int:
    """Tell the user about `error`; returns the exit code."""
    if os.environ.get("PROBEPLAN_DEBUG") == "1":
        import traceback  # only for debugging

        traceback.print_exception(error)
    match error:
        case PlanError() | HostError():
            _say(str(error))
            return 2 if isinstance(error, PlanError) else 3
        case KeyboardInterrupt():
            _say("interrupted")
            return 130
        case BrokenPipeError():
            return _reader_left()
        case OSError(errno=errno.ENOSPC | errno.EIO | errno.EDQUOT, filename=None):
            _say(f"{PROGRAM}: standard output takes no more: {error.strerror}")
            return 2
        case OSError(filename=str() as name, strerror=str() as reason):
            _say(f"{PROGRAM}: {name!r}: {reason}")
            return 3 if name.startswith(("/sys/", "/proc/", "/dev/")) else 2
        case _:
            _say(
                f"{PROGRAM}: internal error: {type(error).__name__}: {error}\n"
                "  hint: this is a fault of probeplan, not of your plan. Please report it with the "
                "plan and the output of the same command under PROBEPLAN_DEBUG=1"
            )
            return 6


def _reader_left() -> int:
    """Nobody reads our output any more: leave quietly, as if by SIGPIPE (128 + 13)."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())  # or the interpreter's last flush complains
    os.close(nowhere)
    return 141


def _say(text: str) -> None:
    try:
        print(text, file=sys.stderr)
    except OSError:
        return  # standard error is gone too; the exit code has to do
