"""A first plan for an attach point: it passes lint as it is, and its comments say what can be
changed."""

import re
import shlex
from collections.abc import Iterator, Sequence

from orchestrator.discovery.description import Described, PointValue
from orchestrator.discovery.field_choice import PlanField, choose_fields, write_name
from orchestrator.plan.attach_kinds import KINDS, AttachKind
from orchestrator.plan.printable import make_printable

__all__ = ["PLAN_WITHOUT_POINT", "write_plan"]

#: What a plan is made of when no attach point is named: every kernel has it.
PLAN_WITHOUT_POINT = "syscall:openat"
_COLUMN = 36
#: Conditions, by whether events belong to a task.
_EXAMPLES = {True: 'comm == "nginx"', False: "cpu == 0"}


def write_plan(
    kind: AttachKind, target: str, points: Sequence[Described], *, modeline: str, file: str
) -> str:
    """The plan's text. `points`: what `target` stands for, several for a glob; its values are those
    that all of them have. `file`: as commands in its comments name it."""
    name = write_name(_short_name(target) if KINDS[kind].site != "timer" else kind)
    parts = [
        [modeline, *_explain_use(kind, target, file)],
        _write_head(kind, target, name),
        _write_params(kind),
        _write_limits(),
        _write_target(kind) if KINDS[kind].has_task else [],
        _write_probe(kind, target, name, points),
    ]
    return "\n".join("\n".join(line.rstrip() for line in part) + "\n" for part in parts if part)


def _short_name(target: str) -> str:
    last = target.rpartition(":")[2] or target
    return re.sub(r"[*?]+", "", last) or "probe"


def _explain_use(kind: AttachKind, target: str, file: str) -> list[str]:
    file = make_printable(shlex.quote(file))
    setting = "slower_than=10ms" if KINDS[kind].is_paired else "keep=1/10"
    commands = [
        (f"probeplan lint {file}", "is it right? offline, without root"),
        (f"probeplan explain {file}", "what would be attached, and how"),
        (f"probeplan run {file}", "ends by itself"),
        (f"probeplan run {file} --set {setting}", "with another param"),
        (f"probeplan run {file} -- COMMAND", "of this command alone"),
    ]
    if not KINDS[kind].has_task:
        commands.pop()
    width = max(len(command) for command, _ in commands)
    return [
        f"# A first plan for {kind}:{target}: take what you need, delete the rest.",
        "#",
        *(f"#   {command:{width}}   {what}" for command, what in commands),
        "#",
        f"# What is known there: probeplan list -v '{kind}:{target}'",
    ]


def _write_head(kind: AttachKind, target: str, name: str) -> list[str]:
    plan_name = re.sub(r"[^a-z0-9]+", "-", name).strip("-") or "first-plan"
    return [
        "apiVersion: probeplan/v1",
        "kind: ProbePlan",
        "metadata:",
        f"  name: {plan_name}",
        f'  summary: "{_ask(kind, target)}"',
        "  # owner: whom to ask",
    ]


def _ask(kind: AttachKind, target: str) -> str:
    point = f"{kind}:{target[:100]}"
    if kind == "profile":
        return f"What runs, by samples of {point}?"
    if KINDS[kind].is_paired:
        return f"How often is {point} called, by whom, and how long does it take?"
    if not KINDS[kind].has_task:
        return f"What is there, by {point}?"
    return f"How often does {point} happen, and for whom?"


def _write_params(kind: AttachKind) -> list[str]:
    lines = ["# What `--set NAME=VALUE` may change. Expressions write params.NAME.", "params:"]
    if KINDS[kind].is_paired:
        return [*lines, "  slower_than: {type: duration, default: 0ns, summary: only slower calls}"]
    return [*lines, "  keep: {type: ratio, default: 1/1, summary: keep one event of so many}"]


def _write_limits() -> list[str]:
    return [
        "# The most that the run may cost. Others: cpu 2%, memory 32MiB, probes 64, output 1GiB.",
        "limits:",
        _with_comment("  duration: 10s", "enforced in the kernel, like events and rate"),
        _with_comment("  events: 1k", "records; metrics count on"),
        _with_comment("  at_cap: mute", "after so many no more records; stop: end the run"),
        _with_comment("  rate: 100/s", "records; the rest is counted as held back"),
    ]


def _write_target(kind: AttachKind) -> list[str]:
    where = "" if KINDS[kind].space == "kernel" else "; with pid, no other process is slowed down"
    return [
        "# Whose events: without a target, everyone's. `--target comm=nginx` replaces it.",
        _with_comment("# target: {comm: nginx}", f"or pid, tid, uid, cgroup{where}"),
    ]


