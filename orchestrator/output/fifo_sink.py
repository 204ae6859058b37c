"""Lines for a FIFO, whose reader may be missing, end, or come back: the run goes on, and what no
process read is counted.

A FIFO stays one pipe as long as any process has it open (fifo(7), pipe(7)). So it is kept open when
its reader ends (EPIPE), and the next reader goes on in the same pipe; one that was made again under
the same name is opened in its place.
"""

import contextlib
import errno
import io
import os
import time
from typing import ClassVar

from orchestrator.output.safe_open import open_fifo
from orchestrator.output.unblocked import UnblockedSink, is_writable

__all__ = ["FifoSink"]

_LOOK_S = 0.25  # how often at most a missing reader is looked for
_NEWLINE = 10


class FifoSink(UnblockedSink):
    """The lines for the readers of the FIFO at `path`. It never fails and holds up no run.

    What waits for a reader that stops is bounded, and dropped at that bound. A line that the end of
    a reader cut counts as lost, although the next reader of the same pipe gets its rest.

    Raises OSError when the FIFO cannot be opened, but not because a reader is missing.
    """

    most_bytes: ClassVar[int] = 16 << 20

    def __init__(self, path: str) -> None:
        self._pipe = _Pipe(path)
        super().__init__(io.BytesIO(), self._pipe)

    @property
    def has_reader(self) -> bool:
        """Whether a process reads the FIFO, as far as is known."""
        return self._pipe.has_reader

    @property
    def throttles(self) -> bool:
        """No: a slow reader is none of the run's business."""
        return False

    @property
    def is_lossy(self) -> bool:
        """It is."""
        return True

    @property
    def unread(self) -> int:
        """As of Sink."""
        return self.lost

    def _fail(self, code: int) -> None:
        """Drop what waits, and go on. Of a line that is half written, the rest is owed."""
        if self._queue:
            self._pipe.owe(self._queue[0].rest)
        super()._fail(code)
        self.failed = None


class _Pipe:
    """An UnblockedWriter to the FIFO that has this path now."""

    silence = errno.EAGAIN

    def __init__(self, path: str) -> None:
        self._path = path
        self._descriptor = -1
        self._owed = b""  # the rest of a line that is in the pipe
        self._is_mid_line = False
        self._look_at = 0.0
        self.has_reader = False
        try:
            self._use(open_fifo(path))
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise

    def wait(self, patience_s: float) -> bool:
        """As of UnblockedWriter."""
        return not self.has_reader or is_writable(self._descriptor, patience_s)

    def write(self, data: memoryview, /) -> int | None:
        """As of UnblockedWriter; BrokenPipeError while no process reads the FIFO."""
        if not self.has_reader:
            self._look_for_reader()
        try:
            if self._owed:
                self._owed = self._owed[os.write(self._descriptor, self._owed) :]
                self._is_mid_line = bool(self._owed)
                if self._owed:
                    return None
            taken = os.write(self._descriptor, data)
        except BlockingIOError:
            return None
        except BrokenPipeError:
            self.has_reader = False
            raise
        self.has_reader = True
        self._is_mid_line = data[taken - 1] != _NEWLINE
        return taken

    def owe(self, rest: memoryview) -> None:
        """Remember the rest of the line that was written last, if it has one. `rest` begins where
        writing stopped."""
        if self._is_mid_line and not self._owed:
            self._owed = bytes(rest).partition(b"\n")[0] + b"\n"

    def close(self) -> None:
        """As of UnblockedWriter."""
        self._use(-1)

    def _look_for_reader(self) -> None:
        """A reader of the pipe that is open shows in the next write; another one is looked for now
        and then. Raises BrokenPipeError when there can be none."""
        if time.monotonic() >= self._look_at:
            self._look_at = time.monotonic() + _LOOK_S
            if not self._is_current():
                with contextlib.suppress(OSError):
                    self._use(open_fifo(self._path))
        if self._descriptor < 0:
            raise BrokenPipeError(errno.EPIPE, os.strerror(errno.EPIPE))

    def _is_current(self) -> bool:
        """Whether the pipe that is open is what the path names."""
        if self._descriptor < 0:
            return False
        try:
            return os.path.samestat(os.stat(self._path), os.fstat(self._descriptor))  # noqa: PTH116  # no Path at start-up
        except OSError:
            return True  # there is nothing else to open

    def _use(self, descriptor: int) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
        self._descriptor, self.has_reader = descriptor, descriptor >= 0
        self._owed, self._is_mid_line = b"", False
