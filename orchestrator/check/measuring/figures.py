"""From what the probes counted in a stretch to the figures of a repeat."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from orchestrator.accounting.count import Count, add_counts
from orchestrator.cells.cell import Cell
from orchestrator.check.measurement import CellValue, CommandEnd, MeasuredCell, Repeat
from orchestrator.check.processes.launcher import Ended
from orchestrator.compile.program import STACK_FORMS, KeyField, MetricSpec, Program, SpanProgram
from orchestrator.output.fields import RenderedField, StackNames, decode_field, no_stacks
from orchestrator.output.forms import TEXTS
from orchestrator.output.metrics import merge_same_names
from orchestrator.run.report.ledger import find_imbalances
from orchestrator.run.report.verdict import describe_losses
from orchestrator.run.standing.probes import Stretch

__all__ = ["make_repeat", "measure_cell", "name_of_number", "outstanding_metrics"]
__all__ += ["probes_of_span", "value_of_field"]


def make_repeat(  # noqa: PLR0913  # all that a repeat consists of
    program: Program,
    stretch: Stretch,
    *,
    ops: int,
    wall_ns: int,
    before_ns: int,
    ended: Ended,
    command: CommandEnd,
) -> Repeat:
    """One repeat. `ended`: of the process that was measured; `before_ns`: CPU time that it used
    before its program was executed; `command`: how the command ended."""
    user_ns, sys_ns = _without(before_ns, ended)
    ledger = stretch.account.ledger
    return Repeat(
        ops=ops,
        cells=_measure_cells(program, stretch),
        wall_ns=wall_ns,
        user_ns=user_ns,
        sys_ns=sys_ns,
        maxrss_bytes=ended.maxrss_bytes,
        command=command,
        outcome="duration" if stretch.expired else "command",
        ledger=ledger["probes"],
        fired_on_host={**stretch.fired, **_fired_of_spans(program, stretch.fired)},
        losses=_list_losses(program, stretch),
        children_lost=ledger["children_lost"],
        faulted=ledger["faulted"],
        others=frozenset(
            (spec.probe, spec.name)
            for spec in program.metrics
            if spec.key and any(cell.key is None for cell in stretch.cells.get(spec.index, ()))
        ),
        would_have=() if stretch.would_have is None else (stretch.would_have,),
    )


def _without(before_ns: int, ended: Ended) -> tuple[int, int]:
    """(user, system) time since the program was executed: what was used before is known as a whole,
    and is taken from both by their shares."""
    total = ended.user_ns + ended.sys_ns
    left = max(total - before_ns, 0)
    user = ended.user_ns * left // total if total else 0
    return user, left - user


# ---------------------------------------------------------------- cells


def _measure_cells(
    program: Program, stretch: Stretch
) -> dict[str, dict[str, tuple[MeasuredCell, ...]]]:
    cells: dict[str, dict[str, tuple[MeasuredCell, ...]]] = {}
    found = [(spec, stretch.cells.get(spec.index, ())) for spec in program.metrics]
    for span in program.spans:
        opened = stretch.outstanding.get(span.index, ())
        found += [(spec, opened) for spec in outstanding_metrics(span)]
    for spec, read in found:
        there = (cell for cell in sorted(read, key=_by_key) if not cell.is_empty)
        merged = merge_same_names(spec, there, stretch.stacks)
        measured = tuple(measure_cell(spec, cell, stretch.stacks) for cell in merged)
        cells.setdefault(spec.probe, {})[spec.name] = measured
    return cells


def outstanding_metrics(span: SpanProgram) -> tuple[MetricSpec, ...]:
    """What is measured of an outstanding resource: the sum of the values of what is open, and how
    many there are; of another span nothing."""
    if span.resource is None:
        return ()
    shown = span.resource.shown
    return (replace(shown, name="value"), replace(shown, name="count", kind="count", unit=""))


def _by_key(cell: Cell) -> tuple[bool, bytes]:
    """`other` is last."""
    return cell.key is None, cell.key or b""


def measure_cell(spec: MetricSpec, cell: Cell, stacks: StackNames = no_stacks) -> MeasuredCell:
    """The cell of a metric, its key taken apart. `stacks`: the functions of a stack."""
    count = cell.count if spec.kind != "histogram" else sum(cell.buckets.values())
    count += (cell.below + cell.above) if spec.kind == "histogram" else 0
    values = {"sum": cell.sum, "min": cell.min, "max": cell.max}
    parts = () if cell.key is None else [(part, _raw(part, cell.key)) for part in spec.key]
    has_key = cell.key is not None or not spec.key
    return MeasuredCell(
        key={part.name: value_of_field(part, raw, stacks) for part, raw in parts}
        if has_key
        else None,
        value=values.get(spec.kind, count),
        count=count,
        names={part.name: name for part, raw in parts if (name := name_of_number(part, raw))},
        sum=cell.sum,
        min=cell.min,
        max=cell.max,
        buckets=dict(cell.buckets),
        below=cell.below,
        above=cell.above,
    )


def _raw(part: KeyField, key: bytes) -> bytes:
    return key[part.offset : part.offset + part.size]


def _is_hashed(part: RenderedField) -> bool:
    return part.presentation is not None and part.presentation.hashed


def _stands_for_something(part: RenderedField) -> bool:
    shown = part.presentation
    is_number = part.form not in (*TEXTS, "bool", *STACK_FORMS)
    return is_number and shown is not None and shown.has_names


def value_of_field(part: RenderedField, raw: bytes, stacks: StackNames = no_stacks) -> CellValue:
    """The value of a part of a key, or of a record: a number as it is, whatever it stands for; of a
    stack its functions."""
    if _stands_for_something(part) and not _is_hashed(part):
        return int.from_bytes(raw, "little", signed=part.form[0] == "s")
    value = decode_field(part, raw, stacks)
    return tuple(value) if isinstance(value, list) else value


def name_of_number(part: RenderedField, raw: bytes) -> str:
    """What the number of a key stands for; "" where it is just a number."""
    if not _stands_for_something(part) or _is_hashed(part):
        return ""
    name = decode_field(part, raw)
    return name if isinstance(name, str) else ""


# ---------------------------------------------------------------- losses


def probes_of_span(program: Program, span: int) -> list[str]:
    """The names of the probes that are a part of it."""
    return [
        probe.name
        for probe in program.probes
        if any(use.span == span for hook in probe.hooks for use in hook.body.spans)
    ]


def _fired_of_spans(program: Program, fired: Mapping[str, Count]) -> dict[str, Count]:
    """By span: how often its probes fired."""
    return {
        span.name: add_counts(fired[name] for name in probes_of_span(program, span.index))
        for span in program.spans
    }


def _list_losses(program: Program, stretch: Stretch) -> dict[str, tuple[str, ...]]:
    """By probe and span; a span has lost what its probes have."""
    ledger = stretch.account.ledger
    losses: dict[str, list[str]] = {}
    for loss in describe_losses(ledger, {}):
        if loss.count != 0:
            losses.setdefault(loss.owner or "", []).append(str(loss))
    general: Sequence[str] = (*find_imbalances(ledger, {}), *stretch.blind_because)
    losses.setdefault("", []).extend(general)
    for span in program.spans:
        of_probes = [losses.get(name, ()) for name in probes_of_span(program, span.index)]
        losses.setdefault(span.name, []).extend(text for texts in of_probes for text in texts)
    return dict(_nonempty(losses))


def _nonempty(losses: Mapping[str, list[str]]) -> Iterator[tuple[str, tuple[str, ...]]]:
    for owner, texts in losses.items():
        if texts:
            yield owner, tuple(dict.fromkeys(texts))
