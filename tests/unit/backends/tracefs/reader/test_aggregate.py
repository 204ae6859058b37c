"""Metrics aggregated in user space, from columns of events to cells."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from orchestrator.backends.tracefs.reader.aggregate import Aggregate
from orchestrator.backends.tracefs.reader.columns import ValueColumn
from orchestrator.cells.buckets import LOG, Buckets
from orchestrator.cells.cell import Cell
from orchestrator.compile.expressions.nodes import Const
from orchestrator.compile.expressions.types import U32
from orchestrator.compile.program import KeyField, MetricSpec, MetricUse

KEY, VALUE, WHERE = (Const(value=number, type=U32) for number in (1, 2, 3))


@dataclass
class FakeColumns:
    """Events with these keys and values; those whose value is in `nulls` were not read."""

    keys: list[int]
    values: list[int]
    nulls: tuple[int, ...] = ()
    rejected: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.keys)

    def column_of(self, node: Any) -> ValueColumn:
        if node is KEY:
            return ValueColumn(np.array(self.keys, dtype=np.uint32))
        values = np.array(self.values, dtype=np.int64)
        return ValueColumn(values, np.isin(values, self.nulls))

    def is_true_by_row(self, node: Any) -> Any:
        assert node is WHERE
        return ~np.isin(np.array(self.values), self.rejected)


def aggregate(kind: Any = "histogram", *, keys: int = 10, buckets: Buckets = LOG) -> Aggregate:
    part = KeyField(name="tid", form="u32", offset=0, size=4)
    return Aggregate(
        MetricSpec(
            index=0,
            probe="p",
            name="m",
            kind=kind,
            key=(part,),
            key_size=8,
            keys=keys,
            buckets=buckets,
            signed=True,
            unit="",
        )
    )


def add(
    to: Aggregate, columns: Any, weight: int = 1, value: Any = VALUE, where: Any = None
) -> None:
    to.add(MetricUse(metric=0, key=(KEY,), value=value, where=where), columns, weight)


def packed(key: int) -> bytes:
    return key.to_bytes(8, "little")


def test_events_are_counted_under_their_keys_by_their_weight() -> None:
    """Sum, extremes and buckets are those of the values; negative ones are below all buckets."""
    one = aggregate()
    add(one, FakeColumns(keys=[7, 7, 8], values=[5, -3, 9]), weight=2)
    add(one, FakeColumns(keys=[7], values=[5]))
    assert {cell.key: cell for cell in one.cells()} == {
        packed(7): Cell(key=packed(7), count=5, sum=9, min=-3, max=5, buckets={5: 3}, below=2),
        packed(8): Cell(key=packed(8), count=2, sum=18, min=9, max=9, buckets={9: 2}),
    }
    assert (one.counted, one.filtered, one.map_full) == (4, 0, 0)


def test_cells_do_not_change_when_more_is_counted() -> None:
    """A window is the difference of two readings."""
    one = aggregate(buckets=Buckets(kind="linear", high=10, step=1))
    add(one, FakeColumns(keys=[7], values=[5]))
    before = one.cells()
    add(one, FakeColumns(keys=[7, 7], values=[5, 12]))
    assert before == [Cell(key=packed(7), count=1, sum=5, min=5, max=5, buckets={5: 1})]
    [after] = one.cells()
    assert (after.buckets, after.above) == ({5: 2}, 1)


def test_what_finds_no_room_is_counted_in_the_cell_other() -> None:
    """Keys that are there go on; without a value only the count is known."""
    one = aggregate("count", keys=1)
    add(one, FakeColumns(keys=[7, 8, 9], values=[0, 0, 0]), weight=3, value=None)
    add(one, FakeColumns(keys=[7], values=[0]), value=None)
    assert one.cells() == [Cell(key=packed(7), count=4), Cell(key=None, count=6)]
    assert (one.counted, one.map_full) == (2, 2)


def test_values_that_were_not_read_or_not_wanted_are_filtered() -> None:
    """Each once."""
    one = aggregate("sum")
    columns = FakeColumns(keys=[7] * 4, values=[1, 2, 3, 4], nulls=(2, 3), rejected=(3, 4))
    add(one, columns, where=WHERE)
    assert one.cells() == [Cell(key=packed(7), count=1, sum=1, min=1, max=1)]
    assert (one.counted, one.filtered) == (1, 3)
