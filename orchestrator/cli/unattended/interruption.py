"""Signals that end an unattended run before it begins."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

__all__ = ["Interruption", "interruptible"]

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interruption(BaseException):
    """`signal` came. What prepares a run catches no such exception, as it catches no
    KeyboardInterrupt."""

    def __init__(self, number: int) -> None:
        self.signal = signal.Signals(number)
        super().__init__(self.signal.name)


@contextmanager
def interruptible() -> Iterator[None]:
    """While entered, the signals that end a run raise Interruption; SIGHUP not where it was
    ignored, since nohup(1) means it."""
    before = {number: signal.getsignal(number) for number in _ENDING}
    if before[signal.SIGHUP] == signal.SIG_IGN:
        del before[signal.SIGHUP]
    for number in before:
        signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    raise Interruption(number)
