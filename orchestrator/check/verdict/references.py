"""What `baseline` means: what was recorded before, or side A, measured in the same session."""

from collections import Counter
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Protocol

from orchestrator.check.baseline.model import Baseline
from orchestrator.check.expectation.claim import Claim
from orchestrator.check.expectation.figures import RunCounts, counted_from_repeat
from orchestrator.check.expectation.time_bounds import list_time_bounds
from orchestrator.check.measurement import Measurement
from orchestrator.check.model import Check
from orchestrator.check.sides import SIDE_NAMES
from orchestrator.check.verdict.comparability import find_recorded, list_mismatches
from orchestrator.check.verdict.like_work import require_like_work
from orchestrator.check.verdict.readings import Readings, require
from orchestrator.check.verdict.series import SeriesId
from orchestrator.check.verdict.validity import Evidence, list_obstacles
from orchestrator.values import dataclass

__all__ = ["BaselineSource", "ReferenceRuns", "SideBaseline", "StoredBaseline"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReferenceRuns:
    """The runs that a claim is compared with. `where`: in words. `is_stored`: recording again would
    replace them."""

    readings: Readings
    runs: Sequence[RunCounts]
    where: str
    is_stored: bool

    def read_values(self, series: SeriesId, claim: Claim) -> list[Fraction]:
        """Their values of a series. Raises Undecided, UnlikeKey."""
        return self.readings.read_values(
            series, claim, self.runs, f"{self.where}, ", unrecorded=self.is_stored
        )


class BaselineSource(Protocol):
    """Where the runs are that `baseline` means."""

    def find_runs(self, claim: Claim, evidence: Evidence) -> ReferenceRuns:
        """Those that a claim may be compared with; raises Undecided where there are none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredBaseline:
    """A baseline that was recorded before; None: there is none."""

    readings: Readings
    baseline: Baseline | None

    def find_runs(self, claim: Claim, evidence: Evidence) -> ReferenceRuns:
        """The entry for what was measured; raises Undecided where none is comparable."""
        recorded = find_recorded(evidence, self.baseline, self.readings.check.path)
        mismatches = list_mismatches(recorded)
        require(not mismatches, *mismatches, unrecorded=True)
        runs = recorded.entry.list_counted(evidence.metrics) if recorded.entry is not None else ()
        return ReferenceRuns(
            readings=self.readings, runs=tuple(runs), where="in the baseline", is_stored=True
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SideBaseline:
    """Side A, as the baseline of side B, whose `candidate` measurement was made along with it."""

    readings: Readings
    base: Measurement
    candidate: Measurement

    @classmethod
    def of_sides(
        cls, check: Check, base: Measurement, candidate: Measurement, constants: Mapping[str, int]
    ) -> "SideBaseline":
        """`check`: as side A."""
        readings = Readings.of_check(check, constants)
        return cls(readings=readings, base=base, candidate=candidate)

    def find_runs(self, claim: Claim, evidence: Evidence) -> ReferenceRuns:
        """All runs of side A; raises Undecided where its figures are not valid, or the sides did
        not do the same number of operations."""
        del evidence  # of side B
        where = f"on side {SIDE_NAMES[0]}"
        obstacles = list_obstacles(self.readings.gather(claim, self.base))
        require(not obstacles, *(f"{where}: {obstacle}" for obstacle in obstacles))
        require(
            _count_sizes(self.base) == _count_sizes(self.candidate),
            "the sides ran different numbers of operations",
        )
        runs = tuple(map(counted_from_repeat, self.base.repeats))
        if list_time_bounds(claim, self.readings.names):
            candidate = tuple(map(counted_from_repeat, self.candidate.repeats))
            require_like_work(self.readings, claim, runs, candidate)
        return ReferenceRuns(readings=self.readings, runs=runs, where=where, is_stored=False)


def _count_sizes(measurement: Measurement) -> Counter[int]:
    return Counter(repeat.ops for repeat in measurement.repeats)
