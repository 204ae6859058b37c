"""Where lines go: a binary stream that may be closed, be full, or take only part of a write."""

import errno
import os
import select
import stat
from collections.abc import Callable
from io import RawIOBase
from typing import BinaryIO, Protocol

__all__ = ["OnLost", "OutputLost", "Sink", "explain_failure", "ignore_loss"]

#: Gets the number of records of a write that were lost after it was accepted.
OnLost = Callable[[int], None]


def ignore_loss(_records: int) -> None:
    """For records that only the sink's own counts have to know of."""


class OutputLost(Exception):
    """Writing the output failed: `errno` says why (EPIPE: its reader is gone; ENOSPC: the disk is
    full), `records_lost` how many of the records of this write were not written whole."""

    def __init__(self, code: int, records_lost: int) -> None:
        super().__init__(code, records_lost)
        self.errno = code
        self.records_lost = records_lost

    def __str__(self) -> str:
        what = f"{self.records_lost:,} records could not be written: " if self.records_lost else ""
        return what + explain_failure(self.errno)


def explain_failure(code: int) -> str:
    """Why an output failed with this errno, for people."""
    reasons = {
        errno.EAGAIN: "its reader has stopped reading",
        errno.ETIMEDOUT: "its file system does not answer",
        errno.EPIPE: "the reader of the output has closed it",
        errno.ENOSPC: "the disk that holds the output is full",
        errno.EDQUOT: "the quota on the disk that holds the output is used up",
        errno.EFBIG: "the output file may not grow further",
    }
    text = os.strerror(code)
    return f"{reasons[code]} ({text})" if code in reasons else text


class _RawStream(Protocol):
    def write(self, data: memoryview, /) -> int | None: ...


class Sink:
    """Writes whole lines and counts them: `delivered` were written, `lost` were not; `bytes` is
    the number of bytes written.

    `stream` is unbuffered, or is flushed and then bypassed, so that an error is reported by the
    write that caused it. `owned`: nothing else writes to this file, so that half a line that a full
    disk left at its end can be cut off.
    """

    def __init__(self, stream: BinaryIO | RawIOBase, *, owned: bool = False) -> None:
        stream.flush()
        self._stream: _RawStream = getattr(stream, "raw", stream)
        self._owned = owned
        self.delivered = 0
        self.lost = 0
        self.bytes = 0
        self.failed: int | None = None  # the errno that ended this output

    @property
    def usable(self) -> bool:
        """Whether it still takes lines."""
        return self.failed is None

    @property
    def congested(self) -> bool:
        """Whether accepted lines wait for a reader; never here, where `write` waits."""
        return False

    @property
    def throttles(self) -> bool:
        """Whether records are to be read no faster than the reader of the lines takes them."""
        return self.congested

    @property
    def is_lossy(self) -> bool:
        """Whether what it loses is only counted, and is no failure of the run."""
        return False

    @property
    def unread(self) -> int:
        """Lines that were lost without an end of the output: no process read them."""
        return 0

    @property
    def silence(self) -> int:
        """The errno that stands for an output which takes nothing."""
        return errno.EAGAIN

    def push(self, patience_s: float) -> bool:
        """Write what waits for a reader, for at most `patience_s`; whether any was taken."""
        del patience_s
        return False

    def give_up(self) -> None:
        """Drop what waits for a reader."""

    def close(self) -> None:
        """Close what was opened for the sink, not its stream. Idempotent."""

    def write(self, lines: bytes | memoryview, records: int, on_lost: OnLost = ignore_loss) -> None:
        """Write `lines`, which hold `records` records, one a line. Raises OutputLost; records that
        were accepted are never lost here, so that `on_lost` is not called."""
        del on_lost
        if self.failed is not None:
            self.lost += records
            raise OutputLost(self.failed, records)
        view = memoryview(lines).cast("B")
        done = 0
        try:
            while done < len(view):
                done += self._stream.write(view[done:]) or self._wait_writable()
        except OSError as error:
            self.failed = error.errno or errno.EIO
            whole = self._whole_lines(view[:done])
            self._count_written(done, whole, records - whole)
            raise OutputLost(self.failed, records - whole) from error
        self._count_written(done, records, 0)

    def _count_written(self, size: int, delivered: int, lost: int) -> None:
        self.bytes += size
        self.delivered += delivered
        self.lost += lost

    def _wait_writable(self) -> int:
        """Wait until a non-blocking stream that is full takes bytes again."""
        if not isinstance(self._stream, RawIOBase):
            raise OSError(errno.EIO, "the stream takes no bytes")
        poll = select.poll()
        poll.register(self._stream.fileno(), select.POLLOUT)
        poll.poll()
        return 0

    def _whole_lines(self, written: memoryview) -> int:
        text = bytes(written)
        half = len(text) - (text.rfind(b"\n") + 1)
        if self._owned and half and isinstance(self._stream, RawIOBase):
            self._cut_off(self._stream.fileno(), half)
        return text.count(b"\n")

    @staticmethod
    def _cut_off(descriptor: int, size: int) -> None:
        status = os.fstat(descriptor)
        if stat.S_ISREG(status.st_mode):
            os.ftruncate(descriptor, max(0, status.st_size - size))
