"""`probeplan new`: a commented plan to begin with, made of an attach point's own arguments."""

import argparse
from pathlib import Path

from orchestrator.cli.discover.schema import modeline
from orchestrator.cli.messages import print_note, print_text
from orchestrator.cli.options import facts_of
from orchestrator.discovery.choice import choose_points
from orchestrator.discovery.description import assume_rights
from orchestrator.discovery.starter import PLAN_WITHOUT_POINT, write_plan
from orchestrator.plan.findings import PlanError, of_command_line

__all__ = ["add_arguments", "main"]

EPILOG = """\
examples:
  probeplan new -o first.yaml               a plan to begin with
  probeplan new syscall:openat              for an attach point, on standard output
  probeplan new tcp_connect -o conn.yaml    by name, if there is one such attach point
  probeplan new 'tracepoint:sched:sched_wakeup*'    for several; fields that all have
  probeplan new uprobe:libc.so.6:malloc --kernel debian:6.1     as of another kernel

The plan passes `probeplan lint`, and runs as it is. `probeplan list` shows what there is.

exit codes: 0 written; 2 usage, or the file exists; 3 no such attach point here
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `new`."""
    parser.epilog = EPILOG
    parser.add_argument(
        "point",
        nargs="?",
        metavar="POINT",
        default=PLAN_WITHOUT_POINT,
        help="KIND:TARGET, or a name (default: a system call that every kernel has)",
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FILE", help="write to FILE (default: stdout)"
    )
    parser.add_argument("--force", action="store_true", help="overwrite FILE")
    parser.add_argument(
        "--kernel",
        metavar="FACTS",
        help="use a recorded kernel, not this one: a file, or a profile such as debian:6.1",
    )


def main(args: argparse.Namespace) -> int:
    """Write the plan; returns the exit code. Raises HostError where there is no such attach point,
    and PlanError where the file exists."""
    chosen = choose_points(args.point, assume_rights(facts_of(args.kernel)))
    text = write_plan(
        chosen.kind,
        chosen.target,
        chosen.points,
        modeline=modeline(),
        file=str(args.output or "PLAN.yaml"),
    )
    if args.output is None:
        print_text(text.rstrip("\n"))
        return 0
    _write_file(args.output, text, force=args.force)
    print_note(f"{args.output} is written; next: probeplan run {args.output}")
    return 0


def _write_file(path: Path, text: str, *, force: bool) -> None:
    try:
        with path.open("w" if force else "x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        finding = of_command_line(f"{path} exists", "name another file, or add --force")
        raise PlanError([finding]) from None
