"""Which cells grew: the repeat that failed next to the baseline, or next to the bound. Pure."""

import statistics
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from orchestrator.check.baseline.model import Baseline
from orchestrator.check.expectation.claim import Claim, read_claim
from orchestrator.check.expectation.exact import compare_exactly
from orchestrator.check.expectation.figures import (
    CellKey,
    RunCounts,
    SubjectReader,
    counted_from_repeat,
    key_of_cell,
    number_of_cell,
)
from orchestrator.check.expectation.references import MetricReference, PlanNames, read_reference
from orchestrator.check.explanation.model import GrownCell, Growth
from orchestrator.check.measurement import MeasuredCell, Measurement
from orchestrator.check.model import Check
from orchestrator.check.verdict.comparability import find_recorded, list_mismatches
from orchestrator.check.verdict.model import ExpectationVerdict, JudgedSeries
from orchestrator.check.verdict.series import SeriesId, list_series, runs_of_series
from orchestrator.check.verdict.validity import Evidence
from orchestrator.values import dataclass

__all__ = ["find_growth", "is_explainable"]

_MOST_CELLS = 10
#: What a cell is of: the metric's name with the number that is read, and the key.
_CellId = tuple[str, CellKey]


def is_explainable(check: Check, judged: ExpectationVerdict) -> bool:
    """Whether an expectation failed for what was counted: a time has no cells that explain it."""
    names, subject = PlanNames(check.plan), read_claim(judged.expectation.that).subject
    counts = any(names.list_metrics(subject)) and not names.names_time(subject)
    return judged.verdict == "fail" and counts


def find_growth(
    check: Check,
    judged: ExpectationVerdict,
    measurement: Measurement,
    baseline: Baseline | None,
    constants: Mapping[str, int],
) -> Growth:
    """The cells of a failed expectation in the repeat that broke its bound: those that grew, or
    shrank where the bound is a lower one. Raises UnlikeKey."""
    params = {name: param.value for name, param in check.params.items()}
    reader = SubjectReader(names=PlanNames(check.plan), params=params, constants=constants)
    claim = read_claim(judged.expectation.that)
    runs = tuple(map(counted_from_repeat, measurement.repeats))
    stored = _list_recorded(check, claim, reader, measurement, baseline)
    comparison = _CellComparison(claim=claim, reader=reader, runs=runs, stored=stored)
    ops, each = check.workload.ops, judged.expectation.each
    listed = list_series(claim.subject, reader, (*runs, *stored), each=each, ops=ops)
    by_label = {series.label: series for series in listed}
    cells: dict[_CellId, GrownCell] = {}
    rising = True
    for series in judged.series:
        if not series.holds and series.label in by_label:
            at, bound = _find_break(claim, series)
            rising = series.values[at] > bound
            found = comparison.list_cells(by_label[series.label], at, bound, each=each)
            cells |= {(cell.metric, tuple(sorted(cell.key.items()))): cell for cell in found}
    return _order(list(cells.values()), comparison.compared_with(each=each), rising=rising)


def _order(cells: list[GrownCell], compared_with: str, *, rising: bool) -> Growth:
    sign = 1 if rising else -1

    def weight(cell: GrownCell) -> Fraction:
        return sign * cell.value if cell.growth is None else sign * cell.growth

    ordered = sorted(cells, key=lambda cell: (-weight(cell), cell.metric, repr(cell.key)))
    if compared_with == "nothing":
        ordered = sorted(ordered, key=lambda cell: -cell.value)
        return Growth(
            compared_with="nothing",
            cells=tuple(ordered[:_MOST_CELLS]),
            omitted=len(ordered[_MOST_CELLS:]),
        )
    moved = [cell for cell in ordered if weight(cell) > 0]
    return Growth(
        compared_with="baseline" if compared_with == "baseline" else "bound",
        cells=tuple(moved[:_MOST_CELLS]),
        omitted=len(moved[_MOST_CELLS:]),
    )


def _find_break(claim: Claim, series: JudgedSeries) -> tuple[int, Fraction]:
    """The first repeat that broke a bound, and that bound; where it is only the median of two that
    did, the last."""
    pairs = list(zip(claim.bounds, series.bounds, strict=True))
    for at, value in enumerate(series.values):
        for bound, limit in pairs:
            if not compare_exactly(bound.op, value, limit):
                return at, limit
    return len(series.values) - 1, series.bounds[-1]


