"""The text of an event's `hist` file is read exactly, whatever its keys contain."""

from dataclasses import replace
from typing import Any

import pytest

from orchestrator.backends.tracefs.counts.hist_tables import (
    HistTable,
    cells_of_table,
    count_events_apart,
    parse_hist_file,
    read_hist_tables,
)
from orchestrator.backends.tracefs.design.layout import EventLayout, EventSource, HistUse
from orchestrator.cells.buckets import LOG
from orchestrator.cells.cell import Cell
from orchestrator.compile.program import KeyField, MetricSpec

FILE = """\
# event histogram
#
# trigger info: hist:keys=common_pid:vals=hitcount:sort=hitcount:size=2048 [active]
#

{ common_pid:          7 } hitcount:          2
{ common_pid:         42 } hitcount:        300

Totals:
    Hits: 302
    Entries: 2
    Dropped: 0


# event histogram
#
# trigger info: hist:keys=comm,ret:vals=hitcount,len:sort=hitcount:size=128 if ret != 0 [paused]
#

{ comm: a, ret: 1 }     , ret: 18446744073709551615 } hitcount:          4  len:       1024

Totals:
    Hits: 9
    Entries: 1
    Dropped: 5
"""


def use(keys: tuple[str, ...], value: str | None = None) -> HistUse:
    return HistUse(metric=0, source=0, keys=keys, value=value, size=128, condition=None)


def spec(*key: KeyField, kind: Any = "count", signed: bool = False) -> MetricSpec:
    return MetricSpec(
        index=0,
        probe="p",
        name="m",
        kind=kind,
        key=key,
        key_size=sum(part.size for part in key),
        keys=10,
        buckets=LOG,
        signed=signed,
        unit="",
    )


TID = KeyField(name="tid", form="u32", offset=0, size=4)
COMM = KeyField(name="comm", form="string", offset=0, size=16)
RET = KeyField(name="ret", form="s32", offset=16, size=4)


def test_every_table_of_a_file_is_parsed() -> None:
    first, second = parse_hist_file(FILE)
    assert first.rows == (("common_pid:          7", 2, 0), ("common_pid:         42", 300, 0))
    assert (first.hits, first.dropped) == (302, 0)
    assert (second.hits, second.dropped) == (9, 5)
    assert second.rows[0][1:] == (4, 1024)


def test_numbers_are_keys_of_their_size() -> None:
    cells = cells_of_table(use(("common_pid",)), spec(TID), parse_hist_file(FILE)[0])
    assert cells == [
        Cell(key=(7).to_bytes(4, "little"), count=2),
        Cell(key=(42).to_bytes(4, "little"), count=300),
    ]


def test_a_name_may_look_like_the_next_key() -> None:
    """The kernel escapes nothing in what it prints; numbers are unsigned and of 64 bits."""
    table = parse_hist_file(FILE)[1]
    (cell,) = cells_of_table(use(("comm", "ret"), "len"), spec(COMM, RET, kind="sum"), table)
    assert cell.key == b"a, ret: 1 }".ljust(16, b"\0") + b"\xff\xff\xff\xff"
    assert (cell.count, cell.sum) == (4, 1024)


@pytest.mark.parametrize(("kind", "other"), [("count", [5]), ("sum", [])])
def test_what_did_not_fit_is_the_cell_other_of_a_count_only(kind: str, other: list[int]) -> None:
    """The sum of what did not fit is unknown."""
    table = HistTable(info="", rows=(), hits=9, dropped=5)
    cells = cells_of_table(use(("common_pid",)), spec(TID, kind=kind), table)
    assert [cell.count for cell in cells] == other
    assert all(cell.key is None for cell in cells)


def test_a_signed_sum_may_be_negative() -> None:
    table = HistTable(info="", rows=(("common_pid: 1", 2, (1 << 64) - 3),), hits=2, dropped=0)
    (cell,) = cells_of_table(use(("common_pid",), "ret"), spec(TID, kind="sum", signed=True), table)
    assert cell.sum == -3


class FakeInstance:
    """An instance with one hist file. `reads`: how often it was read."""

    reads = 0

    class names:  # noqa: N801  # an attribute of an instance
        @staticmethod
        def event_of(source: EventSource) -> tuple[str, str]:
            return source.category, source.event

    def read_event_file(self, category: str, event: str, name: str) -> str:
        assert (category, event, name) == ("sched", "sched_switch", "hist")
        self.reads += 1
        return FILE


def test_each_trigger_gets_its_own_table() -> None:
    """Two triggers of one event share a file; one that is not there has no table."""
    uses = (use(("comm", "ret"), "len"), use(("common_pid",)), use(("common_pid",), "len"))
    layout = EventLayout(
        sources=(EventSource(category="sched", event="sched_switch"),),
        hooks=(),
        hists=uses,
        buffer_kb=16,
        task_buffer_kb=16,
        by_pid=False,
        stack_step=0,
    )
    instance = FakeInstance()
    tables: Any = read_hist_tables(layout, instance)  # type: ignore[arg-type]
    assert [(use_.keys, table.hits) for use_, table in tables] == [
        (("comm", "ret"), 9),
        (("common_pid",), 302),
    ]
    assert instance.reads == 1, "tables of one event are read at once"


def table_of(metric: int, hits: int) -> tuple[HistUse, HistTable]:
    shape = replace(use(("common_pid",)), metric=metric)
    return shape, HistTable(info="", rows=(), hits=hits, dropped=0)


def test_tables_are_as_far_apart_as_the_one_that_counted_most_between_two_readings() -> None:
    """Of the metrics in question; a table that is new counted all its hits."""
    before = [table_of(0, 5), table_of(1, 7)]
    after = [table_of(0, 5), table_of(1, 9), table_of(2, 40)]
    assert count_events_apart(before, after, [0]) == 0
    assert count_events_apart(before, after, [0, 1]) == 2
    assert count_events_apart(before, after, [0, 1, 2]) == 40