# ---------------------------------------------------------------- the probe


def _write_probe(
    kind: AttachKind, target: str, name: str, points: Sequence[Described]
) -> list[str]:
    fields = choose_fields(_common_values(points))
    hot = next((point.hot for point in points if point.hot), "")
    return [
        "probes:",
        _with_comment(f"  {name}:", "any name: records and metrics carry it"),
        *(
            [f"    # Hot: {make_printable(hot)}; a run counts it for a second first."]
            if hot
            else []
        ),
        f'    attach: "{kind}:{target}"',
        *_write_names_for_arguments(kind, target),
        *_write_conditions(kind, fields),
        *_write_record(kind, fields, points),
        *_write_metrics(kind, has_several=len(points) > 1),
    ]


def _common_values(points: Sequence[Described]) -> list[PointValue]:
    """The values of the first point that all others have in the same type."""
    first, *others = points
    known = [{value.expression: value.type for value in point.values} for point in others]
    return [
        value
        for value in first.values
        if all(types.get(value.expression) == value.type for types in known)
    ]


def _write_names_for_arguments(kind: AttachKind, target: str) -> list[str]:
    traits = KINDS[kind]
    if traits.site != "user code" or not traits.has_arguments:
        return []
    return [
        "    # The file does not name its arguments. By position, a plan can, with their types:",
        f'    # attach: {{to: "{kind}:{target}", args: {{name: "char *", size: u64}}}}',
    ]


def _write_conditions(kind: AttachKind, fields: Sequence[PlanField]) -> list[str]:
    lines = [
        "    # Python's syntax. What `where` keeps is recorded and counted; the kernel tests it."
    ]
    if KINDS[kind].is_paired:
        return [*lines, "    where: elapsed >= params.slower_than"]
    number = next((field for field in fields if field.is_active and field.is_number), None)
    example = (
        f"{_strip_label(number.expression)} != 0" if number else _EXAMPLES[KINDS[kind].has_task]
    )
    return [
        *lines,
        f"    # where: {example}",
        "    sample: params.keep",
    ]


def _strip_label(expression: str) -> str:
    """The number that a field names."""
    return expression.removeprefix("label(").partition(",")[0]


def _write_record(
    kind: AttachKind, fields: Sequence[PlanField], points: Sequence[Described]
) -> list[str]:
    own = list(_result_fields(kind, points))
    active = [*own, *(field for field in fields if field.is_active)]
    others = [field for field in fields if not field.is_active]
    whose = ", pid, tid and comm" if KINDS[kind].has_task else ""
    lines = [f"    # A record for each event, with these fields, its time{whose}."]
    if not active:
        lines.append("    emit: {}")
    else:
        lines += ["    emit:", *(_write_field(field, "      ") for field in active)]
    if others and not active:
        lines.append("    # These can be written below `emit:`, in place of {}:")
    return lines + [_write_field(field, "      # ") for field in others]


def _write_field(field: PlanField, margin: str) -> str:
    return _with_comment(f"{margin}{field.name}: {field.expression}", field.comment)


def _result_fields(kind: AttachKind, points: Sequence[Described]) -> Iterator[PlanField]:
    if len(points) > 1:
        yield PlanField(name="func", expression="func", comment="which of them")
    if points[0].paired:
        yield PlanField(name="took", expression="elapsed", comment="from entry to return, in ns")
    result = points[0].result
    if KINDS[kind].site == "system call":
        comment = "the name of an error, such as ENOENT, or the value"
        yield PlanField(name="result", expression="errno(retval)", comment=comment)
    elif result is not None and all(
        point.result is not None and point.result.type == result.type for point in points
    ):
        yield PlanField(name="result", expression="retval", comment=result.ctype or "the result")


def _write_metrics(kind: AttachKind, *, has_several: bool) -> list[str]:
    traits = KINDS[kind]
    keys = ["func"] * has_several + ["comm"] * traits.has_task
    by = f", by: [{', '.join(keys)}], top: 20" if keys else ""
    lines = [
        "    # Counted in the kernel, by key, and printed at the end: all, whatever the rate.",
        "    metrics:",
        f"      events: {{count: true{by}}}",
    ]
    if traits.is_paired:
        lines.append("      latency: {histogram: elapsed, unit: us}")
    if traits.site == "system call":
        lines.append("      failed: {count: retval < 0, by: [comm], top: 20}")
    if kind in ("profile", "perf"):
        lines.append("      stacks: {count: true, by: [kstack], top: 20}")
    return lines


def _with_comment(text: str, comment: str) -> str:
    return f"{text:{_COLUMN}}  # {comment}"
