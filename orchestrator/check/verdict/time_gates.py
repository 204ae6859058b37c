"""The comparisons of times between two sides of a check, as samples for the rule."""

from collections.abc import Iterator, Mapping
from fractions import Fraction

from orchestrator.check.expectation.claim import Claim, read_claim
from orchestrator.check.expectation.exact import UnlikeKey
from orchestrator.check.expectation.figures import counted_from_repeat
from orchestrator.check.expectation.time_bounds import list_time_bounds
from orchestrator.check.measurement import Measurement
from orchestrator.check.model import Expectation
from orchestrator.check.sides import CheckSides
from orchestrator.check.times.samples import TimeSamples
from orchestrator.check.verdict.readings import Readings, Undecided, require
from orchestrator.check.verdict.references import SideBaseline
from orchestrator.check.verdict.series import SeriesId
from orchestrator.check.verdict.validity import list_obstacles
from orchestrator.values import dataclass

__all__ = ["SideMeasurements", "TimeGate", "list_time_gates"]

#: Side A, side B.
SideMeasurements = tuple[Measurement, Measurement]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeGate:
    """One comparison within a check: of an expectation, one of its series, and one of its bounds,
    numbered from 0."""

    expectation: str
    series: SeriesId
    bound: int


def list_time_gates(
    sides: CheckSides, measured: SideMeasurements, constants: Mapping[str, int]
) -> dict[TimeGate, TimeSamples]:
    """All comparisons that can be read; what cannot is undecided when the check is judged."""
    if any(one.trouble is not None for one in measured):
        return {}
    reader = _GateReader(sides, measured, constants)
    found: dict[TimeGate, TimeSamples] = {}
    for expectation in sides.candidate.expectations:
        try:
            found |= dict(reader.list_gates(expectation))
        except (Undecided, UnlikeKey):
            continue
    return found


class _GateReader:
    """Reads the comparisons of one check."""

    def __init__(
        self, sides: CheckSides, measured: SideMeasurements, constants: Mapping[str, int]
    ) -> None:
        base, self.candidate = measured
        self.readings = Readings.of_check(sides.candidate, constants)
        self.source = SideBaseline.of_sides(sides.base, base, self.candidate, constants)

    def list_gates(self, expectation: Expectation) -> Iterator[tuple[TimeGate, TimeSamples]]:
        """Those of one expectation. Raises Undecided, UnlikeKey."""
        claim = read_claim(expectation.that)
        numbers = list_time_bounds(claim, self.readings.names)
        if not numbers:
            return
        evidence = self.readings.gather(claim, self.candidate)
        require(not list_obstacles(evidence))
        other = self.source.find_runs(claim, evidence)
        runs = tuple(map(counted_from_repeat, self.candidate.repeats))
        for series in self.readings.list_series(claim, expectation, [*runs, *other.runs]):
            base = other.read_values(series, claim)
            candidate = self.readings.read_values(series, claim, runs)
            for number in numbers:
                gate = TimeGate(expectation=expectation.name, series=series, bound=number)
                yield gate, self._make_samples(claim, number, base, candidate)

    def _make_samples(
        self, claim: Claim, number: int, base: list[Fraction], candidate: list[Fraction]
    ) -> TimeSamples:
        bound = claim.bounds[number]
        return TimeSamples(
            base=tuple(base),
            limits=tuple(self.readings.read_bound(bound, value) for value in base),
            candidate=tuple(candidate),
            is_upper=bound.op in ("<", "<="),
        )
