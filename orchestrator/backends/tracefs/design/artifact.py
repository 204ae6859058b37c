"""From a program and kernel facts to an artifact. Pure; needs no root."""

from collections.abc import Iterable, Mapping

from orchestrator.backends.protocol import Artifact, Enforced, HookPlan
from orchestrator.backends.tracefs.design.hist_triggers import table_bytes
from orchestrator.backends.tracefs.design.layout import EventLayout, HookEvents
from orchestrator.backends.tracefs.design.lowering import LoweredProgram, lower_program
from orchestrator.backends.tracefs.design.mechanism import mechanism_of
from orchestrator.backends.tracefs.design.task_events import task_event_writes, task_names
from orchestrator.backends.tracefs.design.writes import (
    attach_writes,
    list_as_shell,
    names_from_run_id,
)
from orchestrator.compile.program import Hook, Program, ResolvedLeftOut
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import Finding, HostError

__all__ = ["describe_missing_tracefs", "emit", "unsupported"]


def unsupported(program: Program, facts: KernelFacts, *, user_space: bool) -> tuple[Finding, ...]:
    """Why tracefs cannot run `program`; empty where it can. `user_space`: conditions and sampling
    may be done in user space."""
    findings = _list_findings(lower_program(program, facts), facts, user_space=user_space)
    return (*findings, *_joining_findings(program))


def describe_missing_tracefs(facts: KernelFacts) -> Finding:
    """What is not mounted, or closed, and how to change that."""
    feature = facts.feature("tracefs")
    text = "tracefs cannot be found: mount -t tracefs tracefs /sys/kernel/tracing"
    message, _, hint = (text if feature else feature.detail).partition(": ")
    return Finding(code="PP113", message=message, hint=hint)


def _list_findings(
    lowered: LoweredProgram, facts: KernelFacts, *, user_space: bool
) -> tuple[Finding, ...]:
    lacking = []
    if facts.tracing is None:
        lacking.append(describe_missing_tracefs(facts))
    lacking += _definition_findings(lowered.layout)
    return (*lacking, *lowered.missing, *(() if user_space else lowered.in_user_space))


def _joining_findings(program: Program) -> Iterable[Finding]:
    for span in program.spans:
        yield Finding(
            code="PP110",
            message=f"{span.name!r} needs event joining, which the tracefs backend does not "
            "support",
            position=span.position,
            hint="use --backend bcc",
        )
    for note in program.notes:
        yield Finding(
            code="PP110",
            message=f"the note {note.name!r} needs state that one event leaves for others, which "
            "trace events do not have",
            position=note.position,
            hint="use --backend bcc",
        )


def _definition_findings(layout: EventLayout) -> Iterable[Finding]:
    """Definitions that tracefs would misread, or that are too long."""
    for hook in layout.hooks:
        for side in hook.sides:
            definition = layout.sources[side.source].definition
            try:
                if definition is not None:
                    definition.make_event(
                        "probeplan_0123456789abcdef01234567", "h0000_return_" + 24 * "x"
                    )
            except ValueError as error:
                yield Finding(
                    code="PP111",
                    message=f"{hook.hook.label}: {error}",
                    position=hook.hook.position,
                    hint="use --backend bcc",
                )


def emit(program: Program, facts: KernelFacts) -> Artifact[EventLayout]:
    """The artifact. Raises HostError when the program needs something that neither the kernel nor
    the reader can do here."""
    lowered = lower_program(program, facts)
    findings = (*_list_findings(lowered, facts, user_space=True), *_joining_findings(program))
    if findings:
        raise HostError(findings)
    layout = lowered.layout
    return Artifact(
        backend="tracefs",
        program=program,
        text=_program_text(lowered),
        hooks=tuple(_hook_plan(hook, layout) for hook in layout.hooks),
        memory=_memory_by_purpose(layout, max(1, facts.possible_cpus)),
        enforced=_enforced_by(program, layout),
        capabilities=("CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"),
        detail=layout,
    )


