"""Readings of all metrics, those that figures combine at one moment where that can be had.

Metrics lie in several maps of the kernel, which are read one after the other while events go on.
Where a figure combines several metrics (`read.bytes / read.calls`), events counted in between would
make it wrong in this window, and in the other direction in the next one: by thousands of events
where this process is preempted in between. So such metrics are read again until no event was
counted meanwhile. That takes a gap between events as long as a reading: 0.1 ms for two small
metrics, 5 ms for one of 10,000 cells. Without such a gap the reading with the fewest events in
between is taken, and `events_apart` reports their number.

Guaranteed: any two of these metrics differ by at most `events_apart` events and, on each CPU, the
event that it was counting at that moment.
"""

import math
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from orchestrator.accounting.count import Count, is_known
from orchestrator.backends.protocol import MetricsReading
from orchestrator.cells.cell import Cell
from orchestrator.values import dataclass

__all__ = ["Reading", "Totals", "read_together"]

#: All cells by metric index, as a Session gives them: totals since the probes were armed.
Totals = Mapping[int, Sequence[Cell]]

#: How long to try for a gap between events, the first reading included. Records wait meanwhile.
_PATIENCE_NS = 10_000_000
_FIRST_PAUSE_S = 50e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """All cells at `at_ns` (CLOCK_MONOTONIC). `events_apart`: how many events were counted while
    the metrics that figures combine were read, as in MetricsReading."""

    cells: Totals
    at_ns: int
    events_apart: Count = 0


def read_together(
    read: Callable[[Collection[int]], MetricsReading], metrics: Collection[int]
) -> Reading:
    """Read with `read` (Session.metrics_together) until `metrics` are of one moment, for 10 ms at
    most. Where they never are, the reading whose metrics are the fewest events apart."""
    until_ns = time.monotonic_ns() + _PATIENCE_NS
    best, pause_s = _read_once(read, metrics), _FIRST_PAUSE_S
    while _is_apart(best) and time.monotonic_ns() + pause_s * 1e9 < until_ns:
        time.sleep(pause_s)
        pause_s *= 2
        again = _read_once(read, metrics)
        best = min(again, best, key=_events_apart)
    return best


def _is_apart(reading: Reading) -> bool:
    """Whether another reading may be closer to one moment."""
    return is_known(reading.events_apart) and reading.events_apart > 0


def _events_apart(reading: Reading) -> float:
    return reading.events_apart if is_known(reading.events_apart) else math.inf


def _read_once(
    read: Callable[[Collection[int]], MetricsReading], metrics: Collection[int]
) -> Reading:
    reading = read(metrics)
    return Reading(
        cells=reading.cells, at_ns=time.monotonic_ns(), events_apart=reading.events_apart
    )
