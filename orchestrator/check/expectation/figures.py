"""The exact value of a subject, from what one repeat counted, or two of different size."""

from collections.abc import Iterator, Mapping
from dataclasses import field
from fractions import Fraction
from typing import Any

from orchestrator.cells.cell import Cell, merge_all
from orchestrator.check.expectation.exact import ExactValue, evaluate_exact, evaluate_filter
from orchestrator.check.expectation.references import (
    WORKLOAD_FIGURES,
    MetricReference,
    PlanNames,
    Reference,
)
from orchestrator.check.measurement import CellValue, MeasuredCell, Repeat
from orchestrator.output.percentiles import PERCENTILES, percentile
from orchestrator.plan.expression.syntax import SyntaxNode
from orchestrator.values import dataclass

__all__ = ["CellKey", "RunCounts", "SubjectReader", "Valued", "counted_from_repeat", "key_of_cell"]
__all__ += ["number_of_cell"]

#: A cell's key as a value: its parts in order of their names.
CellKey = tuple[tuple[str, CellValue], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RunCounts:
    """What one run counted: `cells` by owner and metric, `workload` by figure (None: not known)."""

    ops: int
    cells: Mapping[tuple[str, str], tuple[MeasuredCell, ...]]
    workload: Mapping[str, int | None] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Valued:
    """A value (None: there is none), and what makes it uncertain, in words."""

    value: Fraction | None
    doubts: tuple[str, ...] = ()


def counted_from_repeat(repeat: Repeat) -> RunCounts:
    """What a measured repeat counted."""
    cells = {
        (owner, name): found
        for owner, metrics in repeat.cells.items()
        for name, found in metrics.items()
    }
    times = {"wall": repeat.wall_ns, "user": repeat.user_ns, "sys": repeat.sys_ns}
    return RunCounts(ops=repeat.ops, cells=cells, workload={**times, "maxrss": repeat.maxrss_bytes})


def key_of_cell(cell: MeasuredCell) -> CellKey | None:
    """The cell's key; None for the cell `other`."""
    return None if cell.key is None else tuple(sorted(cell.key.items()))


@dataclass(frozen=True, slots=True, kw_only=True)
class SubjectReader:
    """Reads subjects of one check. `params` are the check's by name, `constants` the values of
    names such as SYS_fsync."""

    names: PlanNames
    params: Mapping[str, Any]
    constants: Mapping[str, int]

    def value(
        self,
        subject: SyntaxNode,
        counted: RunCounts,
        less: RunCounts | None = None,
        key: CellKey | None = None,
    ) -> Valued:
        """The subject's value. `less`: a run with fewer operations, which is subtracted. `key`: of
        the only cell that is meant. Raises UnlikeKey."""
        run = _RunValues(self, counted, less, key)
        value = evaluate_exact(subject, run.look_up)
        doubts = tuple(sorted(run.doubts))
        return Valued(value if isinstance(value, Fraction) else None, doubts)

    def counts_all(self, subject: SyntaxNode, counted: RunCounts) -> bool:
        """Whether every metric of a subject counted something in the cells that are meant. Raises
        UnlikeKey."""
        return all(
            not merge_all(
                map(
                    MeasuredCell.to_cell,
                    _RunValues(self, counted, None, None).select_cells(one, counted),
                )
            ).is_empty
            for one in self.names.list_metrics(subject)
        )

    def select_cells(
        self, metric: MetricReference, counted: RunCounts, key: CellKey | None = None
    ) -> list[MeasuredCell]:
        """The cells that a reference means. `key`: of the only one that is meant. Raises
        UnlikeKey."""
        return _RunValues(self, counted, None, key).select_cells(metric, counted)

    def list_keys(self, subject: SyntaxNode, counted: RunCounts) -> Iterator[CellKey]:
        """The keys of the cells that a subject reads. Raises UnlikeKey."""
        for reference in self.names.list_metrics(subject):
            run = _RunValues(self, counted, None, None)
            for cell in run.select_cells(reference, counted):
                if (key := key_of_cell(cell)) is not None:
                    yield key


class _RunValues:
    """The values of names in one run, or in the difference of two."""

    def __init__(
        self, reader: SubjectReader, counted: RunCounts, less: RunCounts | None, key: CellKey | None
    ) -> None:
        self.reader, self.counted, self.less, self.key = reader, counted, less, key
        self.doubts: set[str] = set()
        plan = reader.names.plan
        self.plan_params = {name: param.value for name, param in plan.params.items()}

    def look_up(self, reference: Reference) -> ExactValue:
        """The value of a name in an expectation."""
        if reference.parts[0] == "params":
            return _as_exact(self.reader.params.get(reference.parts[-1]))
        if reference.parts == ("ops",):
            return Fraction(self.counted.ops - (self.less.ops if self.less else 0))
        return self._look_up_measured(reference)

    def _look_up_in_figure(self, reference: Reference) -> ExactValue:
        """The value of a name in a derived figure of the plan."""
        if reference.parts[0] == "params":
            return _as_exact(self.plan_params.get(reference.parts[-1]))
        if reference.parts == ("elapsed",):
            return self._workload_figure("wall")
        return self._look_up_measured(reference)

    def _look_up_measured(self, reference: Reference) -> ExactValue:
        names, parts = self.reader.names, reference.parts
        if len(parts) == 1 and parts[0] in names.derived:
            return evaluate_exact(names.derived[parts[0]].root, self._look_up_in_figure)
        if (metric := names.find_metric(reference)) is not None:
            return self._metric_number(metric)
        if parts[0] == "workload" and parts[-1] in WORKLOAD_FIGURES:
            return self._workload_figure(parts[-1])
        return _as_exact(self.reader.constants.get(parts[0])) if len(parts) == 1 else None

    def _workload_figure(self, name: str) -> Fraction | None:
        now = self.counted.workload.get(name)
        before = self.less.workload.get(name) if self.less else 0
        if now is None or before is None:
            self.doubts.add(f"workload.{name} is not known: the starting process used more")
        return None if now is None or before is None else Fraction(now - before)

    def _metric_number(self, metric: MetricReference) -> Fraction | None:
        if self.counted.cells.get((metric.owner, metric.metric.name)) is None:
            return None
        cell = self._merged(metric, self.counted)
        if self.less is not None:
            cell = cell.minus(self._merged(metric, self.less))
        return number_of_cell(metric, cell)

    def _merged(self, metric: MetricReference, counted: RunCounts) -> Cell:
        return merge_all(map(MeasuredCell.to_cell, self.select_cells(metric, counted)))

    def select_cells(self, metric: MetricReference, counted: RunCounts) -> list[MeasuredCell]:
        """The cells that a reference means."""
        cells = counted.cells.get((metric.owner, metric.metric.name), ())
        return [cell for cell in cells if self._is_meant(metric, cell)]

    def _is_meant(self, metric: MetricReference, cell: MeasuredCell) -> bool:
        if metric.condition is None and self.key is None:
            return True
        name = f"{metric.owner}.{metric.metric.name}"
        if cell.key is None:
            self.doubts.add(f"{name} has cells without a key, which may be meant")
            return False
        if self.key is not None:
            if None in cell.key.values():
                self.doubts.add(f"{name} has a cell whose key could not be read")
            if key_of_cell(cell) != self.key:
                return False
        if metric.condition is None:
            return True
        params, constants = self.reader.params, self.reader.constants
        meant = evaluate_filter(metric.condition, cell.key, params, constants, cell.names)
        if meant is None:
            self.doubts.add(f"{name} has a cell whose key could not be read")
        return bool(meant)


def _as_exact(value: Any) -> ExactValue:
    if isinstance(value, int) and not isinstance(value, bool):
        return Fraction(value)
    return value if isinstance(value, str | bool) else None


def number_of_cell(metric: MetricReference, cell: Cell) -> Fraction | None:
    """A number by its name, exact: figures.CELL_NUMBERS lists those of each kind."""
    kind = metric.metric.kind
    wanted = kind if metric.number == "value" else metric.number
    match wanted:
        case "count" if kind == "histogram":
            return Fraction(cell.below + cell.above + sum(cell.buckets.values()))
        case "count" | "sum" | "below" | "above":
            return Fraction(getattr(cell, wanted))
        case "avg":
            return Fraction(cell.sum, cell.count) if cell.count else None
        case "min" | "max":
            found: int | None = getattr(cell, wanted)
            return None if found is None else Fraction(found)
        case _:
            middle = percentile(
                cell.buckets,
                PERCENTILES[wanted.replace("_", ".")],
                below=cell.below,
                above=cell.above,
                buckets=metric.metric.buckets,
            )
            return None if middle is None else Fraction(middle)  # halves are exact as floats
