"""Values of nodes for many events at once, as numpy columns.

Integers are arrays with their type's width and sign, strings are byte strings up to their NUL, IP
addresses are rows of bytes. What cannot be computed for all events at once, and events with failed
reads, go through the reference evaluator one by one: the result is the same, but it is slower.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.backends.tracefs.design.layout import EventSource
from orchestrator.backends.tracefs.design.nodes import strip_shown
from orchestrator.backends.tracefs.reader.arrays import BoolArray, ByteArray, IntArray, U64Array
from orchestrator.backends.tracefs.reader.column_eval import NotVectorised, evaluate_columns
from orchestrator.backends.tracefs.reader.events import Events, gather_rows
from orchestrator.backends.tracefs.reader.tasks import Tasks
from orchestrator.compile.expressions.evaluate import EvaluationCounts, ReadFailed, evaluate
from orchestrator.compile.expressions.nodes import (
    Builtin,
    Captured,
    Field,
    IpOf,
    Load,
    Node,
    TextConst,
)
from orchestrator.compile.expressions.types import Bool, Int, Ip, Pointer, Str, size_of
from orchestrator.kernel.tracepoints import TraceField
from orchestrator.values import dataclass

__all__ = ["EventColumns", "EventFormat", "Pair", "ValueColumn", "bytes_of_column", "dtype_of"]

_FAULT = b"(fault)"  # what the kernel writes for a string that it could not read (trace_probe.h)
_LEAST_ADDRESS = 4096


@dataclass(slots=True)
class ValueColumn:
    """Values by event, which of them are null (None: none), and which strings were truncated."""

    values: npt.NDArray[Any]
    nulls: BoolArray | None = None
    cut: BoolArray | None = None


@dataclass(slots=True, kw_only=True)
class EventFormat:
    """The record of a source on this kernel: its event number (`kind`), its fields by name, and the
    bytes that they take (`size`). `corrupt` counts events that are shorter than that."""

    source: EventSource
    kind: int
    fields: Mapping[str, TraceField]
    size: int
    corrupt: int = 0

    def find_rows(self, events: Events, other: "EventFormat | None" = None) -> npt.NDArray[np.intp]:
        """Row numbers of the events of this source, and of another one of the same fields, that are
        long enough for its fields."""
        mine = events.kind == self.kind
        if other is not None:
            mine |= events.kind == other.kind
        short = mine & (events.length < self.size)
        self.corrupt += int(np.count_nonzero(short))
        return np.flatnonzero(mine & ~short)


@dataclass(slots=True)
class Pair:
    """Values captured at the entry, by capture index, and the times from entry to return (ns)."""

    captures: Callable[[int], ValueColumn]
    elapsed: U64Array


class EventColumns:
    """The columns of some events of one source, computed when they are first asked for."""

    def __init__(
        self,
        event_format: EventFormat,
        events: Events,
        tasks: Tasks,
        tally: EvaluationCounts,
        pair: Pair | None = None,
    ) -> None:
        self.event_format, self.events, self.tasks, self.tally = event_format, events, tasks, tally
        self.pair = pair
        self.tids = events.read_tids()
        self._known: dict[Node, ValueColumn | None] = {}

    def __len__(self) -> int:
        return len(self.events)

    def select_rows(self, rows: IntArray) -> "EventColumns":
        """The columns of the events in `rows`."""
        pair = None
        if self.pair is not None:
            whole = self.pair
            pair = Pair(
                lambda index: _select_column(whole.captures(index), rows), whole.elapsed[rows]
            )
        return EventColumns(
            self.event_format, self.events.select(rows), self.tasks, self.tally, pair
        )

    def column_of(self, node: Node) -> ValueColumn:
        """The values of any node."""
        node = strip_shown(node)
        leaf = self.leaf_column(node)
        if leaf is not None:
            return leaf
        if isinstance(node, IpOf):
            inner = self.column_of(node.value)
            return ValueColumn(bytes_of_column(inner, node.value.type), inner.nulls)
        try:
            return ValueColumn(evaluate_columns(node, self._leaf_without_nulls, len(self)))
        except NotVectorised:
            return self._evaluate_rows(node)

    def is_true_by_row(self, node: Node) -> BoolArray:
        """Where a condition is true; a failed read is false."""
        column = self.column_of(node)
        true = column.values.astype(bool)
        return true if column.nulls is None else true & ~column.nulls

    def leaf_column(self, node: Node) -> ValueColumn | None:
        """The values of a leaf, or None for what has to be computed."""
        if node not in self._known:
            self._known[node] = self._make_leaf(node)
        return self._known[node]

    def _leaf_without_nulls(self, node: Node) -> npt.NDArray[Any] | None:
        """A leaf's values for evaluation by column. Raises NotVectorised if some are null."""
        column = self.leaf_column(node)
        if column is None:
            return None
        if column.nulls is not None and column.nulls.any():
            raise NotVectorised
        return column.values

    def _evaluate_rows(self, node: Node) -> ValueColumn:
        n = len(self)
        text = isinstance(node.type, Str)
        values = np.zeros(n, dtype=dtype_of(node.type))
        nulls = np.zeros(n, dtype=bool)
        for i in range(n):
            try:
                value = evaluate(node, partial(self._value_at, i), tally=self.tally)
                values[i] = value if text else _wrap_value(int(value), node.type)
            except ReadFailed:
                nulls[i] = True
        return ValueColumn(values, nulls)

    def _value_at(self, row: int, node: Node) -> int | bytes | None:
        column = self.leaf_column(node)
        if column is None:
            return None
        if column.nulls is not None and column.nulls[row]:
            raise ReadFailed("a read failed")
        value = column.values[row]
        return bytes(value) if isinstance(value, bytes | np.ndarray) else int(value)

    # ---------------------------------------------------------------- leaves

    def _make_leaf(self, node: Node) -> ValueColumn | None:
        name = self.event_format.source.field_names.get(node)
        if name is not None and name in self.event_format.fields:
            return self._field_column(node, self.event_format.fields[name])
        match node:
            case Captured(index=index) if self.pair is not None:
                return self.pair.captures(index)
            case Builtin():
                return self._builtin_column(node)
            case TextConst(value=value):
                return ValueColumn(np.full(len(self), value, dtype=f"S{max(1, len(value))}"))
            case _:
                return None

    def _builtin_column(self, node: Builtin) -> ValueColumn | None:
        match node.name:
            case "tid":
                return ValueColumn(self.tids.astype(dtype_of(node.type)))
            case "pid":
                return ValueColumn(self.tasks.pids_of(self.tids).astype(dtype_of(node.type)))
            case "comm":
                names = self.tasks.names_at(self.events)
                return ValueColumn(names, names == b"")
            case "cpu":
                return ValueColumn(self.events.cpu.astype(dtype_of(node.type)))
            case "now":
                return ValueColumn(self.events.time.astype(dtype_of(node.type)))
            case "uid" | "gid":
                users = self.tasks.users_of(self.tids, node.name == "gid")
                return ValueColumn(users.astype(dtype_of(node.type)), users < 0)
            case "elapsed" if self.pair is not None:
                return ValueColumn(self.pair.elapsed.astype(dtype_of(node.type)))
            case _:
                return None

    def _field_column(self, node: Node, field: TraceField) -> ValueColumn:
        if isinstance(node.type, Str):
            return self._string_column(node, field, node.type.size)
        rows = gather_rows(self.events.buffer, self.events.offset + field.offset, field.size)
        if isinstance(node.type, Ip):
            return ValueColumn(rows)
        raw_dtype = _raw_dtype(field.size, _is_signed(node, field))
        values = np.ascontiguousarray(rows).view(raw_dtype)[:, 0]
        if isinstance(node, Load) and node.bit_size:
            values = _extend_sign(values, node)
        return ValueColumn(values.astype(dtype_of(node.type)), self._failed_reads(node))

    def _failed_reads(self, node: Node) -> BoolArray | None:
        """Where the pointer that a number was read through cannot be valid. Kernel addresses of
        x86-64 and arm64 have their top bit set."""
        if not isinstance(node, Load) or node not in self.event_format.source.unchecked_reads:
            return None
        base = self.leaf_column(node.base)
        if base is None:
            return None
        addresses = base.values.astype(np.uint64)
        bad = addresses < _LEAST_ADDRESS
        if isinstance(node.base.type, Pointer) and node.base.type.space == "kernel":
            bad |= addresses >> np.uint64(63) == 0
        return bad if base.nulls is None else bad | base.nulls

    def _string_column(self, node: Node, field: TraceField, size: int) -> ValueColumn:
        """Strings up to their NUL, of at most size - 1 bytes."""
        if field.kind == "string":
            rows = gather_rows(self.events.buffer, self.events.offset + field.offset, field.size)
            return ValueColumn(_text_rows(rows[:, : max(size - 1, min(size, field.size))]))
        words = gather_rows(self.events.buffer, self.events.offset + field.offset, 4)
        spot = words.view("<u4")[:, 0]
        start = (spot & 0xFFFF).astype(np.int64)
        if field.kind == "rel_loc":
            start += field.offset + field.size
        length = (spot >> 16).astype(np.int64)
        outside = start + length > self.events.length
        start, length = np.where(outside, 0, start), np.where(outside, 0, length)
        rows = gather_rows(self.events.buffer, self.events.offset + start, size - 1).copy()
        rows[np.arange(size - 1) >= length[:, None]] = 0
        text = _text_rows(rows)
        unread = (
            outside | (length == 0)
            if isinstance(node, Field)
            else (outside | (length == 0) | ((text == _FAULT) & (length == len(_FAULT) + 1)))
        )
        return ValueColumn(text, unread if unread.any() else None, length > size)


