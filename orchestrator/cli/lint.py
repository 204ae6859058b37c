"""`probeplan lint`: every problem of many plans at once, for people, programs and CI."""

import argparse
import json
import os
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from orchestrator.cli.options import (
    add_override_options,
    add_policy_option,
    further_policies,
    overrides,
)
from orchestrator.plan.findings import Finding, PlanError, Position, has_errors
from orchestrator.plan.load import check_plan
from orchestrator.plan.model import Plan
from orchestrator.plan.nearest import suggest_name
from orchestrator.policy.model import Policy
from orchestrator.run.shipped import find_plan

EPILOG = """\
examples:
  probeplan lint plans/                     every *.yaml and *.yml that is a plan, recursively
  probeplan lint --format github plans/     annotations for a pull request
  probeplan lint plans/ --kernel *.facts    would they attach on these kernels?
  probeplan lint plans/ --policy prod.yaml  would hosts with this policy let them run?
  probeplan lint --explain PP022            what a code means

Nothing is attached and no root is needed. Exit code: 0 no errors, 2 errors.
"""
#: How a plan is told from other YAML in a directory; a file named by itself is always checked.
_PLAN = re.compile(rb"probeplan/v|ProbePlan")
_POLICY = re.compile(rb"^kind:\s*[\"']?Policy\b", re.MULTILINE)  # for `policy check`


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `lint`."""
    parser.epilog = EPILOG
    parser.add_argument("paths", nargs="*", metavar="PATH", help="plan files, directories, or -")
    parser.add_argument(
        "--format", choices=tuple(FORMATS), default="text", help="how to print (default: text)"
    )
    parser.add_argument(
        "--kernel",
        action="extend",
        nargs="+",
        default=[],
        metavar="FACTS",
        help="recorded kernels (`probeplan facts`) to check against; after the paths",
    )
    parser.add_argument("--explain", metavar="CODE", help="say what a finding's code means")
    add_override_options(parser)
    add_policy_option(parser)


def main(args: argparse.Namespace) -> int:
    """Check the plans; returns 0, or 2 when there are errors."""
    if args.explain:
        return _explain(args.explain)
    if not args.paths:
        before = ", before --kernel, which takes all that follows it" if args.kernel else ""
        print(f"probeplan lint: name plans or directories to check{before}", file=sys.stderr)
        return 2
    findings: list[Finding] = []
    plans = 0
    for path in args.paths:
        for plan in _plans(path, findings):
            plans += 1
            findings += _check(plan, args)
    _write(FORMATS[args.format](findings))
    print(_summary(plans, findings), file=sys.stderr)
    return 2 if has_errors(findings) else 0


def _check(path: str, args: argparse.Namespace) -> list[Finding]:
    plan, findings = check_plan(path, **overrides(args))
    if plan is not None and args.policy:
        findings = [*findings, *_check_policies(plan, further_policies(args))]
    if plan is None or not args.kernel:
        return findings
    return [*findings, *(_unset(plan) or _check_kernels(plan, args.kernel))]


def _unset(plan: Plan) -> list[Finding]:
    """A warning for each param without which nothing can be resolved."""
    return [
        Finding(
            code="PP068",
            message=f"not checked against kernels: the param {param.name!r} has no value",
            position=param.position,
            hint=f"give it one: --set {param.name}=…",
            severity="warning",
        )
        for param in plan.params.values()
        if param.value is None
    ]


def _check_policies(plan: Plan, policies: Sequence[Policy]) -> list[Finding]:
    from orchestrator.policy.offline_check import preview  # needed for --policy only

    return [finding for policy in policies for finding in preview(plan, policy)]


def _check_kernels(plan: Plan, recordings: Sequence[str]) -> list[Finding]:
    from orchestrator.compile.check import check_against_kernels  # needed for --kernel only
    from orchestrator.kernel.recording import RecordingError

    try:
        return check_against_kernels(plan, map(Path, recordings))
    except RecordingError as error:
        hint = "record it with `probeplan facts > FILE`"
        place = Position(file="--kernel")
        finding = Finding(code="PP001", message=str(error), position=place, hint=hint)
        raise PlanError([finding]) from None


# ---------------------------------------------------------------- finding plans


def _plans(path: str, findings: list[Finding]) -> Iterator[str]:
    """Plan files at `path`; a directory without any is reported."""
    if path == "-" or not _is_folder(path):
        yield from _named(path, findings)
        return
    found = False
    for file in _yaml_files(path, findings):
        if _looks_like_plan(file):
            found = True
            yield file
    if not found:
        hint = "plans end in .yaml or .yml and say `kind: ProbePlan`"
        place = Position(file=path)
        message = f"no plans in the directory {path!r}"
        findings.append(Finding(code="PP012", message=message, position=place, hint=hint))


def _named(path: str, findings: list[Finding]) -> Iterator[str]:
    """The file, or the shipped plan of that name, as `run` takes it."""
    try:
        yield find_plan(path)
    except PlanError as error:
        findings += error.findings


def _is_folder(path: str) -> bool:
    try:
        return Path(path).is_dir()
    except OSError:  # e.g. a name too long: reading it will tell
        return False


def _yaml_files(path: str, findings: list[Finding]) -> Iterator[str]:
    def unreadable(error: OSError) -> None:
        place = Position(file=str(error.filename))
        message = f"cannot read the directory: {error.strerror}"
        findings.append(Finding(code="PP001", message=message, position=place))

    for folder, folders, files in os.walk(path, onerror=unreadable):
        folders.sort()
        for name in sorted(files):
            file = Path(folder) / name
            special = file.exists() and not file.is_file()  # a pipe would make us wait
            if name.endswith((".yaml", ".yml")) and not special:
                yield str(file)


def _looks_like_plan(file: str) -> bool:
    """True for plans and for what cannot be read, which is then reported."""
    try:
        with Path(file).open("rb") as content:
            head = content.read(1 << 16)
            return _PLAN.search(head) is not None and _POLICY.search(head) is None
    except OSError:
        return True


# ---------------------------------------------------------------- output


def _write(text: str) -> None:
    if text:
        print(text)


def _text(findings: Sequence[Finding]) -> str:
    return "\n".join(map(str, findings))


def _json(findings: Sequence[Finding]) -> str:
    return json.dumps([_record(finding) for finding in findings], indent=2)


def _record(finding: Finding) -> dict[str, str | int]:
    place = finding.position
    return {
        "file": place.file,
        "line": place.line,
        "column": place.column,
        "severity": finding.severity,
        "code": finding.code,
        "message": finding.message,
        "hint": finding.hint,
    }


def _github(findings: Sequence[Finding]) -> str:
    return "\n".join(map(_annotation, findings))


def _annotation(finding: Finding) -> str:
    place = finding.position
    fields = {"file": place.file}
    if place.line:
        fields |= {"line": str(place.line), "col": str(place.column)}
    fields["title"] = finding.code
    shown = ",".join(f"{key}={_escaped(value, ':,')}" for key, value in fields.items())
    hint = f"\nhint: {finding.hint}" if finding.hint else ""
    return f"::{finding.severity} {shown}::{_escaped(finding.message + hint)}"


def _escaped(text: str, more: str = "") -> str:
    """GitHub's workflow commands percent-encode what would end a field or a line."""
    return "".join(f"%{ord(char):02X}" if char in f"%\r\n{more}" else char for char in text)


FORMATS: Mapping[str, Callable[[Sequence[Finding]], str]] = {
    "text": _text,
    "json": _json,
    "github": _github,
}


def _summary(plans: int, findings: Sequence[Finding]) -> str:
    errors = sum(finding.severity == "error" for finding in findings)
    warnings = len(findings) - errors
    parts = [_counted(plans, "plan"), _counted(errors, "error") if errors else "no errors"]
    return ", ".join(parts + ([_counted(warnings, "warning")] if warnings else []))


def _counted(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _explain(code: str) -> int:
    from orchestrator.plan.codes import CODES  # needed for --explain only

    entry = CODES.get(code.upper())
    if entry is None:
        hint = suggest_name(code.upper(), CODES, f"codes: {min(CODES)} to {max(CODES)}")
        print(f"there is no code {code!r}\n  hint: {hint}", file=sys.stderr)
        return 2
    print(f"{entry.code}: {entry.title}\n\n{entry.meaning}")
    return 0
