"""The options of `run` for runs that no one watches. What they need is imported where they are
given."""

import argparse
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from orchestrator.plan.findings import PlanError, of_command_line

if TYPE_CHECKING:
    from orchestrator.run.unattended.expiry import Expiry
    from orchestrator.run.unattended.result_pruning import Keep
    from orchestrator.run.unattended.shard import Shard

__all__ = ["add_unattended_options", "check_unattended_options"]

ValueT = TypeVar("ValueT")
#: Options that say something only of an unattended run, and those that none can have.
_ONLY_UNATTENDED = ("expires", "shard", "keep")
_ONLY_ATTENDED = {
    "out": "the results of unattended runs are kept in /var/lib/probeplan/results",
    "live": "no one watches an unattended run",
}


def add_unattended_options(parser: argparse.ArgumentParser) -> None:
    """`--unattended`, and what goes with it."""
    options = parser.add_argument_group(
        "unattended", "for units, timers and rollouts; see docs/unattended.md"
    )
    options.add_argument(
        "--unattended",
        action="store_true",
        help="keep the result in /var/lib/probeplan, report also runs that are not made, and run "
        "no plan twice at a time",
    )
    options.add_argument(
        "--expires",
        metavar="DATE",
        type=_read_expiry,
        help="refuse to run after DATE: 2026-12-31 (its end in UTC) or 2026-12-31T18:00:00Z",
    )
    options.add_argument(
        "--shard",
        metavar="PERCENT%",
        type=_read_shard,
        help="run only if this host is in the first PERCENT%% of all hosts; a larger percentage "
        "only adds hosts",
    )
    options.add_argument(
        "--keep",
        metavar="RUNS[,BYTES]",
        type=_read_keep,
        help="how many results of a plan stay, and how large together (default: 20,200MiB)",
    )


def check_unattended_options(args: argparse.Namespace) -> None:
    """Raises PlanError for options that do not go together."""
    if args.unattended:
        for name, why in _ONLY_ATTENDED.items():
            if getattr(args, name):
                raise PlanError([of_command_line(f"--unattended does not go with --{name}: {why}")])
        return
    for name in _ONLY_UNATTENDED:
        if getattr(args, name) is not None:
            message = f"--{name} is for unattended runs, and this is none"
            raise PlanError([of_command_line(message, f"add --unattended, or leave out --{name}")])


def _read_expiry(text: str) -> "Expiry":
    from orchestrator.run.unattended.expiry import read_expiry

    return _explain_error(read_expiry, text)


def _read_shard(text: str) -> "Shard":
    from orchestrator.run.unattended.shard import read_shard

    return _explain_error(read_shard, text)


def _read_keep(text: str) -> "Keep":
    from orchestrator.plan.units import UnitError
    from orchestrator.run.unattended.result_pruning import read_keep

    try:
        return read_keep(text)
    except UnitError as error:
        raise argparse.ArgumentTypeError(f"{error}: {error.hint}") from None


def _explain_error(read: Callable[[str], ValueT], text: str) -> ValueT:
    """The value, or what is wrong as argparse shows it: it hides the text of other errors."""
    try:
        return read(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None
