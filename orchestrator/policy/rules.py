"""What policies forbid: of a plan, and of what it is resolved to.

Every violation is a finding at the plan's place that names the policy's. Rules are judged on what
would be attached, not on what the plan spells: globs are expanded and files found by then.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.backends.descriptors import BACKEND_DESCRIPTORS, descriptor_of
from orchestrator.backends.protocol import Artifact
from orchestrator.compile.program import Hook, Program
from orchestrator.compile.redact import memory_reads, user_reads
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import Finding, HostError, PlanError, Position
from orchestrator.plan.model import Plan
from orchestrator.policy.attach_names import matching, names_of
from orchestrator.policy.model import Entry, Policy

__all__ = ["check_artifact", "check_digest", "check_program", "digest_findings"]
__all__ += ["forbidden_backends", "kind_findings", "of_ceilings", "rule", "symbol_finding", "whom"]

Policies = Sequence[Policy]


def check_digest(plan: Plan, policies: Policies) -> None:
    """Raise HostError unless every policy that names digests names the plan's."""
    _raise(finding for policy in policies for finding in digest_findings(plan, policy))


def digest_findings(plan: Plan, policy: Policy) -> Iterator[Finding]:
    """A finding when the policy names plans and this is none of them."""
    if policy.plans and plan.sha256 not in {entry.text for entry in policy.plans}:
        yield Finding(
            code="PP123",
            message=f"the plan is none of those that may run here (its digest is {plan.sha256}): "
            f"{rule(policy, 'plans')}",
            position=Position(file=plan.file),
            hint="run the plan as it was approved, unchanged, or have this one's digest added: "
            + whom(policy),
        )


def check_program(program: Program, facts: KernelFacts, policies: Policies) -> None:
    """Raise HostError with every attach point, and every read of user memory, that a policy
    forbids."""
    _raise(
        finding
        for policy in policies
        for hook in program.hooks
        for finding in _hook_findings(hook, facts, policy)
    )


def _hook_findings(hook: Hook, facts: KernelFacts, policy: Policy) -> Iterator[Finding]:
    yield from kind_findings(hook.label, hook.position, policy)
    yield from _symbol_findings(hook, facts, policy)
    if policy.user_strings == "deny" and any(True for _ in user_reads(hook)):
        yield Finding(
            code="PP124",
            message=f"{hook.label}: the probe reads user memory, which must not be read here: "
            f"{rule(policy, 'user_strings')}",
            position=hook.position,
            hint=f"leave out what is behind user pointers, or {whom(policy)}",
        )


def kind_findings(label: str, position: Position, policy: Policy) -> Iterator[Finding]:
    """A finding when the kind of `label` (KIND:TARGET) is denied, or not among those allowed."""
    kind = label.partition(":")[0]
    allowed, denied = policy.allow_kinds, policy.deny_kinds
    against = [rule(policy, "deny_kinds", entry) for entry in denied if entry.text == kind]
    if allowed and kind not in {entry.text for entry in allowed}:
        against.append(rule(policy, "allow_kinds"))
    if against:
        names = ", ".join(entry.text for entry in allowed)
        other = f"attach to {names}" if names else "attach in another way"
        yield Finding(
            code="PP121",
            message=f"{label}: attach points of kind {kind} are not allowed here: {against[0]}",
            position=position,
            hint=f"{other}, or {whom(policy)}",
        )


def _symbol_findings(hook: Hook, facts: KernelFacts, policy: Policy) -> Iterator[Finding]:
    if hook.traits.site == "timer" or not (policy.allow_symbols or policy.deny_symbols):
        return
    names = names_of(hook, facts)
    allowing = list(matching(policy.allow_symbols, names, denying=False))
    denying = list(matching(policy.deny_symbols, names, denying=True))
    against = [rule(policy, "deny_symbols", entry) for entry in denying]
    if policy.allow_symbols and not allowing:
        against.append(rule(policy, "allow_symbols"))
    if hook.offset and not any("+" in entry.text for entry in allowing):
        key = "allow_symbols" if policy.allow_symbols else "deny_symbols"
        against.append(f"an offset may lead into another function ({rule(policy, key)})")
    if against:
        yield symbol_finding(hook.label, hook.position, against[0], policy)


