"""Counts spans that are still open when a run ends in their metrics, where the plan asks for it.

They have no end: `end.` values are null in their metrics, and `elapsed` is the time until the run
ended. Evaluated in user space, once.
"""

from collections.abc import Callable, Iterator, Sequence

from orchestrator.backends.protocol import OpenSpans
from orchestrator.cells.cell import Cell
from orchestrator.compile.expressions.evaluate import NodeValue, ReadFailed, evaluate
from orchestrator.compile.expressions.nodes import (
    Builtin,
    LetRef,
    Node,
    Noted,
    NoteValue,
    ParamRef,
    Seen,
    SpanValue,
)
from orchestrator.compile.expressions.types import Int
from orchestrator.compile.program import (
    Body,
    KeyField,
    MetricSpec,
    MetricUse,
    Program,
    SpanEnd,
    SpanProgram,
)
from orchestrator.run.metrics.reading import Totals
from orchestrator.values import dataclass

__all__ = ["count_open_spans"]

Cells = dict[bytes | None, Cell]
CellsByMetric = dict[int, Cells]


def count_open_spans(
    totals: Totals, program: Program, read_open: Callable[[int], OpenSpans], ended_ns: int
) -> Totals:
    """The totals, in which the spans are counted that are open at `ended_ns` (CLOCK_MONOTONIC) and
    have `open_at_end`. `read_open` is Session.open_spans."""
    by_key: CellsByMetric = {
        metric: {cell.key: cell for cell in cells} for metric, cells in totals.items()
    }
    for span in program.spans:
        if span.open_at_end:
            body, end = _find_end(program, span)
            for open_span in _list_open(read_open(span.index), ended_ns):
                _count_span(by_key, span, _SpanAtEnd(open_span, span, body, program), end)
    return {metric: list(cells.values()) for metric, cells in by_key.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _OpenSpan:
    """One open span: `open_for` ns until the run ended; `nulls` and `kept` as in OpenSpans."""

    weight: int
    open_for: int
    nulls: int
    kept: Sequence[bytes]


@dataclass(frozen=True, slots=True)
class _SpanAtEnd:
    """One open span, as the event that ends it would find it."""

    open_span: _OpenSpan
    span: SpanProgram
    body: Body
    program: Program

    def value(self, node: Node) -> NodeValue:
        """The value of a node; raises ReadFailed where a part of it is unknown."""
        return evaluate(node, self._leaf)

    def _leaf(self, node: Node) -> NodeValue | None:
        match node:
            case SpanValue(index=index):
                return self._kept(index)
            case Seen():
                via = [i for i, kept in enumerate(self.span.kept) if kept.role == "via"]
                return int(any(not self.open_span.nulls >> i & 1 for i in via))
            case Builtin(name="open_for"):
                return self.open_span.open_for
            case Builtin(name="depth"):
                raise ReadFailed("the depth of a span is known at its end")
            case ParamRef(slot=slot):
                return next(p.value for p in self.program.params if p.slot == slot)
            case LetRef(index=index):
                return self.value(self.body.lets[index].node)
            case NoteValue() | Noted():
                raise ReadFailed("what a note kept at the end of the run is not looked up")
            case _:
                return None

    def _kept(self, index: int) -> NodeValue:
        if self.open_span.nulls >> index & 1:
            raise ReadFailed(f"{self.span.kept[index].name} was not read")
        raw, kept = self.open_span.kept[index], self.span.kept[index]
        if kept.form == "string":
            return raw.partition(b"\0")[0]
        signed = isinstance(kept.type, Int) and kept.type.signed
        return int.from_bytes(raw, "little", signed=signed)


def _find_end(program: Program, span: SpanProgram) -> tuple[Body, SpanEnd]:
    for hook in program.hooks:
        for use in hook.body.spans:
            if use.span == span.index and use.end is not None:
                return hook.body, use.end
    raise ValueError(f"nothing ends the span {span.name}")


def _list_open(spans: OpenSpans, ended_ns: int) -> Iterator[_OpenSpan]:
    for number in range(len(spans.weight)):
        yield _OpenSpan(
            weight=int(spans.weight[number]),
            open_for=max(0, ended_ns - int(spans.since[number])),
            nulls=int(spans.nulls[number]),
            kept=[column[number].tobytes() for column in spans.kept],
        )


def _count_span(totals: CellsByMetric, span: SpanProgram, at_end: _SpanAtEnd, end: SpanEnd) -> None:
    if not all(_holds(at_end, node) for node in end.where):
        return
    for spec, use in zip(span.metrics, end.metrics, strict=True):
        try:
            key, value = _pack_key(at_end, spec, use), _value_for_metric(at_end, spec, use)
        except ReadFailed:
            continue
        if value is not None:
            cells = totals.setdefault(spec.index, {})
            _add(cells, spec, key, value, at_end.open_span.weight)


def _holds(at_end: _SpanAtEnd, node: Node) -> bool:
    try:
        return bool(at_end.value(node))
    except ReadFailed:
        return False


def _value_for_metric(at_end: _SpanAtEnd, spec: MetricSpec, use: MetricUse) -> int | None:
    """The value that the metric counts; None where its filter excludes the span."""
    if use.where is not None and not _holds(at_end, use.where):
        return None
    if use.value is None:
        return 1
    value = at_end.value(use.value)
    if isinstance(value, bytes) or (spec.kind == "count" and not value):
        return None
    return value


def _pack_key(at_end: _SpanAtEnd, spec: MetricSpec, use: MetricUse) -> bytes | None:
    if not spec.key:
        return None
    key = bytearray(spec.key_size)
    for part, node in zip(spec.key, use.key, strict=True):
        key[part.offset : part.offset + part.size] = _pack(part, at_end.value(node))
    return bytes(key)


def _pack(part: KeyField, value: NodeValue) -> bytes:
    if isinstance(value, bytes):
        return value[: part.size - 1].ljust(part.size, b"\0")
    return (value & (1 << 8 * part.size) - 1).to_bytes(part.size, "little")


def _add(cells: Cells, spec: MetricSpec, key: bytes | None, value: int, weight: int) -> None:
    cell = cells.get(key, Cell(key=key))
    if spec.kind == "count":
        cells[key] = cell.merge(Cell(key=key, count=weight))
    else:
        buckets = spec.buckets if spec.kind == "histogram" else None
        cells[key] = cell.add([(value, weight)], buckets)
