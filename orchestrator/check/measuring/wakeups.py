"""A descriptor that can be read once a signal has come, for a process that sleeps in poll(2)."""

import contextlib
import signal
import socket
from types import TracebackType
from typing import Self

__all__ = ["SignalWakeup"]


class SignalWakeup:
    """While entered, every signal that Python handles makes `fileno` readable. In another thread
    than the main one nothing comes. Python itself repeats a poll(2) that a signal has ended."""

    def __init__(self) -> None:
        self._ours, self._theirs = socket.socketpair()
        for end in (self._ours, self._theirs):
            end.setblocking(False)
        self._before = -1

    def __enter__(self) -> Self:
        with contextlib.suppress(ValueError):  # not the main thread
            self._before = signal.set_wakeup_fd(self._theirs.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with contextlib.suppress(ValueError):
            signal.set_wakeup_fd(self._before)
        self._ours.close()
        self._theirs.close()

    def fileno(self) -> int:
        """The descriptor."""
        return self._ours.fileno()
