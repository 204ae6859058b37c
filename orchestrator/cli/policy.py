"""`probeplan policy`: what this host allows plans to do, and whether a policy is valid."""

import argparse
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from orchestrator.cli.messages import print_error, print_text
from orchestrator.plan.findings import Finding, HostError, PlanError
from orchestrator.plan.model import Rate
from orchestrator.policy.ceilings import combine_ceilings
from orchestrator.policy.file import HOST_POLICY, read_host_policy, read_policies, read_policy
from orchestrator.policy.model import Ceiling, ListEntry, Policy
from orchestrator.policy.offline_check import format_limit
from orchestrator.signatures.model import SignatureUnchecked
from orchestrator.signatures.ssh_keygen import find_ssh_keygen

EPILOG = f"""\
examples:
  probeplan policy show                    what {HOST_POLICY} allows
  probeplan policy show prod.yaml --json   what it allows together with prod.yaml
  probeplan policy check prod.yaml         is prod.yaml a valid policy? for CI, needs no root
  probeplan policy check                   can this host's policy be read and trusted?

A run gets the smaller of the plan's limit and the policy's. With `signatures`, a plan runs only as
it was signed (PLAN.sig, made by: ssh-keygen -Y sign -n probeplan -f KEY PLAN).

exit codes: 0 valid, or there is no policy; 2 FILE is not a valid policy; 3 the host's policy is not
valid or cannot be trusted, so nothing runs
"""

