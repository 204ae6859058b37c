"""The checks that `check --ab` compares: both sides of each, and what does not go with that."""

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.cli.check.loading import load_all
from orchestrator.plan.findings import PlanError, of_command_line

if TYPE_CHECKING:
    from orchestrator.check.sides import CheckSides

__all__ = ["load_all_sides"]


def load_all_sides(args: argparse.Namespace) -> "list[CheckSides]":
    """The sides of all checks. Raises PlanError with the findings of all of them, and for what
    `--ab` does not go with, or lacks, before anything is measured."""
    from orchestrator.check.document.load_sides import load_sides

    _require_sides_alone(args)
    settings = dict(args.settings)
    loaded = load_all(
        args.paths, lambda file: load_sides(file, args.sides, settings), lambda one: one.candidate
    )
    _require_rank_test(loaded)
    return loaded


def _require_sides_alone(args: argparse.Namespace) -> None:
    if args.update:
        message = f"--update {args.update} records one side, and --ab compares two"
        raise PlanError([of_command_line(message, "record without --ab")])
    if args.sides.param in dict(args.settings):
        message = f"--set and --ab both give the param {args.sides.param!r} a value"
        raise PlanError([of_command_line(message, "give it by --ab alone")])


def _require_rank_test(all_sides: "Sequence[CheckSides]") -> None:
    from orchestrator.check.times.rank_test import is_rank_test_installed

    if any(map(_compares_times, all_sides)) and not is_rank_test_installed():
        message = "times of two sides are compared by the package scipy, which is not installed"
        hint = "install it with: pip install 'probeplan[check]'"
        raise PlanError([of_command_line(message, hint)])


def _compares_times(sides: "CheckSides") -> bool:
    from orchestrator.check.expectation.references import PlanNames
    from orchestrator.check.expectation.time_bounds import compares_times

    names = PlanNames(sides.candidate.plan)
    return any(compares_times(one, names) for one in sides.candidate.expectations)
