"""The ring is read whole, in order, and what does not fit is counted."""

import mmap
import os
import struct
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from orchestrator.backends.bcc.attach import links, load
from orchestrator.backends.bcc.compiler import clang
from orchestrator.backends.bcc.counts import ring
from orchestrator.backends.bcc.counts.ring import Ring, RingError
from orchestrator.backends.bcc.design.maps import MapSpec
from orchestrator.backends.bcc.handles.maps import create_map
from orchestrator.kernel.abi import bpf
from tests.live.bpf.conftest import Workload
from tests.support.bpf_programs import (
    COUNTS,
    COUNTS_SPEC,
    KEY,
    NOBODY,
    RECORD,
    RING,
    counts_of,
    only,
)

SIZE = 1 << 16
STRIDE = 32
KIND = np.dtype([("ts", "u8"), ("pid", "u4"), ("cpu", "u4"), ("arg", "u8")])


class Recorder:
    """A recording program on the raw tracepoint of system calls, and the reader of its ring."""

    def __init__(self, function: str) -> None:
        code = clang.compile_c(RECORD, ["record", "mixed"])[function]
        self.counts = create_map(COUNTS_SPEC)
        self.counts.update(KEY, only(NOBODY))
        spec = MapSpec(name="ring", kind="ringbuf", key_size=0, value_size=0, max_entries=SIZE)
        self.map = create_map(spec)
        maps = {COUNTS: self.counts.fd, RING: self.map.fd}
        self.program = load.load_program(code, bpf.RAW_TRACEPOINT, name=function, maps=maps)
        self.attached = links.attach_raw_tracepoint("sys_enter", self.program)
        self.ring = Ring(self.map.fd, SIZE)
        self.pid = 0

    def watch(self, pid: int) -> None:
        self.pid = pid
        self.counts.update(KEY, only(pid))

    def close(self) -> None:
        self.attached.detach()
        self.ring.close()
        os.close(self.program)
        self.map.close()
        self.counts.close()


@pytest.fixture
def recorder(request: pytest.FixtureRequest) -> Iterator[Recorder]:
    made = Recorder(getattr(request, "param", "record"))
    yield made
    made.close()


def test_each_call_is_a_record_with_its_contents(recorder: Recorder, workload: Workload) -> None:
    """N calls: N records, in order, with the argument, the process and rising times."""
    workload.run("getppid", "1000", before=recorder.watch)
    records = recorder.ring.batch(KIND)
    assert records is not None
    assert list(records["arg"]) == list(range(1000))
    assert set(records["pid"]) == {recorder.pid}
    assert (np.diff(records["ts"].astype(np.int64)) >= 0).all()
    del records
    recorder.ring.advance(1000)
    assert recorder.ring.pending == 0
    assert recorder.ring.batch(KIND) is None


def test_a_full_ring_loses_and_counts(recorder: Recorder, workload: Workload) -> None:
    """recorded + lost = hits, and what was recorded is the beginning."""
    workload.run("getppid", "5000", before=recorder.watch)
    reported = counts_of(recorder.counts.lookup(KEY))
    records = recorder.ring.batch(KIND)
    assert records is not None
    assert reported.hits == 5000
    assert reported.lost > 0
    assert len(records) + reported.lost == 5000
    assert list(records["arg"]) == list(range(len(records)))


@pytest.fixture(params=[ring.WINDOW_BYTES, 2 * mmap.PAGESIZE], ids=["whole", "window"])
def window(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> int:
    """How much of a ring is mapped at first: more than it has, or little."""
    size: int = request.param
    monkeypatch.setattr(ring, "WINDOW_BYTES", size)
    monkeypatch.setattr(ring, "MARGIN_BYTES", mmap.PAGESIZE)
    return size


def test_records_are_read_across_the_rings_end(
    window: int, recorder: Recorder, workload: Workload
) -> None:
    """Almost five times around, a reader alongside the writer: nothing lost, all in order."""
    del window
    seen: list[int] = []

    def read_all() -> None:
        while len(seen) < 10000:
            recorder.ring.wait(1)
            records = recorder.ring.batch(24, limit=700)
            if records is not None:
                seen.extend(records[:, 16:].copy().view("u8")[:, 0].tolist())
                recorder.ring.advance(len(records))

    reader = threading.Thread(target=read_all, daemon=True)
    reader.start()
    for part in range(1, 6):
        workload.run("getppid", "2000", before=recorder.watch)
        _until(lambda part=part: len(seen) == 2000 * part and recorder.ring.pending == 0)
    reader.join(10)
    assert seen == list(range(2000)) * 5


def test_a_large_ring_is_not_mapped_as_a_whole_at_first() -> None:
    """All of it would count as ours."""
    made = create_map(
        MapSpec(name="ring", kind="ringbuf", key_size=0, value_size=0, max_entries=16 << 20)
    )
    large = Ring(made.fd, 16 << 20)
    maps = Path("/proc/self/maps").read_text()
    large.close()
    made.close()
    sizes = [
        int(end, 16) - int(start, 16)
        for line in maps.splitlines()
        if "bpf-map" in line
        for start, end in [line.split()[0].split("-")]
    ]
    assert max(sizes) == ring.WINDOW_BYTES + mmap.PAGESIZE


def _until(condition: object) -> None:
    deadline = time.monotonic() + 30
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.002)