def _list_recorded(
    check: Check,
    claim: Claim,
    reader: SubjectReader,
    measurement: Measurement,
    baseline: Baseline | None,
) -> tuple[RunCounts, ...]:
    """The recorded repeats, where they may be compared, whether the bound uses them or not."""
    metrics = {(one.owner, one.metric.name) for one in reader.names.list_metrics(claim.subject)}
    evidence = Evidence(
        measurement=measurement,
        plan=check.plan,
        reads=reader.names.list_read(claim.subject),
        metrics=tuple(sorted(metrics)),
    )
    recorded = find_recorded(evidence, baseline, check.path)
    if recorded.entry is None or list_mismatches(recorded):
        return ()
    return tuple(recorded.entry.list_counted(evidence.metrics))


@dataclass(frozen=True, slots=True, kw_only=True)
class _CellComparison:
    """The runs of a check next to those of the baseline, cell by cell."""

    claim: Claim
    reader: SubjectReader
    runs: Sequence[RunCounts]
    stored: Sequence[RunCounts]

    def compared_with(self, *, each: bool) -> str:
        """What single cells are compared with."""
        if self.stored:
            return "baseline"
        return "bound" if each or self._is_bound_of_cells() else "nothing"

    def _is_bound_of_cells(self) -> bool:
        """Of one metric that may not count, no cell may."""
        one_metric = read_reference(self.claim.subject) is not None
        return one_metric and any(
            getattr(bound.value, "value", None) == 0 for bound in self.claim.bounds
        )

    def list_cells(
        self, series: SeriesId, at: int, bound: Fraction, *, each: bool
    ) -> Iterator[GrownCell]:
        """The cells of the `at`-th value of a series."""
        compared = self.compared_with(each=each)
        now, names = self._read_cells(runs_of_series(series, self.runs)[at], series)
        before, known_names = self._read_stored(series)
        for cell in now.keys() | before.keys():
            known = before.get(cell, Fraction(0)) if compared == "baseline" else None
            yield GrownCell(
                metric=cell[0],
                key=dict(cell[1]),
                names=names.get(cell) or known_names.get(cell, {}),
                value=now.get(cell, Fraction(0)),
                before=bound if compared == "bound" else known,
            )

    def _read_stored(
        self, series: SeriesId
    ) -> tuple[dict[_CellId, Fraction], dict[_CellId, Mapping[str, str]]]:
        """Of each cell the median of the recorded repeats, a number that was there, and the names
        in its key."""
        pairs = runs_of_series(series, self.stored)
        read = [self._read_cells(pair, series) for pair in pairs]
        zero = Fraction(0)
        medians = {
            cell: statistics.median_low([numbers.get(cell, zero) for numbers, _ in read])
            for cell in {cell for numbers, _ in read for cell in numbers}
        }
        return medians, {cell: named for _, names in read for cell, named in names.items()}

    def _read_cells(
        self, pair: tuple[RunCounts, RunCounts | None], series: SeriesId
    ) -> tuple[dict[_CellId, Fraction], dict[_CellId, Mapping[str, str]]]:
        """The numbers of the cells that the subject reads in a run, or in the difference of two,
        and the names in their keys."""
        run, less = pair
        numbers: dict[_CellId, Fraction] = {}
        names: dict[_CellId, Mapping[str, str]] = {}
        for counted, sign in ((run, 1), (less, -1)):
            for cell, measured, number in self._list_numbers(counted, series):
                numbers[cell] = numbers.get(cell, Fraction(0)) + sign * number
                names[cell] = measured.names
        return numbers, names

    def _list_numbers(
        self, counted: RunCounts | None, series: SeriesId
    ) -> Iterator[tuple[_CellId, MeasuredCell, Fraction]]:
        if counted is None:
            return
        for name, reference in self._list_metrics().items():
            for cell in self.reader.select_cells(reference, counted, series.key):
                number = number_of_cell(reference, cell.to_cell())
                key = key_of_cell(cell)
                if number is not None and key is not None:
                    yield (name, key), cell, number

    def _list_metrics(self) -> dict[str, MetricReference]:
        """The numbers of metrics that the subject reads, each once, by name."""
        found: dict[str, MetricReference] = {}
        for one in self.reader.names.list_metrics(self.claim.subject):
            number = "" if one.number == "value" else f".{one.number}"
            found.setdefault(f"{one.owner}.{one.metric.name}{number}", one)
        return found
