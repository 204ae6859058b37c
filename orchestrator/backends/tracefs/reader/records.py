"""From accepted events to records, in the layout of compile.program.RECORD_HEADER."""

from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.backends.tracefs.design.layout import HookEvents
from orchestrator.backends.tracefs.reader.arrays import ByteArray, IntArray
from orchestrator.backends.tracefs.reader.columns import EventColumns, ValueColumn, bytes_of_column
from orchestrator.backends.tracefs.reader.tasks import Tasks
from orchestrator.compile.expressions.types import COMM_SIZE
from orchestrator.compile.program import RECORD_HEADER, Emit
from orchestrator.values import dataclass

__all__ = ["AcceptedEvents", "WrittenRecords", "write_records"]

_AT = {name: offset for name, _, offset in RECORD_HEADER}
_DTYPES = {"u16": "<u2", "u32": "<u4", "u64": "<u8"}
_FORM = {name: _DTYPES.get(form, form) for name, form, _ in RECORD_HEADER}


@dataclass(slots=True, kw_only=True)
class AcceptedEvents:
    """Accepted events of one hook. `order` is their position among all events read; `comms` are
    thread names as fetched by the kernel, None where they are looked up by thread."""

    hook_events: HookEvents
    columns: EventColumns
    order: IntArray
    comms: ValueColumn | None

    def select_rows(self, rows: IntArray) -> "AcceptedEvents":
        """The events in `rows`."""
        if len(rows) == len(self.order) and (rows == np.arange(len(rows))).all():
            return self
        comms = None if self.comms is None else ValueColumn(self.comms.values[rows])
        return AcceptedEvents(
            hook_events=self.hook_events,
            columns=self.columns.select_rows(rows),
            order=self.order[rows],
            comms=comms,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class WrittenRecords:
    """Records, and how many of their values are null or truncated."""

    records: ByteArray
    nulls: int
    cut: int


def write_records(kept: AcceptedEvents, tasks: Tasks, size: int) -> WrittenRecords:
    """The records of `kept`, `size` bytes each. Raises ValueError if the probe emits none."""
    emit = kept.hook_events.record
    if emit is None:
        raise ValueError("this probe emits no records")
    records = np.zeros((len(kept.columns), size), dtype=np.uint8)
    _write_header(records, kept, emit, tasks)
    nulls, cut = _write_fields(records, kept, emit)
    return WrittenRecords(records=records, nulls=_count_bits(nulls), cut=_count_bits(cut))


def _write_header(records: ByteArray, kept: AcceptedEvents, emit: Emit, tasks: Tasks) -> None:
    columns, tids = kept.columns, kept.columns.tids
    _put_column(records, "time", columns.events.time)
    _put_column(records, "emit", np.full(len(columns), emit.index))
    _put_column(records, "cpu", columns.events.cpu)
    _put_column(records, "weight", np.full(len(columns), kept.hook_events.sample))
    if emit.has_task:
        _put_column(records, "pid", tasks.pids_of(tids))
        _put_column(records, "tid", tids)
        names = tasks.names_at(columns.events) if kept.comms is None else kept.comms.values
        rows = names.astype(f"S{COMM_SIZE - 1}").view(np.uint8).reshape(len(columns), -1)
        records[:, _AT["comm"] : _AT["comm"] + COMM_SIZE - 1] = rows


def _put_column(records: ByteArray, name: str, values: npt.NDArray[Any]) -> None:
    """Write a field of the header in all records."""
    raw = np.ascontiguousarray(values.astype(_FORM[name])).view(np.uint8)
    raw = raw.reshape(len(values), -1)
    records[:, _AT[name] : _AT[name] + raw.shape[1]] = raw


def _write_fields(
    records: ByteArray, kept: AcceptedEvents, emit: Emit
) -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.uint32]]:
    """Write the fields that the plan emits. Returns a word a record with a bit for each field that
    is null, and one with a bit for each that is truncated."""
    nulls, cut = np.zeros((2, len(records)), dtype=np.uint32)
    for field, node in zip(emit.fields, kept.hook_events.emit, strict=True):
        column = kept.columns.column_of(node)
        raw = bytes_of_column(column, node.type)[:, : field.size]
        records[:, field.offset : field.offset + raw.shape[1]] = raw
        if column.nulls is not None:
            nulls |= column.nulls.astype(np.uint32) << np.uint32(field.bit)
            records[np.flatnonzero(column.nulls), field.offset : field.offset + field.size] = 0
        if column.cut is not None:
            cut |= column.cut.astype(np.uint32) << np.uint32(field.bit)
    _put_column(records, "nulls", nulls)
    _put_column(records, "truncated", cut)
    return nulls, cut


def _count_bits(words: npt.NDArray[np.uint32]) -> int:
    return int(np.unpackbits(words.view(np.uint8)).sum()) if words.any() else 0
