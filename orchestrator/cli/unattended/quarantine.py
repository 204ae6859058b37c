"""`probeplan quarantine`: the plans that unattended runs refuse on this host, and letting them run
again."""

import argparse
import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import suppress

from orchestrator.cli.messages import print_text
from orchestrator.cli.unattended.quarantined import (
    describe_entry,
    entry_fields,
    name_entry,
    quarantine_error,
    quarantine_of_host,
    read_entries,
)
from orchestrator.plan.findings import HostError, PlanError, of_command_line
from orchestrator.run.unattended.quarantine import QuarantineEntry

EPILOG = """\
examples:
  probeplan quarantine list                 which plans are refused here, why and until when
  probeplan quarantine list --format json   JSON, for programs
  probeplan quarantine lift slow-io         let slow-io run unattended again, in all its versions
  probeplan quarantine lift ./slow-io.yaml  only this version of it; bundles, too
  probeplan quarantine lift 9f86d081884c    the same, by the digest that `list` shows

A plan is put into quarantine for 24 h when its unattended run was stopped by limits.cpu or the
canary, when the kernel's verifier refused its program, or when the host went down while it ran.
`run --unattended` then refuses it; a run without --unattended only prints a warning. A new version
of a plan is another plan.

exit codes: 0 done; 2 usage; 3 PLAN is not in quarantine, or this user may not look
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `quarantine`."""
    parser.epilog = EPILOG
    parser.add_argument(
        "action", choices=("list", "lift"), help="show the quarantine, or end that of PLAN"
    )
    parser.add_argument(
        "plan", nargs="?", metavar="PLAN", help="a plan's name, file, bundle or digest, for `lift`"
    )
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="how to print (default: text)"
    )


def main(args: argparse.Namespace) -> int:
    """Show or lift; returns 0. Raises PlanError and HostError."""
    if (args.plan is None) != (args.action == "list"):
        wrong = "list shows all plans" if args.plan is not None else "lift needs a PLAN"
        hint = "`probeplan quarantine list` shows the plans; `lift PLAN` ends the quarantine of one"
        raise PlanError([of_command_line(f"quarantine {wrong}", hint)])
    entries = read_entries() if args.action == "list" else lift_plan(args.plan)
    if args.format == "json":
        print(json.dumps([entry_fields(entry) for entry in entries], indent=2))
    elif args.action == "lift":
        print_text("\n".join(f"{name_entry(entry)}: may run again" for entry in entries))
    else:
        print_text("\n".join(_list_lines(entries)))
    return 0


def _list_lines(entries: Sequence[QuarantineEntry]) -> Iterator[str]:
    if not entries:
        yield "no plan is in quarantine on this host"
    for entry in entries:
        yield from describe_entry(entry)


def lift_plan(plan: str) -> tuple[QuarantineEntry, ...]:
    """End the quarantine of a plan, named as on the command line; returns what it was. Raises
    PlanError for a file that cannot be read, HostError where the plan is not in quarantine."""
    quarantine = quarantine_of_host()
    try:
        for what in _list_names(plan):
            if lifted := quarantine.lift(what):
                return lifted
    except OSError as error:
        raise quarantine_error("changed", error) from None
    held = ", ".join(map(name_entry, read_entries())) or "none"
    message = f"plan {plan!r} is not in quarantine on this host"
    raise HostError([of_command_line(message, f"plans in quarantine: {held}")])


def _list_names(plan: str) -> Iterator[str]:
    """What it may be listed by: a file by the digest of its plan; else its name or digest, and
    where that is a shipped plan the digest of it, since a damaged entry has no name."""
    if "/" in plan or plan.endswith((".yaml", ".yml", ".ppb")) or plan == "-":
        yield _digest_of_file(plan)
        return
    yield plan
    with suppress(PlanError):
        yield _digest_of_file(plan)


def _digest_of_file(path: str) -> str:
    """The digest of the plan in a file or a bundle; a bundle is not asked whether it may run."""
    from orchestrator.bundle.file import read_bundle  # for files alone
    from orchestrator.cli.named_plan import is_bundle, read_named
    from orchestrator.version import installed_version

    content, file = read_named(path)
    if is_bundle(content):
        content = read_bundle(content, file, release=installed_version()).plan_text
    return hashlib.sha256(content).hexdigest()
