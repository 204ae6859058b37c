"""The BPF ring: memory that a kernel would have written, or not."""

import mmap
import struct

from orchestrator.backends.bcc.counts.ring import (
    BUSY,
    DISCARDED,
    HEADER_BYTES,
    LENGTH,
    Ring,
    RingError,
)
from tests.fuzz.target import Target

SIZE = mmap.PAGESIZE
_SIZES = (16, 24, 1, 8)  # of records that a batch asks for, in bytes


class Forged(Ring):
    """A ring of a page over ordinary memory: `consumed` and `produced` are positions in bytes."""

    def __init__(self, consumed: int, produced: int, data: bytes) -> None:
        self._size = SIZE
        self._consumer = memoryview(bytearray(struct.pack("=Q", consumed))).cast("Q")
        self._producer = memoryview(bytearray(struct.pack("=Q", produced))).cast("Q")
        self._data = memoryview(bytearray(data * 2))  # mapped twice, one behind the other
        self._headers = self._data.cast("I")
        self._mapped = 2 * SIZE
        self._at, self._stride, self._lock = consumed, 0, None

    @property
    def consumed(self) -> int:
        """Where producers may write up to, less the ring's size."""
        return self._consumer[0]


def check(data: bytes) -> None:
    """Eight bytes say where the consumer is and what was produced; the rest is the ring. Both
    ways to read give exactly the records that stand between the two positions, or RingError, the
    same whatever is elsewhere; the consumer never passes the producer."""
    consumed, produced, content = _unpacked(data)
    answers = []
    for fill in (b"\0", b"\xff"):
        ring_data = _filled(content, consumed, produced, fill)
        expected = _expected(ring_data, consumed, produced)
        walked = _walked(Forged(consumed, produced, ring_data), produced)
        assert walked == expected, f"{walked} instead of {expected}"
        for size in _SIZES:
            batches = _batched(Forged(consumed, produced, ring_data), produced, size)
            assert batches == expected, f"{batches} instead of {expected}, {size} bytes a record"
        answers.append(expected)
    assert answers[0] == answers[1]


def _unpacked(data: bytes) -> tuple[int, int, bytes]:
    head = data[:8].ljust(8, b"\0")
    start, length = struct.unpack("<IHxx", head)
    consumed = (start << 3) % (1 << 64)
    return consumed, consumed + length, data[8 : 8 + SIZE]


def _filled(content: bytes, consumed: int, produced: int, fill: bytes) -> bytes:
    """The ring's bytes: `content` from the consumer on, up to the producer; else `fill`."""
    used = min(produced - consumed, SIZE)
    straight = content[:used].ljust(used, b"\0") + fill * (SIZE - used)
    turn = -consumed % SIZE
    return straight[turn:] + straight[:turn]


Answer = tuple[list[bytes], str]


def _expected(ring: bytes, at: int, end: int) -> Answer:
    """Records and how it ends, by a reader that knows nothing but the format."""
    found: list[bytes] = []
    if end - at > SIZE:
        return found, "error"
    while at < end:
        header = int.from_bytes((ring * 2)[at % SIZE :][:4], "little")
        length = header & LENGTH
        stride = HEADER_BYTES + (length + 7) // 8 * 8
        if stride > end - at:
            return found, "error"
        if header & BUSY:
            return found, "busy"
        if not header & DISCARDED:
            start = at % SIZE + HEADER_BYTES
            found.append((ring * 2)[start : start + length])
        at += stride
    return found, "empty"


def _ended(ring: Forged, produced: int) -> str:
    assert ring.consumed <= produced, "consumed what was never produced"
    return "busy" if ring.pending else "empty"


def _walked(ring: Forged, produced: int) -> Answer:
    found: list[bytes] = []
    try:
        while more := ring.walk(limit=1):
            found += more
        return found, _ended(ring, produced)
    except RingError:
        return found, "error"


def _batched(ring: Forged, produced: int, size: int) -> Answer:
    """As the reader does: batches, and a walk over one record where there is none."""
    found: list[bytes] = []
    try:
        while True:
            records = ring.batch(size, limit=7)
            if records is not None:
                found += [bytes(record) for record in records]
                ring.advance(len(records))
            elif one := ring.walk(limit=1):
                found += one
            else:
                return found, _ended(ring, produced)
    except RingError:
        return found, "error"


def record_of(payload: bytes, flags: int = 0) -> bytes:
    head = struct.pack("<II", len(payload) | flags, 1)
    return head + payload.ljust((len(payload) + 7) // 8 * 8, b"\0")


def case_of(start: int, *records: bytes) -> bytes:
    body = b"".join(records)
    return struct.pack("<IHxx", start, len(body)) + body


def seeds() -> list[bytes]:
    """Sound rings: alike and odd records, discarded and busy ones, around the end."""
    alike = [record_of(bytes([n] * 24)) for n in range(20)]
    odd = [record_of(bytes(n)) for n in (16, 24, 0, 1, 7, 8, 9, 24)]
    return [
        case_of(0, *alike),
        case_of(SIZE // 8 - 9, *alike),
        case_of(5, *odd, record_of(b"x" * 24, DISCARDED), *alike),
        case_of((1 << 32) - 3, *odd, record_of(b"x" * 24, BUSY), *alike),
        case_of(77, record_of(bytes(SIZE - HEADER_BYTES))),
        case_of(3),
    ]


TARGET = Target(
    name="rings",
    check=check,
    seeds=seeds,
    words=(b"\x18\0\0\0\x01\0\0\0", b"\0\0\0\x80", b"\0\0\0\x40", b"\xff\xff\xff\x3f", b"\0\x10"),
    longest=SIZE + 8,
)
