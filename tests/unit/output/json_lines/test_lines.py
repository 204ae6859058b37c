"""Event lines: what a program that reads them can rely on."""

import json
from typing import Any

import jsonschema
import numpy as np
import orjson
import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.compile.program import Emit
from orchestrator.output.json_lines.lines import LineRenderer, RecordRenderer
from orchestrator.output.json_lines.tokens import TokenColumn
from tests.support.paths import ROOT
from tests.support.records import CONSTANTS, LONGEST, batch, cases, emit_of, expected, record

SCHEMA = json.loads((ROOT / "schema" / "log-v1.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
OFFSET = 1_795_000_000_000_000_000
HEADER = {
    "time": 0, "cpu": 1, "pid": 7, "tid": 8, "weight": 1, "nulls": 0, "truncated": 0,
    "comm": b"load".ljust(16, b"\0"),
}  # fmt: skip


def structlog_line(event: dict[str, Any]) -> bytes:
    """What structlog's JSON renderer writes for an event dict."""
    renderer = structlog.processors.JSONRenderer(orjson.dumps)
    line = renderer(None, "info", dict(event))
    assert isinstance(line, bytes)
    return line


def parsed(line: bytes) -> list[tuple[str, Any]]:
    """A line's keys and values in order."""
    return json.loads(line, object_pairs_hook=list)


def lines_of(output: memoryview | bytes) -> list[bytes]:
    """The lines of an output, each of which must end in a newline."""
    *lines, rest = bytes(output).split(b"\n")
    assert rest == b""
    return lines


def assert_as_structlog(line: bytes, event: dict[str, Any]) -> None:
    """The line says what structlog would have said, key by key, in its order."""
    assert parsed(line) == parsed(structlog_line(event))
    VALIDATOR.validate(json.loads(line))


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(case=cases(), offset=st.sampled_from([OFFSET, 0, 2**63]), split=st.integers(1, 12))
def test_each_line_is_what_structlog_would_have_written(
    case: tuple[Emit, list[Any]], offset: int, split: int
) -> None:
    """All forms, nulls, truncations, odd strings, extremes; the same renderer over batches."""
    emit, rows = case
    renderer = LineRenderer(emit, CONSTANTS, offset)
    for part in (rows[:split], rows[split:], rows):
        if part:
            raw = batch([record(emit, header, values, LONGEST) for header, values in part])
            lines = lines_of(renderer.render(raw))
            assert len(lines) == len(part)
            for line, (header, values) in zip(lines, part, strict=True):
                assert_as_structlog(line, expected(emit, header, values, offset))


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_mixed_records_keep_the_order_of_the_ring(data: st.DataObject) -> None:
    """Lines of several emits, of several widths, follow each other as their records did."""
    made = [data.draw(cases(index=index)) for index in range(3)]
    every = [(emit, row) for emit, rows in made for row in rows]
    order = data.draw(st.permutations(every))
    renderer = RecordRenderer([emit for emit, _ in made], CONSTANTS, OFFSET)
    raw = batch([record(emit, header, values, LONGEST) for emit, (header, values) in order])
    lines = lines_of(renderer.render(raw))
    for line, (emit, (header, values)) in zip(lines, order, strict=True):
        assert_as_structlog(line, expected(emit, header, values, OFFSET))


def test_a_batch_larger_than_the_matrix_is_rendered_whole_and_in_order() -> None:
    """20,000 records of two emits and many distinct strings: more than any cache here holds."""
    emits = [emit_of([("u64", False)], index=0), emit_of([("string", False)], index=1)]
    rows, wanted = [], []
    for i in range(20_000):
        emit = emits[i % 3 == 0]
        values = [i.to_bytes(8, "little")] if emit.index == 0 else [b"name%08d\0" % i]
        header = {**HEADER, "time": i * 10**6}
        rows.append(record(emit, header, values, 64))
        wanted.append(expected(emit, header, values, OFFSET))
    lines = lines_of(RecordRenderer(emits, CONSTANTS, OFFSET).render(batch(rows)))
    assert [json.loads(line) for line in lines] == wanted


def test_chunks_join_to_what_render_gives() -> None:
    """Both ways out carry the same lines."""
    emit = emit_of([("s32", False)])
    raw = batch([
        record(emit, {**HEADER, "time": i}, [(-i).to_bytes(4, "little", signed=True)], 56)
        for i in range(9000)
    ])  # fmt: skip
    renderer = RecordRenderer([emit], CONSTANTS, OFFSET)
    whole = bytes(renderer.render(raw))
    assert b"".join(bytes(chunk) for chunk in renderer.render_chunks(raw)) == whole
    assert whole.count(b"\n") == 9000


def test_no_records_are_no_lines() -> None:
    """An empty batch is an empty output."""
    emit = emit_of([])
    empty = np.empty((0, 48), dtype=np.uint8)
    assert bytes(LineRenderer(emit, CONSTANTS, 0).render(empty)) == b""
    assert bytes(RecordRenderer([emit], CONSTANTS, 0).render(empty)) == b""


@pytest.mark.parametrize("step", [1, 2])
def test_structured_records_are_the_same_as_bytes(step: int) -> None:
    """A structured array of the header's layout, contiguous or not, renders as its bytes do."""
    emit = emit_of([("u64", False)])
    rows = [record(emit, HEADER, [i.to_bytes(8, "little")], 56) for i in range(6)]
    layout = np.dtype({"names": ["time"], "formats": ["<u8"], "offsets": [0], "itemsize": 56})
    structured = np.frombuffer(b"".join(rows), dtype=layout)[::step]
    renderer = LineRenderer(emit, CONSTANTS, OFFSET)
    assert bytes(renderer.render(structured)) == bytes(renderer.render(batch(rows[::step])))


def test_lines_are_no_wider_than_the_batch_needs() -> None:
    """One 64-bit extreme widens its own batch only."""
    emit = emit_of([("u64", False)])
    renderer = LineRenderer(emit, CONSTANTS, OFFSET)

    def width(number: int) -> int:
        row = record(emit, HEADER, [number.to_bytes(8, "little")], 56)
        return len(renderer.render(batch([row])))

    narrow = width(5)
    assert width(2**64 - 1) >= narrow + 12
    assert width(5) == narrow


def test_strings_that_share_a_cache_slot_are_told_apart() -> None:
    """Far more distinct strings in one batch than the cache has slots: each keeps its own."""
    emit = emit_of([("string", False)])
    strings = [b"%013d" % (i * 7919) for i in range(4096)]
    raw = batch([record(emit, HEADER, [string], 64) for string in strings])
    renderer = LineRenderer(emit, CONSTANTS, OFFSET)
    for _ in range(2):
        lines = lines_of(renderer.render(raw))
        shown = [next(iter(json.loads(line)["data"].values())).encode() for line in lines]
        assert shown == strings


def test_garbage_behind_a_string_does_not_make_it_another() -> None:
    """The kernel leaves old bytes behind the NUL: the string is still rendered once."""
    seen = []

    def render(raw: bytes) -> bytes:
        seen.append(raw)
        return b'"same"'

    rows = [b"longer name"[:length] + b"\0" for length in (0, 5, 11) for _ in range(200)]
    garbage = np.random.default_rng(1).integers(0, 256, (len(rows), 21), dtype=np.uint8)
    for row, text in zip(garbage, rows, strict=True):
        row[: len(text)] = np.frombuffer(text, dtype=np.uint8)
    column = TokenColumn(0, 21, render, 1000, until_nul=True)
    column.fit(garbage)
    column.fit(garbage[::-1].copy())
    assert sorted(seen) == [b"", b"longe", b"longer name"]
