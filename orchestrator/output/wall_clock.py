"""Wall time (CLOCK_REALTIME) of moments that the kernel stamps by CLOCK_MONOTONIC.

The distance of the two clocks changes when the system's clock is set, and when the machine was
suspended. So it is measured again from time to time, and all moments are converted by the latest
distance: they are ordered as they happened, and agree with what date(1) says now.
"""

import time

from orchestrator.output.log import format_timestamp

__all__ = ["WallClock", "measure_offset"]

_TRIES = 3
#: Smaller changes are measuring errors, or the clock being slewed.
_TOLERANCE_NS = 1_000_000


class WallClock:
    """The distance of the clocks as it was last measured: `offset_ns`, to be added to
    CLOCK_MONOTONIC."""

    def __init__(self) -> None:
        self.offset_ns = measure_offset()

    def follow(self) -> int:
        """Measure again. Returns by how many ns the clock was moved, 0 where it was not."""
        now = measure_offset()
        step = now - self.offset_ns
        if abs(step) < _TOLERANCE_NS:
            return 0
        self.offset_ns = now
        return step

    def stamp(self, monotonic_ns: int) -> str:
        """RFC 3339 of a moment by CLOCK_MONOTONIC."""
        return format_timestamp(monotonic_ns + self.offset_ns)

    def window(self, start_ns: int, end_ns: int) -> dict[str, str]:
        """A window between two moments by CLOCK_MONOTONIC, both converted at the same time: it does
        not end before it starts, whenever the clock was set."""
        return {"start": self.stamp(start_ns), "end": self.stamp(end_ns)}


def measure_offset() -> int:
    """CLOCK_REALTIME less CLOCK_MONOTONIC, in ns: of some tries the one that was least delayed
    between its reads of the clocks."""
    return min(_measure_once() for _ in range(_TRIES))[1]


def _measure_once() -> tuple[int, int]:
    """(how long it took, the offset), in ns."""
    before = time.monotonic_ns()
    wall = time.time_ns()
    after = time.monotonic_ns()
    return after - before, wall - (before + after) // 2
