"""What a program's text depends on besides its open numbers, aspect by aspect, in words.

Programs are found by the digest of their text, which says only "the same" or "another". The shape
says to people what is another: what a host wants, and what the nearest program of a bundle has.
Pure.
"""

from collections.abc import Iterable, Iterator, Mapping

from orchestrator.backends.bcc.design.detail import BccDetail
from orchestrator.backends.bcc.design.hook_nodes import nodes_at_hook
from orchestrator.backends.protocol import Artifact
from orchestrator.bundle.model import BundledProgram
from orchestrator.compile.expressions.nodes import (
    Address,
    Field,
    Load,
    Node,
    RawArg,
    Register,
    StringTest,
    TextConst,
    UsdtArg,
)
from orchestrator.compile.expressions.types import Int, Pointer, Type
from orchestrator.compile.program import (
    Hook,
    KeyField,
    MetricSpec,
    NoteProgram,
    ProbeProgram,
    Program,
    RecordField,
    ResolvedKeys,
    ResolvedLeftOut,
    ResolvedTarget,
    SpanProgram,
)
from orchestrator.kernel.abi.cgroups import matches_pattern
from orchestrator.values import dataclass

__all__ = ["Nearest", "describe_shape", "find_nearest"]

_MOST_NAMED = 6  # attach points of a glob that are named; the others are counted


@dataclass(frozen=True, slots=True, kw_only=True)
class Nearest:
    """The program of a bundle that differs least from what is wanted: its `key`, and in what it
    differs, a line for each aspect; none where all aspects are equal and the texts are not."""

    key: str
    differences: tuple[str, ...]


def find_nearest(
    wanted: Mapping[str, str], programs: Mapping[str, BundledProgram]
) -> Nearest | None:
    """The program whose shape differs from `wanted` in the fewest aspects, the first of several;
    None where there are no programs."""
    found = [
        Nearest(key=key, differences=tuple(_compare_shapes(wanted, program.shape)))
        for key, program in programs.items()
    ]
    return min(found, key=lambda nearest: len(nearest.differences), default=None)


def _compare_shapes(wanted: Mapping[str, str], there: Mapping[str, str]) -> Iterator[str]:
    for aspect in dict.fromkeys([*wanted, *there]):
        here, other = wanted.get(aspect), there.get(aspect)
        if here is None:
            yield f"{aspect}: not wanted, and there it is {other}"
        elif here != other:
            yield f"{aspect}: wanted {here}, and there it is {other or 'missing'}"


def describe_shape(artifact: Artifact[BccDetail]) -> dict[str, str]:
    """The aspects of the artifact's text by name, in words. Aspects that people would call the same
    have the same words on all hosts."""
    return dict(_list_aspects(artifact))


def _list_aspects(artifact: Artifact[BccDetail]) -> Iterator[tuple[str, str]]:
    program, layout = artifact.program, artifact.detail.layout
    in_kernel = artifact.enforced.get("events") == "kernel"
    yield "fetching atomics", "used" if in_kernel else "not used"
    tasks = _describe_target(program.target, follows_cgroups=layout.follows_cgroups)
    yield "target", ", ".join(tasks) or "all tasks"
    yield "descendants of the target", "followed" if program.target.children else "not followed"
    if program.target.pid or program.target.tid:
        yield "tasks of the target", "in a map" if layout.follows_numbers else "in the program"
    if layout.stack_depth:
        yield "frames of a stack", str(layout.stack_depth)
    if program.params:
        yield "params", ", ".join(f"{param.name} {param.type}" for param in program.params)
    mechanisms = {hook.hook: hook.mechanism for hook in artifact.hooks}
    for probe in program.probes:
        for name, words in _describe_probe(probe, mechanisms):
            yield f"probe {probe.name}, {name}", words
    for span in program.spans:
        for name, words in _describe_span(span):
            yield f"span {span.name}, {name}", words
    for note in program.notes:
        for name, words in _describe_note(note):
            yield f"note {note.name}, {name}", words
    yield "programs", str(len(artifact.detail.functions))
    yield from _describe_record(program)


def _describe_record(program: Program) -> Iterator[tuple[str, str]]:
    if program.emits:
        yield "bytes of a record", str(program.record_size)


def _describe_target(target: ResolvedTarget, *, follows_cgroups: bool) -> Iterator[str]:
    """The target without its numbers."""
    yield from _describe_tasks(target, follows_cgroups)
    if target.exclude_self:
        yield "not probeplan itself"
    yield from (f"not {words}" for words in _describe_tasks(target.left_out, follows_cgroups))


def _describe_tasks(target: ResolvedKeys, follows_cgroups: bool) -> Iterator[str]:
    numbers = {"pid": target.pid, "tid": target.tid, "uid": target.uid}
    yield from (f"{len(ids)} {name}" for name, ids in numbers.items() if ids)
    yield from (f"comm {name}" for name in target.comm)
    patterns = target.patterns if follows_cgroups else ()
    yield from (f"cgroups {pattern}" for pattern in patterns)
    named = [
        path
        for path, _ in target.cgroup
        if not any(matches_pattern(path, pattern) for pattern in patterns)
    ]
    levels = [path.strip("/").count("/") + 1 if path.strip("/") else 0 for path in named]
    yield from (f"a cgroup of level {level}" for level in levels)
    yield from ("a program" for _ in target.exe)
    yield from (f"pidns {name if name.isalpha() else 'by number'}" for name in target.pidns)
    if isinstance(target, ResolvedLeftOut) and target.children:
        yield "their descendants"


