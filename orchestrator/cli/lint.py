"""`probeplan lint`: every problem of many plans and checks at once, for people, programs and CI."""

import argparse
import json
import textwrap
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field
from typing import TYPE_CHECKING, Any

from orchestrator.cli.messages import print_error
from orchestrator.cli.named_plan import is_bundle, read_named
from orchestrator.cli.options import (
    add_addition_options,
    add_override_options,
    add_policy_option,
    further_policies,
    overrides,
)
from orchestrator.output.workflow_commands import format_annotation
from orchestrator.plan.document.folders import find_documents, is_folder
from orchestrator.plan.document.parse import Document, parse_document
from orchestrator.plan.findings import Finding, PlanError, Position, has_errors
from orchestrator.plan.load import check_document, order_findings
from orchestrator.plan.model import Plan
from orchestrator.plan.nearest import suggest_name
from orchestrator.policy.model import Policy
from orchestrator.run.shipped import find_plan, is_shipped
from orchestrator.values import dataclass

if TYPE_CHECKING:
    from orchestrator.backends.protocol import Backend
    from orchestrator.check.model import Check
    from orchestrator.compile.kernel_free.check import Unchecked
    from orchestrator.plan.codes import FindingCode

_REPORT = "report"  # in addition to FORMATS
EPILOG = """\
examples:
  probeplan lint plans/                     every *.yaml and *.yml that is a plan or a check,
                                            recursively
  probeplan lint --format github plans/     annotations for a pull request
  probeplan lint plans/ --kernel debian:6.1 would they attach on this kernel?
  probeplan lint plans/ --kernel all        … on any of the shipped kernel profiles?
  probeplan lint plans/ --policy prod.yaml  would hosts with this policy allow them?
  probeplan lint slow-io.ppb --kernel *.facts    is this bundle whole? has it programs for these?
  probeplan lint --explain PP022            what a code means, with an example

Nothing is attached and no root is needed. Exit code: 0 no errors, 2 errors.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `lint`."""
    parser.epilog = EPILOG
    parser.add_argument(
        "paths",
        nargs="*",
        metavar="PATH",
        help="files of plans or checks, bundles (FILE.ppb), directories, or -",
    )
    parser.add_argument(
        "--format",
        choices=(*FORMATS, _REPORT),
        default="text",
        help="how to print (default: text); json: an array of findings; report: an object with "
        "findings and what was not checked",
    )
    parser.add_argument(
        "--kernel",
        action="extend",
        nargs="+",
        default=[],
        metavar="FACTS",
        help="recorded kernels to check against: files of `probeplan facts`, profiles such as "
        "debian:6.1, or all (every profile); after the paths",
    )
    parser.add_argument(
        "--explain",
        nargs="?",
        const="",
        metavar="CODE",
        help="explain a finding's code: meaning, cure, example; without CODE, list all codes",
    )
    add_override_options(parser)
    add_addition_options(parser)
    add_policy_option(parser)


def main(args: argparse.Namespace) -> int:
    """Check the plans; returns 0, or 2 when there are errors."""
    if args.explain is not None:
        return _explain_code(args.explain)
    if not args.paths:
        before = ", before --kernel, which takes all that follows it" if args.kernel else ""
        print_error(f"probeplan lint: name plans or directories to check{before}")
        return 2
    linted = _Linted()
    for path in args.paths:
        for file in _find_plans(path, linted.findings):
            _check_file(file, args, linted)
    linted.findings += _find_repeated_names(linted.checks)
    as_report = args.format == _REPORT
    _print_text(_format_report(linted) if as_report else FORMATS[args.format](linted.findings))
    print_error(_summarize(linted))
    return 2 if has_errors(linted.findings) else 0


@dataclass(slots=True)
class _Linted:
    """What was read: how many files of each kind, the checks without an error, and all findings.
    `arguments` and `attach_points`: how many of them only a kernel can check, and none did."""

    findings: list[Finding] = field(default_factory=list)
    plans: int = 0
    bundles: int = 0
    check_files: int = 0
    checks: list["Check"] = field(default_factory=list)
    arguments: int = 0
    attach_points: int = 0

    def note_unchecked(self, unchecked: "Unchecked", kernels: Sequence[str]) -> None:
        """Count what is left to a kernel, where none is named."""
        if not kernels:
            self.arguments += unchecked.arguments
            self.attach_points += unchecked.attach_points