def symbol_finding(label: str, position: Position, why: str, policy: Policy) -> Finding:
    """That `label` (KIND:TARGET) is not to be probed."""
    return Finding(
        code="PP122",
        message=f"{label} may not be probed here: {why}",
        position=position,
        hint=f"probe something else, or {whom(policy)}",
    )


# ---------------------------------------------------------------- backends


def forbidden_backends(policies: Policies) -> Mapping[str, Finding]:
    """The backends that may not be used, each with the reason."""
    found = {}
    for policy in policies:
        allowed = {entry.text for entry in policy.allow_backends}
        for name in BACKEND_DESCRIPTORS if allowed else ():
            if name not in allowed:
                found[name] = Finding(
                    code="PP126",
                    message=f"it may not be used here: {rule(policy, 'allow_backends')}",
                    position=policy.place("allow_backends"),
                    hint=f"leave out --backend, or {whom(policy)}",
                )
    return found


def check_artifact(artifact: Artifact[Any], policies: Policies) -> None:
    """Raise HostError where the backend may follow a kernel function's pointer into user memory.

    On machines whose address spaces do not overlap, a dynamic event that is to read kernel memory
    reads user memory where the address is one of it (fetch_store_string and probe_mem_read,
    kernel/trace/trace_probe_kernel.h and trace_kprobe.c): which it will be is not known before.
    """
    if descriptor_of(artifact.backend).separates_user_memory:
        return
    safe = [one.name for one in BACKEND_DESCRIPTORS.values() if one.separates_user_memory]
    others = " or ".join(safe)
    ruling = [policy for policy in policies if policy.user_strings != "allow"]
    hooks = [hook for hook in artifact.program.hooks if hook.traits.site == "kernel function"]
    _raise(
        Finding(
            code="PP124",
            message=f"{hook.label}: by {artifact.backend}, what is read behind a pointer may be "
            f"user memory: {rule(policy, 'user_strings')}",
            position=hook.position,
            hint=f"use --backend {others}, which tells the two apart, or {whom(policy)}",
        )
        for policy in ruling
        for hook in hooks
        if any(True for _ in memory_reads(hook))
    )


# ---------------------------------------------------------------- what does not fit

#: Findings that a limit is too small, and which one.
_TOO_SMALL = {"PP091": "memory", "PP094": "probes"}


def of_ceilings(
    error: PlanError | HostError, plan: Plan, policies: Policies
) -> PlanError | HostError:
    """The same error; where it is a policy's ceiling that is too small, it says so instead of
    asking for a larger limit in the plan, and it is this host that cannot run the plan."""
    found = [_of_ceiling(finding, plan, policies) for finding in error.findings]
    if tuple(found) == error.findings:
        return error
    return HostError(found)


def _of_ceiling(finding: Finding, plan: Plan, policies: Policies) -> Finding:
    name = _TOO_SMALL.get(finding.code)
    if name is None or plan.limits_from.get(name) != "policy":
        return finding
    ceilings = [one.ceilings[name] for one in policies if name in one.ceilings]
    place = min(ceilings, key=lambda ceiling: ceiling.value).position
    hint = f"the policy allows no more ({place}): let the plan need less"
    return replace(finding, hint=hint)


# ---------------------------------------------------------------- words


def rule(policy: Policy, key: str, entry: Entry | None = None) -> str:
    """The rule, and where it stands."""
    if entry is None:
        return f"{key} of the policy ({policy.place(key)})"
    return f"{key} of the policy names {entry.text!r} ({entry.position})"


def whom(policy: Policy) -> str:
    """Whom to ask for an exception."""
    return f"ask {policy.owner or 'whoever keeps the policy'}"


def _raise(findings: Iterator[Finding]) -> None:
    if found := list(findings):
        raise HostError(found)
