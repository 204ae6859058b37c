"""Judges a check: validity first, then the comparison. Pure."""

import statistics
from collections.abc import Mapping, Sequence
from fractions import Fraction

from orchestrator.accounting.count import at_least
from orchestrator.check.baseline.model import Baseline, key_of_measurement
from orchestrator.check.expectation.claim import Bound, Claim, compares_with_baseline, read_claim
from orchestrator.check.expectation.exact import UnlikeKey, compare_exactly, evaluate_bound
from orchestrator.check.expectation.figures import (
    RunCounts,
    SubjectReader,
    Valued,
    counted_from_repeat,
)
from orchestrator.check.expectation.references import PlanNames
from orchestrator.check.measurement import Measurement
from orchestrator.check.model import Check, Expectation, RepeatChoice
from orchestrator.check.verdict.comparability import Recorded, find_recorded, list_mismatches
from orchestrator.check.verdict.model import CheckVerdict, ExpectationVerdict, JudgedSeries
from orchestrator.check.verdict.series import SeriesId, build_series, list_series
from orchestrator.check.verdict.validity import Evidence, list_obstacles, list_workload_troubles

__all__ = ["judge_check"]

_NO_CONSTANTS: Mapping[str, int] = {}


def judge_check(
    check: Check,
    measurement: Measurement,
    baseline: Baseline | None,
    constants: Mapping[str, int] = _NO_CONSTANTS,
) -> CheckVerdict:
    """What a check comes to, in order of its expectations. `baseline` None: nothing is recorded.
    `constants`: the values of names such as SYS_fsync on the machine that was measured."""
    judge = _Judge(check, measurement, baseline, constants)
    return CheckVerdict(
        check=check,
        expectations=tuple(map(judge.judge, check.expectations)),
        warnings=tuple(_list_obsolete(check, measurement, baseline)),
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


class _Undecided(Exception):
    """Why an expectation cannot be decided. `unrecorded`: for its baseline alone."""

    def __init__(self, reasons: tuple[str, ...], *, unrecorded: bool = False) -> None:
        self.reasons, self.unrecorded = reasons, unrecorded


class _Judge:
    """Judges the expectations of one check, measured once."""

    def __init__(
        self,
        check: Check,
        measurement: Measurement,
        baseline: Baseline | None,
        constants: Mapping[str, int],
    ) -> None:
        self.check, self.measurement, self.baseline = check, measurement, baseline
        self.params = {name: param.value for name, param in check.params.items()}
        self.constants, self.names = constants, PlanNames(check.plan)
        self.reader = SubjectReader(names=self.names, params=self.params, constants=constants)
        self.runs = tuple(map(counted_from_repeat, measurement.repeats))
        self.troubles = tuple(list_workload_troubles(measurement, check.workload))

    def judge(self, expectation: Expectation) -> ExpectationVerdict:
        """The verdict on one expectation."""
        if self.troubles:
            return ExpectationVerdict(
                expectation=expectation, verdict="workload", reasons=self.troubles
            )
        try:
            return self._decide(expectation)
        except _Undecided as undecided:
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
        evidence = self._gather(claim)
        obstacles = list_obstacles(evidence)
        _require(not obstacles, *obstacles)
        measured = self._list_series(claim, expectation, self.runs)
        values = [value for one in measured for value in self._read_values(one, claim, self.runs)]
        self._require_proof_of_zero(claim, values)
        stored = self._list_recorded(self._find_recorded(claim, evidence))
        series = self._list_series(claim, expectation, [*self.runs, *stored])
        judged = tuple(self._judge_series(one, claim, expectation, stored) for one in series)
        return _conclude(expectation, judged)

    def _list_series(
        self, claim: Claim, expectation: Expectation, runs: Sequence[RunCounts]
    ) -> list[SeriesId]:
        ops = self.check.workload.ops
        return list_series(claim.subject, self.reader, runs, each=expectation.each, ops=ops)

    def _gather(self, claim: Claim) -> Evidence:
        metrics = {(one.owner, one.metric.name) for one in self.names.list_metrics(claim.subject)}
        return Evidence(
            measurement=self.measurement,
            plan=self.check.plan,
            reads=self.names.list_read(claim.subject),
            metrics=tuple(sorted(metrics)),
        )

    def _find_recorded(self, claim: Claim, evidence: Evidence) -> Recorded | None:
        """What the claim is compared with; None where it needs no baseline."""
        if not any(compares_with_baseline(bound.value) for bound in claim.bounds):
            return None
        recorded = find_recorded(evidence, self.baseline, self.check.path)
        mismatches = list_mismatches(recorded)
        _require(not mismatches, *mismatches, unrecorded=True)
        return recorded

    def _list_recorded(self, recorded: Recorded | None) -> tuple[RunCounts, ...]:
        if recorded is None or recorded.entry is None:
            return ()
        return tuple(recorded.entry.list_counted(recorded.evidence.metrics))

    # -- one series

    def _judge_series(
        self,
        series: SeriesId,
        claim: Claim,
        expectation: Expectation,
        stored: Sequence[RunCounts],
    ) -> JudgedSeries:
        values = self._read_values(series, claim, self.runs)
        baseline = self._read_baseline(series, claim, expectation, stored)
        bounds = [self._bound_value(bound, baseline) for bound in claim.bounds]
        pairs = list(zip(claim.bounds, bounds, strict=True))
        holds = [_holds(bound.op, values, limit, expectation.of) for bound, limit in pairs]
        varies = any(
            len({compare_exactly(bound.op, value, limit) for value in values}) > 1
            for bound, limit in pairs
        )
        value = _choose(values, expectation.of)
        if baseline and not any(values) and self._has_only_relative_bounds(claim):
            reason = f"{series.label or 'the value'} is 0 now, and was {baseline} in the baseline"
            raise _Undecided((reason,), unrecorded=True)
        return JudgedSeries(
            label=series.label,
            values=tuple(values),
            value=value,
            bounds=tuple(bounds),
            baseline=baseline,
            holds=all(holds),
            varies=varies,
            improved=baseline is not None and _is_improved(claim, value, bounds, baseline),
        )

    def _read_values(
        self, series: SeriesId, claim: Claim, runs: Sequence[RunCounts], whose: str = ""
    ) -> list[Fraction]:
        """The values of a series, all of which have to be there and without doubt."""
        valued = build_series(series, claim.subject, self.reader, runs)
        unrecorded = bool(whose)
        doubts = dict.fromkeys(doubt for value in valued for doubt in value.doubts)
        _require(not doubts, *(f"{whose}{doubt}" for doubt in doubts), unrecorded=unrecorded)
        sizes = " and ".join(map(str, series.sizes)) or "this many"
        _require(bool(valued), f"{whose}no repeat has {sizes} ops", unrecorded=unrecorded)
        what = series.label or "the left side"
        reason = f"{whose}{what} has no value: nothing was counted for it, or it divides by 0"
        _require(_have_values(valued), reason, unrecorded=unrecorded)
        return [value.value for value in valued if value.value is not None]

    def _read_baseline(
        self,
        series: SeriesId,
        claim: Claim,
        expectation: Expectation,
        stored: Sequence[RunCounts],
    ) -> Fraction | None:
        if not any(compares_with_baseline(bound.value) for bound in claim.bounds):
            return None
        values = self._read_values(series, claim, stored, "in the baseline, ")
        return _choose(values, expectation.of)

    def _bound_value(self, bound: Bound, baseline: Fraction | None) -> Fraction:
        value = evaluate_bound(bound.value, self.params, baseline, self.constants)
        if value is None:
            raise _Undecided(("the bound has no value: it divides by 0, or a name is not known",))
        return value

    @staticmethod
    def _has_only_relative_bounds(claim: Claim) -> bool:
        return all(compares_with_baseline(bound.value) for bound in claim.bounds)

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
                evaluate_bound(bound.value, self.params, 0, self.constants)
                for bound in claim.bounds
            ]
            _require(0 not in zeros, "the witness did not make it count")
        silent = [
            name
            for name in self.names.list_read(claim.subject)
            if name in self.measurement.probes and not self._has_fired(name)
        ]
        names = ", ".join(silent)
        reason = f"nothing was seen, and nothing shows that the probe works: {names} never fired"
        _require(not silent, f"{reason}; a `witness` would show it")

    def _has_fired(self, name: str) -> bool:
        return any(
            at_least(repeat.fired_on_host.get(name, 0)) for repeat in self.measurement.repeats
        )

    def _does_witness_count(self, claim: Claim) -> bool:
        assert self.measurement.witness is not None
        counted = counted_from_repeat(self.measurement.witness)
        return self.reader.counts_all(claim.subject, counted)