def _select_column(column: ValueColumn, rows: IntArray) -> ValueColumn:
    return ValueColumn(
        column.values[rows],
        None if column.nulls is None else column.nulls[rows],
        None if column.cut is None else column.cut[rows],
    )


def _text_rows(rows: ByteArray) -> npt.NDArray[np.bytes_]:
    """Rows of bytes as strings that end at their first NUL."""
    rows = np.ascontiguousarray(rows)
    ended = np.logical_or.accumulate(rows == 0, axis=1)
    if ended.any():
        rows = np.where(ended, 0, rows).astype(np.uint8)
    return rows.view(f"S{rows.shape[1]}")[:, 0]


def _raw_dtype(size: int, signed: bool) -> str:
    return f"<{'i' if signed else 'u'}{size}"


def _is_signed(node: Node, field: TraceField) -> bool:
    return node.type.signed if isinstance(node.type, Int) else field.signed


def _extend_sign(values: npt.NDArray[Any], node: Load) -> npt.NDArray[Any]:
    """The values of a bitfield, which is fetched unsigned and right-aligned, with their sign."""
    masked = values.astype(np.int64) & ((1 << node.bit_size) - 1)
    if isinstance(node.type, Int) and node.type.signed:
        sign = 1 << (node.bit_size - 1)
        return (masked ^ sign) - sign
    return masked


def _wrap_value(value: int, kind: object) -> int:
    bits = kind.bits if isinstance(kind, Int) else 64
    signed = isinstance(kind, Int) and kind.signed
    value &= (1 << bits) - 1
    return value - (1 << bits) if signed and value >> (bits - 1) else value


def dtype_of(kind: object) -> str:
    """The numpy dtype of a type."""
    match kind:
        case Int(bits=bits, signed=signed):
            return f"<{'i' if signed else 'u'}{bits // 8}"
        case Bool():
            return "u1"
        case Str(size=size):
            return f"S{size}"
        case _:
            return "<u8"


def bytes_of_column(column: ValueColumn, kind: object) -> ByteArray:
    """Values as in a record or key: rows of `size_of(kind)` bytes, shape (events, size)."""
    values = column.values
    if values.ndim == 2:
        return values
    size = size_of(kind)  # type: ignore[arg-type]  # a Type, as its callers have it
    if values.dtype.kind == "S":
        values = values.astype(f"S{size}")
        rows = values.view(np.uint8).reshape(-1, size)
        rows[:, -1] = 0 if values.dtype.itemsize > size else rows[:, -1]
        return rows
    return np.ascontiguousarray(values).view(np.uint8).reshape(len(values), -1)[:, :size]
