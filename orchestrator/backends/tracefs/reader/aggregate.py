"""Metrics, aggregated in user space: the same cells as the kernel's programs keep."""

import numpy as np
import numpy.typing as npt

from orchestrator.backends.tracefs.reader.arrays import ByteArray
from orchestrator.backends.tracefs.reader.columns import EventColumns, bytes_of_column
from orchestrator.cells.cell import Cell
from orchestrator.compile.expressions.types import size_of
from orchestrator.compile.program import MetricSpec, MetricUse

__all__ = ["Aggregate"]

_OTHER = None  # the key of the cell `other`


class Aggregate:
    """One metric. `counted`, `filtered` and `map_full` are events, not weights."""

    def __init__(self, spec: MetricSpec) -> None:
        self.spec = spec
        self.counted = self.filtered = self.map_full = 0
        self._cells: dict[bytes | None, Cell] = {}
        self._buckets = spec.buckets if spec.kind == "histogram" else None

    def add(self, use: MetricUse, columns: EventColumns, weight: int) -> None:
        """Count the events of `columns`, each `weight` times."""
        keep = np.ones(len(columns), dtype=bool)
        if use.where is not None:
            keep &= columns.is_true_by_row(use.where)
        values = None
        if use.value is not None:
            column = columns.column_of(use.value)
            values = column.values
            if column.nulls is not None:
                keep &= ~column.nulls
        self.filtered += int(np.count_nonzero(~keep))
        keys = self._keys(use, columns)
        for key, rows in _groups(keys, np.flatnonzero(keep)):
            self._add_rows(key, rows, values, weight)

    def cells(self) -> list[Cell]:
        """All cells, with the events that were added so far."""
        return list(self._cells.values())

    def _keys(self, use: MetricUse, columns: EventColumns) -> ByteArray:
        keys = np.zeros((len(columns), self.spec.key_size), dtype=np.uint8)
        for part, node in zip(self.spec.key, use.key, strict=True):
            raw = bytes_of_column(columns.column_of(node), node.type)[:, : part.size]
            keys[:, part.offset : part.offset + min(size_of(node.type), part.size)] = raw
        return keys

    def _add_rows(
        self,
        key: bytes,
        rows: npt.NDArray[np.intp],
        values: npt.NDArray[np.generic] | None,
        weight: int,
    ) -> None:
        has_room = self._has_room(key)
        self.map_full += 0 if has_room else len(rows)
        self.counted += len(rows) if has_room else 0
        place = key if has_room else _OTHER
        cell = self._cells.get(place, Cell(key=place))
        if values is None:
            self._cells[place] = cell.merge(Cell(key=place, count=len(rows) * weight))
        else:
            self._cells[place] = cell.add(_weighted(values[rows], weight), self._buckets)

    def _has_room(self, key: bytes) -> bool:
        keyed = len(self._cells) - (_OTHER in self._cells)
        return key in self._cells or not key or keyed < self.spec.keys


def _weighted(values: npt.NDArray[np.generic], weight: int) -> list[tuple[int, int]]:
    """Each different value with the weight of all its rows."""
    different, counts = np.unique(values, return_counts=True)
    pairs = zip(different.tolist(), counts.tolist(), strict=True)
    return [(int(value), int(count) * weight) for value, count in pairs]


def _groups(
    keys: ByteArray, rows: npt.NDArray[np.intp]
) -> list[tuple[bytes, npt.NDArray[np.intp]]]:
    """The rows of each different key."""
    if not len(rows):
        return []
    if keys.shape[1] == 0:
        return [(b"", rows)]
    packed = np.ascontiguousarray(keys[rows]).view(np.dtype((np.void, keys.shape[1])))[:, 0]
    _, first, back = np.unique(packed, return_index=True, return_inverse=True)
    return [(packed[start].tobytes(), rows[back == group]) for group, start in enumerate(first)]
