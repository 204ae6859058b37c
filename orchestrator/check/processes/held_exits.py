"""Processes that are held for a moment before they end: only then do addresses of their code still
have names. What they do and how they end is as it would be; it takes longer."""

import contextlib
import time
from collections.abc import Callable

from orchestrator.kernel.abi import ptrace

__all__ = ["HeldExits"]

_PAUSE_S, _PATIENCE_S = 0.001, 1.0


class HeldExits:
    """Follows a seized process that is stopped, and all that it starts. `before_exit` is called
    while a task is stopped before its end. To be used by the thread that has seized the process."""

    def __init__(self, pid: int, before_exit: Callable[[], object]) -> None:
        self._root, self._before_exit = pid, before_exit
        self._tasks = {pid}

    def let_go(self) -> None:
        """Let the process run."""
        ptrace.follow(self._root)

    @property
    def is_following(self) -> bool:
        """Whether any task is still traced."""
        return bool(self._tasks)

    def handle_stops(self) -> None:
        """Let every task that has stopped go on, after `before_exit` where it is about to end,
        until none is stopped."""
        while sum(self._handle_stop(task) for task in list(self._tasks)):
            pass

    def _handle_stop(self, task: int) -> bool:
        stop = ptrace.next_stop(task)
        if stop is None:
            return False
        if stop.why == "gone":
            self._tasks.discard(task)
            return True
        if stop.why == "started" and stop.child:
            self._tasks.add(stop.child)
        if stop.why == "exiting":
            self._before_exit()
        ptrace.go_on(task, stop)
        return True

    def release(self) -> None:
        """Follow nothing any more: those that have ended are forgotten, the others run on."""
        self.handle_stops()
        for task in list(self._tasks):
            with contextlib.suppress(ProcessLookupError):
                ptrace.interrupt(task)
        deadline = time.monotonic() + _PATIENCE_S
        while self._tasks and time.monotonic() < deadline:
            for task in list(self._tasks):
                self._detach_stopped(task)
            time.sleep(_PAUSE_S)

    def _detach_stopped(self, task: int) -> None:
        stop = ptrace.next_stop(task)
        if stop is None:
            return
        if stop.why == "started" and stop.child:
            self._tasks.add(stop.child)
        if stop.why == "signal":  # it would be lost
            ptrace.go_on(task, stop)
            with contextlib.suppress(ProcessLookupError):
                ptrace.interrupt(task)
            return
        self._tasks.discard(task)
        if stop.why != "gone":
            with contextlib.suppress(ProcessLookupError):
                ptrace.detach(task)
