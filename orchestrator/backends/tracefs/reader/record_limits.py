"""Rate, cap and sampling in user space, exact to one record: events come in time order."""

import random
from dataclasses import field

import numpy as np
import numpy.typing as npt

from orchestrator.backends.tracefs.reader.arrays import BoolArray, IntArray, U64Array
from orchestrator.plan.model import Rate
from orchestrator.values import dataclass

__all__ = ["Cap", "Gcra", "RecordLimits", "Sampler"]

_BLOCK = 4096  # records tested together where most go through
_FEW = 16  # records tested one by one before that


@dataclass(slots=True)
class Gcra:
    """The generic cell rate algorithm (ITU-T I.371): a record is due every `gap` ns, and may come
    up to `burst` ns early. `latest`: the latest time seen so far."""

    rate: Rate
    due: int = 0
    latest: int = 0
    gap: int = field(init=False)
    burst: int = field(init=False)

    def __post_init__(self) -> None:
        self.gap, self.burst = self.rate.gap_ns, self.rate.early_ns

    def allowed(self, times: U64Array) -> BoolArray:
        """Which of the records at `times` (ns) go through. Runs of accepted records are found in
        blocks, runs of refused ones are skipped by one search.

        A record that was committed late, after its CPU was halted in between, comes after later
        ones: for the rate it is of the latest time, or it would be refused as far too early.
        """
        times = self._keep_ascending(times)
        mask = np.zeros(len(times), dtype=bool)
        at = 0
        while at < len(times):
            run = self._admit_run(times[at : at + _BLOCK])
            mask[at : at + run] = True
            at += run
            if run < _BLOCK and at < len(times) and self.due > int(times[at]) + self.burst:
                at += int(np.searchsorted(times[at:], np.uint64(self.due - self.burst)))
        return mask

    def _keep_ascending(self, times: U64Array) -> U64Array:
        if not len(times):
            return times
        times = np.maximum(np.maximum.accumulate(times), np.uint64(self.latest))
        self.latest = int(times[-1])
        return times

    def _admit_run(self, times: U64Array) -> int:
        """How many consecutive records go through, from the first on.

        If all before record i did, it is due at i * gap + max(due, t_j - j * gap for j < i).
        """
        if self.due > int(times[0]) + self.burst:
            return 0
        run, few = 0, times[:_FEW].tolist()
        for now in few:
            if self.due > now + self.burst:
                return run
            self.due = max(self.due, now) + self.gap
            run += 1
        return run + self._admit_long_run(times[run:]) if run < len(times) else run

    def _admit_long_run(self, times: U64Array) -> int:
        clock = times.astype(np.int64)
        steps = np.arange(len(clock), dtype=np.int64) * self.gap
        latest = np.maximum.accumulate(np.concatenate(([self.due], clock - steps)))
        refused = np.flatnonzero(steps + latest[:-1] > clock + self.burst)
        run = int(refused[0]) if refused.size else len(clock)
        self.due = run * self.gap + int(latest[run])
        return run


@dataclass(slots=True)
class Cap:
    """At most `most` records; None: any number."""

    most: int | None
    taken: int = 0

    def allowed(self, count: int) -> int:
        """How many of the next `count` records go through."""
        granted = count if self.most is None else max(0, min(count, self.most - self.taken))
        self.taken += granted
        return granted

    @property
    def is_reached(self) -> bool:
        """Whether all further records are refused."""
        return self.most is not None and self.taken >= self.most


@dataclass(slots=True)
class RecordLimits:
    """The limits of a plan's records: each probe's rate and cap, then the plan's, in the order in
    which the bcc backend's programs test them. Refused records are counted by probe."""

    rate: Gcra
    cap: Cap
    rates: dict[int, Gcra]
    caps: dict[int, Cap]
    rate_limited: dict[int, int] = field(default_factory=dict)
    over_cap: dict[int, int] = field(default_factory=dict)

    def admit_records(self, times: U64Array, probes: IntArray) -> BoolArray:
        """Which records go through. `times` are in ns, in the order of reading; `probes` is the
        probe of each."""
        mask = np.ones(len(times), dtype=bool)
        for probe, gate in self.rates.items():
            rows = np.flatnonzero(probes == probe)
            mask[rows] = gate.allowed(times[rows])
        rows = np.flatnonzero(mask)
        mask[rows] = self.rate.allowed(times[rows])
        self._count_by_probe(self.rate_limited, probes[~mask])
        passed = mask.copy()
        for probe, own in self.caps.items():
            self._apply_cap(mask, np.flatnonzero(mask & (probes == probe)), own)
        self._apply_cap(mask, np.flatnonzero(mask), self.cap)
        self._count_by_probe(self.over_cap, probes[passed & ~mask])
        return mask

    @staticmethod
    def _apply_cap(mask: BoolArray, rows: npt.NDArray[np.intp], cap: Cap) -> None:
        mask[rows[cap.allowed(len(rows)) :]] = False

    @staticmethod
    def _count_by_probe(into: dict[int, int], probes: IntArray) -> None:
        for probe in np.unique(probes):
            number = int(probe)
            into[number] = into.get(number, 0) + int(np.count_nonzero(probes == probe))


class Sampler:
    """Keeps one event of N on average. Gaps are uniform in [1, 2N - 1]; the first one has the
    equilibrium distribution, P(k) ∝ 2N - k, so that short runs are not undercounted."""

    def __init__(self, ratio: int, chance: random.Random | None = None) -> None:
        self.ratio = ratio
        self._chance = chance or random.Random()  # noqa: S311  # statistics, not secrets
        self._left = self._first_gap()

    def _first_gap(self) -> int:
        most = 2 * self.ratio - 1
        return min(self._chance.choices(range(1, most + 1), range(most, 0, -1)))

    def choose_kept(self, count: int) -> BoolArray:
        """Which of the next `count` events are kept."""
        mask = np.zeros(count, dtype=bool)
        if self.ratio <= 1:
            mask[:] = True
            return mask
        at = self._left - 1
        while at < count:
            mask[at] = True
            at += self._chance.randint(1, 2 * self.ratio - 1)
        self._left = at - count + 1
        return mask
