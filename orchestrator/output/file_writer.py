"""Writes to a file without waiting for its file system, which may be frozen or never answer.

A file cannot be polled: write(2) takes as long as it takes (a frozen file system, a lost server).
So a thread does it, one write at a time, and only what was really written counts as taken. The
thread is started by the first write, when this process has dropped its capabilities: threads keep
those that they begin with (capabilities(7)).
"""

import errno
import os
import stat
import threading
from queue import SimpleQueue

__all__ = ["FileWriter"]

_MOST_BYTES = 1 << 20  # of one write
#: How long a write is waited for at once: ordinary ones are done by then.
_QUICK_S = 0.05


class FileWriter:
    """An UnblockedWriter to the file of a descriptor, which stays the caller's. `owned`: as of
    Sink."""

    silence = errno.ETIMEDOUT

    def __init__(self, descriptor: int, *, owned: bool) -> None:
        self._descriptor, self._owned = os.dup(descriptor), owned
        self._jobs: SimpleQueue[bytes | None] = SimpleQueue()
        self._done = threading.Event()
        self._result: int | OSError = 0
        self._thread: threading.Thread | None = None
        self._is_busy = self._is_closed = False
        self._half = 0  # bytes at the end of the file that are no whole line

    def wait(self, patience_s: float) -> bool:
        """Whether the write that was begun is done, waited for at most `patience_s`."""
        return not self._is_busy or self._done.wait(patience_s)

    def write(self, data: memoryview, /) -> int | None:
        """The number of bytes that were written; None: they are still being written, and have to be
        given again. Raises OSError."""
        if not self._is_busy:
            self._begin(bytes(data[:_MOST_BYTES]))
            self._done.wait(_QUICK_S)
        if not self._done.is_set():
            return None
        self._is_busy = False
        if isinstance(self._result, OSError):
            raise self._result
        return self._result

    def close(self) -> None:
        """Close what was opened, when the thread is done with it. Idempotent."""
        if self._is_closed:
            return
        self._is_closed = True
        if self._thread is None:
            os.close(self._descriptor)
        else:
            self._jobs.put(None)

    def _begin(self, data: bytes) -> None:
        self._is_busy = True
        self._done.clear()
        if self._thread is None and not self._start():
            self._do(data)  # without a thread, as well as it can be
            return
        self._jobs.put(data)

    def _start(self) -> bool:
        thread = threading.Thread(target=self._serve, name="probeplan-write", daemon=True)
        try:
            thread.start()
        except RuntimeError:  # this process may have no more of them
            return False
        self._thread = thread
        return True

    def _serve(self) -> None:
        while (data := self._jobs.get()) is not None:
            self._do(data)
        os.close(self._descriptor)

    def _do(self, data: bytes) -> None:
        try:
            taken = os.write(self._descriptor, data)
            self._note_end(data[:taken])
            self._result = taken
        except OSError as error:
            self._result = error
            self._cut_off_half()
        self._done.set()

    def _note_end(self, written: bytes) -> None:
        end = written.rfind(b"\n")
        self._half = self._half + len(written) if end < 0 else len(written) - end - 1

    def _cut_off_half(self) -> None:
        if not (self._owned and self._half):
            return
        try:
            status = os.fstat(self._descriptor)
            if stat.S_ISREG(status.st_mode):
                os.ftruncate(self._descriptor, max(0, status.st_size - self._half))
        except OSError as error:
            self._result = error
        self._half = 0
