"""What a fuzz target is, and the limits under which each of its cases runs."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

#: CPU seconds of this process that one case may take: other work on the machine does not count.
CASE_SECONDS = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """`check` takes any bytes and raises what is a fault: AssertionError, or an exception that is
    not documented where it came from. `seeds` are cases to start from, `words` pieces that inputs
    are made of, `longest` the bytes of the longest case."""

    name: str
    check: Callable[[bytes], None]
    seeds: Callable[[], list[bytes]]
    words: tuple[bytes, ...] = ()
    longest: int = 4096


class Hang(AssertionError):
    """A case took more CPU time than any may."""


@contextmanager
def limited(seconds: float = CASE_SECONDS) -> Iterator[None]:
    """Raises Hang in the main thread when the process has computed for `seconds`."""

    def too_long(_signal: int, _frame: FrameType | None) -> None:
        raise Hang(f"more than {seconds:g} s of CPU time")

    before = signal.signal(signal.SIGVTALRM, too_long)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
