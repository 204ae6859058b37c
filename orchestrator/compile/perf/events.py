"""Attach points at which the kernel or the processor counts: `perf:EVENT[/PERIOD]`."""

from orchestrator.compile.point import Point
from orchestrator.kernel.facts import KernelFacts
from orchestrator.plan.findings import plan_error
from orchestrator.plan.model import AttachItem
from orchestrator.plan.naming.perf_events import MOST_PERIOD, PERF_EVENTS, SOFTWARE, PerfEvent
from orchestrator.plan.units import UnitError, parse_count, parse_duration

__all__ = ["find_perf_events"]

_SHORTEST_NS = 100_000  # perf_event_max_sample_rate is 100,000 a second at most by default


def find_perf_events(item: AttachItem, facts: KernelFacts, _limit: int) -> tuple[Point, ...]:
    """The event, hit once a period. Raises PlanError where this host has no such counter, by
    trial, and for a period that is none."""
    name, _, written = item.target.partition("/")
    event = PERF_EVENTS[name]
    counters = facts.feature("hardware_counters")
    if event.kind != SOFTWARE and counters.state == "no":
        message = f"{item.target!r} is counted by the processor, which counts nothing here: "
        hint = "use cpu-clock, or an alternative under attach_first"
        raise plan_error("PP080", message + counters.detail, item.position, hint)
    return (
        Point(
            kind="perf",
            label=f"perf:{item.target}",
            func=name,
            counter=(event.kind, event.config),
            period=_read_period(written, event, item),
        ),
    )


def _read_period(written: str, event: PerfEvent, item: AttachItem) -> int:
    if not written:
        return event.period
    try:
        if event.is_clock:
            return parse_duration(written, low=_SHORTEST_NS)
        return parse_count(written, high=MOST_PERIOD)
    except UnitError as error:
        raise plan_error("PP052", f"the period: {error}", item.position, error.hint) from None
