"""Pages of trace_pipe_raw → events → columns."""

import lzma
from functools import cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from orchestrator.backends.tracefs import backend as tracefs
from orchestrator.backends.tracefs.design.layout import EventLayout
from orchestrator.backends.tracefs.reader import pages
from orchestrator.backends.tracefs.reader.arrays import ByteArray
from orchestrator.backends.tracefs.reader.columns import EventColumns, EventFormat, ValueColumn
from orchestrator.backends.tracefs.reader.events import SLACK, Events
from orchestrator.backends.tracefs.reader.tasks import Tasks
from orchestrator.compile.expressions.evaluate import EvaluationCounts
from orchestrator.compile.lower import compile_plan
from orchestrator.kernel.facts import load_facts
from orchestrator.plan.load import load_plan
from tests.fuzz.target import Target
from tests.support.paths import KERNELS, TESTS

SIZE = 4096
_HEADER, _COMMIT = 16, (1 << 20) - 1
_SEEDS = TESTS / "fuzz" / "seeds" / "pages.xz"
_KERNEL = KERNELS / "6.18-no-kprobes.facts.xz"
_PLAN = b"""\
apiVersion: probeplan/v1
kind: ProbePlan
metadata: {name: t, summary: t}
probes:
  exec: {attach: 'tracepoint:sched:sched_process_exec', emit: {f: args.filename, p: args.pid}}
  name: {attach: 'tracepoint:task:task_rename', emit: {o: args.oldcomm, s: args.oom_score_adj}}
  open: {attach: 'tracepoint:syscalls:sys_enter_openat', emit: {d: args.dfd, f: args.flags}}
"""


class Seen(NamedTuple):
    """Everything that was read out of some pages, to be compared."""

    events: list[tuple[int, int, int, int]]
    corrupt: int
    values: list[tuple[bytes, bytes]]


def check(data: bytes) -> None:
    """Both walks read the same events, each whole and within its page's committed bytes, the same
    whatever follows those; strings come out of the right event."""
    count = max(1, min(len(data) // SIZE, 3))
    raw = data[: count * SIZE].ljust(count * SIZE, b"\0")
    first, second = (_read(_filled(raw, count, fill), count) for fill in (0x00, 0xFF))
    assert first == second, "what was read depends on bytes that were not committed"


def _filled(raw: bytes, count: int, fill: int) -> ByteArray:
    """The pages in a buffer with every byte that must not matter set to `fill`."""
    buffer = np.full(count * SIZE + SLACK, fill, dtype=np.uint8)
    for page in range(count):
        piece = raw[page * SIZE : (page + 1) * SIZE]
        end = _HEADER + (int.from_bytes(piece[8:16], "little") & _COMMIT)
        used = end if end <= SIZE else SIZE  # of such a page nothing is to be believed
        buffer[page * SIZE : page * SIZE + used] = np.frombuffer(piece[:used], dtype=np.uint8)
    return buffer


def _read(buffer: ByteArray, count: int) -> Seen:
    cpus = np.arange(count, dtype=np.uint16)
    flat = buffer[: count * SIZE]
    few, many = pages._walk_few(flat, count, SIZE), pages._walk_many(flat, count, SIZE)
    for one, other in zip(few[:4], many[:4], strict=True):
        assert np.array_equal(one, other), "the two walks differ"
    assert few[4] == many[4] <= count
    decoded = pages.decode_pages(buffer, count, SIZE, cpus)
    events = decoded.events
    columns = (events.time, events.offset, events.length, events.kind)
    found = list(zip(*(column.tolist() for column in columns), strict=True))
    _check_places(found, buffer)
    return Seen(found, decoded.corrupt, _values(events))


def _check_places(found: list[tuple[int, int, int, int]], buffer: ByteArray) -> None:
    last = 0
    for _, offset, length, _ in found:
        start = offset // SIZE * SIZE
        end = start + _HEADER + (int.from_bytes(bytes(buffer[start + 8 : start + 16]), "little")
                                 & _COMMIT)  # fmt: skip
        assert start + _HEADER < offset < offset + length <= end <= start + SIZE
        assert last <= offset, "events overlap"
        last = offset + length


def _values(events: Events) -> list[tuple[bytes, bytes]]:
    """Values and nulls of every field, event by event; the strings are checked."""
    found = []
    for reader in _readers():
        mine = events.select(reader.find_rows(events))
        table = EventColumns(
            reader, mine, Tasks(Path("/nonexistent"), Path("/nonexistent")), EvaluationCounts()
        )
        for node, name in reader.source.field_names.items():
            if name.startswith("common_"):
                continue
            column = table.column_of(node)
            assert len(column.values) == len(mine)
            _check_strings(column, mine)
            nulls = b"" if column.nulls is None else column.nulls.tobytes()
            found.append((column.values.tobytes(), nulls))
    return found


def _check_strings(column: ValueColumn, events: Events) -> None:
    if column.values.dtype.kind != "S":
        return
    places = zip(column.values, events.offset, events.length, strict=True)
    for value, offset, length in places:
        assert bytes(value) in bytes(events.buffer[offset : offset + length])


@cache
def _layout() -> tuple[EventLayout, dict[str, EventFormat]]:
    facts = load_facts(_KERNEL)
    program = compile_plan(load_plan(_PLAN), facts)
    layout = tracefs.emit(program, facts).detail
    assert isinstance(layout, EventLayout)
    readers = {}
    for source in layout.sources:
        reported = facts.tracepoint(source.category, source.event)
        assert reported is not None
        fields = {field.name: field for field in (*reported.common, *reported.fields)}
        size = max(fields[name].offset + fields[name].size for name in source.field_names.values())
        readers[source.event] = EventFormat(
            source=source, kind=reported.id or 0, fields=fields, size=size
        )
    return layout, readers


def _readers() -> list[EventFormat]:
    return list(_layout()[1].values())


def seeds() -> list[bytes]:
    """Real pages, each alone and all together."""
    raw = lzma.decompress(_SEEDS.read_bytes())
    whole = [raw[at : at + SIZE] for at in range(0, len(raw), SIZE)]
    short = [_committed(page[:216], 200) for page in whole]
    beyond = [_committed(whole[0], commit) for commit in (SIZE - 12, SIZE, _COMMIT, 1 << 31 | 8)]
    outside = [_relocated(whole[0], at, size) for at, size in ((0, 4000), (16, 200), (65535, 9))]
    return [*short, *beyond, *outside, *whole, raw]


def _committed(page: bytes, commit: int) -> bytes:
    return page[:8] + commit.to_bytes(8, "little") + page[16:]


def _relocated(page: bytes, at: int, size: int) -> bytes:
    """The page with the string of each exec event said to be elsewhere."""
    buffer = np.frombuffer(page + bytes(SLACK), dtype=np.uint8)
    events = pages.decode_pages(buffer, 1, SIZE, np.zeros(1, dtype=np.uint16)).events
    reported, changed = _layout()[1]["sched_process_exec"], bytearray(page)
    for offset in events.offset[reported.find_rows(events)].tolist():
        start = offset + reported.fields["filename"].offset
        changed[start : start + 4] = (size << 16 | at).to_bytes(4, "little")
    return bytes(changed)


TARGET = Target(
    name="pages",
    check=check,
    seeds=seeds,
    words=(b"\x1d\0\0\0", b"\x1e\0\0\0\xff\xff\xff\xff", b"\x1f\0\0\0", b"\0\0\0\0\xff\xff\0\0",
           b"\xf0\x0f\0\0\0\0\0\0", b"\0\0\0\x80", b"\xff\xff\x10\0"),
    longest=3 * SIZE,
)  # fmt: skip
