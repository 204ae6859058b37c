"""The events that the kernel and the processor count, as perf_event_open(2) takes them.

Numbers: include/uapi/linux/perf_event.h (enum perf_type_id, perf_hw_id, perf_sw_ids,
perf_hw_cache_id, perf_hw_cache_op_id, perf_hw_cache_op_result_id).
"""

from collections.abc import Mapping

from orchestrator.values import dataclass

__all__ = ["HARDWARE", "MOST_PERIOD", "PERF_EVENTS", "SOFTWARE", "TARGET", "PerfEvent"]

HARDWARE, SOFTWARE, CACHE = 0, 1, 3
#: A record keeps the weight of its event in 32 bits.
MOST_PERIOD = (1 << 32) - 1
_MISSED_READ = 1 << 16
_MILLISECOND = 1_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class PerfEvent:
    """An event: `kind` and `config` as the kernel has them. `period`: so many of them are one hit
    unless the plan says another number. `is_clock`: what is counted are ns."""

    kind: int
    config: int
    period: int
    is_clock: bool = False


def _software(config: int, period: int = 1, *, is_clock: bool = False) -> PerfEvent:
    return PerfEvent(kind=SOFTWARE, config=config, period=period, is_clock=is_clock)


def _hardware(config: int, period: int) -> PerfEvent:
    return PerfEvent(kind=HARDWARE, config=config, period=period)


def _missed_reads(cache: int) -> PerfEvent:
    return PerfEvent(kind=CACHE, config=cache | _MISSED_READ, period=10_000)


#: By name, as `perf list` has them.
PERF_EVENTS: Mapping[str, PerfEvent] = {
    "cpu-clock": _software(0, _MILLISECOND, is_clock=True),
    "task-clock": _software(1, _MILLISECOND, is_clock=True),
    "page-faults": _software(2),
    "minor-faults": _software(5),
    "major-faults": _software(6),
    "context-switches": _software(3),
    "cpu-migrations": _software(4),
    "alignment-faults": _software(7),
    "emulation-faults": _software(8),
    "cycles": _hardware(0, 1_000_000),
    "instructions": _hardware(1, 1_000_000),
    "ref-cycles": _hardware(9, 1_000_000),
    "bus-cycles": _hardware(6, 1_000_000),
    "stalled-cycles-frontend": _hardware(7, 1_000_000),
    "stalled-cycles-backend": _hardware(8, 1_000_000),
    "branches": _hardware(4, 100_000),
    "branch-misses": _hardware(5, 10_000),
    "cache-references": _hardware(2, 10_000),
    "cache-misses": _hardware(3, 10_000),
    "l1d-load-misses": _missed_reads(0),
    "llc-load-misses": _missed_reads(2),
    "dtlb-load-misses": _missed_reads(3),
    "itlb-load-misses": _missed_reads(4),
}
_COUNTED = "|".join(name for name, event in PERF_EVENTS.items() if not event.is_clock)
_CLOCKS = "|".join(name for name, event in PERF_EVENTS.items() if event.is_clock)
#: The grammar of EVENT[/PERIOD]: of clocks a duration.
TARGET = (
    rf"(?:{_COUNTED})(?:/[1-9][0-9]{{0,8}}[kM]?)?|(?:{_CLOCKS})(?:/[1-9][0-9]{{0,3}}(?:us|ms))?"
)
