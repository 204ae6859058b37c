"""Pages of several CPUs, merged by time however far one of them is behind."""

import os
import struct
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.backends.tracefs.reader import drain as drain_module
from orchestrator.backends.tracefs.reader.drain import Drain

PAGE, FOREVER = 4096, (1 << 63) - 1
HEADER = "\tfield: char data;\toffset:16;\tsize:4080;\tsigned:1;\n"


def page_of(times: list[int]) -> bytes:
    """A page as the kernel writes it, with an event of 8 bytes at each time (ns, ascending)."""
    last, body = times[0], b""
    for time in times:
        body += struct.pack("<I", 2 | (time - last) << 5) + struct.pack("<HBBi", 7, 0, 0, 42)
        last = time
    return struct.pack("<QQ", times[0], len(body)) + body + bytes(PAGE - 16 - len(body))


@contextmanager
def drained(folder: Path, pages: Mapping[int, list[list[int]]], batch: int = 2) -> Iterator[Drain]:
    """A drain of these pages by CPU, of which it reads `batch` at once."""
    (folder / "events").mkdir(exist_ok=True)
    (folder / "events/header_page").write_text(HEADER)
    pipes = {}
    for cpu, its in pages.items():
        out, into = os.pipe2(os.O_NONBLOCK)
        for times in its:
            assert os.write(into, page_of(times)) == PAGE
        os.close(into)
        pipes[cpu] = out
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drain_module, "_BATCH", batch * PAGE)
        patch.setattr(drain_module, "_MOST_HELD", 3)
        instance = SimpleNamespace(open_pipes=lambda: pipes, tracefs=folder)
        yield Drain(instance)  # type: ignore[arg-type]  # all that it uses of an instance
    for pipe in pipes.values():
        os.close(pipe)


def take_all(drain: Drain) -> tuple[list[tuple[int, int]], int]:
    """(time, cpu) of all events in the order in which they came, and the most that were held."""
    seen, held, has_more = [], 0, True
    while has_more:
        events, has_more = drain.take_events(FOREVER)
        seen += list(zip(events.time.tolist(), events.cpu.tolist(), strict=True))
        held = max(held, int(np.bincount(drain._held.cpu, minlength=1).max()))
    return seen, held


def test_a_busy_cpu_that_is_behind_holds_the_others_back(tmp_path: Path) -> None:
    """The other's pages reach far ahead; none of their events comes before the busy one's, and
    they wait in its buffer, so that not all of them are held here."""
    busy = [list(range(at, at + 100)) for at in range(0, 1200, 100)]
    ahead = [[time + 1150 for time in times] for times in busy]
    with drained(tmp_path, {0: busy, 1: ahead}) as drain:
        seen, held = take_all(drain)
    assert [time for time, _ in seen] == sorted(time for time, _ in seen)
    assert len(seen) == 2400
    assert held <= 3 + 100


@given(
    st.lists(st.lists(st.integers(0, 50), min_size=1, max_size=40), min_size=1, max_size=8),
    st.lists(st.lists(st.integers(0, 50), min_size=1, max_size=40), min_size=1, max_size=8),
)
def test_all_events_come_once_and_in_time_order(
    tmp_path_factory: pytest.TempPathFactory, first: list[list[int]], second: list[list[int]]
) -> None:
    def pages(gaps: list[list[int]]) -> list[list[int]]:
        ends = np.cumsum([gap for part in gaps for gap in part])
        return [part.tolist() for part in np.split(ends, np.cumsum([len(g) for g in gaps])[:-1])]

    by_cpu = {0: pages(first), 3: pages(second)}
    with drained(tmp_path_factory.mktemp("drain"), by_cpu) as drain:
        seen, _ = take_all(drain)
    times = [time for time, _ in seen]
    assert times == sorted(times)
    expected = sorted((time, cpu) for cpu, its in by_cpu.items() for page in its for time in page)
    assert sorted(seen) == expected


def test_what_may_still_be_preceded_is_held_back(tmp_path: Path) -> None:
    """Events after the time that is asked for wait for the next call."""
    with drained(tmp_path, {0: [[10, 20, 30]]}) as drain:
        events, _ = drain.take_events(20)
        assert events.time.tolist() == [10, 20]
        events, _ = drain.take_events(FOREVER)
        assert events.time.tolist() == [30]
