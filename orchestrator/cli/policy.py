"""`probeplan policy`: what this host allows plans to do, and whether a policy is in order."""

import argparse
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from orchestrator.plan.findings import Finding, HostError, PlanError
from orchestrator.plan.model import Limits
from orchestrator.policy.ceilings import least
from orchestrator.policy.file import HOST_POLICY, host_policy, read_policy
from orchestrator.policy.model import Entry, Policy
from orchestrator.policy.offline_check import shown_limit

EPILOG = f"""\
examples:
  probeplan policy show                    what {HOST_POLICY} allows
  probeplan policy show prod.yaml --json   the same, as if prod.yaml held beside it
  probeplan policy check prod.yaml         is it a policy? for CI; needs no root
  probeplan policy check                   can this host's be read and trusted?

A run gets the smaller of the plan's limit and the policy's. Exit code: 0 in order, or there is no
policy; 2 FILE is no policy; 3 the host's cannot be trusted, so nothing runs.
"""

_LISTS = ("allow_kinds", "deny_kinds", "allow_symbols", "deny_symbols", "allow_backends", "plans")
_ATTRIBUTES = {"duration": "duration_ns"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `policy`."""
    parser.epilog = EPILOG
    parser.add_argument("action", choices=("show", "check"), help="print it, or look for mistakes")
    parser.add_argument(
        "files", nargs="*", metavar="FILE", help="policies; without one, the host's"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def main(args: argparse.Namespace) -> int:
    """Show or check; returns the exit code."""
    return _check(args) if args.action == "check" else _show(args)


# ---------------------------------------------------------------- check


def _check(args: argparse.Namespace) -> int:
    findings: list[Finding] = []
    code = 0
    for path in args.files:
        try:
            read_policy(path)
        except PlanError as error:
            findings += error.findings
            code = 2
    if not args.files:
        try:
            if host_policy() is None:
                print(f"there is no {HOST_POLICY}: plans go by their own limits", file=sys.stderr)
        except HostError as error:
            findings += error.findings
            code = 3
    _print_findings(findings, as_json=args.json)
    return code


def _print_findings(findings: Sequence[Finding], *, as_json: bool) -> None:
    from orchestrator.cli.lint import FORMATS  # the same words and forms as of plans

    if text := FORMATS["json" if as_json else "text"](findings):
        print(text)


# ---------------------------------------------------------------- show


def _show(args: argparse.Namespace) -> int:
    host = host_policy()
    policies = [*([host] if host else []), *map(read_policy, args.files)]
    told = shown(policies)
    print(json.dumps(told, indent=2) if args.json else "\n".join(_text(told)))
    return 0


def shown(policies: Sequence[Policy]) -> dict[str, Any]:
    """What holds under all of `policies`, and where each of it stands: limits in base units."""
    return {
        "policies": [
            {"file": one.file, "sha256": one.sha256, "summary": one.summary, "owner": one.owner}
            for one in policies
        ],
        "limits": _limits(policies),
        "user_strings": [
            {"value": str(one.user_strings), "at": str(one.place("user_strings"))}
            for one in policies
            if one.user_strings != "allow"
        ],
        "max_runs": min((one.max_runs for one in policies if one.max_runs), default=None),
        **{key: list(_entries(policies, key)) for key in _LISTS},
    }


def _limits(policies: Iterable[Policy]) -> dict[str, dict[str, Any]]:
    """The least ceiling of each limit, and where it stands."""
    found: dict[str, dict[str, Any]] = {}
    for policy in policies:
        for name, ceiling in policy.ceilings.items():
            value = _lesser(policy, name, found[name]["_"]) if name in found else ceiling.value
            if name in found and value == found[name]["_"]:
                continue
            base = {"value": value.count, "per_ns": value.per_ns} if name == "rate" else None
            found[name] = {
                **(base or {"value": value}),
                "shown": shown_limit(name, value),
                "at": str(ceiling.position),
                "_": value,
            }
    return {name: {k: v for k, v in one.items() if k != "_"} for name, one in found.items()}


def _lesser(policy: Policy, name: str, value: Any) -> Any:
    attribute = _ATTRIBUTES.get(name, name)
    return getattr(least(Limits(**{attribute: value}), policy), attribute)


def _entries(policies: Iterable[Policy], key: str) -> Iterator[dict[str, str]]:
    for policy in policies:
        entries: tuple[Entry, ...] = getattr(policy, key)
        yield from ({"value": entry.text, "at": str(entry.position)} for entry in entries)


def _text(told: Mapping[str, Any]) -> Iterator[str]:
    if not told["policies"]:
        yield f"there is no {HOST_POLICY}: plans go by their own limits"
        return
    for policy in told["policies"]:
        owner = f", kept by {policy['owner']}" if policy["owner"] else ""
        summary = f": {policy['summary']}" if policy["summary"] else ""
        yield f"policy {policy['file']}{owner}{summary}"
    yield ""
    yield "limits are at most"
    for name, limit in told["limits"].items():
        yield f"  {name:<10} {limit['shown']:<12} ({limit['at']})"
    if not told["limits"]:
        yield "  the plan's own"
    for one in told["user_strings"]:
        yield f"user_strings: {one['value']} ({one['at']})"
    if told["max_runs"]:
        yield f"max_runs: {told['max_runs']}"
    for key in _LISTS:
        if told[key]:
            yield f"{key}:"
            yield from (f"  {one['value']} ({one['at']})" for one in told[key])
