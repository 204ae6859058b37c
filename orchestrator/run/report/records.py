"""The fields of lifecycle records, as the log schema has them. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from orchestrator.backends.protocol import Artifact, AttachedHook, SkippedHook
from orchestrator.compile.program import ProbeProgram, Program, ResolvedTarget
from orchestrator.plan.model import Limits, Plan
from orchestrator.policy.model import Policy

__all__ = ["attached_fields", "limit_fields", "limits_in_force", "policy_fields"]
__all__ += ["skipped_fields", "skipped_hook_fields", "started_fields", "with_sources"]

RecordFields = dict[str, Any]

#: Limits that are not a backend's business: the reader bounds the output, the governor the cost,
#: the compiler what is known beforehand, and the exit code is the run's.
_OURS = dict.fromkeys(("memory", "probes", "output", "cpu", "incomplete"), "user")


def started_fields(
    plan: Plan, artifact: Artifact[Any], command: Sequence[str], policies: Sequence[Policy] = ()
) -> RecordFields:
    """Of run.started."""
    from orchestrator.version import installed_version  # 10 ms, after attaching

    program = artifact.program
    limits = with_sources(limits_in_force(artifact), plan)
    return {
        "version": installed_version() or "0",
        "backend": artifact.backend,
        "arch": program.arch,
        "params": {name: param.value for name, param in plan.params.items()},
        "target": _target(program.target),
        "command": list(command) or None,
        "limits": limits,
        "policies": policy_fields(policies),
        "enforced": {
            name: where for name, where in artifact.enforced.items() if name not in limits
        },
        "memory": dict(artifact.memory),
        "every_ns": program.every_ns,
    }


def limits_in_force(artifact: Artifact[Any]) -> dict[str, RecordFields]:
    """The plan's limits by name, each with its value and who enforces it. A limit of which the
    backend says nothing is enforced by user space: to claim more could be untrue."""
    limits = artifact.program.limits
    enforced = {**artifact.enforced, **_OURS}
    return {
        name: {**value, "enforced_by": enforced.get(name, "user")}
        for name, value in _values(limits).items()
    }


def policy_fields(policies: Sequence[Policy]) -> list[RecordFields]:
    """The policies in force, by file and digest."""
    return [{"file": policy.file, "sha256": policy.sha256} for policy in policies]


def with_sources(limits: Mapping[str, RecordFields], plan: Plan) -> dict[str, RecordFields]:
    """Each limit with where its value comes from."""
    sources = plan.limits_from
    return {name: {**one, "from": sources.get(name, "default")} for name, one in limits.items()}


def _values(limits: Limits) -> dict[str, RecordFields]:
    duration = "unlimited" if limits.duration_ns is None else limits.duration_ns
    return {
        "duration": {"value": duration},
        "events": {"value": limits.events},
        "rate": {"value": limits.rate.count, "per_ns": limits.rate.per_ns},
        "cpu": {"value": limits.cpu},
        "memory": {"value": limits.memory},
        "probes": {"value": limits.probes},
        "output": {"value": limits.output},
        "incomplete": {"value": limits.incomplete},
    }


def _target(target: ResolvedTarget) -> RecordFields:
    fields = {name: value for name, value in asdict(target).items() if value}
    if target.cgroup:
        fields["cgroup"] = [path for path, _ in target.cgroup]
    return fields


def attached_fields(program: Program, hook: AttachedHook) -> RecordFields:
    """Of probe.attached."""
    probe, label = _place(program, hook.hook)
    return {
        "probe": probe.name,
        "to": label,
        "mechanism": hook.mechanism,
        "target": hook.target,
        "detail": hook.detail,
        "sample": probe.sample,
    }


def skipped_hook_fields(program: Program, hook: SkippedHook) -> RecordFields:
    """Of probe.skipped, for an optional attach point that could not be attached."""
    probe, label = _place(program, hook.hook)
    return {"probe": probe.name, "to": label, "reason": hook.reason}


def skipped_fields(program: Program) -> list[RecordFields]:
    """Of probe.skipped, for the attach points that the compiler did not take."""
    return [{"probe": one.probe, "to": one.item, "reason": one.reason} for one in program.skipped]


def _place(program: Program, hook: int) -> tuple[ProbeProgram, str]:
    for probe in program.probes:
        for one in probe.hooks:
            if one.id == hook:
                return probe, one.label
    raise ValueError(f"the program has no hook {hook}")


def limit_fields(
    limit: str,
    in_force: Mapping[str, RecordFields],
    action: str,
    own: tuple[str, int] | None = None,
) -> RecordFields:
    """Of limit.reached. `own`: a probe's name and its bound, when it was not the plan's."""
    probe, value = own or (None, in_force[limit]["value"])
    return {
        "limit": limit,
        "probe": probe,
        "value": value,
        "enforced_by": in_force[limit]["enforced_by"],
        "action": action,
    }
