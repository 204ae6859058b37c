"""`probeplan merge`: one answer from the results of many hosts."""

import argparse
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestrator.cli.messages import print_error
from orchestrator.fleet.document import merge_document, render_document
from orchestrator.fleet.merging import Merge
from orchestrator.fleet.reading import InputFile, list_inputs
from orchestrator.fleet.report import describe_merge
from orchestrator.fleet.run_merge import merge_files, merge_shares
from orchestrator.output.replace_file import check_replaceable, replace_file
from orchestrator.plan.findings import HostError, PlanError, of_command_line

EPILOG = """\
examples:
  probeplan merge results/                        what all hosts together counted
  probeplan merge results/ --by kernel            and how kernels and mechanisms differ
  probeplan merge results/ --expect hosts.txt     and which hosts are missing
  probeplan merge results/ -o merged              keep it in merged/merged.json
  probeplan merge eu/merged.json us/merged.json   merges can be merged
  probeplan merge results/ --format parquet -o t  tables for DuckDB, as in examples/fleet.sql
  probeplan merge results/ --format json | jq '.groups[].metrics[].outliers'

Results are the result.json of `probeplan run --out DIR`, copied from each host: of a directory, all
*.json below it are read. Added are counts, sums, averages, extremes and histograms of runs of the
same plan with the same settings; other runs are separate groups.

A host is named where its rate of events (by second and CPU), its median or its
99th percentile is far from those of other hosts with the same kernel and mechanism.

exit codes:
  0  all files are added, and all expected hosts are there
  2  invalid usage, or there is nothing to merge
  3  --format parquet without its library
  4  files were not added (0 with --allow-torn), or expected hosts are missing
"""

_MERGED = "merged.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `merge`."""
    parser.epilog = EPILOG
    parser.add_argument(
        "paths", nargs="+", metavar="DIR|FILE", help="results, merges, or directories of them"
    )
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        help=f"write {_MERGED}, or the tables of --format parquet, to DIR",
    )
    parser.add_argument(
        "--format",
        choices=("text", "json", "parquet"),
        default="text",
        help="what to print: tables for people (default), or the whole merge; parquet: tables of "
        "all runs, cells and buckets for SQL, in the directory of -o",
    )
    parser.add_argument(
        "--expect",
        metavar="HOSTS",
        help="a file with the names of all hosts, one a line: those without a result are listed",
    )
    parser.add_argument(
        "--by", choices=("kernel",), help="show kernels and mechanisms next to each other"
    )
    parser.add_argument(
        "--allow-torn",
        action="store_true",
        help="files that are not added are listed, and do not change the exit code",
    )


def main(args: argparse.Namespace) -> int:
    """Merge; returns the exit code."""
    expected = () if args.expect is None else _read_expected(args.expect)
    files = _list_files(args)
    output = _make_output(args)
    merge = _merge(args, files, output)
    merge.expected |= set(expected)
    keeps = output is not None or args.format == "json"
    document = merge_document(merge, with_runs=keeps)
    if args.format != "parquet" and output is not None:
        content = "".join(render_document(document)).encode()
        _write(output / _MERGED, content)
    if args.format == "json":
        if output is None:
            sys.stdout.writelines(render_document(document))
    else:
        lines = describe_merge(document, by_kernel=args.by == "kernel")
        sys.stdout.writelines(f"{line}\n" for line in lines)
    return _choose_exit_code(document, allow_torn=args.allow_torn)


def _choose_exit_code(document: Mapping[str, Any], *, allow_torn: bool) -> int:
    torn, missing = document["not_added"], document["missing"]
    if torn and not allow_torn:
        count = len(torn)
        print_error(
            f"{count:,} {'file was' if count == 1 else 'files were'} not added: the totals lack "
            "what is in there; --allow-torn accepts that"
        )
    return 4 if missing or (torn and not allow_torn) else 0


def _list_files(args: argparse.Namespace) -> list[InputFile]:
    try:
        files = list_inputs(args.paths, args.output)
    except OSError as error:
        raise _refuse(f"{error.filename!r} cannot be read: {error.strerror}") from None
    if not files:
        where = ", ".join(map(repr, args.paths))
        hint = "results are the result.json of `probeplan run --out DIR`"
        raise _refuse(f"there is no *.json below {where}", hint)
    return files


def _merge(args: argparse.Namespace, files: list[InputFile], output: Path | None) -> Merge:
    if args.format != "parquet" or output is None:
        return merge_shares(files)
    if merges := [file.path for file in files if file.is_merge]:
        hint = "name the results that it was made of"
        raise _refuse(f"{merges[0]!r} is a merge, which has no runs for tables", hint)
    if importlib.util.find_spec("pyarrow") is None:
        hint = "install it: pip install 'probeplan[fleet]'"
        message = "--format parquet needs the package pyarrow, which is not installed"
        raise HostError([of_command_line(message, hint)])
    from orchestrator.fleet.tables import ResultTables  # pyarrow: 100 ms

    try:
        with ResultTables(output) as tables:
            return merge_files(files, tables.add)
    except OSError as error:
        raise _refuse(f"{str(output)!r} cannot be written to: {error.strerror or error}") from None


def _read_expected(path: str) -> tuple[str, ...]:
    """The names in a file, one a line; `#` begins a comment. Raises PlanError."""
    try:
        text = Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        hint = "--expect takes a file with the name of a host in each line"
        raise _refuse(f"{path!r} cannot be read: {why}", hint) from None
    names = tuple(_list_names(text))
    if not names:
        raise _refuse(f"{path!r} names no host", "write the name of a host in each line")
    return names


def _list_names(text: str) -> Iterator[str]:
    for line in text.splitlines():
        if name := line.partition("#")[0].strip():
            yield name


def _make_output(args: argparse.Namespace) -> Path | None:
    """The directory of -o, which is made, and can be written to."""
    if args.output is None:
        if args.format == "parquet":
            raise _refuse("--format parquet writes files", "name a directory: -o DIR")
        return None
    output = Path(args.output)
    try:
        output.mkdir(parents=True, exist_ok=True)
        check_replaceable(output / _MERGED)
    except OSError as error:
        raise _refuse(f"{args.output!r} cannot be written to: {error.strerror}") from None
    return output


def _write(path: Path, content: bytes) -> None:
    try:
        replace_file(path, content)
    except OSError as error:
        raise _refuse(f"{str(path)!r} cannot be written: {error.strerror}") from None


def _refuse(message: str, hint: str = "") -> PlanError:
    return PlanError([of_command_line(message, hint)])