# ---------------------------------------------------------------- probes


def _describe_probe(
    probe: ProbeProgram, mechanisms: Mapping[int, str]
) -> Iterator[tuple[str, str]]:
    yield "attach points", _name_some([hook.label for hook in probe.hooks])
    by_mechanism = _labels_by(mechanisms, probe.hooks)
    for mechanism, labels in by_mechanism.items():
        if len(by_mechanism) == 1:
            yield "mechanism", mechanism
        else:
            yield f"by {mechanism}", _name_some(labels)
    if probe.emit:
        yield from ((f"field {field.name}", _describe_layout(field)) for field in probe.emit.fields)
    yield from _describe_metrics(probe.metrics)
    yield from _merge(part for hook in probe.hooks for part in _describe_hook(hook))


def _labels_by(mechanisms: Mapping[int, str], hooks: Iterable[Hook]) -> dict[str, list[str]]:
    labels: dict[str, list[str]] = {}
    for hook in hooks:
        labels.setdefault(mechanisms[hook.id], []).append(hook.label)
    return labels


def _name_some(names: list[str]) -> str:
    """All names, or of many the first and how many there are."""
    if len(names) <= _MOST_NAMED:
        return ", ".join(names) or "none"
    return f"{len(names)}: {', '.join(names[:_MOST_NAMED])} and so on"


def _merge(parts: Iterable[tuple[str, str]]) -> Iterator[tuple[str, str]]:
    """Each name once, with the different words of it in order."""
    merged: dict[str, dict[str, None]] = {}
    for name, words in parts:
        merged.setdefault(name, {})[words] = None
    for name, several in merged.items():
        yield name, " or ".join(several)


def _describe_hook(hook: Hook) -> Iterator[tuple[str, str]]:
    body = hook.body
    yield "sides", " and ".join(hook.sides) + (" of two" if hook.other_exit else "")
    for let in body.lets:
        yield f"let {let.name}", _describe_type(let.node.type)
    for index, node in enumerate(body.entry.captures if body.entry else ()):
        yield f"kept from entry {index}", _describe_type(node.type)
    if body.task not in (None, "none"):
        yield "task", "another one"
    for node in nodes_at_hook(body):
        yield from _describe_node(node)


def _describe_node(node: Node) -> Iterator[tuple[str, str]]:
    """The inputs of an expression, and its texts."""
    match node:
        case Field(field=field, type=kind):
            array = f", {field.count} elements" if field.count else ""
            layout = f"{field.kind} of {field.size} bytes{array} in the record"
            yield f"args.{field.name}", f"{_describe_type(kind)}, {layout}"
        case Register(index=index, name=name, type=kind):
            yield f"args.{name or index}", f"{_describe_type(kind)}, argument {index}"
        case RawArg(index=index, name=name, type=kind):
            yield f"args.{name or index}", f"{_describe_type(kind)}, an argument"
        case UsdtArg(index=index, operand=operand, type=kind):
            yield f"args.{index}", f"{_describe_type(kind)}, {operand}"
        case Load(member=member, type=kind, bit_size=bits, bit_offset=at) if member:
            field_of_bits = f", {bits} bits from bit {at}" if bits else ""
            yield member, f"{_describe_type(kind)}{field_of_bits} in {_space_of(node.base)} memory"
        case Address(member=member) if member:
            yield member, f"in {_space_of(node.base)} memory"
        case TextConst(value=text) | StringTest(text=text):
            yield f"text {text.decode(errors='replace')!r}", "used"


def _space_of(base: Node) -> str:
    return base.type.space if isinstance(base.type, Pointer) else "kernel"


def _describe_type(kind: Type) -> str:
    """The type without its unit, which no program depends on."""
    return kind.name if isinstance(kind, Int) else str(kind)


# ---------------------------------------------------------------- metrics and spans


def _describe_metrics(metrics: Iterable[MetricSpec]) -> Iterator[tuple[str, str]]:
    for metric in metrics:
        key = ", ".join(f"{part.name} {_describe_layout(part)}" for part in metric.key)
        by = f" by {key}" if key else ""
        signed = " of signed values" if metric.signed else ""
        yield f"metric {metric.name}", f"{metric.kind}{signed}{by}"
        if metric.kind == "histogram":
            buckets = metric.buckets
            steps = f" from {buckets.low} to {buckets.high} in steps of {buckets.step}"
            linear = buckets.kind == "linear"
            yield f"buckets of {metric.name}", buckets.kind + (steps if linear else "")


def _describe_span(span: SpanProgram) -> Iterator[tuple[str, str]]:
    yield "key", ", ".join(f"{part.name} {_describe_layout(part)}" for part in span.key)
    for kept in span.kept:
        yield f"kept {kept.name}", f"{kept.form}, {kept.size} bytes"
    if span.emit:
        yield from ((f"field {field.name}", _describe_layout(field)) for field in span.emit.fields)
    yield from _describe_metrics(span.metrics)


def _describe_note(note: NoteProgram) -> Iterator[tuple[str, str]]:
    yield "key", ", ".join(f"{part.name} {_describe_layout(part)}" for part in note.key)
    for kept in note.kept:
        yield f"kept {kept.name}", f"{kept.form}, {kept.size} bytes"


def _describe_layout(field: RecordField | KeyField) -> str:
    return f"{field.form} of {field.size} bytes"
