"""`probeplan list`: the attach points of a kernel and of files, with what is known at each."""

import argparse
import json
from collections.abc import Iterator, Sequence

from orchestrator.cli.discover.point_text import list_record, list_text
from orchestrator.cli.messages import print_error, print_text
from orchestrator.cli.options import facts_of
from orchestrator.discovery.description import Described, assume_rights, describe_point
from orchestrator.discovery.overview import count_by_kind
from orchestrator.discovery.prefixes import complete_point
from orchestrator.discovery.query import parse_query
from orchestrator.discovery.search import (
    FoundPoint,
    Search,
    explain_nothing_found,
    find_by_query,
)
from orchestrator.kernel.facts import KernelFacts

__all__ = ["add_arguments", "main"]

EPILOG = """\
examples:
  probeplan list                            how many attach points of each kind there are
  probeplan list 'tracepoint:tcp:*'         the tracepoints of a category
  probeplan list '*reset*'                  tracepoints, system calls and functions by a part
                                            of their name
  probeplan list -v syscall:openat          its arguments, with their types and named values
  probeplan list 'usdt:/usr/bin/python3:*'  USDT probes of a file; uprobe:FILE:NAME for functions
  probeplan list tcp_connect --kernel debian:6.1     what another kernel has, or another host

A name without KIND is looked up among tracepoints, raw tracepoints, system calls and kernel
functions; FILE:NAME among the USDT probes and functions of a file. What cannot be attached to is
counted, and listed with the reason by -v. Nothing is attached, and no root is needed for what this
user can read.

exit codes: 0 found; 2 usage, or a recording that cannot be read; 3 there is nothing of that name
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `list`."""
    parser.epilog = EPILOG
    parser.add_argument(
        "points",
        nargs="*",
        metavar="POINT",
        help="KIND:TARGET, a name, or FILE:NAME, with * and ? for what is not known",
    )
    parser.add_argument(
        "-v",
        "--verbose",
        action="store_true",
        help="arguments with types and named values, the result, hot spots, obstacles",
    )
    parser.add_argument(
        "--kernel",
        metavar="FACTS",
        help="a recorded kernel (`probeplan facts`) instead of this one",
    )
    parser.add_argument(
        "--format", choices=("text", "json"), default="text", help="how to print (default: text)"
    )
    parser.add_argument(
        "--limit", type=_natural, metavar="N", help="print at most N (default: all)"
    )
    parser.add_argument("--complete", metavar="PREFIX", help=argparse.SUPPRESS)


def main(args: argparse.Namespace) -> int:
    """List what there is; returns the exit code. Raises PlanError for what cannot be read."""
    facts = assume_rights(facts_of(args.kernel))
    if args.complete is not None:
        return _print_completions(args.complete, facts)
    if not args.points:
        return _print_overview(args, facts)
    queries = [parse_query(text) for text in args.points]
    searches = [find_by_query(query, facts) for query in queries]
    found = list(dict.fromkeys(point for search in searches for point in search.points))
    shown = [point for point in found if args.verbose or not point.refused]
    shown = shown[: args.limit]
    if args.format == "json":
        _print_json(shown, found, searches, args, facts)
    else:
        for line in _list_lines(shown, args, facts):
            print_text(line)
        if found:
            print_error("\n".join(_count(found, shown, searches, args)))
    missing = [
        explain_nothing_found(query, facts, search)
        for query, search in zip(queries, searches, strict=True)
        if not search.points
    ]
    for finding in missing:
        print_error(str(finding))
    return 3 if missing else 0


def _list_lines(
    shown: Sequence[FoundPoint], args: argparse.Namespace, facts: KernelFacts
) -> Iterator[str]:
    if not args.verbose:
        yield from (point.text for point in shown)
        return
    for point in shown:
        yield from list_text(describe_point(point, facts))


def _count(
    found: Sequence[FoundPoint],
    shown: Sequence[FoundPoint],
    searches: Sequence[Search],
    args: argparse.Namespace,
) -> Iterator[str]:
    """How many there are, and what is not shown, with the reason."""
    yield f"{len(found):,} attach point{'' if len(found) == 1 else 's'}"
    refused = sum(point.refused for point in found)
    if refused and not args.verbose:
        yield f"{refused:,} of them cannot be attached to: -v lists them, and says why"
    cut = len(found) - len(shown) - (0 if args.verbose else refused)
    if cut > 0:
        yield f"{cut:,} of them are beyond --limit {args.limit}"
    unspelled = sum(search.unspelled for search in searches)
    if unspelled:
        yield f"{unspelled:,} more have names that a plan cannot write"
    yield from dict.fromkeys(problem.message for search in searches for problem in search.problems)


def _print_json(
    shown: Sequence[FoundPoint],
    found: Sequence[FoundPoint],
    searches: Sequence[Search],
    args: argparse.Namespace,
    facts: KernelFacts,
) -> None:
    described = [
        describe_point(point, facts) if args.verbose else Described(found=point) for point in shown
    ]
    document = {
        "kernel": facts.release,
        "found": len(found),
        "refused": sum(point.refused for point in found),
        "unspelled": sum(search.unspelled for search in searches),
        "problems": [problem.message for search in searches for problem in search.problems],
        "points": [list_record(point, with_values=args.verbose) for point in described],
    }
    print(json.dumps(document, indent=2))


def _print_overview(args: argparse.Namespace, facts: KernelFacts) -> int:
    counts = count_by_kind(facts)
    if args.format == "json":
        kinds = [{"kind": c.kind, "count": c.count, "form": c.form} for c in counts]
        print(json.dumps({"kernel": facts.release, "kinds": kinds}, indent=2))
        return 0
    for count in counts:
        number = "" if count.count is None else f"{count.count:,}"
        print_text(f"{count.kind:14} {number:>7}  {count.form}")
    print_error(f"{facts.source}: {facts.release}; for more: probeplan list '{counts[0].kind}:*'")
    return 0


def _print_completions(word: str, facts: KernelFacts) -> int:
    for candidate in complete_point(word, facts):
        print_text(candidate)
    return 0


def _natural(text: str) -> int:
    number = int(text) if text.isascii() and text.isdigit() else 0
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number from 1")
    return number
