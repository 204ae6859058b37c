"""A sink that never waits: what a slow reader does not take yet is kept in a bounded queue.

A pipe, a terminal or a socket whose reader stops reading, or a file whose file system does not
answer, would otherwise hold up the writer, and a run could not detach its probes at its deadline.

The descriptor that we were given may be shared with other programs, for whom O_NONBLOCK must not
change. So a pipe or terminal is opened once more through procfs, which gives a separate file
description (proc(5), /proc/PID/fd; the flag belongs to it, open(2)), and a socket is asked for each
message (send(2), MSG_DONTWAIT).
"""

import contextlib
import errno
import io
import os
import select
import stat
from collections import deque
from typing import BinaryIO, ClassVar, Protocol, TextIO, cast

from orchestrator.output.file_writer import FileWriter
from orchestrator.output.sink import OnLost, OutputLost, Sink, ignore_loss
from orchestrator.values import dataclass

__all__ = ["UnblockedSink", "UnblockedWriter", "is_writable", "make_log_sink", "open_unblocked"]
__all__ += ["unblocked_text"]

#: Bytes that wait for a reader at most. A run stops adding records long before: what fills the rest
#: are metrics and notices.
_MOST_BYTES = 64 << 20
_ATOMIC = 512  # a pipe or terminal that is ready takes as much (POSIX, PIPE_BUF is no less)


class UnblockedWriter(Protocol):
    """Writes to a descriptor without waiting. `silence`: the errno that stands for an output which
    takes nothing."""

    @property
    def silence(self) -> int: ...

    def wait(self, patience_s: float) -> bool:
        """Whether `write` may do more now, waited for at most `patience_s`."""

    def write(self, data: memoryview, /) -> int | None:
        """The number of bytes that were taken, None when none can be now: the same bytes have to be
        given again. Raises OSError."""

    def close(self) -> None:
        """Close what was opened for this writer."""


def make_log_sink(stream: BinaryIO | io.RawIOBase, *, owned: bool = False) -> Sink:
    """The sink for the lines of a run: one that never waits, where the reader or the file system of
    `stream` could make it. `owned` as of Sink."""
    writer = open_unblocked(stream) or _open_file(stream, owned=owned)
    return Sink(stream, owned=owned) if writer is None else UnblockedSink(stream, writer)


def open_unblocked(stream: object) -> UnblockedWriter | None:
    """A writer to the same pipe, terminal or socket; None where `stream` is none of them."""
    try:
        descriptor: int = stream.fileno()  # type: ignore[attr-defined]  # it may have none
        mode = os.fstat(descriptor).st_mode
    except (AttributeError, OSError, ValueError):
        return None
    if stat.S_ISSOCK(mode):
        return _SocketWriter(descriptor)
    if stat.S_ISFIFO(mode) or os.isatty(descriptor):
        return _open_again(descriptor) or _CautiousWriter(descriptor)
    return None


def _open_file(stream: object, *, owned: bool) -> FileWriter | None:
    """A writer to the same regular file; None where `stream` is none."""
    try:
        descriptor: int = stream.fileno()  # type: ignore[attr-defined]  # it may have none
        is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
        return FileWriter(descriptor, owned=owned) if is_file else None
    except (AttributeError, OSError, ValueError):
        return None


class UnblockedSink(Sink):
    """Writes as much as the reader takes now, and queues the rest, which `push` writes later.

    A record counts as delivered once it is accepted, and as lost when the queue that holds it is
    given up. At most `most_bytes` of them wait.
    """

    most_bytes: ClassVar[int] = _MOST_BYTES

    def __init__(self, stream: BinaryIO | io.RawIOBase, writer: UnblockedWriter) -> None:
        super().__init__(stream)
        self._writer = writer
        self._queue: deque[_Chunk] = deque()
        self._queued = 0

    @property
    def silence(self) -> int:
        """As of the writer."""
        return self._writer.silence

    @property
    def congested(self) -> bool:
        """Whether lines wait for the reader."""
        return bool(self._queue)

    def write(self, lines: bytes | memoryview, records: int, on_lost: OnLost = ignore_loss) -> None:
        """As of Sink, but does not wait. What is lost of lines that were accepted, in this call or
        later, is reported to `on_lost` and by `failed`."""
        view = memoryview(lines).cast("B")
        self._flush()
        if self._queue and self._queued + len(view) > self.most_bytes:
            self._fail(self.silence)
        if self.failed is not None:
            self.lost += records
            raise OutputLost(self.failed, records)
        self._count_written(len(view), records, 0)
        self._queue.append(_Chunk(view, on_lost))
        self._queued += len(view)
        self._flush()
        if self._queue:  # a copy, since the caller uses its buffer again
            self._queue[-1].rest = memoryview(bytes(self._queue[-1].rest))

    def push(self, patience_s: float) -> bool:
        """Write what waits, for at most `patience_s`; whether the reader took any of it."""
        before = self._queued
        if self._queue and self._writer.wait(patience_s):
            self._flush()
        return self._queued < before

    def give_up(self) -> None:
        """Drop what waits, and all that is written from now on."""
        if self._queue:
            self._fail(self.silence)

    def close(self) -> None:
        """Close what was opened for this sink, not its stream."""
        self._writer.close()

    def _flush(self) -> None:
        try:
            while self._queue:
                chunk = self._queue[0]
                taken = self._writer.write(chunk.rest)
                if taken is None:
                    return
                self._queued -= taken
                chunk.rest = chunk.rest[taken:]
                if not chunk.rest:
                    self._queue.popleft()
        except OSError as error:
            self._fail(error.errno or errno.EIO)

    def _fail(self, code: int) -> None:
        self.failed = code
        queue, self._queue, self._queued = self._queue, deque(), 0
        for chunk in queue:
            lost = bytes(chunk.rest).count(b"\n")  # a line that was begun is lost too
            self._count_written(-len(chunk.rest), -lost, lost)
            chunk.on_lost(lost)


