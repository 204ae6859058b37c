"""Hits of our dynamic events, as the kernel counts them, from arming to disarming.

The kernel counts every hit, also those that a filter rejects (kernel/trace/trace_kprobe.c,
kprobe_profile and uprobe_profile). It does not count hits of static tracepoints.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence

from orchestrator.backends.tracefs.design.layout import EventLayout
from orchestrator.backends.tracefs.design.writes import Write
from orchestrator.backends.tracefs.instance.trace_instance import TraceInstance
from orchestrator.kernel.abi.dynamic_events import Hits, read_profile
from orchestrator.values import dataclass

__all__ = ["EventHits", "RunHits"]

_QUIET_TRIES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class RunHits:
    """Hits of a run, by source; None where the kernel counts none or they are unknown. Unless
    `is_exact` they may include hits from just before or after recording."""

    by_source: Sequence[Hits | None]
    is_exact: bool


class EventHits:
    """Hits by event name. `is_exact`: no hit came between a look at the counters and the switch
    next to it, so that the hits since arming are those that were recorded, lost or rejected."""

    def __init__(self, layout: EventLayout, instance: TraceInstance) -> None:
        self._layout, self._instance = layout, instance
        self._at_start: Mapping[str, Hits] = {}
        self._at_end: Mapping[str, Hits] = {}
        self._is_on = False
        self.is_exact = True

    # ---------------------------------------------------------------- switching

    def switch_on(self) -> None:
        """Switch recording on between two equal looks at the counters, so that what is hit from
        then on is what is recorded or filtered; not exact where it is never quiet."""
        self._is_on = True
        for _ in range(_QUIET_TRIES):
            self._at_start = self._read_all()
            self._instance.switch_recording(True)
            if self._read_all() == self._at_start:
                self.is_exact = True
                return
            self._instance.switch_recording(False)
            self._instance.clear_buffer()
        self._instance.switch_recording(True)
        self.is_exact = False

    def switch_off(self) -> None:
        """Switch recording off, between two looks at the counters."""
        before = self._read_all()
        self._instance.switch_recording(False)
        self._at_end = self._read_all()
        self.is_exact &= self._at_end == before
        self._is_on = False

    def switch_sources(self, sources: Collection[int], steps: Iterable[Write]) -> None:
        """Do the writes that switch some sources on or off. Hits that come meanwhile may or may
        not be recorded, and events that hist triggers count go on being hit: hits are not exact
        from then on."""
        before = self._read_sources(sources)
        self._instance.perform_writes(steps)
        has_trigger = any(hist.source in sources for hist in self._layout.hists)
        self.is_exact &= not has_trigger and self._read_sources(sources) == before

    # ---------------------------------------------------------------- reading

    def count_run(self) -> RunHits:
        """Hits from arming up to now, or up to disarming."""
        at_end = self._read_all() if self._is_on else self._at_end
        return RunHits(by_source=self._since_start(at_end), is_exact=self.is_exact)

    def count_so_far(self) -> list[Hits | None]:
        """By source, its hits from arming up to now, also those after disarming: they cost as
        much. None where unknown."""
        return self._since_start(self._read_all())

    def _since_start(self, at_end: Mapping[str, Hits]) -> list[Hits | None]:
        numbers = range(len(self._layout.sources))
        return [self._difference(self._name(number), at_end) for number in numbers]

    def _difference(self, name: str, at_end: Mapping[str, Hits]) -> Hits | None:
        start, end = self._at_start.get(name), at_end.get(name)
        if start is None or end is None:
            return None
        misses = (end.misses or 0) - (start.misses or 0)
        return Hits(hits=end.hits - start.hits, misses=misses)

    def _read_sources(self, sources: Collection[int]) -> list[Hits | None]:
        """Total hits of these sources at this moment, in the order of their numbers; None where
        the kernel does not count them."""
        hits = self._read_all()
        return [hits.get(self._name(number)) for number in sorted(sources)]

    def _read_all(self) -> Mapping[str, Hits]:
        own = [n for n, source in enumerate(self._layout.sources) if source.definition is not None]
        names = [self._name(number) for number in own]
        return read_profile(names, tracefs=self._instance.tracefs) if names else {}

    def _name(self, number: int) -> str:
        return self._instance.names.event_of(self._layout.sources[number])[1]
