"""Spans that are still open when a run ends, counted in their metrics where the plan asks for it.

They have had no end: what a metric says of `end.` is null, and `elapsed` is the time until the run
ended. Evaluated in user space, once.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from orchestrator.backends.protocol import OpenSpans
from orchestrator.cells.cell import Cell
from orchestrator.compile.expressions.evaluate import Fault, Value, evaluate
from orchestrator.compile.expressions.nodes import Builtin, Kept, LetRef, Node, ParamRef, Seen
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
from orchestrator.run.metrics.windows import Totals

__all__ = ["with_open"]

Cells = dict[bytes | None, Cell]
CellsByMetric = dict[int, Cells]


def with_open(
    totals: Totals, program: Program, opened: Callable[[int], OpenSpans], ended_ns: int
) -> Totals:
    """The totals with the spans counted that are open at `ended_ns` (CLOCK_MONOTONIC), of those
    that say `open_at_end`."""
    by_key: CellsByMetric = {
        metric: {cell.key: cell for cell in cells} for metric, cells in totals.items()
    }
    for span in program.spans:
        if span.open_at_end:
            body, end = _an_end(program, span)
            for row in _rows(opened(span.index), ended_ns):
                _count(by_key, span, _Moment(row=row, span=span, body=body, program=program), end)
    return {metric: list(cells.values()) for metric, cells in by_key.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Row:
    weight: int
    open_for: int
    nulls: int
    kept: Sequence[bytes]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Moment:
    """One open span, as its end would see it."""

    row: _Row
    span: SpanProgram
    body: Body
    program: Program

    def value(self, node: Node) -> Value:
        """Raises Fault where a part is not known."""
        return evaluate(node, self._leaf)

    def _leaf(self, node: Node) -> Value | None:
        match node:
            case Kept(index=index):
                return self._kept(index)
            case Seen():
                via = [i for i, kept in enumerate(self.span.kept) if kept.role == "via"]
                return int(any(not self.row.nulls >> i & 1 for i in via))
            case Builtin(name="open_for"):
                return self.row.open_for
            case ParamRef(slot=slot):
                return next(p.value for p in self.program.params if p.slot == slot)
            case LetRef(index=index):
                return self.value(self.body.lets[index].node)
            case _:
                return None

    def _kept(self, index: int) -> Value:
        if self.row.nulls >> index & 1:
            raise Fault(f"{self.span.kept[index].name} was not read")
        raw, kept = self.row.kept[index], self.span.kept[index]
        if kept.form == "string":
            return raw.partition(b"\0")[0]
        signed = isinstance(kept.type, Int) and kept.type.signed
        return int.from_bytes(raw, "little", signed=signed)


def _an_end(program: Program, span: SpanProgram) -> tuple[Body, SpanEnd]:
    for hook in program.hooks:
        for use in hook.body.spans:
            if use.span == span.index and use.end is not None:
                return hook.body, use.end
    raise ValueError(f"nothing ends the span {span.name}")


def _rows(opened: OpenSpans, ended_ns: int) -> Iterator[_Row]:
    for number in range(len(opened.weight)):
        yield _Row(
            weight=int(opened.weight[number]),
            open_for=max(0, ended_ns - int(opened.since[number])),
            nulls=int(opened.nulls[number]),
            kept=[column[number].tobytes() for column in opened.kept],
        )


def _count(totals: CellsByMetric, span: SpanProgram, moment: _Moment, end: SpanEnd) -> None:
    if not all(_holds(moment, node) for node in end.where):
        return
    for spec, use in zip(span.metrics, end.metrics, strict=True):
        try:
            key, value = _key(moment, spec, use), _measured(moment, spec, use)
        except Fault:
            continue
        if value is not None:
            cells = totals.setdefault(spec.index, {})
            _add(cells, spec, key, value, moment.row.weight)


def _holds(moment: _Moment, node: Node) -> bool:
    try:
        return bool(moment.value(node))
    except Fault:
        return False


def _measured(moment: _Moment, spec: MetricSpec, use: MetricUse) -> int | None:
    """What the metric measures; None where its own filter leaves the span out."""
    if use.where is not None and not _holds(moment, use.where):
        return None
    if use.value is None:
        return 1
    value = moment.value(use.value)
    if isinstance(value, bytes) or (spec.kind == "count" and not value):
        return None
    return value


def _key(moment: _Moment, spec: MetricSpec, use: MetricUse) -> bytes | None:
    if not spec.key:
        return None
    key = bytearray(spec.key_size)
    for part, node in zip(spec.key, use.key, strict=True):
        key[part.offset : part.offset + part.size] = _packed(part, moment.value(node))
    return bytes(key)


def _packed(part: KeyField, value: Value) -> bytes:
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