def _check_file(path: str, args: argparse.Namespace, linted: _Linted) -> None:
    """Check one file, of either kind, and the plan that it is or has."""
    try:
        content, file = read_named(path)
    except PlanError as error:
        linted.plans += 1
        linted.findings += error.findings
        return
    if is_bundle(content):
        linted.bundles += 1
        linted.findings += _check_bundle(content, file, args)
        return
    document, findings = parse_document(content, file)
    if document is not None and document.data.get("kind") == "ProbeCheck":
        linted.check_files += 1
        plan, findings = _check_check(document, findings, args, linted)
    else:
        linted.plans += 1
        plan = None
        if document is not None:
            plan, findings = check_document(document, findings, **overrides(args))
    if plan is not None:
        mistyped, unchecked = _check_types(plan)
        findings = order_findings([*findings, *mistyped])
        linted.note_unchecked(unchecked, args.kernel)
    linted.findings += _check_on_hosts(plan, findings, args)


def _check_bundle(content: bytes, file: str, args: argparse.Namespace) -> list[Finding]:
    """The findings about a bundle, its plan, and on the hosts that the command line names."""
    from orchestrator.bundle.inspection import inspect_bundle  # for bundles only

    policies = further_policies(args)
    inspected = inspect_bundle(content, file, policies)
    if inspected.bundle is None:
        return inspected.findings
    document, findings = parse_document(inspected.bundle.plan_text, inspected.plan_file)
    plan = None
    if document is not None:
        plan, findings = check_document(document, findings, **overrides(args))
    if plan is not None:
        findings = [*findings, *_check_types(plan)[0], *_check_offline(plan, policies)]
        backends = inspected.offer_backends()
        findings += _check_on_kernels(plan, findings, args.kernel, policies, backends)
    return [*inspected.findings, *findings]


def _check_types(plan: Plan) -> "tuple[list[Finding], Unchecked]":
    """The findings about types that fit on no kernel, and what is left to a kernel."""
    from orchestrator.compile.kernel_free.check import check_without_kernel  # for whole plans only

    return check_without_kernel(plan)


def _check_check(
    document: Document, findings: list[Finding], args: argparse.Namespace, linted: _Linted
) -> tuple[Plan | None, list[Finding]]:
    from orchestrator.check.document.load import inspect_check  # for checks only

    check, findings = inspect_check(document, findings, settings=overrides(args)["settings"])
    if check is None:
        return None, findings
    linted.checks.append(check)
    return check.plan, findings


def _find_repeated_names(checks: Sequence["Check"]) -> list[Finding]:
    if not checks:
        return []
    from orchestrator.check.document.load import find_repeated_names  # for checks only

    return find_repeated_names(checks)


def _check_on_hosts(
    plan: Plan | None, findings: list[Finding], args: argparse.Namespace
) -> list[Finding]:
    """The findings, and those about the hosts and kernels that the command line names."""
    if plan is None:
        return findings
    policies = further_policies(args) if args.policy else ()
    if policies:
        findings = [*findings, *_check_policies(plan, policies)]
    return [*findings, *_check_on_kernels(plan, findings, args.kernel, policies)]


def _check_on_kernels(
    plan: Plan,
    known: Sequence[Finding],
    recordings: Sequence[str],
    policies: Sequence[Policy],
    backends: "Mapping[str, Backend[Any]] | None" = None,
) -> list[Finding]:
    """The findings on recorded kernels that are not of a code and at a place that are `known`."""
    if not recordings:
        return []
    places = {(finding.code, finding.position) for finding in known}
    found = _warn_of_unset_params(plan) or _check_kernels(plan, recordings, policies, backends)
    return [finding for finding in found if (finding.code, finding.position) not in places]


def _warn_of_unset_params(plan: Plan) -> list[Finding]:
    """A warning for each param whose missing value prevents the check against kernels."""
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
    from orchestrator.policy.signed_files import find_signature_problems  # for --policy only

    return [
        *_check_offline(plan, policies),
        *find_signature_problems(plan.source, plan.file, policies, is_shipped),
    ]


def _check_offline(plan: Plan, policies: Sequence[Policy]) -> list[Finding]:
    from orchestrator.policy.offline_check import check_offline  # needed for --policy only

    return [finding for policy in policies for finding in check_offline(plan, policy)]


def _check_kernels(
    plan: Plan,
    recordings: Sequence[str],
    policies: Sequence[Policy],
    backends: "Mapping[str, Backend[Any]] | None",
) -> list[Finding]:
    from orchestrator.kernel.recorded.profiles import expand_names
    from orchestrator.kernel.recording import RecordingError
    from orchestrator.run.recorded_check import check_against_kernels  # needed for --kernel only

    try:
        return check_against_kernels(plan, expand_names(recordings), policies, backends)
    except RecordingError as error:
        hint = "record a kernel with `probeplan facts > FILE`, or name a profile"
        place = Position(file="--kernel")
        finding = Finding(code="PP001", message=str(error), position=place, hint=hint)
        raise PlanError([finding]) from None