def _memory_by_purpose(layout: EventLayout, cpus: int) -> Mapping[str, int]:
    by_purpose = {"ring buffer": layout.buffer_kb * 1024 * cpus}
    if layout.task_buffer_kb:
        by_purpose["events about tasks"] = layout.task_buffer_kb * 1024 * cpus
    if layout.hists:
        by_purpose["hist tables"] = sum(map(table_bytes, layout.hists))
    return by_purpose


def _program_text(lowered: LoweredProgram) -> str:
    names = names_from_run_id("run")
    layout = lowered.layout
    steps = (
        *task_event_writes(task_names(names), layout.task_buffer_kb),
        *attach_writes(layout, names, pids=_example_threads(layout), own=["SELF"]),
    )
    start = f"echo 1 > {names.directory}/tracing_on\n"
    comment = "# cd /sys/kernel/tracing; every run has unique names\n"
    return comment + list_as_shell(steps) + start


def _example_threads(layout: EventLayout) -> list[str]:
    return ["TARGET"] if layout.by_pid else []


_ALL_PROCESSES = (
    "in every process that maps the file: a trace instance cannot bind it to the target's"
)


def _hook_plan(hook_events: HookEvents, layout: EventLayout) -> HookPlan:
    return HookPlan(
        hook=hook_events.hook.id,
        mechanism=mechanism_of(hook_events, layout),
        rejected=_rejected_mechanisms(hook_events.hook),
        scope=_ALL_PROCESSES if hook_events.hook.traits.space == "user" else "",
    )


def _rejected_mechanisms(hook: Hook) -> Mapping[str, str]:
    if hook.traits.site == "kernel function":
        return {"fentry/fexit": "needs BPF, which this backend does not use"}
    if hook.traits.site in ("tracepoint", "system call"):
        return {"raw tracepoint": "needs BPF, which this backend does not use"}
    return {}


def _enforced_by(program: Program, layout: EventLayout) -> Mapping[str, Enforced]:
    """Where each limit, condition and aggregate is done."""
    enforced: dict[str, Enforced] = {
        "duration": "user",
        "events": "user",
        "rate": "user",
        "memory": "kernel",
    }
    target = program.target
    if target.pid or target.tid or target.children:
        enforced["target.pid"] = "kernel" if layout.by_pid else "user"
    if target.uid:
        enforced["target.uid"] = "user"
    if target.left_out != ResolvedLeftOut():
        enforced["target.not"] = "user"
    if target.exclude_self:
        enforced["target.exclude_self"] = "kernel"
    for hook in layout.hooks:
        name = f"probes.{program.probes[hook.probe].name}"
        enforced |= _enforced_of_hook(name, hook, layout, bool(target.comm))
    for probe in program.probes:
        if probe.sample > 1:
            enforced[f"probes.{probe.name}.sample"] = "user"
        for spec in probe.metrics:
            counted = any(h.metric == spec.index for h in layout.hists)
            enforced[f"probes.{probe.name}.metrics.{spec.name}"] = "kernel" if counted else "user"
    return enforced


def _enforced_of_hook(
    name: str, hook_events: HookEvents, layout: EventLayout, by_comm: bool
) -> Mapping[str, Enforced]:
    enforced: dict[str, Enforced] = {}
    first = layout.sources[hook_events.sides[0].source]
    if by_comm:
        enforced[f"{name}.target.comm"] = "kernel" if first.tests_comm else "user"
    if any(side.where for side in hook_events.sides):
        enforced[f"{name}.where"] = "user"
    elif any(side.pushed for side in hook_events.sides):
        enforced[f"{name}.where"] = "kernel"
    if len(hook_events.sides) > 1:
        enforced[f"{name}.pairing"] = "user"
    if hook_events.record is not None and hook_events.record.has_task:
        enforced[f"{name}.pid"] = "user"
        enforced[f"{name}.comm"] = "user" if first.definition is None else "kernel"
    return enforced
