"""`probeplan bundle`: a plan and its programs in one file, for hosts without a compiler."""

import argparse
import os
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from orchestrator.cli.bundle.files import list_plans, place_bundles
from orchestrator.cli.bundle.matrix_text import FORMATS, describe_bundle
from orchestrator.cli.bundle.moments import read_created, read_expires
from orchestrator.cli.messages import print_error, print_message, print_note
from orchestrator.cli.options import (
    add_addition_options,
    add_override_options,
    facts_of,
    read_additions,
)
from orchestrator.plan.findings import Finding, PlanError, of_command_line

if TYPE_CHECKING:
    from orchestrator.bundle.build import Blueprint, BuildOptions
    from orchestrator.bundle.matrix import RecordedKernel

__all__ = ["add_arguments", "main"]

EPILOG = """\
examples:
  probeplan bundle slow-io --kernel fleet/*.facts.xz -o slow-io.ppb
  probeplan bundle slow-io opens --kernel fleet/*.facts.xz -o bundles/
  probeplan bundle slow-io --kernel fleet/*.facts.xz --check         what would be in it?
  probeplan bundle plans/ --kernel fleet/*.facts.xz --check --format markdown
  probeplan bundle plan.yaml --kernel a.facts.xz --set fs=ext4 --set fs=xfs -o plan.ppb
  probeplan bundle plan.yaml --kernel a.facts.xz --with-command --expires 2027-06-30 -o plan.ppb

Record a host of each kernel as root with `probeplan facts -o web-01.facts.xz`, build here, sign
with `ssh-keygen -Y sign -n probeplan`, and run on the hosts with `probeplan run slow-io.ppb`. They
need no compiler. One program serves all kernels of its shape: numbers such as the offsets of
structure members and the pids of a target are filled in where it runs. For each kernel there are
programs for hosts that lack fetching atomics (Linux 5.10) or may not attach trampolines, too.

On the host, numbers may be others: params of the types int, duration, bytes, bool and ratio, the
pids, uids and cgroups of a target, and limits. What is text has to be built: params of the types
choice, attach, symbol, path and string, the names in a target, and how many entries it has. --set
or --target given again for the same name adds a value; programs are made for each combination.
Runs with a command (`run FILE.ppb -- COMMAND`) follow its descendants by other programs:
--with-command adds them.

The same input gives the same bytes where SOURCE_DATE_EPOCH is set.

exit codes:
  0  done                      2  invalid plan, recording or usage; the file cannot be written
  1  nothing serves a kernel   3  there is no compiler here, or a program cannot be compiled
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `bundle`."""
    parser.usage = "probeplan bundle PLAN... --kernel FACTS... (-o FILE | --check) [options]"
    parser.epilog = EPILOG
    parser.add_argument(
        "plans",
        nargs="+",
        metavar="PLAN",
        help="plan files, directories of them, names of shipped plans, or - for stdin",
    )
    parser.add_argument(
        "--kernel",
        action="extend",
        nargs="+",
        required=True,
        metavar="FACTS",
        help="recorded kernels to build for: files of `probeplan facts`, profiles such as "
        "debian:6.1, or all (every profile); after the plans",
    )
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="write the bundle to FILE; with several plans, or where it is a directory or ends in "
        "/, each plan's to FILE/NAME.ppb",
    )
    action.add_argument(
        "--check",
        action="store_true",
        help="print what each plan comes to on each kernel, and build nothing",
    )
    parser.add_argument(
        "--format",
        choices=tuple(FORMATS),
        default="text",
        help="how --check prints (default: text)",
    )
    plan = parser.add_argument_group("what is built")
    add_override_options(plan, limits=False)
    add_addition_options(plan)
    plan.add_argument("--with-command", action="store_true", help="also for runs with `-- COMMAND`")
    plan.add_argument(
        "--expires",
        metavar="DATE",
        help="hosts refuse the bundle from then on: 2027-06-30 (its start, UTC), or with a time, "
        "2027-06-30T12:00+02:00",
    )
    plan.add_argument(
        "--allow-missing",
        action="store_true",
        help="build although nothing serves one of the kernels",
    )


def main(args: argparse.Namespace) -> int:
    """Build the bundles, or show what they would have; returns the exit code. Raises PlanError,
    HostError, and OSError for a file that cannot be written."""
    plans = list_plans(args.plans)
    places = [] if args.check else place_bundles(plans, args.output)
    blueprints = _draw_blueprints(plans, _load_kernels(args.kernel), _read_options(args))
    if args.check:
        print(FORMATS[args.format](blueprints))
        _note_missing_compiler()
    _note_missing_files(blueprints)
    unserved = _report_unserved(blueprints, with_reasons=not args.check)
    if unserved and not args.allow_missing:
        if not args.check:
            print_message(
                "nothing was written\n  hint: leave these kernels out, or build for the rest with "
                "--allow-missing"
            )
        return 1
    if not args.check:
        _build_files(blueprints, places)
    return 0