def _require(condition: bool, *reasons: str, unrecorded: bool = False) -> None:
    """Leave the expectation undecided unless the condition holds."""
    if not condition:
        raise _Undecided(reasons, unrecorded=unrecorded)


def _have_values(valued: Sequence[Valued]) -> bool:
    return all(value.value is not None for value in valued)


def _choose(values: Sequence[Fraction], of: RepeatChoice) -> Fraction:
    """The value that stands for the repeats; of an even number, the median is between two."""
    match of:
        case "min":
            return min(values)
        case "max":
            return max(values)
        case _:
            return Fraction(statistics.median(values))


def _holds(op: str, values: Sequence[Fraction], limit: Fraction, of: RepeatChoice) -> bool:
    """Whether a comparison holds. One event is one too many for a bound of 0, so that every repeat
    is judged there, as with `of: max`."""
    if limit == 0 or of == "max":
        return all(compare_exactly(op, value, limit) for value in values)
    return compare_exactly(op, _choose(values, of), limit)


def _is_improved(
    claim: Claim, value: Fraction, bounds: Sequence[Fraction], baseline: Fraction
) -> bool:
    """Whether the value is better by more than the tolerance allows it to be worse."""
    if len(bounds) != 1 or baseline <= 0 or bounds[0] <= 0:
        return False
    mirror = baseline * baseline / bounds[0]
    if claim.bounds[0].op in ("<", "<="):
        return value < min(mirror, baseline)
    return claim.bounds[0].op in (">", ">=") and value > max(mirror, baseline)


