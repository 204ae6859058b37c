"""Which times are worse: at most two looks at a measurement, and a second one for what fails.

All comparisons of one invocation are decided together. The level is shared by both looks. What is
worse in the first measurement is measured once more, whole, and is worse only if it is worse again:
a burst of load that hit one side alone does not come twice.
"""

from collections.abc import Collection, Hashable, Mapping
from typing import Generic, Protocol, TypeVar

from orchestrator.check.times.holm import adjust_p_values
from orchestrator.check.times.rank_test import find_least_p, find_p
from orchestrator.check.times.samples import TimeSamples
from orchestrator.values import dataclass

__all__ = ["LEVEL", "Look", "SampleSource", "TimeOutcome", "decide_times"]

#: The chance of any false alarm in one measurement, by the rank test alone; the rule asks for more.
LEVEL = 0.01
_LOOKS = 2

GateT = TypeVar("GateT", bound=Hashable)


class SampleSource(Protocol[GateT]):
    """Measures comparisons. Those that cannot be read are left out of what it returns."""

    def begin(self, gates: Collection[GateT] | None) -> Mapping[GateT, TimeSamples]:
        """A new measurement of these, and perhaps of others; None: of all there are."""

    def extend(self, gates: Collection[GateT]) -> Mapping[GateT, TimeSamples]:
        """As many repeats again for these; returns all values since `begin`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What one look at one comparison showed. `p`: adjusted for all comparisons. `number`: 1 or 2.
    `can_fail`: whether so few repeats, among so many comparisons, can show anything at all."""

    samples: TimeSamples
    p: float
    number: int
    is_worse: bool
    can_fail: bool

    @property
    def needs_more(self) -> bool:
        """Whether more repeats might change what it came to."""
        blunt = not self.can_fail or self.samples.is_blunt
        return not self.is_worse and (blunt or self.samples.is_median_beyond)


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeOutcome:
    """What a comparison came to. `first`: the last look at the first measurement; `again`: at the
    second one, of what was worse in the first; None: there was none, or it could not be read."""

    first: Look
    again: Look | None = None

    @property
    def is_worse(self) -> bool:
        """Whether it is proven that B is beyond the bound."""
        return self.first.is_worse and self.again is not None and self.again.is_worse

    @property
    def is_blunt(self) -> bool:
        """Whether a change as large as the tolerance may not have been seen."""
        return not self.is_worse and self.first.samples.is_blunt


def decide_times(source: SampleSource[GateT]) -> dict[GateT, TimeOutcome]:
    """The outcome of every comparison that `source` measures."""
    first = _LookSequence(source).run(None)
    worse = {gate for gate, look in first.items() if look.is_worse}
    again = _LookSequence(source).run(worse) if worse else {}
    return {gate: TimeOutcome(first=look, again=again.get(gate)) for gate, look in first.items()}


class _LookSequence(Generic[GateT]):
    """One measurement, looked at once or twice."""

    def __init__(self, source: SampleSource[GateT]) -> None:
        self._source = source
        self._last: dict[GateT, Look] = {}

    def run(self, gates: Collection[GateT] | None) -> dict[GateT, Look]:
        """The last look at each of these comparisons, and at no others."""
        found = self._source.begin(gates)
        self._look({g: s for g, s in found.items() if gates is None or g in gates}, 1)
        for number in range(2, _LOOKS + 1):
            pending = {gate for gate, look in self._last.items() if look.needs_more}
            if pending:
                found = self._source.extend(pending)
                self._look({gate: found[gate] for gate in pending if gate in found}, number)
        return self._last

    def _look(self, samples: Mapping[GateT, TimeSamples], number: int) -> None:
        """Judge these; the others remain as they are, and count as comparisons."""
        gates = [*samples, *(gate for gate in self._last if gate not in samples)]
        level = LEVEL / _LOOKS
        values = [
            find_p(samples[gate]) if gate in samples else self._keep_p(gate) for gate in gates
        ]
        for gate, p in zip(gates, adjust_p_values(values), strict=True):
            if gate in samples:
                one = samples[gate]
                self._last[gate] = Look(
                    samples=one,
                    p=p,
                    number=number,
                    is_worse=p < level and one.is_beyond,
                    can_fail=find_least_p(one.repeats) * len(gates) < level,
                )

    def _keep_p(self, gate: GateT) -> float:
        """Of a comparison that is settled: what is worse remains so, the rest cannot become it."""
        return 0.0 if self._last[gate].is_worse else 1.0