# ---------------------------------------------------------------- finding plans


def _find_plans(path: str, findings: list[Finding]) -> Iterator[str]:
    """Plan files at `path`; a directory without any is reported."""
    if path == "-" or not is_folder(path):
        yield from _find_named_plan(path, findings)
        return
    found = False
    for file in find_documents(path, findings):
        found = True
        yield file
    if not found:
        hint = "plans end in .yaml or .yml and contain `kind: ProbePlan`, checks `kind: ProbeCheck`"
        place = Position(file=path)
        message = f"no plans and no checks in the directory {path!r}"
        findings.append(Finding(code="PP012", message=message, position=place, hint=hint))


def _find_named_plan(path: str, findings: list[Finding]) -> Iterator[str]:
    """The file, or the shipped plan of that name, as for `run`."""
    try:
        yield find_plan(path)
    except PlanError as error:
        findings += error.findings


# ---------------------------------------------------------------- output


def _print_text(text: str) -> None:
    if text:
        print(text)


def _format_text(findings: Sequence[Finding]) -> str:
    return "\n".join(map(str, findings))


def _format_json(findings: Sequence[Finding]) -> str:
    return json.dumps(list(map(_record_from_finding, findings)), indent=2)


def _format_report(linted: _Linted) -> str:
    """All that there is to say, as one object."""
    report = {
        "plans": linted.plans,
        "checks": linted.check_files,
        "bundles": linted.bundles,
        "findings": list(map(_record_from_finding, linted.findings)),
        "unchecked": {"arguments": linted.arguments, "attach_points": linted.attach_points},
    }
    return json.dumps(report, indent=2)


def _record_from_finding(finding: Finding) -> dict[str, str | int]:
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


def _format_github(findings: Sequence[Finding]) -> str:
    return "\n".join(map(_format_annotation, findings))


def _format_annotation(finding: Finding) -> str:
    hint = f"\nhint: {finding.hint}" if finding.hint else ""
    return format_annotation(
        finding.severity, finding.message + hint, title=finding.code, position=finding.position
    )


#: How findings are printed, here and by `policy check`.
FORMATS: Mapping[str, Callable[[Sequence[Finding]], str]] = {
    "text": _format_text,
    "json": _format_json,
    "github": _format_github,
}


def _summarize(linted: _Linted) -> str:
    findings = linted.findings
    errors = sum(finding.severity == "error" for finding in findings)
    warnings = len(findings) - errors
    others = linted.check_files or linted.bundles
    files = [_count(linted.plans, "plan")] if linted.plans or not others else []
    files += [_count(linted.bundles, "bundle")] if linted.bundles else []
    files += [_count(linted.check_files, "check")] if linted.check_files else []
    parts = [*files, _count(errors, "error") if errors else "no errors"]
    summary = ", ".join(parts + ([_count(warnings, "warning")] if warnings else []))
    return "\n".join([summary, *_describe_unchecked(linted)])


def _describe_unchecked(linted: _Linted) -> Iterator[str]:
    """A line about what is left to a kernel, where anything is."""
    left = [(linted.arguments, "argument"), (linted.attach_points, "attach point")]
    counts = [_count(number, noun) for number, noun in left if number]
    if counts:
        yield f"not checked without a kernel: {', '.join(counts)}; add --kernel debian:6.1"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


# ---------------------------------------------------------------- codes


def _explain_code(code: str) -> int:
    """Print what a code means; all codes where there is no such one."""
    from orchestrator.plan.codes import CODES  # needed for --explain only

    entry = CODES.get(code.upper())
    if entry is not None:
        print(describe_code(entry))
        return 0
    print("\n".join(f"{known.code}  {known.title}" for known in CODES.values()))
    if not code:
        return 0
    hint = suggest_name(code.upper(), CODES, f"codes: {min(CODES)} to {max(CODES)}")
    print_error(f"there is no code {code!r}\n  hint: {hint}")
    return 2


def describe_code(entry: "FindingCode") -> str:
    """All that is known of a code, as text for people."""
    parts = [f"{entry.code}: {entry.title}", entry.meaning, f"What to do: {entry.cure}"]
    if entry.arises:
        parts.append(f"When it is reported: {entry.arises}")
    if entry.example:
        parts.append(f"Example:\n{_indent(entry.plan)}")
    if entry.policy:
        parts.append(f"with this policy.yaml:\n{_indent(entry.policy)}")
    if entry.example:
        parts.append(f"  $ {entry.command}")
    return "\n\n".join(parts)


def _indent(text: str) -> str:
    return textwrap.indent(text.rstrip("\n"), "  ")
