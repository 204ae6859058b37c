"""Judges a check: validity first, then the comparison. Pure."""

from collections.abc import Mapping, Sequence
from fractions import Fraction

from orchestrator.accounting.count import at_least
from orchestrator.check.baseline.model import Baseline, key_of_measurement
from orchestrator.check.expectation.claim import Claim, compares_with_baseline, read_claim
from orchestrator.check.expectation.exact import UnlikeKey, compare_exactly, evaluate_bound
from orchestrator.check.expectation.figures import counted_from_repeat
from orchestrator.check.expectation.references import PlanNames
from orchestrator.check.expectation.time_bounds import list_time_bounds
from orchestrator.check.measurement import Measurement
from orchestrator.check.model import Check, Expectation, RepeatChoice
from orchestrator.check.sides import SIDE_NAMES, CheckSides
from orchestrator.check.times.looks import TimeOutcome
from orchestrator.check.verdict.conclusion import conclude
from orchestrator.check.verdict.model import CheckVerdict, ExpectationVerdict, JudgedSeries
from orchestrator.check.verdict.readings import Readings, Undecided, choose_value, require
from orchestrator.check.verdict.references import (
    BaselineSource,
    ReferenceRuns,
    SideBaseline,
    StoredBaseline,
)
from orchestrator.check.verdict.seeds import judge_seeds
from orchestrator.check.verdict.series import SeriesId
from orchestrator.check.verdict.time_gates import SideMeasurements, TimeGate
from orchestrator.check.verdict.validity import list_obstacles, list_workload_troubles

__all__ = ["judge_check", "judge_sides"]

_NO_CONSTANTS: Mapping[str, int] = {}
_NO_TIMES: Mapping[TimeGate, TimeOutcome] = {}


def judge_check(
    check: Check,
    measurement: Measurement,
    baseline: Baseline | None,
    constants: Mapping[str, int] = _NO_CONSTANTS,
) -> CheckVerdict:
    """What a check comes to, in order of its expectations. `baseline` None: nothing is recorded.
    `constants`: the values of names such as SYS_fsync on the machine that was measured."""
    readings = Readings.of_check(check, constants)
    source = StoredBaseline(readings=readings, baseline=baseline)
    troubles = list_workload_troubles(measurement, check.workload)
    judge = _Judge(readings, measurement, source, troubles, _NO_TIMES)
    return CheckVerdict(
        check=check,
        expectations=tuple(map(judge.judge, check.expectations)),
        warnings=tuple(_list_obsolete(check, measurement, baseline)),
    )


def judge_sides(
    sides: CheckSides,
    measured: SideMeasurements,
    times: Mapping[TimeGate, TimeOutcome],
    constants: Mapping[str, int] = _NO_CONSTANTS,
) -> CheckVerdict:
    """What side B of a check comes to; `baseline` is side A. `times`: what was decided on the
    comparisons of its times, together with those of all other checks."""
    base, candidate = measured
    readings = Readings.of_check(sides.candidate, constants)
    source = SideBaseline.of_sides(sides.base, base, candidate, constants)
    troubles = [
        f"side {name}: {trouble}"
        for name, check, one in zip(SIDE_NAMES, sides.checks, measured, strict=True)
        for trouble in list_workload_troubles(one, check.workload)
    ]
    judge = _Judge(readings, candidate, source, troubles, times)
    return CheckVerdict(
        check=sides.candidate,
        expectations=tuple(map(judge.judge, sides.candidate.expectations)),
        sides=sides.choice,
    )


def _list_obsolete(check: Check, measurement: Measurement, baseline: Baseline | None) -> list[str]:
    """Metrics that the entry for this key has, and the check no longer measures."""
    if baseline is None:
        return []
    entry = baseline.find_entry(key_of_measurement(measurement), kernel_side=True)
    known = {
        f"{owner}.{name}" for owner, own in PlanNames(check.plan).metrics.items() for name in own
    }
    gone = sorted(entry.metrics.keys() - known) if entry else []
    return [
        f"the baseline has {name}, which is no longer measured; `--update all` drops it"
        for name in gone
    ]