@pytest.mark.parametrize("recorder", ["mixed"], indirect=True)
def test_discarded_and_odd_records_are_told_apart(recorder: Recorder, workload: Workload) -> None:
    """A batch passes over the discarded and stops before another size; walk gives exact lengths."""
    workload.run("getppid", "12", before=recorder.watch)
    first = recorder.ring.batch(16)
    assert first is not None
    assert first.copy().view("u8").tolist() == [[1, 1], [2, 2]]
    recorder.ring.advance(2)
    assert recorder.ring.batch(16) is None
    rest = recorder.ring.walk()
    assert [len(one) for one in rest] == [20, 16, 16, 20, 16, 16, 20]
    assert [struct.unpack_from("=Q", one)[0] for one in rest] == [3, 5, 6, 7, 9, 10, 11]
    assert recorder.ring.pending == 0


def test_an_idle_reader_is_woken_by_a_record(recorder: Recorder, workload: Workload) -> None:
    """wait() returns long before its timeout once a record comes."""
    answers: list[bool] = []
    reader = threading.Thread(target=lambda: answers.append(recorder.ring.wait(60)), daemon=True)
    reader.start()
    workload.run("getppid", "1", before=recorder.watch)
    reader.join(20)
    assert answers == [True]


def test_waiting_for_nothing_ends(recorder: Recorder) -> None:
    recorder.watch(os.getpid())
    assert not recorder.ring.wait(0.01)


class Forged(Ring):
    """A ring over ordinary memory, so that it can hold what no kernel writes."""

    def __init__(self, *, produced: int, header: int) -> None:
        size = mmap.PAGESIZE
        made = create_map(
            MapSpec(name="r", kind="ringbuf", key_size=0, value_size=0, max_entries=size)
        )
        super().__init__(made.fd, size)
        made.close()
        self._producer = memoryview(bytearray(struct.pack("=Q", produced))).cast("Q")
        self._data = memoryview(bytearray(struct.pack("=I", header).ljust(2 * size, b"\0")))
        self._headers = self._data.cast("I")


@pytest.mark.parametrize(
    ("produced", "header"),
    [
        (24, 17),  # longer than what was produced
        (24, ring.LENGTH),
        (24, ring.DISCARDED | 4000),
        (24, ring.BUSY | 400),
        (4, 0),  # not even a header
        (mmap.PAGESIZE + 8, 16),  # more than the ring holds
        (2**64 - 8, 16),
    ],
)
def test_impossible_contents_are_an_error(produced: int, header: int) -> None:
    """No length is believed beyond the producer's position."""
    for read in (lambda forged: forged.batch(16), lambda forged: forged.walk()):
        with pytest.raises(RingError):
            read(Forged(produced=produced, header=header))


def test_a_record_that_is_mapped_in_part_is_mapped_whole() -> None:
    """Four records of 24 bytes are in the first 110 bytes, and the head of a fifth."""
    forged = Forged(produced=24 * 10, header=16)
    for number in range(10):
        struct.pack_into("=I", forged._data, 24 * number, 16)
    forged._mapped = 110
    forged._unmap_data = lambda: None  # type: ignore[method-assign]  # the memory stays
    forged._map_data = lambda size: setattr(forged, "_mapped", size)  # type: ignore[method-assign]  # as above
    read = []
    while (records := forged.batch(16)) is not None:
        read.append(len(records))
        forged.advance(len(records))
    assert read == [4, 6]


def test_a_busy_record_waits() -> None:
    """Nothing is read past a record that is still being written."""
    forged = Forged(produced=48, header=ring.BUSY | 16)
    assert forged.batch(16) is None
    assert forged.walk() == []


def test_the_record_size_is_exact() -> None:
    """A record of 17 bytes is not taken for one of 16, nor for one of 24."""
    forged = Forged(produced=32, header=17)
    assert forged.batch(16) is None
    assert forged.batch(24) is None
    assert [len(one) for one in forged.walk()] == [17]


@pytest.mark.parametrize("size", [0, 100, 5000, 2048])
def test_a_ring_of_a_wrong_size_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match="power of two"):
        Ring(0, size)