def _conclude(expectation: Expectation, judged: tuple[JudgedSeries, ...]) -> ExpectationVerdict:
    """The verdict on valid figures."""
    varying = [series for series in judged if series.varies]
    notes = [f"varies: {_show_spread(series)}" for series in varying]
    notes += [f"improved{_of(series)}: record it" for series in judged if series.improved]
    if varying and expectation.resolve == "strict":
        reasons = tuple(f"repeats disagree about the bound: {_show_spread(s)}" for s in varying)
        return ExpectationVerdict(
            expectation=expectation,
            verdict="inconclusive",
            reasons=reasons,
            notes=tuple(notes),
            series=judged,
        )
    broken = [series for series in judged if not series.holds]
    return ExpectationVerdict(
        expectation=expectation,
        verdict="fail" if broken else "ok",
        reasons=tuple(_describe_failure(expectation, series) for series in broken),
        notes=tuple(notes),
        series=judged,
    )


def _of(series: JudgedSeries) -> str:
    return f" ({series.label})" if series.label else ""


def _show_spread(series: JudgedSeries) -> str:
    low, high = min(series.values), max(series.values)
    return f"{show_number(low)} to {show_number(high)}{_of(series)}"


def _describe_failure(expectation: Expectation, series: JudgedSeries) -> str:
    seen = ", ".join(map(show_number, dict.fromkeys(series.values)))
    bounds = " and ".join(map(show_number, series.bounds))
    compared = f"the bound{'s are' if len(series.bounds) > 1 else ' is'} {bounds}"
    recorded = ""
    if series.baseline is not None:
        recorded = f", the baseline {show_number(series.baseline)}"
    return f"{expectation.that.text}{_of(series)}: {seen} was measured, {compared}{recorded}"


def show_number(value: Fraction) -> str:
    """A number for people: whole ones exactly, others with their fraction or six digits."""
    if value.denominator == 1:
        return f"{value.numerator:,}"
    return f"{float(value):,.6g}"
