"""`probeplan prepare`: compile plans ahead, so that their first run starts without the compiler."""

import argparse
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Literal

from orchestrator.backends.descriptors import descriptor_of
from orchestrator.cli.messages import print_text
from orchestrator.cli.named_plan import load_named_plan, read_named
from orchestrator.cli.options import (
    add_override_options,
    add_policy_option,
    overrides,
    policies_in_force,
)
from orchestrator.cli.tracefs import mount_tracefs
from orchestrator.kernel.facts import KernelFacts, live_facts
from orchestrator.output.terminal.progress import TerminalLine, hidden_at_end
from orchestrator.plan.findings import HostError, PlanError, of_command_line
from orchestrator.plan.model import Plan
from orchestrator.plan.units import UnitError, parse_duration
from orchestrator.policy.model import Policy
from orchestrator.run.prepare import prepare
from orchestrator.run.shipped import is_bundle_name, shipped_plans, site_plans
from orchestrator.values import dataclass

EPILOG = """\
examples:
  probeplan prepare                         all shipped and site plans that this kernel supports
  probeplan prepare opens site/*.yaml       these plans
  probeplan prepare --timeout 2m            begin no further plan after two minutes
  probeplan prepare opens --with-command    also for `probeplan run opens -- COMMAND`

Programs are kept in /var/cache/probeplan (for users other than root, in ~/.cache/probeplan), where
a run looks for them; most of them serve later kernels, too. What is there already is not compiled
again. The compiler runs at the lowest priority. The Debian package does this in the background
after an installation, and after updates of bcc and of the kernel. Nothing is attached.

Plans that run on tracefs need no compiler: for them there is nothing to prepare.

exit codes:
  0  all is prepared; plans that this kernel does not support are listed, if none was named
  2  invalid plan or usage
  3  a named plan is not supported here, one could not be read or compiled, or there was no time
"""

_LOWEST_PRIORITY = 19
_SECOND_NS = 10**9

State = Literal["prepared", "needs no compiler", "unsupported", "failed", "no time"]
_BAD_IF_NAMED: frozenset[State] = frozenset({"unsupported", "failed", "no time"})
_BAD: frozenset[State] = frozenset({"failed", "no time"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparation:
    """What became of one plan; `reason`: why it is not prepared, else ""."""

    plan: str
    state: State
    reason: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `prepare`."""
    parser.epilog = EPILOG
    parser.add_argument(
        "plans",
        nargs="*",
        metavar="PLAN",
        help="plan files, or names of plans (default: all shipped plans, and the site's)",
    )
    parser.add_argument(
        "--timeout",
        type=_seconds,
        metavar="TIME",
        help="begin no further plan after this time, e.g. 2m (default: as long as it takes)",
    )
    parser.add_argument(
        "--with-command", action="store_true", help="also for runs with `-- COMMAND`"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    add_override_options(parser)
    add_policy_option(parser)


def main(args: argparse.Namespace) -> int:
    """Compile what is not compiled yet; returns the exit code. Raises PlanError, HostError."""
    os.nice(_LOWEST_PRIORITY)  # the compiler inherits it
    if not args.plans and any(overrides(args).values()):
        hint = "name the plan that they are for"
        raise PlanError([of_command_line("--set, --target and --limit are of a plan", hint)])
    mount_tracefs()
    facts, policies = live_facts(), policies_in_force(args)
    plans = list(_read_plans(args, facts, policies))
    follow = (False, True) if args.with_command else (False,)
    done = list(_prepare_in_time(plans, facts, policies, follow, args.timeout))
    if args.json:
        print_text(json.dumps([asdict(one) for one in done], indent=2))
    else:
        for line in _describe(done):
            print_text(line)
    bad = _BAD_IF_NAMED if args.plans else _BAD
    return 3 if any(one.state in bad for one in done) else 0


def _read_plans(
    args: argparse.Namespace, facts: KernelFacts, policies: Sequence[Policy]
) -> Iterator[Plan | Preparation]:
    """The named plans, or all that have names. A site's plan that cannot be read keeps the others
    from nothing, where no plan was named; otherwise raises PlanError, HostError."""
    if args.plans:
        yield from (_read_plan(name, args, facts, policies) for name in args.plans)
        return
    site = site_plans()
    for name in {**shipped_plans(), **site}:
        if name in site and is_bundle_name(site[name]):
            continue  # it has its programs
        try:
            yield _read_plan(name, args, facts, policies)
        except (HostError, PlanError) as error:
            if name not in site:
                raise
            yield Preparation(plan=name, state="failed", reason=_first_reason(error))


def _read_plan(
    name: str, args: argparse.Namespace, facts: KernelFacts, policies: Sequence[Policy]
) -> Plan:
    content, file = read_named(name)
    named = load_named_plan(content, file, policies, facts.arch, overrides(args))
    if named.bundle is not None:
        hint = "run it as it is"
        raise PlanError([of_command_line(f"{file} is a bundle, which has its programs", hint)])
    return named.plan


def _prepare_in_time(
    plans: Sequence[Plan | Preparation],
    facts: KernelFacts,
    policies: Sequence[Policy],
    follow: Sequence[bool],
    timeout_s: float | None,
) -> Iterator[Preparation]:
    """What became of each plan, with progress on a terminal."""
    start = time.monotonic()
    with hidden_at_end(TerminalLine(sys.stderr)) as line:
        for number, plan in enumerate(plans):
            if isinstance(plan, Preparation):
                yield plan
                continue
            name = plan.metadata.name
            line.draw(f"{number} of {len(plans)} plans prepared; now {name}")
            if timeout_s is not None and time.monotonic() - start >= timeout_s:
                yield Preparation(plan=name, state="no time", reason="--timeout was over before it")
            else:
                yield _prepare_plan(plan, facts, policies, follow)


def _prepare_plan(
    plan: Plan, facts: KernelFacts, policies: Sequence[Policy], follow: Sequence[bool]
) -> Preparation:
    name = plan.metadata.name
    try:
        chosen = [prepare(plan, facts, policies, follow_children=each).choice for each in follow]
    except (HostError, PlanError) as error:  # of a shipped plan: this kernel lacks something
        return Preparation(plan=name, state="unsupported", reason=_first_reason(error))
    if not any(descriptor_of(choice.artifact.backend).has_bpf_programs for choice in chosen):
        return Preparation(plan=name, state="needs no compiler")
    try:
        for choice in chosen:
            choice.backend.try_artifact(choice.artifact)
    except HostError as error:
        return Preparation(plan=name, state="failed", reason=_first_reason(error))
    return Preparation(plan=name, state="prepared")


def _first_reason(error: HostError | PlanError) -> str:
    return error.findings[0].message.partition("\n")[0]


def _describe(done: Sequence[Preparation]) -> Iterator[str]:
    """What could not be prepared and why, then how many there are of each."""
    for one in done:
        if one.reason:
            yield f"{one.plan}: {one.state}: {one.reason}"
    counts = Counter(one.state for one in done)
    yield f"{len(done)} plans: " + ", ".join(f"{count} {state}" for state, count in counts.items())


def _seconds(text: str) -> float:
    try:
        return parse_duration(text) / _SECOND_NS
    except UnitError as error:
        raise argparse.ArgumentTypeError(f"{error}; {error.hint}") from None
