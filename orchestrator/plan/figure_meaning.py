"""What figures mean: are their names and numbers those of the plan's metrics?"""

import keyword
from collections.abc import Iterator, Mapping
from dataclasses import field
from typing import Literal

from orchestrator.plan.document.finding_collector import FindingCollector
from orchestrator.plan.expression import names
from orchestrator.plan.expression.syntax import (
    BinaryOperation,
    Boolean,
    Call,
    Compare,
    Contains,
    Expr,
    Fraction,
    IfElse,
    Logic,
    MemberOf,
    Name,
    Number,
    SyntaxNode,
    TextLiteral,
    TupleOf,
    UnaryOperation,
    walk,
)
from orchestrator.plan.expression_meaning import report_too_deep
from orchestrator.plan.figures import CELL_NUMBERS, FIGURE_FUNCTIONS, dotted_parts, metrics_by_owner
from orchestrator.plan.model import DerivedFigure, Metric, MetricKind, Param, Plan
from orchestrator.plan.nearest import suggest_name
from orchestrator.plan.scopes import Definitions, is_too_deep, names_used_by
from orchestrator.values import dataclass

_ARITHMETIC = ("+", "-", "*", "/", "//", "%")

MetricKinds = Mapping[str, Mapping[str, MetricKind]]
FigureType = Literal["number", "truth", "text"]


def check_figures(plan: Plan, collector: FindingCollector) -> None:
    """Report to `sink` what has no meaning in the plan's figures."""
    owners = metrics_by_owner(plan)
    kinds = {owner: {figure.name: figure.kind for figure in own} for owner, own in owners.items()}
    derived = {figure.name: figure.value for figure in plan.derive}
    known = FigureScope(metrics=kinds, derived=derived)
    figures = _FigureChecker(plan.params, collector)
    for owner, own in owners.items():
        for metric in own:
            of_cell = FigureScope(own=CELL_NUMBERS[metric.kind], of=metric.kind)
            if not _has_refused_parts(collector, owner, metric.name):
                figures.check(metric.warn, "truth", of_cell)
    for figure in plan.derive:
        _check_figure_name(figure, collector)
        if figure.name in names_used_by(figure.name, derived):
            hint = "a figure can use others, but not itself"
            collector.add(
                "PP025", f"the figure {figure.name!r} refers to itself", figure.position, hint
            )
        else:
            figures.check(figure.value, "number", known)
            _check_key(figure, plan, owners, collector)
        with_value = FigureScope(metrics=kinds, derived=known.derived, own=("value",))
        figures.check(figure.warn, "truth", with_value)
    figures.check(plan.stop_when, "truth", known)


def _check_key(
    figure: DerivedFigure,
    plan: Plan,
    owners: Mapping[str, tuple[Metric, ...]],
    collector: FindingCollector,
) -> None:
    """A figure of each cell is computed from metrics with the same key, or without any."""
    if not figure.by:
        return
    place = collector.document.value_position(("derive", figure.name, "by"))
    keys = dict(_list_keys(figure, plan, owners))
    for name, key in keys.items():
        if key and key != figure.by:
            message = f"the figure {figure.name!r} is by {', '.join(figure.by)}, and {name} is by "
            hint = "metrics of one figure have the same `by`, in the same order, or none"
            collector.add("PP055", message + ", ".join(key), place, hint)
    if not any(keys.values()):
        message = f"no metric of the figure {figure.name!r} is by {', '.join(figure.by)}"
        collector.add("PP055", message, place, "leave out `by`, or give the metrics this key")


