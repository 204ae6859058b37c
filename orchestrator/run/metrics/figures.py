"""The figures of a plan at run time: what it derives of its metrics, warns of, and stops at."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from typing import Any

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

    def derive_cells(self, window: Counted, total: Counted) -> dict[str, RecordFields]:
        """By the name of each figure with `by`: its cells, the largest first, and how many were
        left out."""
        names = self._resolve(window, total)
        found: dict[str, RecordFields] = {}
        for figure in self._plan.derive:
            if figure.by:
                cells = [
                    {"key": cell.key, "value": _shown(cell.look_up((figure.name,)))}
                    for cell in names.split(figure)
                ]
                cells.sort(key=_by_value)
                omitted = max(len(cells) - figure.top, 0)
                found[figure.name] = {"cells": cells[: figure.top], "cells_omitted": omitted}
        return found

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
        figures = {figure.name: figure for figure in self._plan.derive}
        params = self._plan.params
        in_total = _FigureNames(total, None, self._specs, figures, params, self._stacks)
        return _FigureNames(window, in_total, self._specs, figures, params, self._stacks)

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
        """A figure with `by` is judged in each cell, any other once."""
        if figure.warn is None:
            return None
        judged = names.split(figure) if figure.by else [names]
        warned = [cell for cell in judged if _holds(figure, figure.warn, cell)]
        if not warned:
            return None
        listed = warned[: figure.top]
        return {
            "probe": None,
            "metric": figure.name,
            "condition": figure.warn.text,
            "unit": figure.unit,
            "display_unit": figure.unit,
            "cells": [
                {
                    "key": cell.key,
                    "other": False,
                    "numbers": _numbers_in(figure.warn, cell.of(figure), cell.in_total),
                }
                for cell in listed
            ],
            "cells_omitted": len(warned) - len(listed),
        }


def _holds(figure: DerivedFigure, condition: Expr, names: "_NamesInFigures") -> bool:
    return bool(evaluate_figure(condition.root, names.of(figure), names.in_total))


def _by_value(cell: Mapping[str, Any]) -> tuple[bool, float]:
    """The largest first, and those without a value last."""
    value = cell["value"]
    return value is None, -(value or 0)


class _NamesInFigures:
    """The values of names in figures, of all cells or of one, whose `key` it is; each is computed
    once."""

    key: Mapping[str, Any] = {}
    in_total: Lookup

    def __init__(self) -> None:
        self._values: dict[tuple[str, ...], FigureValue] = {}

    def look_up(self, path: tuple[str, ...]) -> FigureValue:
        """The value of a dotted name; None: it has none, also where its probe was skipped."""
        if path not in self._values:
            self._values[path] = self._compute(path)
        return self._values[path]

    def _compute(self, path: tuple[str, ...]) -> FigureValue:
        raise NotImplementedError

    def of(self, figure: DerivedFigure) -> Lookup:
        """The names in a figure's `warn`, where `value` is the figure."""
        return lambda path: self.look_up((figure.name,) if path == ("value",) else path)


class _FigureNames(_NamesInFigures):
    """`total`: the names as of the whole run, which total() takes; None: these are."""

    def __init__(  # noqa: PLR0913  # what names stand for
        self,
        counted: Counted,
        total: "_FigureNames | None",
        specs: Mapping[tuple[str, str], MetricSpec],
        figures: Mapping[str, DerivedFigure],
        params: Mapping[str, Param],
        stacks: StackNames,
    ) -> None:
        super().__init__()
        self._counted, self._specs = counted, specs
        self.figures, self._params, self._stacks = figures, params, stacks
        self.total = self if total is None else total
        self.in_total = self.total.look_up
        self._by_key: dict[int, dict[str, tuple[RecordFields, Cell]]] = {}
        self._cells: dict[int, Cell] = {}

    def _compute(self, path: tuple[str, ...]) -> FigureValue:
        match path:
            case ("params", name):
                return _value_of(self._params[name])
            case ("elapsed",):
                return self._counted.elapsed_ns
            case (name,):
                return evaluate_figure(self.figures[name].value.root, self.look_up, self.in_total)
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

    def split(self, figure: DerivedFigure) -> "list[_CellNames]":
        """The names as of each cell that a metric of the figure has, in the window."""
        keys: dict[str, RecordFields] = {}
        figures = {one.name: one.value for one in self.figures.values() if one.by == figure.by}
        for name in sorted(_metric_names([figure.value], figures)):
            spec = self._specs.get(name)
            if spec is not None and spec.key:
                keys |= {text: key for text, (key, _) in self.cells_by_key(spec).items()}
        return [_CellNames(self, figure.by, text, key) for text, key in keys.items()]

    def cells_by_key(self, spec: MetricSpec) -> Mapping[str, tuple[RecordFields, Cell]]:
        """The cells of a metric, by their keys as they are shown, without `other`."""
        if spec.index not in self._by_key:
            cells = merge_same_names(spec, self._cells_of(spec), self._stacks)
            keyed = [(key_fields(spec, cell, self._stacks), cell) for cell in cells]
            self._by_key[spec.index] = {
                repr(shown["key"]): (shown["key"], cell)
                for shown, cell in keyed
                if not shown["other"]
            }
        return self._by_key[spec.index]

    def _cells_of(self, spec: MetricSpec) -> Sequence[Cell]:
        return cells_of_metric(spec, self._counted.cells)

    def number_in_cell(self, path: tuple[str, ...], text: str) -> FigureValue:
        """The number of a metric with a key in one cell. None: it has none, or the key may be among
        those in `other`; what is in no cell was not counted."""
        spec = self._specs[path[0], path[1]]
        found = self.cells_by_key(spec).get(text)
        if found is None and any(cell.key is None for cell in self._cells_of(spec)):
            return None
        cell = merge_all([]) if found is None else found[1]
        return number_of_cell(spec, cell, path[2] if len(path) > 2 else "value")

    def has_key(self, path: tuple[str, ...]) -> bool:
        """Whether the name is that of a metric with a key, on this host."""
        spec = self._specs.get((path[0], path[1])) if len(path) > 1 else None
        return spec is not None and bool(spec.key)


class _CellNames(_NamesInFigures):
    """The values of names as of one cell: metrics without a key are as elsewhere."""

    def __init__(
        self, names: _FigureNames, by: tuple[str, ...], text: str, key: RecordFields
    ) -> None:
        """`text`: the key, as cells_by_key has it."""
        super().__init__()
        self._names, self._by, self._text, self.key = names, by, text, key
        is_total = names.total is names
        self.in_total = self.look_up if is_total else _CellNames(names.total, by, text, key).look_up

    def _compute(self, path: tuple[str, ...]) -> FigureValue:
        if len(path) == 1 and (figure := self._names.figures.get(path[0])) is not None:
            if figure.by == self._by:
                return evaluate_figure(figure.value.root, self.look_up, self.in_total)
        elif self._names.has_key(path):
            return self._names.number_in_cell(path, self._text)
        return self._names.look_up(path)


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
