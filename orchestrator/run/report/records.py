"""The fields of lifecycle records, as in the log schema. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import fields
from typing import Any

from orchestrator.backends.protocol import Artifact, AttachedHook, SkippedHook
from orchestrator.compile.program import (
    Emit,
    Hook,
    ProbeProgram,
    Program,
    ResolvedKeys,
    ResolvedTarget,
)
from orchestrator.output.fields import shown_field
from orchestrator.output.log import RecordFields
from orchestrator.plan.findings import Finding
from orchestrator.plan.model import Limits, Plan, Rate
from orchestrator.policy.model import Policy
from orchestrator.policy.signed_files import Acceptance
from orchestrator.version import installed_version

__all__ = ["attached_fields", "limit_fields", "limit_values", "limits_in_force", "policy_fields"]
__all__ += [
    "acceptance_fields",
    "rate_bound",
    "refused_fields",
    "skipped_fields",
    "skipped_hook_fields",
    "started_fields",
    "started_target",
    "with_sources",
]

#: Limits that no backend enforces: the reader bounds the output, the governor the cost, and the
#: compiler what is known before attaching; `incomplete` is about the exit code.
_BY_USER_SPACE = dict.fromkeys(("memory", "probes", "output", "cpu", "incomplete"), "user")


def started_fields(
    plan: Plan,
    artifact: Artifact[Any],
    command: Sequence[str],
    policies: Sequence[Policy] = (),
    acceptances: Sequence[Acceptance] = (),
) -> RecordFields:
    """The fields of run.started, but for those of the backends that were refused, the bundle and
    the canary."""
    program = artifact.program
    limits = with_sources(limits_in_force(artifact), plan)
    return {
        "version": installed_version() or "0",
        "backend": artifact.backend,
        "arch": program.arch,
        "params": {name: param.value for name, param in plan.params.items()},
        "target": started_target(program.target),
        "command": list(command) or None,
        "limits": limits,
        "policies": policy_fields(policies),
        "signatures": acceptance_fields(acceptances),
        "enforced": {
            name: where for name, where in artifact.enforced.items() if name not in limits
        },
        "memory": dict(artifact.memory),
        "every_ns": program.every_ns,
        "fields": _shown_fields(program.emits),
    }


def _shown_fields(emits: Sequence[Emit]) -> dict[str, RecordFields]:
    """By probe or span and name: what it takes to show the values of fields to people."""
    return {
        emit.probe: {field.name: shown_field(field)._asdict() for field in emit.fields}
        for emit in emits
    }


def refused_fields(refused: Mapping[str, Sequence[Finding]]) -> RecordFields:
    """By the name of each backend that was refused, the reasons."""
    return {
        name: [
            {
                "at": str(finding.position),
                "code": finding.code,
                "reason": finding.message,
                "hint": finding.hint,
            }
            for finding in findings
        ]
        for name, findings in refused.items()
    }


def limits_in_force(artifact: Artifact[Any]) -> dict[str, RecordFields]:
    """The plan's limits by name, each with its value and who enforces it. A limit that the backend
    does not mention is taken to be enforced by user space, which claims no more than is certain."""
    limits = artifact.program.limits
    enforced = {**artifact.enforced, **_BY_USER_SPACE}
    return {
        name: {**value, "enforced_by": enforced.get(name, "user")}
        for name, value in limit_values(limits).items()
    }


def policy_fields(policies: Sequence[Policy]) -> list[RecordFields]:
    """The policies in force: file and digest."""
    return [{"file": policy.file, "sha256": policy.sha256} for policy in policies]


def acceptance_fields(acceptances: Sequence[Acceptance]) -> list[RecordFields]:
    """By what each policy with rules for signatures accepts the plan: whose signature, if any."""
    return [
        {
            "policy": acceptance.policy,
            "status": acceptance.status,
            "principal": acceptance.signer.principal if acceptance.signer else None,
            "key": acceptance.signer.key if acceptance.signer else None,
        }
        for acceptance in acceptances
    ]


def with_sources(limits: Mapping[str, RecordFields], plan: Plan) -> dict[str, RecordFields]:
    """Each limit with the source of its value, in `from`."""
    sources = plan.limits_from
    return {name: {**limit, "from": sources.get(name, "default")} for name, limit in limits.items()}


def limit_values(limits: Limits) -> dict[str, RecordFields]:
    """The limits by name, each with its value in the units of `Limits`."""
    duration = "unlimited" if limits.duration_ns is None else limits.duration_ns
    return {
        "duration": {"value": duration},
        "events": {"value": limits.events},
        "rate": rate_bound(limits.rate),
        "cpu": {"value": limits.cpu},
        "memory": {"value": limits.memory},
        "probes": {"value": limits.probes},
        "output": {"value": limits.output},
        "incomplete": {"value": limits.incomplete},
    }


def rate_bound(rate: Rate) -> RecordFields:
    """A rate as the bound of a limit: records, and the period in ns."""
    return {"value": rate.count, "per_ns": rate.per_ns}


def started_target(target: ResolvedTarget) -> RecordFields:
    """The field `target` of run.started: what is set of it, with paths as the plan has them, and
    those of the cgroups that match one with `*`."""
    chosen = _name_target(target)
    left_out = _name_target(target.left_out)
    return chosen | ({"not": left_out} if left_out else {})


def _name_target(target: ResolvedKeys) -> dict[str, Any]:
    """What is set, with paths instead of what they lead to."""
    paths = {name: [path for path, _ in getattr(target, name)] for name in ("cgroup", "exe")}
    values = {field.name: getattr(target, field.name) for field in fields(target)} | paths
    others = ("left_out", "patterns")
    return {name: value for name, value in values.items() if value and name not in others}


def attached_fields(program: Program, hook: AttachedHook) -> RecordFields:
    """The fields of probe.attached."""
    probe, own = _find_hook(program, hook.hook)
    return {
        "probe": probe.name,
        "to": own.label,
        "mechanism": hook.mechanism,
        "target": hook.target,
        "detail": hook.detail,
        "sample": probe.sample * own.period,
    }


def skipped_hook_fields(program: Program, hook: SkippedHook) -> RecordFields:
    """The fields of probe.skipped, for an optional attach point that could not be attached."""
    probe, own = _find_hook(program, hook.hook)
    return {"probe": probe.name, "to": own.label, "reason": hook.reason}


def skipped_fields(program: Program) -> list[RecordFields]:
    """The fields of probe.skipped, for each attach point that the compiler did not choose."""
    return [
        {"probe": item.probe, "to": item.item, "reason": item.reason} for item in program.skipped
    ]


def _find_hook(program: Program, hook: int) -> tuple[ProbeProgram, Hook]:
    for probe in program.probes:
        for candidate in probe.hooks:
            if candidate.id == hook:
                return probe, candidate
    raise ValueError(f"the program has no hook {hook}")


def limit_fields(
    limit: str,
    in_force: Mapping[str, RecordFields],
    action: str,
    own: tuple[str, RecordFields] | None = None,
) -> RecordFields:
    """The fields of limit.reached. `own`: a probe's name and its bound (as of `limit_values`),
    where it was not the plan's."""
    probe, bound = own or (None, in_force[limit])
    return {
        "limit": limit,
        "probe": probe,
        **{name: bound[name] for name in ("value", "per_ns") if name in bound},
        "enforced_by": in_force[limit]["enforced_by"],
        "action": action,
    }
