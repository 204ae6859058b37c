"""Reads the values that an expectation compares, or says why it cannot be decided."""

import statistics
from collections.abc import Mapping, Sequence
from fractions import Fraction

from orchestrator.check.expectation.claim import Bound, Claim
from orchestrator.check.expectation.exact import evaluate_bound
from orchestrator.check.expectation.figures import RunCounts, SubjectReader, Valued
from orchestrator.check.expectation.references import PlanNames
from orchestrator.check.measurement import Measurement
from orchestrator.check.model import Check, Expectation, RepeatChoice
from orchestrator.check.verdict.series import SeriesId, build_series, list_series
from orchestrator.check.verdict.validity import Evidence
from orchestrator.values import dataclass

__all__ = ["Readings", "Undecided", "choose_value", "require"]


class Undecided(Exception):
    """Why an expectation cannot be decided. `unrecorded`: for its baseline alone."""

    def __init__(self, reasons: tuple[str, ...], *, unrecorded: bool = False) -> None:
        self.reasons, self.unrecorded = reasons, unrecorded


def require(condition: bool, *reasons: str, unrecorded: bool = False) -> None:
    """Leave the expectation undecided unless the condition holds."""
    if not condition:
        raise Undecided(reasons, unrecorded=unrecorded)


@dataclass(frozen=True, slots=True, kw_only=True)
class Readings:
    """Reads the values of one check. `constants`: the values of names such as SYS_fsync on the
    machine that was measured."""

    check: Check
    constants: Mapping[str, int]
    names: PlanNames
    reader: SubjectReader

    @classmethod
    def of_check(cls, check: Check, constants: Mapping[str, int]) -> "Readings":
        """The readings of a check."""
        names = PlanNames(check.plan)
        params = {name: param.value for name, param in check.params.items()}
        reader = SubjectReader(names=names, params=params, constants=constants)
        return cls(check=check, constants=constants, names=names, reader=reader)

    def gather(self, claim: Claim, measurement: Measurement) -> Evidence:
        """What a claim rests on."""
        metrics = {(one.owner, one.metric.name) for one in self.names.list_metrics(claim.subject)}
        return Evidence(
            measurement=measurement,
            plan=self.check.plan,
            reads=self.names.list_read(claim.subject),
            metrics=tuple(sorted(metrics)),
        )

    def list_series(
        self, claim: Claim, expectation: Expectation, runs: Sequence[RunCounts]
    ) -> list[SeriesId]:
        """The series that are judged. Raises UnlikeKey."""
        ops = self.check.workload.ops
        return list_series(claim.subject, self.reader, runs, each=expectation.each, ops=ops)

    def read_values(
        self,
        series: SeriesId,
        claim: Claim,
        runs: Sequence[RunCounts],
        whose: str = "",
        *,
        unrecorded: bool = False,
    ) -> list[Fraction]:
        """The values of a series, all of which have to be there and without doubt. `whose`: begins
        the reasons. Raises Undecided, UnlikeKey."""
        valued = build_series(series, claim.subject, self.reader, runs)
        doubts = dict.fromkeys(doubt for value in valued for doubt in value.doubts)
        require(not doubts, *(f"{whose}{doubt}" for doubt in doubts), unrecorded=unrecorded)
        sizes = " and ".join(map(str, series.sizes)) or "this many"
        require(bool(valued), f"{whose}no repeat has {sizes} ops", unrecorded=unrecorded)
        what = series.label or "the left side"
        reason = f"{whose}{what} has no value: nothing was counted for it, or it divides by 0"
        require(_have_values(valued), reason, unrecorded=unrecorded)
        return [value.value for value in valued if value.value is not None]

    def read_bound(self, bound: Bound, baseline: Fraction | None) -> Fraction:
        """The value of a bound; raises Undecided where it has none."""
        value = evaluate_bound(bound.value, self.reader.params, baseline, self.constants)
        if value is None:
            raise Undecided(("the bound has no value: it divides by 0, or a name is not known",))
        return value


def _have_values(valued: Sequence[Valued]) -> bool:
    return all(value.value is not None for value in valued)


def choose_value(values: Sequence[Fraction], of: RepeatChoice) -> Fraction:
    """The value that stands for the repeats; of an even number, the median is between two."""
    match of:
        case "min":
            return min(values)
        case "max":
            return max(values)
        case _:
            return Fraction(statistics.median(values))
