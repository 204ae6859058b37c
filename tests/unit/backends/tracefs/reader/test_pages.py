"""The page decoder: exact on what the kernel writes, harmless on anything else."""

import struct
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.backends.tracefs.reader import pages
from orchestrator.backends.tracefs.reader.events import SLACK, gather_rows, join_events, no_events

SIZE = 4096
Found = list[tuple[int, bytes, int]]


@dataclass(slots=True)
class Page:
    """A page as the kernel would write it, and what is in it: (time, payload, page)."""

    raw: bytes
    events: list[tuple[int, bytes]]


@st.composite
def written_pages(draw: st.DrawFn) -> Page:
    """A sound page of random events, extends, stamps and paddings."""
    time = draw(st.integers(0, 2**58))
    start, body = time, b""
    events: list[tuple[int, bytes]] = []
    for _ in range(draw(st.integers(0, 60))):
        what = draw(st.sampled_from(["small", "small", "large", "extend", "stamp", "padding"]))
        delta = draw(st.integers(0, 2**27 - 1))
        if what == "small":
            words = draw(st.integers(2, 28))
            payload = draw(st.binary(min_size=words * 4, max_size=words * 4))
            piece, time = struct.pack("<I", words | delta << 5) + payload, time + delta
        elif what == "large":
            payload = draw(st.binary(min_size=116, max_size=240).map(lambda b: b[: len(b) & ~3]))
            piece = struct.pack("<II", delta << 5, len(payload) + 4) + payload
            time += delta
        elif what == "extend":
            high = draw(st.integers(0, 1000))
            piece, time = struct.pack("<II", 30 | delta << 5, high), time + (high << 27) + delta
        elif what == "stamp":
            high = draw(st.integers(time >> 27, (time >> 27) + 1000))
            piece, time = struct.pack("<II", 31 | delta << 5, high), (high << 27) + delta
        else:
            length = draw(st.integers(1, 10)) * 4
            delta = max(1, delta)
            piece = struct.pack("<II", 29 | delta << 5, length) + bytes(length - 4)
            time += delta
        if len(body) + len(piece) > SIZE - 16:
            break
        body += piece
        if what in ("small", "large"):
            events.append((time, payload))
    flags = draw(st.sampled_from([0, 1 << 31]))
    raw = struct.pack("<QQ", start, len(body) | flags) + body
    return Page(raw.ljust(SIZE, b"\xff"), events)


def buffer_of(raws: list[bytes]) -> npt.NDArray[np.uint8]:
    """Pages one behind the other, with the slack that buffers have."""
    return np.frombuffer(b"".join(raws) + bytes(SLACK), dtype=np.uint8)


def walked(raws: list[bytes], walk: str) -> tuple[Found, int]:
    """Events by one of the two walks: (time, payload, page), and errors."""
    buffer = buffer_of(raws)
    time, offset, length, page, corrupt = getattr(pages, walk)(
        buffer[: len(raws) * SIZE], len(raws), SIZE
    )
    found = [
        (int(t), bytes(buffer[o : o + n]), int(p))
        for t, o, n, p in zip(time, offset, length, page, strict=True)
    ]
    return found, corrupt


@pytest.mark.parametrize("walk", ["_walk_few", "_walk_many"])
@settings(deadline=None, max_examples=60)
@given(st.lists(written_pages(), min_size=1, max_size=4))
def test_sound_pages_are_read_exactly(walk: str, written: list[Page]) -> None:
    """Times through deltas, extends and absolute stamps; payloads byte for byte; no errors."""
    found, corrupt = walked([page.raw for page in written], walk)
    expected = [
        (time, payload, number)
        for number, page in enumerate(written)
        for time, payload in page.events
    ]
    assert (found, corrupt) == (expected, 0)


def mutated(page: Page, changes: list[tuple[int, int]]) -> bytes:
    """A page with some of its bytes changed."""
    raw = bytearray(page.raw)
    for at, byte in changes:
        raw[at] = byte
    return bytes(raw)


damaged = st.one_of(
    st.binary(min_size=64, max_size=64).map(lambda b: b * (SIZE // 64)),
    st.builds(
        mutated,
        written_pages(),
        st.lists(st.tuples(st.integers(0, SIZE - 1), st.integers(0, 255)), max_size=8),
    ),
    st.builds(
        mutated, written_pages(), st.lists(st.tuples(st.integers(8, 40), st.integers(0, 255)))
    ),
)


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(st.lists(damaged, min_size=1, max_size=4))
def test_damaged_pages_neither_hang_nor_lead_outside(raws: list[bytes]) -> None:
    """Whatever is in a page: both walks end, agree, and stay within committed bytes."""
    few, many = walked(raws, "_walk_few"), walked(raws, "_walk_many")
    assert few == many
    buffer = buffer_of(raws)
    decoded = pages.decode_pages(buffer, len(raws), SIZE, np.zeros(len(raws), dtype=np.uint16))
    ends = decoded.events.offset + decoded.events.length
    for offset, end in zip(decoded.events.offset, ends, strict=True):
        number = int(offset) // SIZE
        commit = struct.unpack_from("<Q", raws[number], 8)[0] & ((1 << 20) - 1)
        assert (
            number * SIZE + 16 <= offset < end <= number * SIZE + 16 + commit <= (number + 1) * SIZE
        )


def test_a_commit_beyond_the_page_is_an_error() -> None:
    """Such a page is counted and nothing of it is read."""
    raw = struct.pack("<QQ", 1, SIZE) + bytes(SIZE - 16)
    for walk in ("_walk_few", "_walk_many"):
        assert walked([raw], walk) == ([], 1)


@pytest.mark.slow
@settings(deadline=None, max_examples=60)
@given(st.lists(written_pages(), min_size=1, max_size=3))
def test_events_survive_packing_and_joining(written: list[Page]) -> None:
    """What is held back until the next drain is the same then."""
    buffer = buffer_of([page.raw for page in written])
    cpus = np.arange(len(written), dtype=np.uint16)
    events = pages.decode_pages(buffer, len(written), SIZE, cpus).events
    both = join_events(join_events(no_events(), events.copy_packed()), events)
    assert len(both) == 2 * len(events)
    for i in range(len(events)):
        size = int(events.length[i])
        one, two = (gather_rows(both.buffer, both.offset[[k]], size) for k in (i, i + len(events)))
        assert bytes(one[0]) == bytes(two[0])
    assert (both.kind[: len(events)] == events.kind).all()
