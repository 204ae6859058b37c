"""What a run costs, and what to do about it. Pure: figures in, one step out.

A hit costs the price of getting to the probe (backends/prices.py) and the run of its program; what
hits cost in a second is a fraction of one CPU. Lower sampling spares the work of those that are
left out, and neither their price nor what decides that they are.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from orchestrator.backends.protocol import Expense

__all__ = [
    "ASSUMED_RUN_NS",
    "MAX_SAMPLE",
    "Cost",
    "ProbeCost",
    "Step",
    "choose_step",
    "measure_cost",
]

#: A run of a program of which nothing is measured yet, or ever without CAP_SYS_ADMIN: that of a
#: record of 32 bytes by our measurements, the most that a plain probe does.
ASSUMED_RUN_NS = 150.0
#: One of so many is the least that sampling is lowered to: rarer, and a short run sees nothing.
MAX_SAMPLE = 10_000
_GOAL = 0.8  # of the budget: what is aimed at, so that the next look is not over it again


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeCost:
    """One probe's part in the cost, over one look. `cost` is a fraction of one CPU; `fixed` is what
    of it no sampling takes away; `sample` is the N in force, 0: it cannot be sampled. `hits_s`:
    hits a second; `hit_ns`: ns a hit."""

    probe: int
    cost: float
    fixed: float
    sample: int
    hits_s: float
    hit_ns: float

    def at(self, sample: int) -> float:
        """The cost if one of `sample` were kept."""
        return self.fixed + (self.cost - self.fixed) * self.sample / sample

    @property
    def least(self) -> float:
        """The cost at the lowest sampling there is."""
        return self.at(max(MAX_SAMPLE, self.sample)) if self.sample else self.cost


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """A look: the cost of all that is attached, as a fraction of one CPU. `calibrated`: all prices
    were measured on this host; `measured`: all runs were. `complete`: all hits are known."""

    total: float
    shares: tuple[ProbeCost, ...]
    calibrated: bool
    measured: bool
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What to do: lower the sampling of `share`'s probe to `sample`, or detach it."""

    action: Literal["sample", "detach"]
    share: ProbeCost
    sample: int | None = None


@dataclass(slots=True)
class Runs:
    """What is known of a program's runs: `ns` a run at the sampling N, `base_ns` of them for events
    that are left out (what is seen of it at two N; 0 before: that is next to nothing)."""

    ns: float
    sample: int
    base_ns: float = 0.0
    _last: float = field(init=False)
    _other: tuple[float, int] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._last = self.ns

    def learn(self, ns: float, sample: int) -> None:
        """A new measurement. What interrupts a run makes it look longer and never shorter, so that
        the lesser of two in a row counts. Another N tells what a run costs that keeps nothing."""
        if sample == self.sample:
            self.ns = min(self._last, ns)
        else:
            self._other, self.ns = (self.ns, self.sample), ns
        self._last, self.sample = ns, sample
        if self._other is not None:
            self.base_ns = self._left_out(*self._other)

    def _left_out(self, other_ns: float, other: int) -> float:
        work = (other_ns - self.ns) / (1 / other - 1 / self.sample)
        return min(max(self.ns - work / self.sample, 0.0), self.ns)


@dataclass(slots=True, kw_only=True)
class _CostParts:
    cost: float = 0.0
    fixed: float = 0.0
    hits: float = 0.0
    ns: float = field(default=0.0)


def measure_cost(
    before: Sequence[Expense],
    now: Sequence[Expense],
    seconds: float,
    runs: Mapping[int, Runs],
    samples: Mapping[int, int],
) -> Cost:
    """The cost between two looks `seconds` apart. `runs`: what is known of programs by number;
    `samples`: N by probe, for those that can be sampled. A place that several probes share is paid
    for by each of them alike."""
    old = {one.number: one.hits for one in before}
    parts: dict[int, _CostParts] = {}
    for one in now:
        hits = _count_since(old.get(one.number, 0), one.hits)
        known = runs.get(one.number)
        run_ns = 0.0 if one.run_ns is None else known.ns if known else ASSUMED_RUN_NS
        fixed_ns = one.price_ns + (known.base_ns if known else 0.0)
        ns = one.price_ns + run_ns
        for probe in one.probes:
            part = parts.setdefault(probe, _CostParts())
            share = hits / seconds / len(one.probes)
            part.cost += share * ns / 1e9
            part.fixed += share * (fixed_ns if probe in samples else ns) / 1e9
            part.hits += share
    shares = tuple(
        ProbeCost(
            probe=probe,
            cost=part.cost,
            fixed=part.fixed,
            sample=samples.get(probe, 0),
            hits_s=part.hits,
            hit_ns=part.cost * 1e9 / part.hits if part.hits else 0.0,
        )
        for probe, part in parts.items()
    )
    return Cost(
        total=sum(share.cost for share in shares),
        shares=shares,
        calibrated=all(one.calibrated for one in now),
        measured=all(one.run_ns is None or one.number in runs for one in now),
        complete=all(one.hits is not None for one in now),
    )


def _count_since(before: int | None, now: int | None) -> int:
    return 0 if before is None or now is None else max(now - before, 0)


def choose_step(cost: Cost, budget: float) -> Step | None:
    """What brings the cost under its budget: lower sampling of the dearest probe where sampling can
    do it at all, else without the dearest probe. None: there is nothing left to do."""
    goal = _GOAL * budget
    open_to = [share for share in cost.shares if share.sample and share.sample < MAX_SAMPLE]
    dearest = max(open_to, key=lambda share: share.cost - share.least, default=None)
    if dearest is not None and sum(share.least for share in cost.shares) <= goal:
        return Step(action="sample", share=dearest, sample=_sample(dearest, cost.total - goal))
    costly = max(cost.shares, key=lambda share: share.cost, default=None)
    return None if costly is None else Step(action="detach", share=costly)


def _sample(share: ProbeCost, too_much: float) -> int:
    """The N at which the probe costs so much less, if there is one; at least twice what it was, so
    that a few steps get there."""
    work = share.cost - share.fixed
    left = work - too_much
    wanted = math.ceil(share.sample * work / left) if left > 0 else MAX_SAMPLE
    return min(MAX_SAMPLE, max(2 * share.sample, wanted))