class _Judge:
    """Judges the expectations of one check, measured once."""

    def __init__(
        self,
        readings: Readings,
        measurement: Measurement,
        source: BaselineSource,
        troubles: Sequence[str],
        times: Mapping[TimeGate, TimeOutcome],
    ) -> None:
        self.readings, self.measurement, self.source = readings, measurement, source
        self.troubles, self.times = tuple(troubles), times
        self.names, self.reader = readings.names, readings.reader
        self.runs = tuple(map(counted_from_repeat, measurement.repeats))

    def judge(self, expectation: Expectation) -> ExpectationVerdict:
        """The verdict on one expectation."""
        if self.troubles:
            return ExpectationVerdict(
                expectation=expectation, verdict="workload", reasons=self.troubles
            )
        try:
            return self._decide(expectation)
        except Undecided as undecided:
            return ExpectationVerdict(
                expectation=expectation,
                verdict="inconclusive",
                reasons=undecided.reasons,
                unrecorded=undecided.unrecorded,
            )
        except UnlikeKey as error:
            reasons = (f"the filter cannot be applied: {error}",)
            return ExpectationVerdict(
                expectation=expectation, verdict="inconclusive", reasons=reasons
            )

    def _decide(self, expectation: Expectation) -> ExpectationVerdict:
        claim = read_claim(expectation.that)
        evidence = self.readings.gather(claim, self.measurement)
        obstacles = list_obstacles(evidence)
        require(not obstacles, *obstacles)
        measured = self.readings.list_series(claim, expectation, self.runs)
        values = [
            value for one in measured for value in self.readings.read_values(one, claim, self.runs)
        ]
        self._require_proof_of_zero(claim, values)
        relative = any(compares_with_baseline(bound.value) for bound in claim.bounds)
        other = self.source.find_runs(claim, evidence) if relative else None
        runs = [*self.runs, *(other.runs if other else ())]
        series = self.readings.list_series(claim, expectation, runs)
        judged = tuple(self._judge_series(one, claim, expectation, other) for one in series)
        return conclude(expectation, judged, is_stored=other is not None and other.is_stored)

    # -- one series

    def _judge_series(
        self,
        series: SeriesId,
        claim: Claim,
        expectation: Expectation,
        other: ReferenceRuns | None,
    ) -> JudgedSeries:
        values = self.readings.read_values(series, claim, self.runs)
        recorded = other.read_values(series, claim) if other is not None else []
        baseline = choose_value(recorded, expectation.of) if recorded else None
        if other and baseline and not any(values) and _has_only_relative_bounds(claim):
            what = series.label or "the value"
            reason = f"{what} is 0 now, and was {baseline} {other.where}"
            raise Undecided((reason,), unrecorded=other.is_stored)
        if other and other.is_stored and self.measurement.environment.machine:
            require(len(recorded) == len(values), "the baseline has other repeats", unrecorded=True)
            return judge_seeds(series, claim, values, recorded, self.readings.read_bound)
        bounds = [self.readings.read_bound(bound, baseline) for bound in claim.bounds]
        times = self._find_times(series, claim, expectation)
        counted = [
            (bound.op, limit)
            for number, (bound, limit) in enumerate(zip(claim.bounds, bounds, strict=True))
            if number not in times
        ]
        holds = [_holds(op, values, limit, expectation.of) for op, limit in counted]
        holds += [not outcome.is_worse for outcome in times.values()]
        varies = any(
            len({compare_exactly(op, value, limit) for value in values}) > 1
            for op, limit in counted
        )
        value = choose_value(values, expectation.of)
        improved = baseline is not None and not times
        return JudgedSeries(
            label=series.label,
            values=tuple(values),
            value=value,
            bounds=tuple(bounds),
            baseline=baseline,
            holds=all(holds),
            varies=varies,
            improved=improved and _is_improved(claim, value, bounds, baseline),
            times=tuple(times.values()),
        )

    def _find_times(
        self, series: SeriesId, claim: Claim, expectation: Expectation
    ) -> dict[int, TimeOutcome]:
        """What was decided on the bounds that are times of the other side, by their number."""
        found: dict[int, TimeOutcome] = {}
        for number in list_time_bounds(claim, self.names):
            gate = TimeGate(expectation=expectation.name, series=series, bound=number)
            outcome = self.times.get(gate)
            if outcome is None:
                raise Undecided(("its times were not compared",))
            found[number] = outcome
        return found

    # -- zero

    def _require_proof_of_zero(self, claim: Claim, values: Sequence[Fraction]) -> None:
        """A value that is 0 in all repeats has to be shown to be possible otherwise: by a witness
        that counts, or by events of any process of the host. A baseline of 0 needs that too."""
        if any(values):
            return
        if self.measurement.witness is not None:
            if self._does_witness_count(claim):
                return
            zeros = [
                evaluate_bound(bound.value, self.reader.params, 0, self.readings.constants)
                for bound in claim.bounds
            ]
            require(0 not in zeros, "the witness did not make it count")
        silent = [
            name
            for name in self.names.list_read(claim.subject)
            if name in self.measurement.probes and not self._has_fired(name)
        ]
        names = ", ".join(silent)
        reason = f"nothing was seen, and nothing shows that the probe works: {names} never fired"
        require(not silent, f"{reason}; a `witness` would show it")

    def _has_fired(self, name: str) -> bool:
        return any(
            at_least(repeat.fired_on_host.get(name, 0)) for repeat in self.measurement.repeats
        )

    def _does_witness_count(self, claim: Claim) -> bool:
        assert self.measurement.witness is not None
        counted = counted_from_repeat(self.measurement.witness)
        return self.reader.counts_all(claim.subject, counted)


def _holds(op: str, values: Sequence[Fraction], limit: Fraction, of: RepeatChoice) -> bool:
    """Whether a comparison holds. One event is one too many for a bound of 0, so that every repeat
    is judged there, as with `of: max`."""
    if limit == 0 or of == "max":
        return all(compare_exactly(op, value, limit) for value in values)
    return compare_exactly(op, choose_value(values, of), limit)


def _has_only_relative_bounds(claim: Claim) -> bool:
    return all(compares_with_baseline(bound.value) for bound in claim.bounds)


def _is_improved(
    claim: Claim, value: Fraction, bounds: Sequence[Fraction], baseline: Fraction | None
) -> bool:
    """Whether the value is better by more than the tolerance allows it to be worse."""
    if baseline is None or len(bounds) != 1 or baseline <= 0 or bounds[0] <= 0:
        return False
    mirror = baseline * baseline / bounds[0]
    if claim.bounds[0].op in ("<", "<="):
        return value < min(mirror, baseline)
    return claim.bounds[0].op in (">", ">=") and value > max(mirror, baseline)
