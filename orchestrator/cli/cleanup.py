"""`probeplan cleanup`: remove what dead runs left in the kernel."""

import argparse
import os

from orchestrator.cli.messages import print_error
from orchestrator.cli.tracefs import mount_tracefs
from orchestrator.plan.findings import Finding, HostError, Position
from orchestrator.run.safety.leftovers import CleanedRun, clean_up_dead_runs

EPILOG = """\
examples:
  sudo probeplan cleanup            remove it, and print what was removed
  probeplan cleanup --dry-run       only print what would be removed

It removes only what the journal of a dead run lists, and only if its name begins with `probeplan`.
A run that is alive, even if it is stopped (SIGSTOP), is never touched. Every `probeplan run` starts
with a cleanup. Both mount tracefs where it is not mounted, and keep a journal until everything that
it lists is gone.

exit codes: 0 done; 3 not root; 6 something could not be removed
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `cleanup`."""
    parser.epilog = EPILOG
    parser.add_argument(
        "--dry-run", action="store_true", help="print what would be removed, and remove nothing"
    )


def main(args: argparse.Namespace) -> int:
    """Clean up; returns 0, or 6 when something could not be removed. Raises HostError if not
    root."""
    if os.geteuid() != 0 and not args.dry_run:
        raise HostError([_needs_root()])
    if not args.dry_run:
        mount_tracefs()
    done = clean_up_dead_runs(dry_run=args.dry_run)
    for cleaned in done:
        _print_cleaned(cleaned, "would remove" if args.dry_run else "removed")
    if not done:
        print("nothing to clean up")
    return 6 if any(cleaned.failed for cleaned in done) else 0


def _print_cleaned(cleaned: CleanedRun, did: str) -> None:
    record = cleaned.record
    print(f"{record.run_id} ({record.plan}, pid {record.pid}):")
    for kind, name in cleaned.removed:
        print(f"  {did} {kind} {name}")
    if not cleaned.removed and not cleaned.failed:
        print("  nothing was left in the kernel")
    for (kind, name), why in cleaned.failed:
        print_error(f"  could not remove {kind} {name}: {why}")


def _needs_root() -> Finding:
    return Finding(
        code="PP092",
        message="only root can remove probes and instances from the kernel",
        position=Position(file="this process"),
        hint="sudo probeplan cleanup; --dry-run shows what is there",
    )
