"""Options that several commands share."""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.backends.descriptors import BACKEND_DESCRIPTORS
from orchestrator.plan.findings import Finding, PlanError, Position
from orchestrator.policy.model import Policy

if TYPE_CHECKING:
    from orchestrator.kernel.facts import KernelFacts


def add_override_options(parser: argparse.ArgumentParser) -> None:
    """`--set`, `--target` and `--limit`, each repeatable and written KEY=VALUE."""
    options = (
        ("--set", "settings", "NAME=VALUE", "give a param of the plan a value"),
        ("--target", "target", "KEY=VALUE", "watch somebody else, e.g. pid=1234 or comm=nginx"),
        ("--limit", "limits", "KEY=VALUE", "change a limit, e.g. duration=10s or events=1k"),
    )
    for flag, name, shown, text in options:
        parser.add_argument(
            flag, dest=name, action="append", type=_pair, default=[], metavar=shown, help=text
        )


def overrides(args: argparse.Namespace) -> dict[str, dict[str, str]]:
    """What those options gave, as keyword arguments of `load_plan`; the last of a key wins."""
    return {name: dict(getattr(args, name)) for name in ("settings", "target", "limits")}


def facts_of(recorded: str | None) -> "KernelFacts":
    """What `--kernel` names, or this kernel's. Raises PlanError for what is no recording."""
    from orchestrator.kernel.facts import live_facts, load_facts  # `lint` needs neither
    from orchestrator.kernel.recording import RecordingError

    if recorded is None:
        return live_facts()
    try:
        return load_facts(Path(recorded))
    except (RecordingError, OSError) as error:
        why = f"{recorded!r}: {error.strerror}" if isinstance(error, OSError) else str(error)
        hint = "record a kernel with: probeplan facts > FILE"
        where = Position(file="--kernel")
        raise PlanError([Finding(code="PP001", message=why, position=where, hint=hint)]) from None


def add_policy_option(parser: argparse.ArgumentParser) -> None:
    """`--policy`, repeatable."""
    parser.add_argument(
        "--policy",
        action="append",
        default=[],
        metavar="FILE",
        help="a policy that holds beside the host's, and can only make it stricter",
    )


def add_plan_options(parser: argparse.ArgumentParser) -> None:
    """PLAN, what may be changed of it, what it has to keep to, and how it is attached."""
    parser.add_argument("plan", metavar="PLAN", help="a file, - or the name of a shipped plan")
    add_override_options(parser)
    add_policy_option(parser)
    parser.add_argument(
        "--backend", choices=("auto", *BACKEND_DESCRIPTORS), default="auto", help="default: auto"
    )


def policies(args: argparse.Namespace) -> tuple[Policy, ...]:
    """The host's policy and those that `--policy` named. Raises HostError, PlanError."""
    from orchestrator.policy.file import in_force  # `lint` needs no more than the option

    return in_force(args.policy)


def further_policies(args: argparse.Namespace) -> tuple[Policy, ...]:
    """Those that `--policy` named alone: for a host that is not this one. Raises PlanError."""
    from orchestrator.policy.file import read_policy

    return tuple(map(read_policy, args.policy))


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value
