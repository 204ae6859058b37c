"""The cost of a run, and the step that keeps it within limits.cpu. Pure: figures in, one step out.

A hit costs the price of reaching the probe (backends/prices.py) and the run of its program. Cost is
a fraction of one CPU. Sampling saves the work of the hits that are left out, but neither the price
of reaching the probe nor the test that leaves them out.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import field
from typing import Literal

from orchestrator.backends.protocol import Expense
from orchestrator.values import dataclass

__all__ = [
    "ASSUMED_RUN_NS",
    "MAX_SAMPLE",
    "Cost",
    "ProbeCost",
    "Step",
    "choose_step",
    "measure_cost",
]

#: The run time of a program that is not measured yet, or cannot be without CAP_SYS_ADMIN: our
#: measurement for a record of 32 bytes, the most that a plain probe does.
ASSUMED_RUN_NS = 150.0
#: Sampling is lowered to one of so many at most: with less, a short run would see nothing.
MAX_SAMPLE = 10_000
_GOAL = 0.8  # of the budget: the target of a step, so that the next look is not over it again


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeCost:
    """The cost of one probe between two looks. `cost` is a fraction of one CPU, and `fixed` the
    part of it that sampling cannot reduce; `sample` is the N in force (0: it cannot be sampled);
    `hits_s`: hits per second; `hit_ns`: ns per hit."""

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
    """The cost of everything attached, as a fraction of one CPU. `calibrated`: all prices were
    measured on this host; `measured`: so were all run times; `complete`: all hits are known."""

    total: float
    shares: tuple[ProbeCost, ...]
    calibrated: bool
    measured: bool
    complete: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """What to do: sample the probe of `share` one in `sample`, or detach it."""

    action: Literal["sample", "detach"]
    share: ProbeCost
    sample: int | None = None


@dataclass(slots=True)
class Runs:
    """The measured runs of a program: `ns` per run while one in `sample` is kept; `base_ns`: the
    part of it that is spent on events that are left out. It is derived from measurements at two
    sampling rates, and 0 before, since it is small."""

    ns: float
    sample: int
    base_ns: float = 0.0
    _last: float = field(init=False)
    _other: tuple[float, int] | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        self._last = self.ns

    def learn(self, ns: float, sample: int) -> None:
        """Take a measurement. An interrupt makes a run look longer and never shorter, so the
        smaller of two in a row counts. With a second sampling rate, `base_ns` can be derived."""
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
    """The cost between two looks `seconds` apart. `runs`: measured runs by the number of the
    program; `samples`: N by probe, of those that can be sampled. Probes that share an attach point
    share its cost equally."""
    hits_before = {expense.number: expense.hits for expense in before}
    parts: dict[int, _CostParts] = {}
    for expense in now:
        hits = _count_since(hits_before.get(expense.number, 0), expense.hits)
        known = runs.get(expense.number)
        run_ns = 0.0 if expense.run_ns is None else known.ns if known else ASSUMED_RUN_NS
        fixed_ns = expense.price_ns + (known.base_ns if known else 0.0)
        ns = expense.price_ns + run_ns
        for probe in expense.probes:
            part = parts.setdefault(probe, _CostParts())
            share = hits / seconds / len(expense.probes)
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
        calibrated=all(expense.calibrated for expense in now),
        measured=all(expense.run_ns is None or expense.number in runs for expense in now),
        complete=all(expense.hits is not None for expense in now),
    )


def _count_since(before: int | None, now: int | None) -> int:
    return 0 if before is None or now is None else max(now - before, 0)


def choose_step(cost: Cost, budget: float) -> Step | None:
    """The step that brings the cost under `budget`: sampling the probe with the most to save, where
    sampling alone can reach it, else detaching the most expensive probe. None: no probe is left."""
    goal = _GOAL * budget
    reducible = [share for share in cost.shares if share.sample and share.sample < MAX_SAMPLE]
    savings = max(reducible, key=lambda share: share.cost - share.least, default=None)
    if savings is not None and sum(share.least for share in cost.shares) <= goal:
        return Step(
            action="sample", share=savings, sample=_choose_sample(savings, cost.total - goal)
        )
    costliest = max(cost.shares, key=lambda share: share.cost, default=None)
    return None if costliest is None else Step(action="detach", share=costliest)


def _choose_sample(share: ProbeCost, too_much: float) -> int:
    """The N at which the probe costs less by `too_much`, if there is one; at least twice the N in
    force, so that a few steps are enough."""
    work = share.cost - share.fixed
    left = work - too_much
    wanted = math.ceil(share.sample * work / left) if left > 0 else MAX_SAMPLE
    return min(MAX_SAMPLE, max(2 * share.sample, wanted))
