"""The arguments of commands that run a plan: here, or in a virtual machine."""

import argparse
import sys
from collections.abc import Sequence
from typing import Any

from orchestrator.cli.messages import CommandParser
from orchestrator.cli.options import add_plan_options, overrides
from orchestrator.output.rows import ROWS_PER_SECOND

_LONGEST_LABEL = 200
_MOST_ROWS = 10_000


class WorkloadParser(CommandParser):
    """Takes the words after `--` as COMMAND before argparse sees them: a positional that may be
    empty is filled, empty, before the first option that follows PLAN."""

    def parse_known_args(  # type: ignore[override]  # the overloads of typeshed
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Any, list[str]]:
        words = list(args or ())
        at = words.index("--") if "--" in words else len(words)
        if at == len(words) - 1:  # an empty variable would trace the whole host instead
            self.error("no command follows `--`: name one, or leave `--` out")
        parsed, rest = super().parse_known_args(words[:at], namespace)
        parsed.workload = words[at + 1 :]
        return parsed, rest


def add_run_options(
    parser: argparse.ArgumentParser, *, takes_bundles: bool = False
) -> argparse._ArgumentGroup:
    """PLAN, COMMAND and all options of a run but --live; returns the group of output options."""
    parser.__class__ = WorkloadParser
    plan = add_plan_options(parser, takes_bundles=takes_bundles)
    plan.add_argument("--duration", metavar="TIME", help="same as --limit duration=TIME")
    output = parser.add_argument_group("output")
    _add_output_options(output)
    _add_safety_options(parser.add_argument_group("safety"))
    return output


def plan_overrides(args: argparse.Namespace) -> dict[str, dict[str, str]]:
    """What the options change of the plan, as keyword arguments of `load_plan`."""
    overriding = overrides(args)
    if args.duration is not None:
        overriding["limits"]["duration"] = args.duration
    return overriding


def choose_rows(args: argparse.Namespace) -> int | None:
    """How many rows a second standard output gets; None: it gets JSON lines, or is closed."""
    if args.json or args.log == "-" or sys.stdout is None:
        return None
    return args.rows or (ROWS_PER_SECOND if sys.stdout.isatty() else None)


def _add_output_options(options: argparse._ArgumentGroup) -> None:
    options.add_argument(
        "--json", action="store_true", help="print JSON lines on a terminal, too, instead of rows"
    )
    options.add_argument(
        "--rows",
        metavar="N",
        type=_read_rows,
        help=f"show at most N records a second as rows (on a terminal {ROWS_PER_SECOND}), and ten "
        "times as many at once",
    )
    options.add_argument(
        "--log", metavar="FILE", help="append the JSON lines to FILE (default: standard output)"
    )
    options.add_argument(
        "--out", metavar="DIR", help="keep the plan, the program, the events and the result in DIR"
    )
    options.add_argument(
        "--label",
        metavar="TEXT",
        type=_read_label,
        help="a text that the log and the result carry, such as a ticket or the ring of a rollout",
    )
    options.add_argument(
        "--folded", metavar="FILE", help="write metrics keyed by stacks to FILE, for flame graphs"
    )
    options.add_argument(
        "--summary",
        choices=("auto", "always", "never"),
        default="auto",
        help="print tables to standard error at the end; auto (the default): only to a terminal",
    )
    options.add_argument("--no-progress", action="store_true", help="show no progress bar")


def _read_label(text: str) -> str:
    """The text, if a table and a file can show it in one line."""
    if not text or not text.isprintable() or len(text) > _LONGEST_LABEL:
        raise argparse.ArgumentTypeError(
            f"{text[:_LONGEST_LABEL]!r} is no label: write 1 to {_LONGEST_LABEL} printable "
            "characters"
        )
    return text


def _add_safety_options(options: argparse._ArgumentGroup) -> None:
    options.add_argument(
        "--keep-privileges",
        action="store_true",
        help="keep all capabilities after attaching (default: drop those no longer needed)",
    )
    options.add_argument(
        "--no-canary",
        dest="canary",
        action="store_false",
        help="skip the one-second pre-flight count on hot attach points",
    )


def _read_rows(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if not 1 <= number <= _MOST_ROWS:
        raise argparse.ArgumentTypeError(f"{text!r} is no number from 1 to {_MOST_ROWS:,}")
    return number
