"""`probeplan plans`: which plans there are, by the question that each answers."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

from orchestrator.catalog.areas import SITE
from orchestrator.catalog.entry import CatalogEntry
from orchestrator.catalog.index import read_index
from orchestrator.catalog.search import find_plans
from orchestrator.cli.messages import print_error, print_note, print_text
from orchestrator.plan.printable import make_printable
from orchestrator.run.shipped import SITE_PLANS, is_bundle_name, site_plans

if TYPE_CHECKING:
    from orchestrator.run.suitability import Suitability

EPILOG = """\
examples:
  probeplan plans                      all plans, by area; the site's (/etc/probeplan/plans) too
  probeplan plans memleak              the plans that answer what this tool of bcc answers
  probeplan plans slow disk            plans that match both words
  probeplan plans tcp --here           and whether this host can run each
  probeplan plans sched_switch         plans that probe this tracepoint
  probeplan plans latency --in ./plans     one's own plans too
  probeplan plans dns --format json    JSON, for programs

Every WORD has to match a plan's name, its question, its area and tags, the tools of bcc, bpftrace
and perf-tools that answer the same question, or what it probes. What matches exactly comes first.

exit codes:
  0  plans were found
  1  no plan matches
  2  invalid usage
"""

_NO_MATCH = 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `plans`."""
    parser.epilog = EPILOG
    parser.add_argument(
        "words", nargs="*", metavar="WORD", help="what a plan has to match (default: list all)"
    )
    parser.add_argument(
        "--here", action="store_true", help="say whether this host can run each, and why not"
    )
    parser.add_argument(
        "--in",
        dest="folders",
        action="append",
        default=[],
        metavar="DIR",
        help="list the plans below this folder too; repeatable",
    )
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="how to print (default: text)"
    )


def main(args: argparse.Namespace) -> int:
    """List the plans that match; returns the exit code. Raises PlanError for a folder that cannot
    be read, HostError for a policy that cannot be used."""
    site = site_plans()
    entries = [*_read_site(site), *_list_shipped(site), *_read_folders(args.folders)]
    found = find_plans(args.words, entries)
    if not found:
        return _report_no_match(args, entries)
    verdicts = dict(_judge_entries(found)) if args.here else {}
    if args.format == "json":
        fields = [_entry_fields(entry, verdicts) for entry in found]
        print_text(json.dumps(fields, indent=2))
        return 0
    from orchestrator.cli.discover.plan_table import print_plan_table  # JSON needs no table

    print_plan_table(found, verdicts, ranked=bool(args.words))
    if args.here and any(not verdict.can_run for verdict in verdicts.values()):
        print_note("`probeplan doctor PLAN` says in full why this host cannot run a plan")
    return 0


def _report_no_match(args: argparse.Namespace, entries: Sequence[CatalogEntry]) -> int:
    from orchestrator.catalog.answers import hint_at_plans  # for errors only

    words = " ".join(args.words)
    if args.format == "json":
        print_text("[]")
    hint = hint_at_plans(words, entries).replace("\n", "\n  ")
    print_error(f"no plan matches {words!r}\n  hint: {hint}")
    return _NO_MATCH


# ---------------------------------------------------------------- folders


def _read_site(files: Mapping[str, Path]) -> Iterator[CatalogEntry]:
    """The site's plans by their names; bundles, which are no text, are named in a note."""
    plans = [str(path) for path in files.values() if not is_bundle_name(path)]
    if bundles := sorted(name for name, path in files.items() if is_bundle_name(path)):
        names = ", ".join(map(make_printable, bundles))
        print_note(f"bundles in {SITE_PLANS}: {names}")
    if not plans:
        return
    for entry in _read_plans(plans):
        yield replace(entry, name=Path(entry.file).stem, area=SITE)


def _list_shipped(site: Mapping[str, Path]) -> Iterator[CatalogEntry]:
    """Those that `run` finds by their names, which are no file of the site."""
    for entry in read_index():
        if entry.name in site:
            print_note(f"{entry.name} is this site's plan here, and hides the shipped one")
        else:
            yield entry


def _read_folders(folders: Sequence[str]) -> tuple[CatalogEntry, ...]:
    """The plans below folders; files that are no valid plans are named. Raises PlanError."""
    if not folders:
        return ()
    from orchestrator.plan.document.folders import find_documents, is_folder
    from orchestrator.plan.findings import Finding, PlanError, of_command_line

    findings: list[Finding] = [
        of_command_line(f"--in {folder!r}: there is no such folder", "name a folder of plans")
        for folder in folders
        if not is_folder(folder)
    ]
    files = [
        file for folder in folders for file in find_documents(folder, findings, with_checks=False)
    ]
    if findings:
        raise PlanError(findings)
    return _read_plans(files)


def _read_plans(files: Iterable[str]) -> tuple[CatalogEntry, ...]:
    """The plans in these files; those that are no valid plans are named."""
    from orchestrator.catalog.folders import read_files  # reads YAML

    plans = read_files(dict.fromkeys(files))
    for file, reason in plans.invalid:
        print_note(f"{make_printable(file)} is not listed: {make_printable(reason)}")
    return plans.entries


# ---------------------------------------------------------------- this host


def _judge_entries(entries: Sequence[CatalogEntry]) -> "Iterator[tuple[str, Suitability]]":
    """By name, whether this host can run each plan, with progress on a terminal. Raises HostError
    for a policy that cannot be used."""
    from orchestrator.cli.named_plan import read_named  # these are needed for --here only
    from orchestrator.cli.tracefs import mount_tracefs
    from orchestrator.kernel.facts import live_facts
    from orchestrator.output.terminal.progress import TerminalLine, hidden_at_end
    from orchestrator.policy.file import read_contents
    from orchestrator.run.suitability import HostJudge

    mount_tracefs()
    judge = HostJudge(live_facts(), tuple(read_contents()))
    with hidden_at_end(TerminalLine(sys.stderr)) as line:
        for number, entry in enumerate(entries):
            line.draw(f"{number} of {len(entries)} plans examined; now {entry.name}")
            yield entry.name, judge.judge(*read_named(entry.name))
    judge.keep()


# ---------------------------------------------------------------- output


def _entry_fields(entry: CatalogEntry, verdicts: "Mapping[str, Suitability]") -> dict[str, object]:
    """As JSON has it; `here` with --here only."""
    fields = entry.as_fields()
    if verdict := verdicts.get(entry.name):
        fields["here"] = {
            "can_run": verdict.can_run,
            "backend": verdict.backend or None,
            "reason": verdict.reason,
            "findings": [asdict(finding) for finding in verdict.findings],
        }
    return fields
