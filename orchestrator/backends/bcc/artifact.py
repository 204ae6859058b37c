"""From a program to its artifact: pure, needs neither root nor a compiler."""

from collections.abc import Iterable, Iterator, Mapping
from typing import NamedTuple

from orchestrator.backends.bcc.design import memory
from orchestrator.backends.bcc.design.detail import BccDetail
from orchestrator.backends.bcc.design.groups import ProgramGroup, group_sides
from orchestrator.backends.bcc.design.joining import choose_mechanisms
from orchestrator.backends.bcc.design.layout import MapLayout
from orchestrator.backends.bcc.design.mechanism import MechanismChoice
from orchestrator.backends.bcc.design.registers import ARCHITECTURES
from orchestrator.backends.bcc.design.scope import describe_scope
from orchestrator.backends.bcc.emit.open_numbers import OpenNumbers
from orchestrator.backends.bcc.emit.site import CGROUP_OFFSETS
from orchestrator.backends.bcc.emit.source import (
    HookError,
    list_functions,
    render_source,
    task_offsets,
)
from orchestrator.backends.bcc.emit.used_maps import MOST_MAPS, count_used_maps
from orchestrator.backends.protocol import Artifact, Enforced, HookPlan
from orchestrator.compile.program import Hook, Program
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import Finding, HostError, Position

NAME = "bcc"
NEEDED = ("bpf", "ringbuf", "jiffies64")
LARGEST_KEY = 256  # bytes of a key, which is built on the BPF stack


class _Draft(NamedTuple):
    """A program's text, and what it was made of."""

    choices: Mapping[int, MechanismChoice]
    layout: MapLayout
    numbers: OpenNumbers
    text: str


def unsupported(program: Program, facts: KernelFacts) -> tuple[Finding, ...]:
    """Why this backend cannot run `program` on that kernel; empty when it can."""
    try:
        emit(program, facts)
    except HostError as error:
        return error.findings
    return ()


def emit(program: Program, facts: KernelFacts, *, is_compiled: bool = False) -> Artifact[BccDetail]:
    """The artifact of `program`. `is_compiled`: this host need not compile it; then no two hooks
    share a link, since which can depends on more of a host than its kernel. Raises HostError where
    this backend cannot run it on that kernel."""
    if general := tuple(_check_host(program, facts, is_compiled=is_compiled)):
        raise HostError(general)
    choices = choose_mechanisms(program, facts, may_join=not is_compiled)
    findings = [*_find_unattachable(program, choices), *_find_too_large(program)]
    try:
        draft = _draft(program, facts, choices)
    except HookError as error:
        findings.append(_make_finding(f"{error.hook.label}: {error.why}", error.hook.position))
        raise HostError(findings) from None
    findings += _find_too_many_maps(draft.text, group_sides(draft.layout, choices))
    if findings:
        raise HostError(findings)
    return _finish_artifact(program, facts, draft)


def build_artifact(
    program: Program, facts: KernelFacts, choices: Mapping[int, MechanismChoice]
) -> Artifact[BccDetail]:
    """The artifact with the mechanisms given, of a program for which `emit` has one."""
    return _finish_artifact(program, facts, _draft(program, facts, choices))


def _check_host(program: Program, facts: KernelFacts, *, is_compiled: bool) -> Iterator[Finding]:
    if program.arch not in ARCHITECTURES:
        yield _make_finding(f"registers of {program.arch} are not known", hint="use tracefs")
    for name in NEEDED if program.emits else ("bpf", "jiffies64"):
        feature = facts.feature(name)
        if feature.state == "no":
            yield _make_finding(f"this kernel lacks {name}: {feature.detail}")
    if not (is_compiled or facts.recorded or facts.feature("bcc")):
        yield _make_finding(f"the compiler is missing: {facts.feature('bcc').detail}")
    needs_task = [h for h in program.hooks if h.body.task not in (None, "none")]
    descends = program.target.children or program.target.left_out.children
    if (descends or needs_task) and "live" not in task_offsets(facts):
        why = f": {facts.why_no_types}" if facts.why_no_types else ""
        yield _make_finding(f"the layout of task_struct is not known without BTF{why}")