def _list_keys(
    figure: DerivedFigure, plan: Plan, owners: Mapping[str, tuple[Metric, ...]]
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """The metrics and figures that a figure names, with their keys."""
    others = {one.name: one for one in plan.derive}
    for node in walk(figure.value.root):
        match dotted_parts(node):
            case (name,) if name in others:
                yield name, others[name].by
            case (owner, metric, *_) if owner in owners:
                found = [one for one in owners[owner] if one.name == metric]
                yield from ((f"{owner}.{metric}", one.by) for one in found)


def _has_refused_parts(collector: FindingCollector, owner: str, metric: str) -> bool:
    """Whether the schema refused a part of this metric, so that its kind is not known."""
    return any(
        collector.has_refused((head, owner, "metrics", metric)) for head in ("probes", "spans")
    )


def _check_figure_name(figure: DerivedFigure, collector: FindingCollector) -> None:
    if keyword.iskeyword(figure.name) or figure.name in (*names.UNITS, "elapsed", "value"):
        hint = f"call it `{figure.name}_figure` or the like"
        message = f"{figure.name!r} is a reserved word of the expression language"
        collector.add("PP058", message, figure.position, hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureScope:
    """What a figure may name: metrics, derived figures, and `own` numbers. `of`: in a metric's
    `warn`, the metric's kind."""

    metrics: MetricKinds = field(default_factory=dict)
    derived: Definitions = field(default_factory=dict)
    own: tuple[str, ...] = ()
    of: MetricKind | None = None


class _FigureChecker:
    """Checks expressions over metrics: each node's type, None where it was refused."""

    def __init__(self, params: Mapping[str, Param], collector: FindingCollector) -> None:
        self.params, self.collector = params, collector

    def check(self, expr: Expr | None, wanted: FigureType, scope: FigureScope) -> None:
        """Report what has no meaning in `expr`, which is to be of the kind `wanted`."""
        if expr is None:
            return
        if is_too_deep(expr, scope.derived):
            report_too_deep(expr, self.collector)
        else:
            self._require_type(expr.root, wanted, expr, scope)

    def _report(
        self, code: str, message: str, node: SyntaxNode, expr: Expr, hint: str = ""
    ) -> None:
        self.collector.add(code, message, expr.place(node), hint)

    def _require_type(
        self, node: SyntaxNode, wanted: FigureType, expr: Expr, scope: FigureScope
    ) -> None:
        actual = self._type_of(node, expr, scope)
        counts = actual == "number" and wanted == "truth"  # as in C, and at probes
        if actual not in (None, wanted) and not counts:
            message = f"{_A[actual]} where {_A[wanted]} is needed"
            self._report("PP073", message, node, expr, _CURES[wanted])

    def _type_of(self, node: SyntaxNode, expr: Expr, scope: FigureScope) -> FigureType | None:  # noqa: PLR0912
        match node:
            case Number() | Fraction():
                return "number"
            case Boolean():
                return "truth"
            case TextLiteral():
                return "text"
            case Name() | MemberOf():
                return self._type_named(node, expr, scope)
            case UnaryOperation(op="not", operand=operand):
                self._require_type(operand, "truth", expr, scope)
                return "truth"
            case UnaryOperation(op="-", operand=operand):
                self._require_type(operand, "number", expr, scope)
                return "number"
            case BinaryOperation(op=op, left=left, right=right) if op in _ARITHMETIC:
                self._require_type(left, "number", expr, scope)
                self._require_type(right, "number", expr, scope)
                return "number"
            case Compare(op=op, left=left, right=right):
                self._require_same_type(left, (right,), expr, scope, ordered=op not in ("==", "!="))
                return "truth"
            case Contains(item=item, options=options):
                self._require_same_type(item, options, expr, scope, ordered=False)
                return "truth"
            case Logic(operands=operands):
                for operand in operands:
                    self._require_type(operand, "truth", expr, scope)
                return "truth"
            case IfElse(test=test, yes=yes, no=no):
                self._require_type(test, "truth", expr, scope)
                return self._require_same_type(yes, (no,), expr, scope, ordered=False)
            case Call():
                return self._type_call(node, expr, scope)
            case UnaryOperation() | BinaryOperation():
                hint = f"figures compute with {' '.join(_ARITHMETIC)}"
                self._report("PP073", f"`{node.op}` has no meaning in figures", node, expr, hint)
            case TupleOf():
                self._report("PP073", "a tuple has no meaning in figures", node, expr)
        return None

    def _require_same_type(
        self,
        first: SyntaxNode,
        others: tuple[SyntaxNode, ...],
        expr: Expr,
        scope: FigureScope,
        *,
        ordered: bool,
    ) -> FigureType | None:
        kind = self._type_of(first, expr, scope)
        if ordered and kind in ("truth", "text"):
            message = f"{_A[kind]} has no order"
            self._report("PP073", message, first, expr, "compare it with == or !=")
            kind = None
        for other in others:
            if kind is None:
                self._type_of(other, expr, scope)
            else:
                self._require_type(other, kind, expr, scope)
        return kind

    def _type_call(self, node: Call, expr: Expr, scope: FigureScope) -> FigureType | None:
        wanted = FIGURE_FUNCTIONS.get(node.function)
        if wanted is None:
            known = ", ".join(FIGURE_FUNCTIONS)
            hint = suggest_name(node.function, FIGURE_FUNCTIONS, f"functions of figures: {known}")
            message = f"the function {node.function}() has no meaning in figures"
            self._report("PP023", message, node, expr, hint)
            return None
        if len(node.args) != wanted:
            plural = "s" if wanted != 1 else ""
            message = f"{node.function}() takes {wanted} argument{plural}, not {len(node.args)}"
            self._report("PP024", message, node, expr)
        for arg in node.args:
            self._require_type(arg, "number", expr, scope)
        return "number"

    # -- names

    def _type_named(self, node: SyntaxNode, expr: Expr, scope: FigureScope) -> FigureType | None:
        match dotted_parts(node):
            case ("params", name):
                return self._type_param(name, node, expr)
            case (name,):
                return self._type_bare_name(name, node, expr, scope)
            case (_, _, *_) as path if scope.of is None:
                return self._type_metric(path, node, expr, scope)
        hint = f"numbers of this cell: {', '.join(scope.own)}"
        self._report("PP071", "a `warn` names numbers of its metric only", node, expr, hint)
        return None

    def _type_param(self, name: str, node: SyntaxNode, expr: Expr) -> FigureType | None:
        param = self.params.get(name)
        if param is None:
            if not self.collector.has_refused(("params", name)):
                hint = suggest_name(name, self.params, "define it under `params`")
                self._report("PP065", f"there is no param {name!r}", node, expr, hint)
            return None
        if param.type in ("ratio", "attach"):
            message = f"the param {name!r} of type {param.type} is not a number"
            self._report("PP065", message, node, expr)
            return None
        if param.type == "bool":
            return "truth"
        return "number" if param.type in ("int", "duration", "bytes") else "text"

    def _type_bare_name(
        self, name: str, node: SyntaxNode, expr: Expr, scope: FigureScope
    ) -> FigureType | None:
        if name in scope.own or name in scope.derived or name in (*names.UNITS, "elapsed"):
            return "number"
        if name in scope.metrics:
            metrics = ", ".join(f"{name}.{metric}" for metric in scope.metrics[name])
            hint = metrics or "it has no metrics"
            self._report("PP071", f"{name!r} is not a metric", node, expr, hint)
        elif scope.of is not None and any(name in every for every in CELL_NUMBERS.values()):
            message = f"a {scope.of} has no {name!r}"
            self._report("PP072", message, node, expr, f"it has {', '.join(scope.own)}")
        else:
            known = [
                *scope.own,
                *scope.derived,
                *_list_metrics(scope.metrics),
                *names.UNITS,
                "elapsed",
            ]
            otherwise = f"known here: {', '.join([*scope.own, *sorted(scope.derived)])}"
            if scope.of is None:
                otherwise = "a metric is written PROBE.METRIC"
            hint = suggest_name(name, known, otherwise)
            self._report("PP022", f"unknown name {name!r}", node, expr, hint)
        return None

    def _type_metric(
        self, path: tuple[str, ...], node: SyntaxNode, expr: Expr, scope: FigureScope
    ) -> FigureType | None:
        owner, metric, *rest = path
        name = f"{owner}.{metric}"
        kind = scope.metrics.get(owner, {}).get(metric)
        if kind is None:
            if not any(self.collector.has_refused((head, owner)) for head in ("probes", "spans")):
                known = _list_metrics(scope.metrics)
                hint = suggest_name(name, known, f"metrics: {', '.join(known) or 'there are none'}")
                self._report("PP071", f"there is no metric {name!r}", node, expr, hint)
            return None
        numbers = CELL_NUMBERS[kind]
        wanted = ".".join(rest) or "value"
        if wanted in numbers or _has_refused_parts(self.collector, owner, metric):
            return "number"
        what = f"a {kind} has no {wanted!r}" if rest else f"{name} is a histogram, not one number"
        best = f"{name}.{'p99' if kind == 'histogram' else 'value'}"
        hint = suggest_name(wanted, numbers, f"write {best}; it has {', '.join(numbers)}")
        self._report("PP072", what, node, expr, hint)
        return None


_A: Mapping[FigureType, str] = {"number": "a number", "truth": "a condition", "text": "text"}
_CURES: Mapping[FigureType, str] = {
    "truth": "compare it with something: `== …`",
    "number": "write `1 if … else 0` to count a condition",
    "text": "",
}


def _list_metrics(metrics: MetricKinds) -> list[str]:
    return [
        f"{owner}.{name}"
        for owner, metrics_of_owner in metrics.items()
        for name in metrics_of_owner
    ]
