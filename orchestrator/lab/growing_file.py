"""A file that grows while it is passed on."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

_CHUNK_BYTES = 1 << 16


class GrowingFile:
    """Passes what is appended to the file at `path` to `write`. The file need not exist yet.

    The writer is not trusted: a link, a pipe or a device in its place is not opened.
    """

    def __init__(self, path: Path, write: Callable[[bytes], None]) -> None:
        self._path, self._write = path, write
        self._descriptor = -1
        self._offset = 0

    def pass_on(self) -> None:
        """Pass on what is new. Raises what `write` raises."""
        if self._descriptor < 0 and not self._open():
            return
        if os.fstat(self._descriptor).st_size < self._offset:  # it was emptied: `> /dev/stderr`
            self._offset = 0
        while chunk := os.pread(self._descriptor, _CHUNK_BYTES, self._offset):
            self._offset += len(chunk)
            self._write(chunk)

    def close(self) -> None:
        """Close the file. Idempotent."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1

    def _open(self) -> bool:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
        try:
            descriptor = os.open(self._path, flags)
        except OSError:
            return False
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            os.close(descriptor)
            return False
        self._descriptor = descriptor
        return True