def _find_unattachable(
    program: Program, choices: Mapping[int, MechanismChoice]
) -> Iterator[Finding]:
    for hook in program.hooks:
        choice = choices[hook.id]
        if choice.mechanism is None and not hook.optional:
            reasons = "; ".join(f"{name}: {why}" for name, why in choice.rejected.items())
            yield _make_finding(f"{hook.label} cannot be attached ({reasons})", hook.position)


def _find_too_large(program: Program) -> Iterator[Finding]:
    """Keys that do not fit on the BPF stack, where they are built."""
    keys = [(f"metric {m.probe}.{m.name}", m.key_size, m.position) for m in program.metrics]
    keys += [(f"span {span.name}", span.key_size, span.position) for span in program.spans]
    keys += [(f"note {note.name}", note.key_size, note.position) for note in program.notes]
    keys += [
        (f"once of {probe.name}", probe.once.key_size, probe.hooks[0].position)
        for probe in program.probes
        if probe.once is not None
    ]
    for name, size, position in keys:
        if size > LARGEST_KEY:
            yield _make_finding(
                f"{name}: its key takes {size} bytes, and at most {LARGEST_KEY} fit on the BPF "
                "stack",
                position,
                "shorten the strings in it: str(p, 64)",
            )


def _find_too_many_maps(text: str, groups: Iterable[ProgramGroup]) -> Iterator[Finding]:
    for group, count in count_used_maps(text, groups).items():
        if count > MOST_MAPS:
            hook = group.sides[0].hook
            yield _make_finding(
                f"{hook.label}: the program of its probes uses {count} maps, and the kernel allows "
                f"{MOST_MAPS}",
                hook.position,
                "a metric with a key has a map, a histogram with a key two: count less there, or "
                "in two plans",
            )


def _make_finding(message: str, position: Position | None = None, hint: str = "") -> Finding:
    if position is None:
        return Finding(code="PP110", message=message, hint=hint)
    return Finding(code="PP110", message=message, position=position, hint=hint)


def _draft(program: Program, facts: KernelFacts, choices: Mapping[int, MechanismChoice]) -> _Draft:
    """Raises HookError for what cannot be computed at a hook."""
    offsets, has_raw = task_offsets(facts), bool(facts.feature("raw_tracepoint"))
    layout = MapLayout(
        program,
        can_follow=has_raw and "live" in offsets,
        can_follow_cgroups=has_raw and offsets.keys() >= CGROUP_OFFSETS,
    )
    numbers = OpenNumbers()
    text = render_source(program, layout, choices, facts, numbers)
    return _Draft(choices=choices, layout=layout, numbers=numbers, text=text)


def _finish_artifact(program: Program, facts: KernelFacts, draft: _Draft) -> Artifact[BccDetail]:
    layout, choices = draft.layout, draft.choices
    specs = memory.map_specs(layout)
    cpus = facts.possible_cpus
    used = memory.by_purpose(layout, specs, cpus)
    ring = memory.ring_bytes(program, used.values())
    if ring:
        used["ring buffer"] = memory.map_bytes(memory.ring_spec(ring), cpus)
    return Artifact(
        backend=NAME,
        program=program,
        text=draft.text,
        hooks=tuple(_plan_hook(hook, choices[hook.id], program) for hook in program.hooks),
        memory=used,
        enforced=_where_enforced(has_fetch=bool(facts.feature("fetch_atomics"))),
        capabilities=("CAP_BPF", "CAP_PERFMON"),
        numbers=draft.numbers.list_numbers(),
        detail=BccDetail(
            layout=layout,
            choices=choices,
            functions=tuple(list_functions(program, layout, choices)),
            maps=specs,
            ring_bytes=ring,
        ),
    )


def _plan_hook(hook: Hook, choice: MechanismChoice, program: Program) -> HookPlan:
    return HookPlan(
        hook=hook.id,
        mechanism=choice.mechanism or "none",
        rejected=choice.rejected,
        scope=describe_scope(hook, choice.mechanism, program.target),
    )


def _where_enforced(*, has_fetch: bool) -> dict[str, Enforced]:
    """Everything is enforced in the kernel; without fetching atomics the reader drops the records
    that exceed the cap."""
    names = ["duration", "rate", "target", "where", "sample", "metrics"]
    enforced: dict[str, Enforced] = dict.fromkeys(names, "kernel")
    enforced["events"] = "kernel" if has_fetch else "user"
    return enforced
