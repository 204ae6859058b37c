"""Stacks in lines and in cells: shown by their names, whatever their numbers."""

import json
import struct

import numpy as np

from orchestrator.cells.buckets import Buckets
from orchestrator.cells.cell import Cell
from orchestrator.compile.program import RECORD_HEADER_SIZE, Emit, KeyField, MetricSpec, RecordField
from orchestrator.output.json_lines.lines import LineRenderer, RecordRenderer
from orchestrator.output.json_lines.stack_numbers import StackColumns
from orchestrator.output.metrics import metric_fields

NAMES = {
    7: ("vfs_read+0x1a", "ksys_read+0x5f"),
    8: ('main+0x2f (a "b")',),
    9: ('main+0x2f (a "b")',),
    1: (),
}
STAMP = "2026-11-23T02:15:07.123456789Z"


def emit(index: int, *forms: str) -> Emit:
    fields = tuple(
        RecordField(name=f"f{at}", form=form, offset=RECORD_HEADER_SIZE + 8 * at, size=8, bit=at)  # type: ignore[arg-type]  # a form
        for at, form in enumerate(forms)
    )
    return Emit(index=index, probe=f"p{index}", fields=fields)


def records(*rows: tuple[int, int, int]) -> "np.ndarray[tuple[int, int], np.dtype[np.uint8]]":
    """(emit, first field, second field)."""
    packed = (struct.pack("<QHHIIIII16sQQ", 1, e, 0, 1, 1, 1, 0, 0, b"x", a, b) for e, a, b in rows)
    return np.frombuffer(b"".join(packed), dtype=np.uint8).reshape(len(rows), -1)


def test_a_line_shows_the_frames_and_null_for_a_stack_that_was_lost() -> None:
    renderer = LineRenderer(emit(0, "kstack", "ustack"), {}, 0, NAMES.get)
    lines = bytes(renderer.render(records((0, 7, 8), (0, 0, 1), (0, 7, 9)))).splitlines()
    assert [json.loads(line)["data"] for line in lines] == [
        {"f0": list(NAMES[7]), "f1": list(NAMES[8])},
        {"f0": None, "f1": []},
        {"f0": list(NAMES[7]), "f1": list(NAMES[9])},
    ]


def test_a_longer_stack_that_comes_later_finds_room() -> None:
    names = {7: ("short",), 8: tuple(f"function_{n}+0x1a" for n in range(127))}
    renderer = RecordRenderer([emit(0, "kstack", "u64")], {}, 0, names.get)
    for number in (7, 8, 7):
        line = json.loads(bytes(renderer.render(records((0, number, 3)))))
        assert line["data"] == {"f0": list(names[number]), "f1": 3}


def test_the_numbers_in_a_batch_are_those_of_stacks_only() -> None:
    """A number in a field of another kind, or in another probe's record, is no stack."""
    batch = records((0, 7, 100), (1, 200, 8), (0, 7, 101), (1, 201, 9))
    emits = [emit(0, "kstack", "u64"), emit(1, "u64", "ustack")]
    assert StackColumns(emits).find_numbers(batch) == {7, 8, 9}
    assert StackColumns(emits[:1]).find_numbers(batch[::2]) == {7}
    assert StackColumns([emit(0, "u64", "u64")]).find_numbers(batch) == set()


def spec(kind: str, *forms: str) -> MetricSpec:
    key = tuple(
        KeyField(name=f"k{at}", form=form, offset=8 * at, size=8)  # type: ignore[arg-type]  # a form
        for at, form in enumerate(forms)
    )
    return MetricSpec(
        index=0, probe="p", name="m", kind=kind, key=key, key_size=8 * len(key), keys=10,  # type: ignore[arg-type]  # a kind
        buckets=Buckets(), signed=False, unit="",
    )  # fmt: skip


def test_cells_of_stacks_with_the_same_names_are_one() -> None:
    """Two processes that run the same program have stacks of different addresses."""
    keys = [struct.pack("<QQ", number, 5) for number in (8, 9, 7)]
    cells = [Cell(key=key, count=n, sum=10 * n) for key, n in zip(keys, (3, 4, 1), strict=True)]
    shown = metric_fields(
        spec("sum", "ustack", "u64"), cells, start=STAMP, end=STAMP, total=True, stacks=NAMES.get
    )["cells"]
    assert [(cell["key"]["k0"], cell["value"], cell["count"]) for cell in shown] == [
        (list(NAMES[8]), 70, 7),
        (list(NAMES[7]), 10, 1),
    ]


def test_merged_cells_keep_extremes_and_buckets() -> None:
    keys = [struct.pack("<Q", number) for number in (8, 9)]
    least = [Cell(key=key, count=1, min=n) for key, n in zip(keys, (3, 4), strict=True)]
    made = metric_fields(
        spec("min", "ustack"), least, start=STAMP, end=STAMP, total=True, stacks=NAMES.get
    )
    assert [cell["value"] for cell in made["cells"]] == [3]
    spread = [
        Cell(key=key, count=2, buckets={1: 1, n: 1}) for key, n in zip(keys, (2, 3), strict=True)
    ]
    made = metric_fields(
        spec("histogram", "ustack"), spread, start=STAMP, end=STAMP, total=True, stacks=NAMES.get
    )
    [cell] = made["cells"]
    assert (cell["count"], [n for _, n in cell["buckets"]]) == (4, [2, 1, 1])
