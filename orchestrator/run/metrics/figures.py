"""What a plan derives of its metrics, warns of, and stops at."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.cells.cell import Cell, merge_all
from orchestrator.compile.program import MetricSpec, Program
from orchestrator.output.fields import StackNames, no_stacks
from orchestrator.output.metrics import key_fields, largest_first
from orchestrator.plan.expression.parse import Expr
from orchestrator.plan.figures import metrics_by_owner
from orchestrator.plan.model import DerivedFigure, Param, Plan
from orchestrator.run.metrics.figure_eval import (
    Look,
    Value,
    evaluate,
    number_of,
    references,
)
from orchestrator.run.metrics.windows import Totals

__all__ = ["Counted", "Figures", "cells_of"]

Fields = dict[str, Any]

#: Of the cells that a warning holds for, those that are named where the metric has no `top`.
_CELLS = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """What was counted, in a window or since the run began, for how long, and until when
    (CLOCK_MONOTONIC)."""

    cells: Totals
    elapsed_ns: int
    ended_ns: int = 0


def cells_of(spec: MetricSpec, totals: Totals) -> Sequence[Cell]:
    """A metric's cells; one without a key always has its one cell."""
    return totals.get(spec.index) or ([] if spec.key else [Cell(key=b"")])


class Figures:
    """The figures of one plan. Each method takes what was counted in a window and since the run
    began; for totals both are the same."""

    def __init__(self, plan: Plan, program: Program, stacks: StackNames = no_stacks) -> None:
        self._plan, self._stacks = plan, stacks
        self._specs = {(spec.probe, spec.name): spec for spec in program.metrics}
        self._warn = {
            (owner, metric.name): metric.warn
            for owner, metrics in metrics_by_owner(plan).items()
            for metric in metrics
        }
        self.units = {one.name: one.unit for one in plan.derive}

    def derived(self, now: Counted, whole: Counted) -> dict[str, Value]:
        """The derived figures by name; None: without a value."""
        names = self._names(now, whole)
        return {one.name: names.look((one.name,)) for one in self._plan.derive}

    def warnings(self, now: Counted, whole: Counted) -> list[Fields]:
        """Of metric.warned, one for each metric and figure whose `warn` holds."""
        found = [self._of_metric(spec, now) for spec in self._specs.values()]
        names = self._names(now, whole)
        found += [self._of_figure(one, names) for one in self._plan.derive]
        return [one for one in found if one is not None]

    def stop(self, now: Counted, whole: Counted) -> Fields | None:
        """Of stop.reached, when `stop_when` holds."""
        condition = self._plan.stop_when
        if condition is None:
            return None
        names = self._names(now, whole)
        if not evaluate(condition.root, names.look, names.whole):
            return None
        numbers = _numbers(condition, names.look, names.whole)
        return {"condition": condition.text, "numbers": numbers}

    def _names(self, now: Counted, whole: Counted) -> "_Names":
        figures = {one.name: one.value for one in self._plan.derive}
        within = _Names(whole, None, self._specs, figures, self._plan.params)
        return _Names(now, within, self._specs, figures, self._plan.params)

    def _of_metric(self, spec: MetricSpec, now: Counted) -> Fields | None:
        condition = self._warn.get((spec.probe, spec.name))
        if condition is None:
            return None
        held = []
        for cell in largest_first(spec, cells_of(spec, now.cells)):
            look = self._of_cell(spec, cell, now.elapsed_ns)
            if evaluate(condition.root, look, look):
                numbers = _numbers(condition, look, look)
                held.append({**key_fields(spec, cell, self._stacks), "numbers": numbers})
        if not held:
            return None
        shown = held[: spec.top or _CELLS]
        return {
            "probe": spec.probe,
            "metric": spec.name,
            "condition": condition.text,
            "unit": spec.unit,
            "display_unit": spec.display,
            "cells": shown,
            "cells_omitted": len(held) - len(shown),
        }

    def _of_cell(self, spec: MetricSpec, cell: Cell, elapsed_ns: int) -> Look:
        def look(path: tuple[str, ...]) -> Value:
            match path:
                case ("params", name):
                    return _value_of(self._plan.params[name])
                case ("elapsed",):
                    return elapsed_ns
                case _:
                    return number_of(spec, cell, path[0])

        return look

    def _of_figure(self, one: DerivedFigure, names: "_Names") -> Fields | None:
        if one.warn is None:
            return None

        def look(path: tuple[str, ...]) -> Value:
            return names.look((one.name,) if path == ("value",) else path)

        if not evaluate(one.warn.root, look, names.whole):
            return None
        numbers = _numbers(one.warn, look, names.whole)
        return {
            "probe": None,
            "metric": one.name,
            "condition": one.warn.text,
            "unit": one.unit,
            "display_unit": one.unit,
            "cells": [{"key": {}, "other": False, "numbers": numbers}],
            "cells_omitted": 0,
        }


class _Names:
    """What the names of a figure stand for, each found once. `within`: since the run began."""

    def __init__(
        self,
        counted: Counted,
        within: "_Names | None",
        specs: Mapping[tuple[str, str], MetricSpec],
        figures: Mapping[str, Expr],
        params: Mapping[str, Param],
    ) -> None:
        self._counted, self._specs = counted, specs
        self._figures, self._params = figures, params
        self.whole: Look = self.look if within is None else within.look
        self._known: dict[tuple[str, ...], Value] = {}
        self._cells: dict[int, Cell] = {}

    def look(self, path: tuple[str, ...]) -> Value:
        """The value of a dotted name; None: without one, also where the probe was skipped."""
        if path not in self._known:
            self._known[path] = self._find(path)
        return self._known[path]

    def _find(self, path: tuple[str, ...]) -> Value:
        match path:
            case ("params", name):
                return _value_of(self._params[name])
            case ("elapsed",):
                return self._counted.elapsed_ns
            case (name,):
                return evaluate(self._figures[name].root, self.look, self.whole)
            case (owner, metric, *rest):
                return self._number(owner, metric, rest[0] if rest else "value")
            case _:
                return None

    def _number(self, owner: str, metric: str, number: str) -> Value:
        spec = self._specs.get((owner, metric))
        if spec is None:
            return None
        if spec.index not in self._cells:
            self._cells[spec.index] = merge_all(cells_of(spec, self._counted.cells))
        return number_of(spec, self._cells[spec.index], number)


def _value_of(param: Param) -> Value:
    return param.value


def _numbers(condition: Expr, look: Look, whole: Look) -> dict[str, Value]:
    """What stood in a condition, as it is written there."""
    return {
        name: (whole if within else look)(path) for name, path, within in references(condition.root)
    }
