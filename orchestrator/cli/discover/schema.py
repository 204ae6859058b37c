"""`probeplan schema`: the JSON Schemas of plans, logs, results, policies, checks and baselines."""

import argparse
from collections.abc import Iterator, Mapping

from orchestrator.cli.messages import print_text
from orchestrator.plan.document.schema import schema_path

__all__ = ["SCHEMAS", "add_arguments", "main", "modeline"]

EPILOG = """\
examples:
  probeplan schema                 list the schemas
  probeplan schema log             print that of log lines
  probeplan schema --path plan     where the file is, for editors and other programs

Editors with the YAML language server check and complete a plan whose first line is

  # yaml-language-server: $schema=FILE

with the FILE that `probeplan schema --path plan` prints; no network is asked.

exit codes: 0 done; 2 invalid usage
"""

#: By name, what has the schema, in the order in which they are listed.
SCHEMAS: Mapping[str, str] = {
    "plan": "plans: what to probe, what to keep, and how much it may cost",
    "check": "checks: a workload, the plan that measures it, and what is expected",
    "policy": "policies: the most that plans may do on a host",
    "log": "the lines of the log, one JSON object a line",
    "result": "result.json: the result of a run",
    "baseline": "the recorded figures of a check",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `schema`."""
    parser.epilog = EPILOG
    parser.add_argument(
        "name",
        nargs="?",
        choices=tuple(SCHEMAS),
        help="the schema to print (default: list them)",
    )
    parser.add_argument(
        "--path", action="store_true", help="print the path of the file, not its content"
    )


def main(args: argparse.Namespace) -> int:
    """Print a schema, its path, or the list; returns the exit code."""
    if args.name is None:
        for line in _list_schemas(with_paths=args.path):
            print_text(line)
    elif args.path:
        print(schema_path(_file_name(args.name)))
    else:
        print(schema_path(_file_name(args.name)).read_text(encoding="utf-8"), end="")
    return 0


def modeline(name: str = "plan") -> str:
    """The first line of a document by which editors find its schema in this installation."""
    return f"# yaml-language-server: $schema={schema_path(_file_name(name))}"


def _list_schemas(*, with_paths: bool) -> Iterator[str]:
    for name, meaning in SCHEMAS.items():
        path = schema_path(_file_name(name))
        yield f"{name:<10}{path if with_paths else meaning}"


def _file_name(name: str) -> str:
    return f"{name}-v1.schema.json"
