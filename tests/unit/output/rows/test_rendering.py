"""Rows as a terminal gets them: aligned, within its width, with units, and inert whatever a process
calls itself."""

import struct
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from orchestrator.compile.program import Emit, Presentation, Program, RecordField
from orchestrator.output.rows.rendering import RowRenderer
from orchestrator.output.rows.style import Painter
from tests.support.fake_backend import program
from tests.support.records import cases, emit_of, record

HEADER = {"time": 0, "cpu": 0, "pid": 4217, "tid": 4217, "weight": 1, "nulls": 0, "truncated": 0}


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    monkeypatch.setenv("TZ", "UTC")
    time.tzset()


def program_of(*emits: Emit) -> Program:
    whole = program()
    probes = tuple(
        replace(whole.probes[0], index=at, name=emit.probe, emit=emit, sample=1)
        for at, emit in enumerate(emits)
    )
    return replace(whole, probes=probes, spans=())


def fields(*described: dict[str, Any]) -> tuple[RecordField, ...]:
    offset, placed = 48, []
    for bit, one in enumerate(described):
        placed.append(RecordField(offset=offset, bit=bit, **one))
        offset += one["size"]
    return tuple(placed)


OPENS = Emit(
    index=0,
    probe="open",
    fields=fields(
        {"name": "path", "form": "string", "size": 64},
        {"name": "fd", "form": "s32", "size": 4,
         "presentation": Presentation(names={-2: "ENOENT"})},
        {"name": "took", "form": "u64", "size": 8, "unit": "ns"},
        {"name": "size", "form": "u64", "size": 8, "unit": "bytes"},
        {"name": "at", "form": "u64", "size": 8, "unit": "address"},
    ),
)  # fmt: skip


def opened(
    path: bytes = b"/etc/passwd",
    fd: int = 3,
    took: int = 12_345,
    comm: bytes = b"cat",
    **header: int,
) -> bytes:
    values = [
        path[:64].ljust(64, b"\0"),
        struct.pack("<i", fd),
        struct.pack("<Q", took),
        struct.pack("<Q", 4096),
        struct.pack("<Q", 0xFFFF888812345678),
    ]
    return record(OPENS, {**HEADER, "comm": comm, **header}, values, 160)


def rendered(
    *records: bytes, width: int = 120, height: int = 24, emits: tuple[Emit, ...] = (OPENS,)
) -> list[str]:
    renderer = RowRenderer(program_of(*emits), lambda _number: None, Painter(colours=False))
    return [line.text for line in renderer.render(records, 0, width, height)]


def test_a_row_has_time_process_and_fields_with_units_and_what_is_long_last() -> None:
    first, second = opened(), opened(fd=-2, took=2_500_000_000, time=1_500_000_000)
    assert rendered(first, second, width=110) == [
        "time          comm   pid  fd         took   size                  at  path",
        "00:00:00.000  cat   4217  3       12.3 µs  4 KiB  0xffff888812345678  /etc/passwd",
        "00:00:01.500  cat   4217  ENOENT    2.5 s  4 KiB  0xffff888812345678  /etc/passwd",
    ]


def test_a_wide_terminal_reserves_space_for_longer_names() -> None:
    assert rendered(opened(), width=150)[0].startswith(f"time          {'comm':15}      pid  fd")


@pytest.mark.parametrize("width", [40, 80, 200])
def test_no_line_is_wider_than_the_terminal_and_what_is_cut_shows_it(width: int) -> None:
    lines = rendered(opened(path=b"/a/very/long/path" * 3 + b"/end"), width=width)
    assert all(cell_len(line) <= width for line in lines)
    if width == 200:
        assert lines[1].endswith("/end")
        assert "…" not in lines[1]
    elif width == 80:
        assert "…" in lines[1]
        assert lines[1].endswith("/end")  # the end of a path is what differs
    else:
        assert lines[1].endswith("…")
        assert "cat" in lines[1]
        assert "4217" in lines[1]


HOSTILE = b"\x1b[2J\x1b]0;x\x07\n\r\xe2\x80\xae\xff\x9b"


@pytest.mark.parametrize("width", [40, 80, 200])
def test_names_that_would_command_the_terminal_are_inert(width: int) -> None:
    for line in rendered(opened(path=b"/tmp/" + HOSTILE, comm=HOSTILE[:15]), width=width):
        assert line.isprintable(), line
    [_, row] = rendered(opened(path=b"/tmp/" + HOSTILE, comm=b"a\nb"), width=200)
    assert r"a\nb" in row
    assert r"\x1b[2J\x1b]0;x\x07\n\r\u202e\xff\x9b" in row


