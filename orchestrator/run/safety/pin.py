"""Keeping tracefs within reach for as long as a run has something in it.

An administrator may unmount tracefs lazily, mount something over it or make it read-only meanwhile.
An open directory still leads to it, and a file open for writing makes the kernel refuse to turn the
mount read-only (fs/namespace.c, mnt_make_readonly; mount(2), EBUSY).
"""

import contextlib
import os
from pathlib import Path

__all__ = ["TracefsPin"]

_WRITABLE = ("uprobe_events", "kprobe_events")


class TracefsPin:
    """Holds the tracefs that is mounted at `tracefs`. `path` leads to it until `close`; it is
    `tracefs` itself where there is nothing to hold."""

    def __init__(self, tracefs: Path) -> None:
        self.path = str(tracefs)
        self._held: list[int] = []
        with contextlib.suppress(OSError):
            root = os.open(tracefs, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            self._held.append(root)
            self.path = f"/proc/self/fd/{root}"
        for name in _WRITABLE:  # appending to these files changes nothing before the first write
            with contextlib.suppress(OSError):
                flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
                self._held.append(os.open(tracefs / name, flags))
                break

    def close(self) -> None:
        """Let it go. Idempotent."""
        for descriptor in self._held:
            os.close(descriptor)
        self._held.clear()
