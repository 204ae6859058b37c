"""Metrics, aggregated in user space: the same cells as the kernel's programs keep."""

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from orchestrator.backends.protocol import Cell
from orchestrator.backends.tracefs.reader.columns import Columns, as_bytes
from orchestrator.backends.tracefs.reader.events import Bytes
from orchestrator.compile.expressions.types import size_of
from orchestrator.compile.histogram import LinearBuckets, bucket_index
from orchestrator.compile.program import MetricSpec, MetricUse

__all__ = ["Aggregate"]

OTHER = None  # the key of the cell that takes what finds no room


@dataclass(slots=True)
class _Sums:
    """A cell in the making."""

    count: int = 0
    sum: int = 0
    least: int | None = None
    most: int | None = None
    buckets: dict[int, int] = field(default_factory=dict)
    below: int = 0
    above: int = 0

    def cell(self, key: bytes | None) -> Cell:
        return Cell(
            key=key,
            count=self.count,
            sum=self.sum,
            min=self.least,
            max=self.most,
            buckets=self.buckets,
            below=self.below,
            above=self.above,
        )


class Aggregate:
    """One metric. `counted`, `filtered` and `map_full` are events, not weights."""

    def __init__(self, spec: MetricSpec) -> None:
        self.spec = spec
        self.counted = self.filtered = self.map_full = 0
        self._cells: dict[bytes | None, _Sums] = {}
        plan = spec.buckets
        self._linear = (
            LinearBuckets(low=plan.low, high=plan.high, step=plan.step)
            if plan.kind == "linear"
            else None
        )

    def add(self, use: MetricUse, columns: Columns, weight: int) -> None:
        """Count the events of `columns`."""
        keep = np.ones(len(columns), dtype=bool)
        if use.where is not None:
            keep &= columns.holds(use.where)
        values = None
        if use.value is not None:
            column = columns.column(use.value)
            values = column.values
            if column.nulls is not None:
                keep &= ~column.nulls
        self.filtered += int(np.count_nonzero(~keep))
        keys = self._keys(use, columns)
        for key, rows in _groups(keys, np.flatnonzero(keep)):
            self._add(key, rows, values, weight)

    def cells(self) -> list[Cell]:
        """All cells as of now."""
        return [sums.cell(key) for key, sums in self._cells.items()]

    def _keys(self, use: MetricUse, columns: Columns) -> Bytes:
        keys = np.zeros((len(columns), self.spec.key_size), dtype=np.uint8)
        for part, node in zip(self.spec.key, use.key, strict=True):
            raw = as_bytes(columns.column(node), node.type)[:, : part.size]
            keys[:, part.offset : part.offset + min(size_of(node.type), part.size)] = raw
        return keys

    def _add(
        self,
        key: bytes,
        rows: npt.NDArray[np.intp],
        values: npt.NDArray[np.generic] | None,
        weight: int,
    ) -> None:
        known = (
            key in self._cells
            or not key
            or len(self._cells) - (OTHER in self._cells) < self.spec.keys
        )
        if not known:
            self.map_full += len(rows)
        self.counted += len(rows) if known else 0
        sums = self._cells.setdefault(key if known else OTHER, _Sums())
        sums.count += len(rows) * weight
        if values is not None:
            self._add_values(sums, values[rows], weight)

    def _add_values(self, sums: _Sums, values: npt.NDArray[np.generic], weight: int) -> None:
        unique, counts = np.unique(values, return_counts=True)
        for value, count in zip(unique.tolist(), counts.tolist(), strict=True):
            number, times = int(value), int(count) * weight
            sums.sum += number * times
            sums.least = number if sums.least is None else min(sums.least, number)
            sums.most = number if sums.most is None else max(sums.most, number)
            if self.spec.kind == "histogram":
                self._add_bucket(sums, number, times)

    def _add_bucket(self, sums: _Sums, value: int, times: int) -> None:
        if self._linear is None:
            if value < 0:
                sums.below += times
                return
            index = bucket_index(value)
        else:
            index = self._linear.index(value)
            if index < 0:
                sums.below += times
                return
            if index >= self._linear.count:
                sums.above += times
                return
        sums.buckets[index] = sums.buckets.get(index, 0) + times


def _groups(keys: Bytes, rows: npt.NDArray[np.intp]) -> list[tuple[bytes, npt.NDArray[np.intp]]]:
    """The rows of each different key."""
    if not len(rows):
        return []
    if keys.shape[1] == 0:
        return [(b"", rows)]
    packed = np.ascontiguousarray(keys[rows]).view(np.dtype((np.void, keys.shape[1])))[:, 0]
    _, first, back = np.unique(packed, return_index=True, return_inverse=True)
    return [(packed[start].tobytes(), rows[back == group]) for group, start in enumerate(first)]