def _draw_blueprints(
    plans: Sequence[str], kernels: "Sequence[RecordedKernel]", options: "BuildOptions"
) -> "list[Blueprint]":
    """What each plan comes to. Raises PlanError with the findings of all plans."""
    from orchestrator.bundle.build import draw_blueprint  # takes most of a refused command's time

    blueprints: list[Blueprint] = []
    findings: list[Finding] = []
    for plan in plans:
        try:
            blueprints.append(draw_blueprint(plan, kernels, options))
        except PlanError as error:
            findings += error.findings
    if findings:
        raise PlanError(dict.fromkeys(findings))
    return blueprints


def _read_options(args: argparse.Namespace) -> "BuildOptions":
    from orchestrator.bundle.build import BuildOptions

    created = read_created(os.environ)
    return BuildOptions(
        params=_collect_values(args.settings),
        target=_collect_values(args.target),
        additions=read_additions(args),
        with_command=args.with_command,
        created=created,
        expires=None if args.expires is None else read_expires(args.expires, created),
    )


def _collect_values(pairs: Sequence[tuple[str, str]]) -> dict[str, list[str]]:
    """All values of each name, in the order given, each once."""
    values: dict[str, list[str]] = {}
    for name, value in pairs:
        known = values.setdefault(name, [])
        if value not in known:
            known.append(value)
    return values


# ---------------------------------------------------------------- kernels


def _load_kernels(files: Sequence[str]) -> "list[RecordedKernel]":
    """The recordings, in the order given. Raises PlanError for a file that is none, and for two of
    one name."""
    from orchestrator.bundle.matrix import RecordedKernel, name_kernel
    from orchestrator.kernel.recorded.profiles import expand_names

    named: dict[str, str] = {}
    kernels = []
    for file in expand_names(files):
        name = name_kernel(file)
        if name in named:
            message = f"two recordings are called {name!r}: {named[name]} and {file}"
            raise PlanError([of_command_line(message, "rename one of the files")])
        named[name] = file
        kernels.append(RecordedKernel(name=name, facts=facts_of(file)))
    _warn_of_trimmed([kernel.name for kernel in kernels if kernel.facts.trimmed])
    return kernels


def _warn_of_trimmed(names: Sequence[str]) -> None:
    if names:
        print_note(
            f"recorded with trimmed types: {', '.join(names)}. They offer fewer trampolines than "
            "the kernels, whose hosts may then want other programs; record the kernels with "
            "`probeplan facts`"
        )


# ---------------------------------------------------------------- building


def _build_files(blueprints: "Sequence[Blueprint]", places: Sequence[str]) -> None:
    """Compile everything, then write each file, whole or not at all."""
    from orchestrator.bundle.build import compile_blueprints
    from orchestrator.bundle.file import write_bundle
    from orchestrator.cli.bundle.compile_bar import CompileBar
    from orchestrator.output.replace_file import replace_file
    from orchestrator.output.terminal.progress import hidden_at_end

    with hidden_at_end(CompileBar(sys.stderr)) as bar:
        bar.update(0, len({key for one in blueprints for key in one.artifacts}))
        bundles = compile_blueprints(blueprints, bar.update)
    contents = [write_bundle(bundle) for bundle in bundles]
    for bundle, content, place in zip(bundles, contents, places, strict=True):
        replace_file(place, content)
        print_message(f"{place}: {describe_bundle(bundle, len(content))}")


# ---------------------------------------------------------------- judging


def _report_unserved(blueprints: "Sequence[Blueprint]", *, with_reasons: bool) -> bool:
    """Whether a kernel is served by nothing, which is printed."""
    for blueprint in blueprints:
        for row in blueprint.unserved:
            reasons = row.reasons if with_reasons else ()
            plan = blueprint.bundle.plan_name
            print_error(
                "\n".join([f"{plan}: nothing serves {row.kernel} ({row.release})", *reasons])
            )
    return any(blueprint.unserved for blueprint in blueprints)


def _note_missing_files(blueprints: "Sequence[Blueprint]") -> None:
    for path in dict.fromkeys(path for one in blueprints for path in one.missing_files):
        print_note(
            f"{path} is not on this machine: what is probed in it is taken as written, and a host "
            "whose file has other USDT operands will want another program"
        )


def _note_missing_compiler() -> None:
    from orchestrator.backends.compiled import read_compiler_version

    if read_compiler_version() == "absent":
        print_note("there is no compiler here: the programs' keys are not those of a bundle")
