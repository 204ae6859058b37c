"""`probeplan cleanup`: remove what dead runs left in the kernel."""

import argparse
import os
import sys

from orchestrator.plan.findings import Finding, HostError, Position
from orchestrator.run.safety.leftovers import Cleaned, clean_leftovers

EPILOG = """\
Only what a run's journal names is removed, only under names that begin with `probeplan`, and only
when nobody holds the journal any more: a run that is alive, even stopped, is never touched. Every
`probeplan run` does this first. Exit code: 0, or 6 when something could not be removed.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `cleanup`."""
    parser.epilog = EPILOG
    parser.add_argument("--dry-run", action="store_true", help="only tell what would be removed")


def main(args: argparse.Namespace) -> int:
    """Clean up; returns 0, or 6 when something stays behind."""
    if os.geteuid() != 0 and not args.dry_run:
        raise HostError([_needs_root()])
    done = clean_leftovers(dry_run=args.dry_run)
    for cleaned in done:
        _tell(cleaned, "would remove" if args.dry_run else "removed")
    if not done:
        print("nothing to clean up")
    return 6 if any(cleaned.failed for cleaned in done) else 0


def _tell(cleaned: Cleaned, did: str) -> None:
    record = cleaned.record
    print(f"{record.run_id} ({record.plan}, pid {record.pid}):")
    for kind, name in cleaned.removed:
        print(f"  {did} {kind} {name}")
    if not cleaned.removed and not cleaned.failed:
        print("  nothing was left in the kernel")
    for (kind, name), why in cleaned.failed:
        print(f"  could not remove {kind} {name}: {why}", file=sys.stderr)


def _needs_root() -> Finding:
    return Finding(
        code="PP092",
        message="only root can remove probes and instances from the kernel",
        position=Position(file="this process"),
        hint="sudo probeplan cleanup; --dry-run shows what there is",
    )