_LISTS = (
    *("allow_kinds", "deny_kinds", "allow_symbols", "deny_symbols", "allow_backends", "plans"),
    *("allow_params", "allow_limits", "allow_targets", "allow_user"),
)
_NO_POLICY = f"there is no {HOST_POLICY}: only the limits of each plan apply"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of `policy`."""
    parser.epilog = EPILOG
    parser.add_argument(
        "action", choices=("show", "check"), help="print what it allows, or check it for errors"
    )
    parser.add_argument(
        "files", nargs="*", metavar="FILE", help="policies (default: only the host's)"
    )
    parser.add_argument("--json", action="store_true", help="print JSON")


def main(args: argparse.Namespace) -> int:
    """Show or check policies; returns the exit code."""
    return _check_files(args) if args.action == "check" else _show_files(args)


# ---------------------------------------------------------------- check


def _check_files(args: argparse.Namespace) -> int:
    findings: list[Finding] = []
    code = 0
    for path in args.files:
        try:
            findings += _warn_of_unreadable(read_policy(path))
        except PlanError as error:
            findings += error.findings
            code = 2
    if not args.files:
        try:
            if (host := read_host_policy()) is None:
                print_error(_NO_POLICY)
            else:
                findings += _warn_of_missing_tool(host)
        except HostError as error:
            findings += error.findings
            code = 3
    _print_findings(findings, as_json=args.json)
    return code


def _warn_of_unreadable(policy: Policy) -> Iterator[Finding]:
    """A warning where the files that the policy names are not here: it may be for another host."""
    rules = policy.signatures
    if rules is not None and rules.lists is None:
        yield Finding(
            code="PP133",
            message=f"signatures could not be checked on this host: {rules.unreadable}",
            position=policy.position_of("signatures"),
            hint="nothing to do if the policy is meant for another host",
            severity="warning",
        )


def _warn_of_missing_tool(policy: Policy) -> Iterator[Finding]:
    """A warning where this host cannot check the signatures that its policy has rules for."""
    if policy.signatures is None:
        return
    try:
        find_ssh_keygen()
    except SignatureUnchecked as error:
        refused = ", so that no signed plan runs" if policy.requires_signatures else ""
        yield Finding(
            code="PP133",
            message=f"signatures cannot be checked on this host{refused}: {error}",
            position=policy.position_of("signatures"),
            hint="install openssh-client",
            severity="warning",
        )


def _print_findings(findings: Sequence[Finding], *, as_json: bool) -> None:
    from orchestrator.cli.lint import FORMATS  # findings look the same as those of plans

    if text := FORMATS["json" if as_json else "text"](findings):
        print(text)


# ---------------------------------------------------------------- show


def _show_files(args: argparse.Namespace) -> int:
    shown = show_policies(read_policies(args.files))
    print_text(json.dumps(shown, indent=2) if args.json else "\n".join(_text_lines(shown)))
    return 0


def show_policies(policies: Sequence[Policy]) -> dict[str, Any]:
    """What all of `policies` allow together, and the position of each rule, as JSON values; limits
    in base units."""
    return {
        "policies": [
            {"file": one.file, "sha256": one.sha256, "summary": one.summary, "owner": one.owner}
            for one in policies
        ],
        "limits": {
            name: _limit_fields(name, ceiling)
            for name, ceiling in combine_ceilings(policies).items()
        },
        "user_strings": [
            {"value": str(policy.user_strings), "at": str(policy.position_of("user_strings"))}
            for policy in policies
            if policy.user_strings != "allow"
        ],
        "kernel_memory": [
            {"value": policy.kernel_memory, "at": str(policy.position_of(policy.kernel_memory_key))}
            for policy in policies
            if policy.kernel_memory != "any"
        ],
        "signatures": [
            {
                "required": rules.required,
                "signers": rules.signers,
                "revoked": rules.revoked or None,
                "shipped": rules.shipped,
                "unreadable": rules.unreadable or None,
                "at": str(policy.position_of("signatures")),
            }
            for policy in policies
            if (rules := policy.signatures) is not None
        ],
        "max_runs": min((one.max_runs for one in policies if one.max_runs), default=None),
        **{key: list(_entry_fields(policies, key)) for key in _LISTS},
    }


def _limit_fields(name: str, ceiling: Ceiling) -> dict[str, Any]:
    value = ceiling.value
    is_rate = isinstance(value, Rate)
    return {
        **({"value": value.count, "per_ns": value.per_ns} if is_rate else {"value": value}),
        "shown": format_limit(name, value),
        "at": str(ceiling.position),
    }


def _entry_fields(policies: Iterable[Policy], key: str) -> Iterator[dict[str, str]]:
    for policy in policies:
        entries: tuple[ListEntry, ...] = getattr(policy, key)
        yield from ({"value": entry.text, "at": str(entry.position)} for entry in entries)
        if key in policy.positions and not entries:
            yield {"value": "(none)", "at": str(policy.position_of(key))}


def _text_lines(shown: Mapping[str, Any]) -> Iterator[str]:
    if not shown["policies"]:
        yield _NO_POLICY
        return
    for policy in shown["policies"]:
        owner = f", maintained by {policy['owner']}" if policy["owner"] else ""
        summary = f": {policy['summary']}" if policy["summary"] else ""
        yield f"policy {policy['file']}{owner}{summary}"
    yield ""
    yield "upper bounds of limits"
    for name, limit in shown["limits"].items():
        yield f"  {name:<10} {limit['shown']:<12} ({limit['at']})"
    if not shown["limits"]:
        yield "  none"
    for rule in shown["user_strings"]:
        yield f"user_strings: {rule['value']} ({rule['at']})"
    for rule in shown["kernel_memory"]:
        yield f"kernel_memory: {rule['value']} ({rule['at']})"
    for rule in shown["signatures"]:
        yield _describe_signatures(rule)
    if shown["max_runs"]:
        yield f"max_runs: {shown['max_runs']}"
    for key in _LISTS:
        if shown[key]:
            yield f"{key}:"
            yield from (f"  {entry['value']} ({entry['at']})" for entry in shown[key])


def _describe_signatures(rule: Mapping[str, Any]) -> str:
    """Its rules in a line."""
    needed = "required" if rule["required"] else "not required, but refused if not good"
    revoked = f", except what {rule['revoked']} revokes" if rule["revoked"] else ""
    shipped = ", shipped plans run without" if rule["shipped"] == "trusted" else ""
    unreadable = f"; here, {rule['unreadable']}" if rule["unreadable"] else ""
    return (
        f"signatures: {needed}; by {rule['signers']}{revoked}{shipped}{unreadable} ({rule['at']})"
    )
