"""What policies forbid: in a plan, and in what it resolves to.

Every violation is a finding at a position of the plan that names the policy's rule. Rules are
judged on what would be attached, not on what the plan spells out: globs are expanded and files
found by then.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.backends.descriptors import BACKEND_DESCRIPTORS, descriptor_of
from orchestrator.backends.protocol import Artifact
from orchestrator.compile.program import Hook, Program
from orchestrator.compile.redact import find_kernel_reads
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import Finding, HostError, PlanError, Position
from orchestrator.plan.model import Plan
from orchestrator.policy.attach_names import find_names, match_globs
from orchestrator.policy.kinds import kinds_given
from orchestrator.policy.model import Policy
from orchestrator.policy.overrides import find_override_violations
from orchestrator.policy.user_data import find_user_data_violations
from orchestrator.policy.wording import describe_rule, exception_hint

__all__ = ["attribute_to_ceilings", "check_artifact", "check_origin", "check_program"]
__all__ += ["check_unsafe_returns", "find_digest_violations", "find_kind_violations"]
__all__ += ["find_unsafe_returns", "forbidden_backends"]
__all__ += ["symbol_violation"]

Policies = Sequence[Policy]


def check_origin(plan: Plan, policies: Policies) -> None:
    """Raise HostError unless every policy that names digests names the plan's, and allows what the
    command line has set."""
    _raise_findings(
        finding
        for policy in policies
        for finding in (
            *find_digest_violations(plan, policy),
            *find_override_violations(plan, policy),
        )
    )


def find_digest_violations(plan: Plan, policy: Policy) -> Iterator[Finding]:
    """A finding when the policy lists plans and this one is not among them."""
    if policy.plans and plan.sha256 not in {entry.text for entry in policy.plans}:
        yield Finding(
            code="PP123",
            message=f"this plan is not on the policy's allow-list (its digest is {plan.sha256}): "
            f"{describe_rule(policy, 'plans')}",
            position=Position(file=plan.file),
            hint="run the approved plan unchanged, or have the digest of this one added: "
            + exception_hint(policy),
        )


def check_unsafe_returns(plan: Plan, policies: Policies) -> None:
    """Raise HostError where the plan accepts a risk for programs that a policy does not."""
    _raise_findings(finding for policy in policies for finding in find_unsafe_returns(plan, policy))


def find_unsafe_returns(plan: Plan, policy: Policy) -> Iterator[Finding]:
    """A finding for each probe that sets `unsafe_return`, unless the policy allows it."""
    for probe in plan.probes:
        if probe.unsafe_return and policy.unsafe_return == "deny":
            yield Finding(
                code="PP130",
                message=f"the probe {probe.name!r} sets unsafe_return, which may kill programs: "
                f"{describe_rule(policy, 'unsafe_return')}",
                position=probe.position,
                hint=f"leave it out and attach at the entry, or {exception_hint(policy)}",
            )


def check_program(program: Program, facts: KernelFacts, policies: Policies) -> None:
    """Raise HostError with every attach point, every read and every way for user data to leave that
    a policy forbids."""
    _raise_findings(
        finding
        for policy in policies
        for finding in (
            *_find_attach_violations(program, facts, policy),
            *find_user_data_violations(program, facts, policy),
        )
    )


def _find_attach_violations(
    program: Program, facts: KernelFacts, policy: Policy
) -> Iterator[Finding]:
    for hook in program.hooks:
        yield from find_kind_violations(hook.label, hook.position, policy)
        yield from _find_symbol_violations(hook, facts, policy)


def find_kind_violations(label: str, position: Position, policy: Policy) -> Iterator[Finding]:
    """A finding when the kind of `label` (KIND:TARGET), or one that it is as good as, is denied, or
    when it is not among those allowed."""
    kind, _, target = label.partition(":")
    allowed = policy.allow_kinds
    given = kinds_given(kind, target)
    against = [
        f"{_compare_kinds(kind, entry.text)}{describe_rule(policy, 'deny_kinds', entry)}"
        for entry in policy.deny_kinds
        if entry.text in given
    ]
    if allowed and kind not in {entry.text for entry in allowed}:
        against.append(describe_rule(policy, "allow_kinds"))
    if against:
        names = ", ".join(entry.text for entry in allowed)
        other = f"attach to {names}" if names else "use another kind of attach point"
        yield Finding(
            code="PP121",
            message=f"{label}: attach points of kind {kind} are not allowed here: {against[0]}",
            position=position,
            hint=f"{other}, or {exception_hint(policy)}",
        )


def _compare_kinds(kind: str, denied: str) -> str:
    return "" if kind == denied else f"it sees what a {denied} sees, and "


def _find_symbol_violations(hook: Hook, facts: KernelFacts, policy: Policy) -> Iterator[Finding]:
    if hook.traits.site == "timer" or not (policy.allow_symbols or policy.deny_symbols):
        return
    names = find_names(hook, facts)
    allowing = list(match_globs(policy.allow_symbols, names, denying=False))
    denying = list(match_globs(policy.deny_symbols, names, denying=True))
    against = [describe_rule(policy, "deny_symbols", entry) for entry in denying]
    if policy.allow_symbols and not allowing:
        against.append(describe_rule(policy, "allow_symbols"))
    if hook.offset and not any("+" in entry.text for entry in allowing):
        key = "allow_symbols" if policy.allow_symbols else "deny_symbols"
        against.append(f"an offset can lead into another function ({describe_rule(policy, key)})")
    if against:
        yield symbol_violation(hook.label, hook.position, against[0], policy)


def symbol_violation(label: str, position: Position, why: str, policy: Policy) -> Finding:
    """The finding that `label` (KIND:TARGET) must not be probed."""
    return Finding(
        code="PP122",
        message=f"{label} may not be probed here: {why}",
        position=position,
        hint=f"probe something else, or {exception_hint(policy)}",
    )


# ---------------------------------------------------------------- backends


def forbidden_backends(policies: Policies) -> Mapping[str, Finding]:
    """The backends that must not be used, each with the reason."""
    forbidden = {}
    for policy in policies:
        allowed = {entry.text for entry in policy.allow_backends}
        for name in BACKEND_DESCRIPTORS if allowed else ():
            if name not in allowed:
                forbidden[name] = Finding(
                    code="PP126",
                    message=f"it may not be used here: {describe_rule(policy, 'allow_backends')}",
                    position=policy.position_of("allow_backends"),
                    hint=f"leave out --backend, or {exception_hint(policy)}",
                )
    return forbidden


def check_artifact(artifact: Artifact[Any], policies: Policies) -> None:
    """Raise HostError where the backend could follow a kernel function's pointer into user memory.

    On machines where user and kernel addresses do not overlap, a dynamic event that reads kernel
    memory reads user memory if the address is a user address (fetch_store_string and
    probe_mem_read, kernel/trace/trace_probe_kernel.h and trace_kprobe.c). Which of the two it will
    be is not known before the event.
    """
    if descriptor_of(artifact.backend).separates_user_memory:
        return
    restricting = [policy for policy in policies if policy.user_strings != "allow"]
    hooks = [hook for hook in artifact.program.hooks if hook.traits.site != "user code"]
    safe = " or ".join(d.name for d in BACKEND_DESCRIPTORS.values() if d.separates_user_memory)
    _raise_findings(
        Finding(
            code="PP124",
            message=f"{hook.label}: with {artifact.backend}, a pointer may be followed into user "
            f"memory: {describe_rule(policy, 'user_strings')}",
            position=hook.position,
            hint=f"use --backend {safe}, which reads only kernel memory there, or "
            + exception_hint(policy),
        )
        for policy in restricting
        for hook in hooks
        if any(True for _ in find_kernel_reads(hook))
    )


# ---------------------------------------------------------------- ceilings that are too low

#: Findings that mean that a limit is too small, and which limit.
_TOO_SMALL = {"PP091": "memory", "PP094": "probes"}


def attribute_to_ceilings(
    error: PlanError | HostError, plan: Plan, policies: Policies
) -> PlanError | HostError:
    """The same error. Where a policy's ceiling is what is too low, the hint names it instead of
    asking for a larger limit in the plan, and the error becomes one of this host."""
    findings = [_attribute_finding(finding, plan, policies) for finding in error.findings]
    if tuple(findings) == error.findings:
        return error
    return HostError(findings)


def _attribute_finding(finding: Finding, plan: Plan, policies: Policies) -> Finding:
    name = _TOO_SMALL.get(finding.code)
    if name is None or plan.limits_from.get(name) != "policy":
        return finding
    ceilings = [one.ceilings[name] for one in policies if name in one.ceilings]
    position = min(ceilings, key=lambda ceiling: ceiling.value).position
    hint = f"the policy allows no more ({position}): reduce what the plan needs"
    return replace(finding, hint=hint)


def _raise_findings(findings: Iterator[Finding]) -> None:
    if found := list(findings):
        raise HostError(found)
