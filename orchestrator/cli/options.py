"""Options that several commands share."""

import argparse
from collections.abc import Iterable
from typing import TYPE_CHECKING, NoReturn

from orchestrator.backends.descriptors import BACKEND_DESCRIPTORS
from orchestrator.plan.findings import Finding, PlanError, Position

if TYPE_CHECKING:
    from orchestrator.kernel.facts import KernelFacts
    from orchestrator.policy.model import Policy

#: An ArgumentParser or one of its groups.
Options = argparse._ActionsContainer


def add_override_options(options: Options, *, limits: bool = True) -> None:
    """`--set`, `--target` and, unless there are no `limits`, `--limit`, each repeatable and written
    KEY=VALUE."""
    overriding = (
        ("--set", "settings", "NAME=VALUE", "set a param of the plan, e.g. threshold=5ms"),
        ("--target", "target", "KEY=VALUE", "replace the target, e.g. pid=1234 or comm=nginx"),
        ("--limit", "limits", "KEY=VALUE", "replace a limit, e.g. duration=10s or events=1k"),
    )
    for flag, name, metavar, text in overriding if limits else overriding[:-1]:
        options.add_argument(
            flag, dest=name, action="append", type=_pair, default=[], metavar=metavar, help=text
        )


def overrides(args: argparse.Namespace) -> dict[str, dict[str, str]]:
    """The values of those options, and of those that add to a plan where a command has them, as
    keyword arguments of `load_plan`; the last of a key wins."""
    given = {name: dict(getattr(args, name)) for name in ("settings", "target", "limits")}
    return {**given, "additions": read_additions(args)}


def read_additions(args: argparse.Namespace) -> dict[str, str]:
    """What `--by` and `--enrich` add to a plan, by option; none where a command has neither."""
    added = {name: getattr(args, name, None) for name in ("by", "enrich")}
    return {name: ",".join(of) for name, of in added.items() if of}


def add_addition_options(options: Options) -> None:
    """`--by` and `--enrich`, each repeatable, or with several names and commas."""
    options.add_argument(
        "--by",
        action="append",
        metavar="NAME",
        help="count all metrics of the plan by this too: container, cgroup, comm, pid, uid, cpu, …",
    )
    options.add_argument(
        "--enrich",
        action="append",
        metavar="containers",
        help="add the container of its task to each record: id, name, pod",
    )


def facts_of(recorded: str | None) -> "KernelFacts":
    """The facts in the file or profile that `--kernel` names, or this kernel's (None). Raises
    PlanError for a file that is not a recording, and for an unknown profile."""
    from orchestrator.kernel.facts import live_facts  # `lint` needs neither
    from orchestrator.kernel.recorded.profiles import ALL, PROFILES, is_profile_name, load_named
    from orchestrator.kernel.recording import RecordingError

    if recorded is None:
        return live_facts()
    try:
        if recorded == ALL:
            _refuse_all(PROFILES)
        return load_named(recorded)
    except (RecordingError, OSError) as error:
        why = f"{recorded!r}: {error.strerror}" if isinstance(error, OSError) else str(error)
        hint = "record a kernel with: probeplan facts > FILE"
        if is_profile_name(recorded):
            hint = "name one of these, or record a kernel with: probeplan facts > FILE"
        option = Position(file="--kernel")
        raise PlanError([Finding(code="PP001", message=why, position=option, hint=hint)]) from None


def _refuse_all(names: Iterable[str]) -> NoReturn:
    from orchestrator.kernel.recording import RecordingError

    raise RecordingError(f"'all' is several kernels, and one is needed here: {', '.join(names)}")


def add_policy_option(options: Options) -> None:
    """`--policy`, repeatable."""
    options.add_argument(
        "--policy",
        action="append",
        default=[],
        metavar="FILE",
        help="apply a further policy; it can only be stricter than the host's; repeatable",
    )


def add_backend_option(options: argparse._ActionsContainer) -> None:
    """--backend, which chooses how to attach."""
    options.add_argument(
        "--backend",
        choices=("auto", *BACKEND_DESCRIPTORS),
        default="auto",
        help="how to attach; auto (the default) takes the first that supports the plan",
    )


def add_plan_options(
    parser: argparse.ArgumentParser, *, takes_bundles: bool
) -> argparse._ArgumentGroup:
    """PLAN, what may be changed of it, its policies and its backend; returns their group."""
    bundle = "a bundle (FILE.ppb), " if takes_bundles else ""
    parser.add_argument(
        "plan",
        metavar="PLAN",
        help=f"a plan file, {bundle}the name of a shipped plan, or - for stdin",
    )
    plan = parser.add_argument_group("plan options")
    add_override_options(plan)
    add_addition_options(plan)
    add_policy_option(plan)
    add_backend_option(plan)
    return plan


def policies_in_force(args: argparse.Namespace) -> "tuple[Policy, ...]":
    """The host's policy and those that `--policy` names. Raises HostError, PlanError."""
    from orchestrator.policy.file import read_policies  # `lint` needs no more than the option

    return read_policies(args.policy)


def policy_contents(args: argparse.Namespace) -> tuple[tuple[str, bytes], ...]:
    """The names and bytes of those policies' files. Raises HostError, PlanError."""
    from orchestrator.policy.file import read_contents  # `lint` needs no more than the option

    return tuple(read_contents(args.policy))


def further_policies(args: argparse.Namespace) -> "tuple[Policy, ...]":
    """Only those that `--policy` names: for a host that is not this one. Raises PlanError."""
    from orchestrator.policy.file import read_policy

    return tuple(map(read_policy, args.policy))


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not key or not equals:
        raise argparse.ArgumentTypeError(f"{text!r} is not KEY=VALUE")
    return key, value
