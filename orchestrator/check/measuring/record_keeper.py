"""The records of one repeat that explain failures: the few that count, of those that come."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from orchestrator.backends.protocol import Session
from orchestrator.check.explanation.model import MAX_RECORDS, KeptRecords
from orchestrator.check.explanation.recording import OWN_PREFIX, counted_field
from orchestrator.check.explanation.selection import RecordRank, RecordSelection
from orchestrator.check.measurement import CellValue
from orchestrator.check.measuring.figures import name_of_number, value_of_field
from orchestrator.compile.program import RECORD_HEADER, STACK_FORMS, Emit, Program
from orchestrator.output.json_lines.lines import RecordRenderer
from orchestrator.output.wall_clock import WallClock
from orchestrator.run.report.ledger import Delivery
from orchestrator.run.stacks import make_stack_book
from orchestrator.values import dataclass

__all__ = ["RecordKeeper"]

_AT = {name: offset for name, _, offset in RECORD_HEADER}
_PAUSE_S = 0.005  # a process that has ended has no names for its stacks


@dataclass(slots=True)
class _Kept:
    """The rows that one selection keeps, and how many it has seen, by rank."""

    rows: dict[RecordRank, list[NDArray[np.uint8]]] = field(
        default_factory=lambda: {"grown": [], "counted": []}
    )
    seen: dict[RecordRank, int] = field(default_factory=lambda: {"grown": 0, "counted": 0})


class RecordKeeper:
    """Reads the records of `session` and keeps for each of `selections` up to MAX_RECORDS: those of
    cells that grew, or where there are none those of all cells. A StretchRecords."""

    def __init__(
        self, session: Session, program: Program, selections: Sequence[RecordSelection]
    ) -> None:
        self._session = session
        self._emits = {emit.index: emit for emit in program.emits}
        self._selections = selections
        self._kept = [_Kept() for _ in selections]
        self._delivered = dict.fromkeys(self._emits, 0)
        self._takes_stacks = any(
            part.form in STACK_FORMS for emit in program.emits for part in emit.fields
        )
        self._book = make_stack_book()
        if self._takes_stacks:
            self._book.prepare()

    @property
    def pause_s(self) -> float:
        """How often stacks are named at least."""
        return _PAUSE_S if self._takes_stacks else 1.0

    def close(self) -> None:
        """No more records follow."""
        self._book.close()

    def read_all(self) -> int:
        """Read all records that are there, and name their stacks; returns how many."""
        total = 0
        while count := self._read():
            total += count
        return total

    def _read(self) -> int:
        batches = self._session.read()
        try:
            self.name_stacks()
            for batch in batches:
                for row in batch:
                    self._take(row)
        finally:
            self._session.release_batch()
        return sum(map(len, batches))

    def name_stacks(self) -> None:
        """Name the stacks that are new, while their processes live."""
        if self._takes_stacks:
            self._book.learn(self._session.new_stacks())

    def deliveries(self) -> Mapping[int, Delivery]:
        """All that were read."""
        return {index: Delivery(delivered=count) for index, count in self._delivered.items()}

    # -- keeping -------------------------------------------------------------------------------

    def _take(self, row: NDArray[np.uint8]) -> None:
        raw = row.tobytes()
        emit = self._emits[int.from_bytes(raw[_AT["emit"] : _AT["emit"] + 2], "little")]
        self._delivered[emit.index] += 1
        values, names = _read_fields(emit, raw)
        for selection, kept in zip(self._selections, self._kept, strict=True):
            rank = selection.rank(emit.probe, values, names)
            if rank is None:
                continue
            kept.seen[rank] += 1
            if len(kept.rows[rank]) < MAX_RECORDS:
                kept.rows[rank].append(row.copy())

    def list_kept(self) -> list[KeptRecords]:
        """What is kept for each selection, in their order."""
        renderer = RecordRenderer(
            list(self._emits.values()), {}, WallClock().offset_ns, self._book.names
        )
        return [_show_kept(kept, renderer) for kept in self._kept]


def _show_kept(kept: _Kept, renderer: RecordRenderer) -> KeptRecords:
    rank: RecordRank = "grown" if kept.rows["grown"] else "counted"
    rows, seen = kept.rows[rank], kept.seen[rank]
    if not rows:
        return KeptRecords()
    lines = bytes(renderer.render(np.stack(rows))).splitlines()
    records = (_without_own_fields(json.loads(line)) for line in lines)
    return KeptRecords(records=tuple(records), seen=seen)


def _read_fields(emit: Emit, raw: bytes) -> tuple[dict[str, CellValue], dict[str, str]]:
    """The values that the choice of records needs, by field, and the texts of numbers that stand
    for something."""
    nulls = int.from_bytes(raw[_AT["nulls"] : _AT["nulls"] + 4], "little")
    values: dict[str, CellValue] = {}
    names: dict[str, str] = {}
    for part in emit.fields:
        if not part.name.startswith(OWN_PREFIX):
            continue
        bytes_ = raw[part.offset : part.offset + part.size]
        values[part.name] = None if nulls >> part.bit & 1 else value_of_field(part, bytes_)
        if name := name_of_number(part, bytes_):
            names[part.name] = name
    return values, names


def _without_own_fields(record: Mapping[str, Any]) -> dict[str, Any]:
    """The record with the keys and values of metrics under their own names, unless the plan's
    record has a field of that name, or the record as a whole."""
    shown = {name: part for name, part in record.items() if name not in ("level", "event")}
    data: dict[str, Any] = dict(_list_plain(record["data"]))
    for name, part in record["data"].items():
        own = name.removeprefix(OWN_PREFIX)
        if own != name and not name.startswith(counted_field("")):
            label = own.partition("_")[2]  # key_NAME, value_NAME
            if label not in data and label not in shown:
                data[label] = part
    return {**shown, "data": data}


def _list_plain(data: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    return ((name, part) for name, part in data.items() if not name.startswith(OWN_PREFIX))
