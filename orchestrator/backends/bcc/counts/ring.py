"""The BPF ring buffer, read in bulk through shared memory without copying.

Layout (kernel/bpf/ringbuf.c): page 0 holds the consumer's position and is ours to write; page 1
holds the producer's position; then comes the data, mapped twice in a row, so that everything
between the two positions is contiguous. The kernel counts each page that is mapped as ours, also
those that are empty: mapped as a whole, a ring of 16 MiB adds 32 MiB to this process. So at first
its beginning is mapped, and the rest only when records get there. A record is an 8-byte header (u32
length with bit 31 busy and bit 30 discarded, u32 page offset) and its payload, rounded up to 8
bytes.

Ordering: the producer publishes its position and then each header with release stores. On x86,
plain loads read them in order. Elsewhere a lock is taken and released twice between position and
headers, and between headers and payload: the interpreter has no cheaper fence.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import select
import threading
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    Records = np.ndarray[Any, np.dtype[Any]]

BUSY = 1 << 31
DISCARDED = 1 << 30
LENGTH = DISCARDED - 1
HEADER_BYTES = 8
BATCH_RECORDS = 1 << 16
# The ring must not fill in a pause: 400 MB/s is about the records of four CPUs (2 M per second and
# CPU, 48 bytes each, measured).
FILL_BYTES_PER_SECOND = 400e6
SHORTEST_PAUSE, LONGEST_PAUSE = 0.001, 0.05
WINDOW_BYTES = 1 << 20  # mapped at first
MARGIN_BYTES = 1 << 16  # mapped behind the end: records that go over it are seen in one piece
MANY = 4  # a quarter of the ring is worth reading at once


class RingError(Exception):
    """The ring holds what no kernel writes; none of its contents can be trusted any more."""


def _stride_of(length: int) -> int:
    """Bytes that a record of `length` takes, with its header."""
    return HEADER_BYTES + -(-length // 8) * 8


class Ring:
    """A reader of one ring buffer. `size` is the map's max_entries: bytes, a power of two.

    There may be one reader only. Nothing that batch() returned may be used after advance().
    """

    def __init__(self, map_fd: int, size: int) -> None:
        if size < mmap.PAGESIZE or size & (size - 1):
            raise ValueError(f"a ring has a power of two of bytes, a page at least, not {size}")
        self._map_fd, self._size = map_fd, size
        self._own_page = mmap.mmap(map_fd, mmap.PAGESIZE)
        # Native "Q" is one 8-byte load or store; "<Q" of struct would go byte by byte and could
        # tear.
        self._consumer = memoryview(self._own_page).cast("Q")
        self._map_data(min(WINDOW_BYTES, 2 * size))
        self._at = self._consumer[0]
        self._stride = 0
        self._epoll = select.epoll()
        self._epoll.register(map_fd, select.EPOLLIN)
        self._pause = min(max(size / FILL_BYTES_PER_SECOND, SHORTEST_PAUSE), LONGEST_PAUSE)
        self._was_busy = False
        self._lock = None if os.uname().machine == "x86_64" else threading.Lock()

    def _map_data(self, size: int) -> None:
        """Map the producer's position, and the first `size` bytes of the data."""
        page = mmap.PAGESIZE
        self._rest = mmap.mmap(self._map_fd, page + size, prot=mmap.PROT_READ, offset=page)
        self._producer = memoryview(self._rest)[:page].cast("Q")
        self._data = memoryview(self._rest)[page:]
        self._headers = self._data.cast("I")
        self._mapped = size

    def _reach(self, end: int) -> None:
        """Have the data mapped up to `end`, counted from its beginning."""
        if end > self._mapped:
            self._unmap_data()
            once = min(self._size + MARGIN_BYTES, 2 * self._size)
            self._map_data(once if end <= once else 2 * self._size)

    @property
    def pending(self) -> int:
        """Bytes reserved by producers and not yet consumed, headers included."""
        return self._check_producer() - self._at

    def batch(self, record: np.dtype[Any] | int, limit: int = BATCH_RECORDS) -> Records | None:
        """The complete records at the front that have the same size, without copying.

        `record` is the payload's structured dtype (an array of it is returned) or its size in bytes
        (an n by size array of bytes is returned). None when nothing is complete at the front, or
        when the front has another size: `walk` reads that. Discarded records at the front are
        skipped. Raises RingError.
        """
        import numpy as np

        kind = np.dtype((np.uint8, (record,))) if isinstance(record, int) else record
        self._skip_discarded()
        self._stride = _stride_of(kind.itemsize)
        start = self._at & (self._size - 1)
        most = min((self._check_producer() - self._at) // self._stride, limit)
        if most == 0:
            return None
        self._reach(start + self._stride)
        most = min(most, (self._mapped - start) // self._stride)
        self._order_loads()
        headers = np.ndarray((most,), np.uint32, self._data, start, (self._stride,))
        alike = headers == kind.itemsize
        count = most if alike.all() else int(alike.argmin())
        if count == 0:
            return None
        self._order_loads()
        return np.ndarray(
            (count, *kind.shape), kind.base, self._data, start + HEADER_BYTES,
            (self._stride, *(kind.base.itemsize for _ in kind.shape)),
        )  # fmt: skip

    def advance(self, count: int) -> None:
        """Give the first `count` records of the last batch back to the producers."""
        self._move_on(count * self._stride)

    def walk(self, limit: int = BATCH_RECORDS) -> list[bytes]:
        """Copy and consume up to `limit` complete records of any size, skipping discarded ones.

        Raises RingError.
        """
        records: list[bytes] = []
        while len(records) < limit and (header := self._read_header()) is not None:
            length = header & LENGTH
            if not header & DISCARDED:
                self._order_loads()
                start = (self._at & (self._size - 1)) + HEADER_BYTES
                self._reach(start + length)
                records.append(bytes(self._data[start : start + length]))
            self._move_on(_stride_of(length))
        return records

    def wait(self, timeout: float) -> bool:
        """Sleep until there is something to read, at most `timeout` seconds; return whether there
        is.

        While records keep coming it pauses for a time in which the ring cannot fill, so that
        batches are large; when none came in a pause it sleeps in epoll. Records submitted with
        flags 0 wake it: the kernel then notifies only when the reader has caught up, which is once
        per pause and not once per record.
        """
        if self.pending * MANY >= self._size:
            return True
        if self._was_busy or self.pending:
            time.sleep(min(self._pause, timeout))
            self._was_busy = self.pending > 0
            if self._was_busy or timeout <= self._pause:
                return self._was_busy
            timeout -= self._pause
        self._epoll.poll(timeout)
        self._was_busy = self.pending > 0
        return self._was_busy

    def fileno(self) -> int:
        """A descriptor that can be read when the kernel says that there are records."""
        return self._epoll.fileno()

    def close(self) -> None:
        """Unmap; what batch() returned and is still held keeps its part mapped."""
        self._epoll.close()
        self._unmap_data()
        with contextlib.suppress(BufferError):
            self._consumer.release()
        with contextlib.suppress(BufferError):
            self._own_page.close()

    def _unmap_data(self) -> None:
        for view in (self._headers, self._data, self._producer):
            with contextlib.suppress(BufferError):
                view.release()
        with contextlib.suppress(BufferError):
            self._rest.close()

    def _check_producer(self) -> int:
        produced = self._producer[0]
        if not 0 <= produced - self._at <= self._size:
            raise RingError(
                f"producer at {produced}, reader at {self._at}, in a ring of {self._size} bytes"
            )
        return produced

    def _read_header(self) -> int | None:
        """The header at the front, or None when it is busy or there is none."""
        left = self._check_producer() - self._at
        if left == 0:
            return None
        start = self._at & (self._size - 1)
        self._reach(start + HEADER_BYTES)
        self._order_loads()
        header = self._headers[start // 4]
        if _stride_of(header & LENGTH) > left:
            raise RingError(
                f"a record of {header & LENGTH} bytes at {self._at} where {left} were produced"
            )
        return None if header & BUSY else header

    def _skip_discarded(self) -> None:
        while (header := self._read_header()) is not None and header & DISCARDED:
            self._move_on(_stride_of(header & LENGTH))

    def _move_on(self, size: int) -> None:
        self._at += size
        self._order_loads()
        self._consumer[0] = self._at

    def _order_loads(self) -> None:
        if self._lock is not None:
            for _ in range(2):
                with self._lock:
                    pass