def test_an_unread_value_is_a_question_mark_and_a_truncated_one_is_marked() -> None:
    [heading, unread] = rendered(opened(nulls=0b100))
    assert unread[: heading.index("took") + 4].endswith(" ?")
    [_, cut] = rendered(opened(truncated=0b1))
    assert cut.endswith("/etc/passwd…")


def test_headings_come_again_after_a_screenful() -> None:
    lines = rendered(*[opened() for _ in range(50)], height=24)
    assert [at for at, line in enumerate(lines) if line.startswith("time")] == [0, 23, 46]


def test_records_that_stand_for_several_events_say_for_how_many() -> None:
    lines = rendered(opened(weight=10), opened(weight=10))
    assert lines[0].split()[:4] == ["time", "comm", "pid", "weight"]
    assert lines[1].split()[3] == "10"
    assert "weight=20" in rendered(opened(), opened(weight=20))[2]


OTHER = Emit(index=1, probe="close", fields=fields({"name": "fd", "form": "s32", "size": 4}))


def closed() -> bytes:
    return record(OTHER, {**HEADER, "comm": b"cat"}, [struct.pack("<i", 3)], 160)


def test_probes_with_other_fields_get_their_headings_and_alternating_ones_get_names() -> None:
    both = [opened(), closed(), *[opened() for _ in range(4)], closed()]
    lines = rendered(*both, emits=(OPENS, OTHER))
    assert lines[0].split()[:2] == ["time", "probe"]
    assert lines[2].split() == ["00:00:00.000", "close", "cat", "4217", "fd=3"]
    assert lines[-2].split() == ["time", "probe", "comm", "pid", "fd"]
    assert lines[-1].split() == ["00:00:00.000", "close", "cat", "4217", "3"]


def test_probes_with_the_same_fields_share_a_heading() -> None:
    twin = replace(OTHER, index=0, probe="dup")
    first = record(twin, {**HEADER, "comm": b"cat"}, [struct.pack("<i", 3)], 160)
    lines = rendered(first, closed(), first, closed(), emits=(twin, OTHER))
    assert [line.split()[1] for line in lines] == ["probe", "dup", "close", "dup", "close"]


def test_colours_mark_failures_and_the_words_are_the_same() -> None:
    painted = RowRenderer(program_of(OPENS), lambda _n: None, Painter(colours=True))
    [_, row] = painted.render([opened(fd=-2)], 0, 120, 24)
    assert "\x1b[31mENOENT\x1b[0m" in row.text
    import re

    assert re.sub(r"\x1b\[[0-9;]*m", "", row.text) == rendered(opened(fd=-2))[1]


def test_a_pointer_in_a_word_is_hexadecimal_and_a_count_is_not() -> None:
    emit = Emit(
        index=0,
        probe="p",
        fields=fields({"name": "x", "form": "u64", "size": 8, "unit": "word"}),
    )
    made = [
        record(emit, {**HEADER, "comm": b"c"}, [struct.pack("<Q", value)], 64)
        for value in (4096, 0x55D49E39B150)
    ]
    lines = rendered(*made, emits=(emit,))
    assert [line.split()[-1] for line in lines] == ["x", "4096", "0x55d49e39b150"]


def test_stacks_are_one_line_of_frames() -> None:
    emit = emit_of([], index=0)
    emit = replace(emit, fields=fields({"name": "s", "form": "kstack", "size": 8}))
    renderer = RowRenderer(program_of(emit), lambda _n: ["a+0x1", "b+0x2"], Painter(colours=False))
    raw = record(emit, {**HEADER, "comm": b"c"}, [struct.pack("<Q", 7)], 64)
    [_, row] = renderer.render([raw], 0, 80, 24)
    assert row.text.endswith("a+0x1 < b+0x2")


@given(cases(), st.sampled_from([20, 40, 80, 200]))
def test_whatever_a_record_holds_its_row_is_one_printable_line_that_fits(case, width: int) -> None:
    emit, rows = case
    raws = [record(emit, header, values, 4096) for header, values in rows]
    lines = rendered(*raws, width=width, emits=(replace(emit, probe="p\x1b\u202e"),))
    for line in lines:
        assert line.isprintable()
        assert cell_len(line) <= width
    assert len([line for line in lines if not line.startswith("time")]) >= len(raws)
