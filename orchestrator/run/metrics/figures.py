"""The figures of a plan at run time: what it derives of its metrics, warns of, and stops at."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field

from orchestrator.accounting.count import Count
from orchestrator.cells.cell import Cell, merge_all
from orchestrator.cells.sums import fits_into_word
from orchestrator.compile.program import MetricSpec, Program
from orchestrator.output.fields import StackNames, no_stacks
from orchestrator.output.log import RecordFields
from orchestrator.output.metrics import key_fields, largest_first, merge_same_names
from orchestrator.plan.expression.syntax import Expr
from orchestrator.plan.figures import metrics_by_owner
from orchestrator.plan.model import DerivedFigure, Param, Plan
from orchestrator.run.metrics.figure_eval import (
    FigureValue,
    Lookup,
    evaluate_figure,
    list_references,
    number_of_cell,
)
from orchestrator.run.metrics.reading import Totals
from orchestrator.values import dataclass

__all__ = ["Counted", "PlanFigures", "cells_of_metric", "combined_metrics"]

#: How many of the cells that a warning holds for are listed where the metric has no `top`.
_LISTED_CELLS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What was counted in a window or since the run began: the cells, in how many ns, until when
    (CLOCK_MONOTONIC), and `start` and `end` in RFC 3339. `events_apart`: by how many events the
    metrics that figures combine may be apart (reading.py)."""

    cells: Totals
    elapsed_ns: int
    ended_ns: int = 0
    window: Mapping[str, str] = field(default_factory=dict)
    events_apart: Count = 0


def cells_of_metric(spec: MetricSpec, totals: Totals) -> Sequence[Cell]:
    """A metric's cells; one without a key always has its one cell."""
    return totals.get(spec.index) or ([] if spec.key else [Cell(key=b"")])


def combined_metrics(plan: Plan, program: Program) -> frozenset[int]:
    """The indexes of the metrics that the plan combines with others in a figure or a condition, so
    that they have to be read at one moment."""
    specs = {(spec.probe, spec.name): spec.index for spec in program.metrics}
    figures = {figure.name: figure.value for figure in plan.derive}
    combined: set[int] = set()
    for expressions in _judged_together(plan):
        names = _metric_names(expressions, figures)
        if len(names) > 1:
            combined |= {specs[name] for name in names if name in specs}
    return frozenset(combined)


def _judged_together(plan: Plan) -> Iterator[list[Expr]]:
    """The figures with their `warn`, which refers to them as `value`, and `stop_when`."""
    for figure in plan.derive:
        yield [figure.value, *([figure.warn] if figure.warn is not None else [])]
    if plan.stop_when is not None:
        yield [plan.stop_when]


def _metric_names(
    expressions: Sequence[Expr], figures: Mapping[str, Expr]
) -> frozenset[tuple[str, str]]:
    """Owner and name of each metric in the expressions, also by way of other figures. Each figure
    is looked into once, however many others use it."""
    metrics, seen, waiting = set[tuple[str, str]](), set[str](), list(expressions)
    while waiting:
        for _, path, _ in list_references(waiting.pop().root):
            match path:
                case ("params", _):
                    pass
                case (name,) if name in figures and name not in seen:
                    seen.add(name)
                    waiting.append(figures[name])
                case (owner, metric, *_):
                    metrics.add((owner, metric))
    return frozenset(metrics)