def unblocked_text(stream: TextIO) -> TextIO:
    """The same terminal to draw on, without ever waiting: what it does not take at once is not
    drawn. What is no file is written as ever."""
    return cast("TextIO", _UnblockedText(stream))  # as far as it is used


class _UnblockedText(io.TextIOBase):
    def __init__(self, stream: TextIO) -> None:
        self._stream, self._writer = stream, open_unblocked(stream)
        self._text: list[str] = []

    @property
    def encoding(self) -> str:  # type: ignore[override]  # read-only here
        """That of the terminal."""
        return self._stream.encoding or "utf-8"

    def fileno(self) -> int:
        """Of the terminal."""
        return self._stream.fileno()

    def isatty(self) -> bool:
        """Whether it is a terminal."""
        return self._stream.isatty()

    def write(self, text: str, /) -> int:
        """Keep `text` until `flush`."""
        self._text.append(text)
        return len(text)

    def flush(self) -> None:
        """Draw what was written. Raises OSError when the terminal is gone."""
        text, self._text = "".join(self._text), []
        if self._writer is not None:
            self._writer.write(memoryview(text.encode(self.encoding, "backslashreplace")))
        else:
            self._stream.write(text)
            self._stream.flush()


@dataclass(slots=True)
class _Chunk:
    """Lines that wait: the `rest` of them. `on_lost` gets the number of its records that were
    lost."""

    rest: memoryview
    on_lost: OnLost


def is_writable(descriptor: int, patience_s: float) -> bool:
    """Whether a pipe, terminal or socket takes bytes, or has failed, within this time."""
    ready = select.poll()
    ready.register(descriptor, select.POLLOUT)
    return bool(ready.poll(patience_s * 1e3))


@dataclass(frozen=True, slots=True)
class _OwnWriter:
    """A pipe or terminal that was opened again, by a separate descriptor that does not block."""

    descriptor: int
    silence: int = errno.EAGAIN

    def wait(self, patience_s: float) -> bool:
        return is_writable(self.descriptor, patience_s)

    def write(self, data: memoryview, /) -> int | None:
        try:
            return os.write(self.descriptor, data)
        except BlockingIOError:
            return None

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self.descriptor)


def _open_again(descriptor: int) -> _OwnWriter | None:
    """None where that is not permitted: the pipe of another user, without CAP_DAC_OVERRIDE."""
    flags = os.O_WRONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC
    try:
        return _OwnWriter(os.open(f"/proc/self/fd/{descriptor}", flags))
    except OSError:
        return None


@dataclass(frozen=True, slots=True)
class _CautiousWriter:
    """A pipe or terminal that cannot be opened again: asked before each small write."""

    descriptor: int
    silence: int = errno.EAGAIN

    def wait(self, patience_s: float) -> bool:
        return is_writable(self.descriptor, patience_s)

    def write(self, data: memoryview, /) -> int | None:
        if not is_writable(self.descriptor, 0.0):
            return None
        try:
            return os.write(self.descriptor, data[:_ATOMIC])
        except BlockingIOError:
            return None

    def close(self) -> None:
        """Nothing was opened."""


class _SocketWriter:
    """A socket, by a separate descriptor."""

    silence = errno.EAGAIN

    def __init__(self, descriptor: int) -> None:
        import socket  # 2 ms that files and terminals need not pay

        self._socket, self._at_once = socket.socket(fileno=os.dup(descriptor)), socket.MSG_DONTWAIT

    def wait(self, patience_s: float) -> bool:
        return is_writable(self._socket.fileno(), patience_s)

    def write(self, data: memoryview, /) -> int | None:
        try:
            return self._socket.send(data, self._at_once)
        except BlockingIOError:
            return None

    def close(self) -> None:
        self._socket.close()
