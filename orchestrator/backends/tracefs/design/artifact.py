"""Program and facts to an artifact: pure, needs no root."""

from collections.abc import Iterable, Mapping

from orchestrator.backends.protocol import Artifact, Enforced, HookPlan
from orchestrator.backends.tracefs.design.hist_triggers import table_bytes
from orchestrator.backends.tracefs.design.layout import EventLayout, HookEvents
from orchestrator.backends.tracefs.design.lowering import LoweredProgram, lower_program
from orchestrator.backends.tracefs.design.mechanism import mechanism_of
from orchestrator.backends.tracefs.design.writes import (
    attach_writes,
    list_as_shell,
    names_from_run_id,
)
from orchestrator.compile.program import Hook, Program
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import Finding, HostError

__all__ = ["emit", "unsupported"]


def unsupported(program: Program, facts: KernelFacts, *, user_space: bool) -> tuple[Finding, ...]:
    """Why tracefs cannot run `program`; `user_space` allows conditions and sampling there."""
    found = _list_findings(lower_program(program, facts), facts, user_space=user_space)
    return (*found, *_span_findings(program))


def _list_findings(
    placed: LoweredProgram, facts: KernelFacts, *, user_space: bool
) -> tuple[Finding, ...]:
    lacking = []
    if facts.tracing is None:
        lacking.append(
            Finding(
                code="PP113",
                message="tracefs is not mounted",
                hint="mount -t tracefs tracefs /sys/kernel/tracing",
            )
        )
    lacking += _definition_findings(placed.layout)
    return (*lacking, *placed.missing, *(() if user_space else placed.in_user_space))


def _span_findings(program: Program) -> Iterable[Finding]:
    for span in program.spans:
        yield Finding(
            code="PP110",
            message=f"{span.name!r} joins events by a key, which tracefs cannot",
            position=span.position,
            hint="--backend bcc can",
        )


def _definition_findings(layout: EventLayout) -> Iterable[Finding]:
    """Definitions that tracefs would misread, or that are too long."""
    for hook in layout.hooks:
        for side in hook.sides:
            definition = layout.sources[side.source].definition
            try:
                if definition is not None:
                    definition.event(
                        "probeplan_0123456789abcdef01234567", "h0000_return_" + 24 * "x"
                    )
            except ValueError as error:
                yield Finding(
                    code="PP111",
                    message=f"{hook.hook.label}: {error}",
                    position=hook.hook.position,
                    hint="--backend bcc can",
                )


def emit(program: Program, facts: KernelFacts) -> Artifact[EventLayout]:
    """The artifact. Raises HostError when there is something that nobody can do here."""
    placed = lower_program(program, facts)
    findings = (*_list_findings(placed, facts, user_space=True), *_span_findings(program))
    if findings:
        raise HostError(findings)
    layout = placed.layout
    return Artifact(
        backend="tracefs",
        program=program,
        text=_program_text(placed),
        hooks=tuple(_hook_plan(hook, layout) for hook in layout.hooks),
        memory=_memory_by_purpose(layout, max(1, facts.possible_cpus)),
        enforced=_enforced_by(program, layout),
        capabilities=("CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"),
        detail=layout,
    )


def _memory_by_purpose(layout: EventLayout, cpus: int) -> Mapping[str, int]:
    told = {"ring buffer": layout.buffer_kb * 1024 * cpus}
    if layout.hists:
        told["hist tables"] = sum(map(table_bytes, layout.hists))
    return told


def _program_text(placed: LoweredProgram) -> str:
    names = names_from_run_id("run")
    steps = attach_writes(placed.layout, names, pids=_example_threads(placed.layout), own=["SELF"])
    start = f"echo 1 > {names.directory}/tracing_on\n"
    return (
        f"# cd /sys/kernel/tracing; every run has names of its own\n{list_as_shell(steps)}{start}"
    )


def _example_threads(layout: EventLayout) -> list[str]:
    return ["TARGET"] if layout.by_pid else []


def _hook_plan(placed: HookEvents, layout: EventLayout) -> HookPlan:
    return HookPlan(
        hook=placed.hook.id,
        mechanism=mechanism_of(placed, layout),
        rejected=_rejected_mechanisms(placed.hook),
    )


def _rejected_mechanisms(hook: Hook) -> Mapping[str, str]:
    if hook.traits.site == "kernel function":
        return {"fentry/fexit": "needs BPF, which this backend does without"}
    if hook.traits.site in ("tracepoint", "system call"):
        return {"raw tracepoint": "needs BPF, which this backend does without"}
    return {}


def _enforced_by(program: Program, layout: EventLayout) -> Mapping[str, Enforced]:
    """Where each bound, condition and aggregate is done."""
    told: dict[str, Enforced] = {
        "duration": "user",
        "events": "user",
        "rate": "user",
        "memory": "kernel",
    }
    target = program.target
    if target.pid or target.tid or target.children:
        told["target.pid"] = "kernel" if layout.by_pid else "user"
    if target.uid:
        told["target.uid"] = "user"
    if target.exclude_self:
        told["target.exclude_self"] = "kernel"
    for hook in layout.hooks:
        name = f"probes.{program.probes[hook.probe].name}"
        told |= _enforced_of_hook(name, hook, layout, bool(target.comm))
    for probe in program.probes:
        if probe.sample > 1:
            told[f"probes.{probe.name}.sample"] = "user"
        for spec in probe.metrics:
            counted = any(h.metric == spec.index for h in layout.hists)
            told[f"probes.{probe.name}.metrics.{spec.name}"] = "kernel" if counted else "user"
    return told


def _enforced_of_hook(
    name: str, placed: HookEvents, layout: EventLayout, by_comm: bool
) -> Mapping[str, Enforced]:
    told: dict[str, Enforced] = {}
    first = layout.sources[placed.sides[0].source]
    if by_comm:
        told[f"{name}.target.comm"] = "kernel" if first.tests_comm else "user"
    if any(side.where for side in placed.sides):
        told[f"{name}.where"] = "user"
    elif any(side.pushed for side in placed.sides):
        told[f"{name}.where"] = "kernel"
    if len(placed.sides) > 1:
        told[f"{name}.pairing"] = "user"
    if placed.record is not None and placed.record.has_task:
        told[f"{name}.pid"] = "user"
        told[f"{name}.comm"] = "user" if first.definition is None else "kernel"
    return told