class PlanFigures:
    """The figures of one plan. Each method takes what was counted in a window and since the run
    began; for totals both are the same. `units`: each derived figure's unit."""

    def __init__(self, plan: Plan, program: Program, stacks: StackNames = no_stacks) -> None:
        self._plan, self._stacks = plan, stacks
        self._specs = {(spec.probe, spec.name): spec for spec in program.metrics}
        self._conditions = {
            (owner, metric.name): metric.warn
            for owner, metrics in metrics_by_owner(plan).items()
            for metric in metrics
        }
        self.units = {figure.name: figure.unit for figure in plan.derive}

    def derive(self, window: Counted, total: Counted) -> dict[str, FigureValue]:
        """The derived figures by name; None: without a value."""
        names = self._resolve(window, total)
        return {figure.name: _shown(names.look_up((figure.name,))) for figure in self._plan.derive}

    def list_warnings(self, window: Counted, total: Counted) -> list[RecordFields]:
        """Fields of metric.warned, one for each metric and figure whose `warn` holds."""
        names = self._resolve(window, total)
        warnings = [self._warning_of_metric(spec, window) for spec in self._specs.values()]
        warnings += [self._warning_of_figure(figure, names) for figure in self._plan.derive]
        return [warning for warning in warnings if warning is not None]

    def check_stop(self, window: Counted, total: Counted) -> RecordFields | None:
        """Fields of stop.reached, when `stop_when` holds."""
        condition = self._plan.stop_when
        if condition is None:
            return None
        names = self._resolve(window, total)
        if not evaluate_figure(condition.root, names.look_up, names.in_total):
            return None
        numbers = _numbers_in(condition, names.look_up, names.in_total)
        return {"condition": condition.text, "numbers": numbers}

    def _resolve(self, window: Counted, total: Counted) -> "_FigureNames":
        figures = {figure.name: figure.value for figure in self._plan.derive}
        in_total = _FigureNames(total, None, self._specs, figures, self._plan.params)
        return _FigureNames(window, in_total, self._specs, figures, self._plan.params)

    def _warning_of_metric(self, spec: MetricSpec, window: Counted) -> RecordFields | None:
        condition = self._conditions.get((spec.probe, spec.name))
        if condition is None:
            return None
        warned = []
        cells = merge_same_names(spec, cells_of_metric(spec, window.cells), self._stacks)
        for cell in largest_first(spec, cells):
            look_up = self._lookup_in_cell(spec, cell, window.elapsed_ns)
            if evaluate_figure(condition.root, look_up, look_up):
                numbers = _numbers_in(condition, look_up, look_up)
                warned.append({**key_fields(spec, cell, self._stacks), "numbers": numbers})
        if not warned:
            return None
        listed = warned[: spec.top or _LISTED_CELLS]
        return {
            "probe": spec.probe,
            "metric": spec.name,
            "condition": condition.text,
            "unit": spec.unit,
            "display_unit": spec.display,
            "cells": listed,
            "cells_omitted": len(warned) - len(listed),
        }

    def _lookup_in_cell(self, spec: MetricSpec, cell: Cell, elapsed_ns: int) -> Lookup:
        def look_up(path: tuple[str, ...]) -> FigureValue:
            match path:
                case ("params", name):
                    return _value_of(self._plan.params[name])
                case ("elapsed",):
                    return elapsed_ns
                case _:
                    return number_of_cell(spec, cell, path[0])

        return look_up

    def _warning_of_figure(
        self, figure: DerivedFigure, names: "_FigureNames"
    ) -> RecordFields | None:
        if figure.warn is None:
            return None

        def look_up(path: tuple[str, ...]) -> FigureValue:
            return names.look_up((figure.name,) if path == ("value",) else path)

        if not evaluate_figure(figure.warn.root, look_up, names.in_total):
            return None
        numbers = _numbers_in(figure.warn, look_up, names.in_total)
        return {
            "probe": None,
            "metric": figure.name,
            "condition": figure.warn.text,
            "unit": figure.unit,
            "display_unit": figure.unit,
            "cells": [{"key": {}, "other": False, "numbers": numbers}],
            "cells_omitted": 0,
        }


class _FigureNames:
    """The values of the names in figures, each computed once. `total`: the names as of the whole
    run, which total() takes; None: these are."""

    def __init__(
        self,
        counted: Counted,
        total: "_FigureNames | None",
        specs: Mapping[tuple[str, str], MetricSpec],
        figures: Mapping[str, Expr],
        params: Mapping[str, Param],
    ) -> None:
        self._counted, self._specs = counted, specs
        self._figures, self._params = figures, params
        self.in_total: Lookup = self.look_up if total is None else total.look_up
        self._values: dict[tuple[str, ...], FigureValue] = {}
        self._cells: dict[int, Cell] = {}

    def look_up(self, path: tuple[str, ...]) -> FigureValue:
        """The value of a dotted name; None: it has none, also where its probe was skipped."""
        if path not in self._values:
            self._values[path] = self._compute(path)
        return self._values[path]

    def _compute(self, path: tuple[str, ...]) -> FigureValue:
        match path:
            case ("params", name):
                return _value_of(self._params[name])
            case ("elapsed",):
                return self._counted.elapsed_ns
            case (name,):
                return evaluate_figure(self._figures[name].root, self.look_up, self.in_total)
            case (owner, metric, *rest):
                return self._number_of_metric(owner, metric, rest[0] if rest else "value")
            case _:
                return None

    def _number_of_metric(self, owner: str, metric: str, number: str) -> FigureValue:
        spec = self._specs.get((owner, metric))
        if spec is None:
            return None
        if spec.index not in self._cells:
            self._cells[spec.index] = merge_all(cells_of_metric(spec, self._counted.cells))
        return number_of_cell(spec, self._cells[spec.index], number)


def _value_of(param: Param) -> FigureValue:
    return param.value


def _shown(value: FigureValue) -> FigureValue:
    """The value as it is logged: whole numbers beyond 64 bits are rounded to floating point."""
    return float(value) if isinstance(value, int) and not fits_into_word(value) else value


def _numbers_in(condition: Expr, look_up: Lookup, in_total: Lookup) -> dict[str, FigureValue]:
    """The numbers of a condition, by the names written there."""
    return {
        name: _shown((in_total if within else look_up)(path))
        for name, path, within in list_references(condition.root)
    }
