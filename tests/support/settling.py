"""What becomes so after a while: counters of programs that still run, ends of processes."""

import time
from collections.abc import Callable
from typing import TypeVar

Reading = TypeVar("Reading")
SECONDS = 3.0  # as a run waits: a program may be preempted that long on a busy host


def settled(read: Callable[[], Reading], balances: Callable[[Reading], bool]) -> Reading:
    """The first reading that balances, or the last one after three seconds. A program that was
    running when its session was disarmed has counted an event and not yet what became of it."""
    deadline = time.monotonic() + SECONDS
    while True:
        reading = read()
        if balances(reading) or time.monotonic() > deadline:
            return reading
        time.sleep(0.01)


def until(holds: Callable[[], object], seconds: float = 30) -> bool:
    """Wait for a condition; False where it does not come."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.005)
    return True
