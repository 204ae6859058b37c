"""The output of `explain`: everything that a run of the same plan on the same kernel would do,
derived from the artifact that it would attach. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.backends.protocol import Artifact, HookPlan
from orchestrator.compile.body_nodes import top_nodes
from orchestrator.compile.describe import describe_node
from orchestrator.compile.expressions.nodes import (
    Field,
    Node,
    Noted,
    NoteValue,
    RawArg,
    Register,
    UsdtArg,
    walk,
)
from orchestrator.compile.program import (
    Body,
    Hook,
    KeyField,
    MetricSpec,
    NoteProgram,
    OnceSpec,
    ProbeProgram,
    Program,
    RecordField,
    SpanProgram,
)
from orchestrator.plan.figures import metrics_by_owner
from orchestrator.plan.model import Plan
from orchestrator.run.choice import Prepared
from orchestrator.run.cost.hot_points import find_hot_points
from orchestrator.run.metrics.windows import choose_window_ns
from orchestrator.run.report.records import (
    acceptance_fields,
    limits_in_force,
    policy_fields,
    refused_fields,
    with_sources,
)

__all__ = ["explain_plan"]

Fields = dict[str, Any]


def explain_plan(prepared: Prepared) -> Fields:
    """The explanation as JSON values; sizes in bytes, times in ns."""
    plan, choice = prepared.plan, prepared.choice
    artifact = choice.artifact
    program = artifact.program
    plans = {hook.hook: hook for hook in artifact.hooks}
    return {
        "plan": program.name,
        "plan_sha256": program.sha256,
        "kernel": program.kernel,
        "arch": program.arch,
        "backend": artifact.backend,
        "refused_backends": refused_fields(choice.refused),
        "params": {name: param.value for name, param in plan.params.items()},
        "probes": [_probe_fields(probe, plans) for probe in program.probes],
        "spans": [_span_fields(span, program) for span in program.spans],
        "notes": [_note_fields(note, program) for note in program.notes],
        "skipped": [
            {"probe": one.probe, "to": one.item, "reason": one.reason} for one in program.skipped
        ],
        "figures": _figure_fields(plan, program),
        "hot": dict(find_hot_points(program)),
        "policies": policy_fields(prepared.policies),
        "signatures": acceptance_fields(prepared.acceptances),
        "limits": with_sources(limits_in_force(artifact), plan),
        "enforced": dict(artifact.enforced),
        "memory": _memory_fields(artifact),
        "capabilities": list(artifact.capabilities),
        "numbers": [{"name": one.name, "value": one.value} for one in artifact.numbers],
        "program": artifact.text,
    }


def _figure_fields(plan: Plan, program: Program) -> Fields:
    """What user space computes from metrics, and how often it is checked."""
    return {
        "derive": {
            one.name: {
                "value": one.value.text,
                "unit": one.unit,
                "by": list(one.by),
                "warn": one.warn.text if one.warn else None,
            }
            for one in plan.derive
        },
        "warn": {
            f"{owner}.{metric.name}": metric.warn.text
            for owner, metrics in metrics_by_owner(plan).items()
            for metric in metrics
            if metric.warn
        },
        "stop_when": plan.stop_when.text if plan.stop_when else None,
        "window_ns": choose_window_ns(plan, program.every_ns),
    }


def _memory_fields(artifact: Artifact[Any]) -> Fields:
    return {
        "by_purpose": dict(artifact.memory),
        "total": sum(artifact.memory.values()),
        "limit": artifact.program.limits.memory,
    }


def _probe_fields(probe: ProbeProgram, plans: Mapping[int, HookPlan]) -> Fields:
    fields = probe.emit.fields if probe.emit else ()
    return {
        "probe": probe.name,
        "sample": probe.sample,
        "once": _once_fields(probe.once) if probe.once else None,
        "record": [_layout_of(field) for field in fields] if probe.emit else None,
        "metrics": [_metric_fields(metric) for metric in probe.metrics],
        "hooks": [_hook_fields(hook, probe, plans.get(hook.id)) for hook in probe.hooks],
    }


def _once_fields(once: OnceSpec) -> Fields:
    """Of which events only the first is a record, how long that lasts, and for how many keys."""
    key = [_layout_of(part) for part in once.key]
    return {"by": key, "per_ns": once.per_ns or None, "keys": once.keys}


def _span_fields(span: SpanProgram, program: Program) -> Fields:
    """How events are joined, what is kept until the end, and what is emitted then."""
    uses = [(hook, use) for hook in program.hooks for use in hook.body.spans]
    own = [(hook, use) for hook, use in uses if use.span == span.index]
    names = [field.name for field in span.emit.fields] if span.emit else []
    return {
        "span": span.name,
        "outstanding": span.resource is not None,
        "key": [_layout_of(part) for part in span.key],
        "kept": [{"name": kept.name, "form": kept.form, "size": kept.size} for kept in span.kept],
        "again": span.again,
        "max_open": span.max_open,
        "record": [_layout_of(field) for field in span.emit.fields] if span.emit else None,
        "metrics": [_metric_fields(metric) for metric in span.metrics],
        "parts": [
            {
                "role": use.role,
                "probe": program.probes[hook.probe].name,
                "to": hook.label,
                "key": [describe_node(node, hook.body) for node in use.key],
                "kept": {span.kept[i].name: describe_node(node, hook.body) for i, node in use.kept},
                "where": [describe_node(node, hook.body) for node in use.end.where]
                if use.end
                else [],
                "emit": {
                    name: describe_node(node, hook.body)
                    for name, node in zip(names, use.end.emit if use.end else (), strict=False)
                },
            }
            for hook, use in own
        ],
    }


def _note_fields(note: NoteProgram, program: Program) -> Fields:
    """What sets and drops a note, what it keeps, and which probes read it."""
    own = [(h, use) for h in program.hooks for use in h.body.notes if use.note == note.index]
    return {
        "note": note.name,
        "key": [_layout_of(part) for part in note.key],
        "kept": [{"name": kept.name, "form": kept.form, "size": kept.size} for kept in note.kept],
        "max": note.most,
        "once": note.once,
        "parts": [
            {
                "role": use.role,
                "probe": program.probes[hook.probe].name,
                "to": hook.label,
                "key": [describe_node(node, hook.body) for node in use.key],
                "kept": {note.kept[i].name: describe_node(node, hook.body) for i, node in use.kept},
            }
            for hook, use in own
        ],
        "read_by": list(
            dict.fromkeys(
                program.probes[hook.probe].name
                for hook in program.hooks
                if _reads_note(hook.body, note.index)
            )
        ),
    }


def _reads_note(body: Body, index: int) -> bool:
    parts = (node for root in _root_nodes(body) for node in walk(root))
    return any(isinstance(node, NoteValue | Noted) and node.note == index for node in parts)


def _layout_of(field: RecordField | KeyField) -> Fields:
    return {"name": field.name, "form": field.form, "offset": field.offset, "size": field.size}


def _metric_fields(metric: MetricSpec) -> Fields:
    return {
        "metric": metric.name,
        "kind": metric.kind,
        "by": [_layout_of(part) for part in metric.key],
        "keys": metric.keys if metric.key else 1,
    }


def _hook_fields(hook: Hook, probe: ProbeProgram, plan: HookPlan | None) -> Fields:
    body = hook.body
    names = [field.name for field in probe.emit.fields] if probe.emit else []
    return {
        "to": hook.label,
        "mechanism": plan.mechanism if plan else "none",
        "rejected": dict(plan.rejected) if plan else {},
        "scope": plan.scope if plan else "",
        "optional": hook.optional,
        "paired": hook.paired,
        "arguments": list(dict.fromkeys(_describe_arguments(hook))),
        "at_entry": [describe_node(test, body) for test in body.entry.where] if body.entry else [],
        "where": [describe_node(test, body) for test in body.where],
        "let": {let.name: describe_node(let.node, body) for let in body.lets},
        "emit": {
            name: describe_node(node, body) for name, node in zip(names, body.emit, strict=False)
        },
    }


# ---------------------------------------------------------------- arguments


def _describe_arguments(hook: Hook) -> Iterator[str]:
    """Where each value of the event itself that the hook reads comes from."""
    for root in _root_nodes(hook.body):
        for node in walk(root):
            if source := _describe_argument(node):
                yield source


def _root_nodes(body: Body) -> Iterator[Node]:
    if body.entry is not None:
        yield from (*body.entry.where, *body.entry.captures)
    yield from (let.node for let in body.lets)
    yield from top_nodes(body)


def _argument_name(name: str, index: int) -> str:
    return f"args.{name}" if name else f"arg{index}"


def _describe_argument(node: Node) -> str | None:
    match node:
        case Field(field=field, type=kind):
            where = f"{field.size} bytes at {field.offset} of the record"
            return f"args.{field.name}: {kind} ({field.ctype.strip()}, {where})"
        case Register(index=index, type=kind, name=name):
            argument = _argument_name(name, index)
            return f"{argument}: {kind} (argument {index}, by the calling convention)"
        case RawArg(index=index, type=kind, name=name):
            return (
                f"{_argument_name(name, index)}: {kind} (argument {index}, as the kernel passes it)"
            )
        case UsdtArg(index=index, operand=operand, type=kind):
            return f"arg{index}: {kind} (operand {operand})"
        case _:
            return None
