"""Figures, computed of metrics in user space: what `derive`, `warn` and `stop_when` say.

`PROBE.METRIC` is a metric's value and `PROBE.METRIC.NUMBER` another number of it; a span's metrics
go by the span's name. A metric with `by` stands for all its cells together. Other derived figures
go by their names, `elapsed` is how long was counted (ns), and `total(x)` is x since the run began
where x by itself is of a window. A `warn` names the numbers of its own cell: `p99 > 10*ms`.
"""

import keyword
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from orchestrator.plan.document.document_paths import Path_
from orchestrator.plan.document.finding_collector import Sink
from orchestrator.plan.document.reader import Reader
from orchestrator.plan.expression import names
from orchestrator.plan.expression.parse import Expr
from orchestrator.plan.expression.syntax import (
    Binary,
    Boolean,
    Call,
    Choice,
    Compare,
    Contains,
    Fraction,
    Group,
    Logic,
    Member,
    Name,
    Node,
    Number,
    Text,
    Unary,
)
from orchestrator.plan.model import Derive, Metric, MetricKind, Param, Plan
from orchestrator.plan.nearest import suggestion
from orchestrator.plan.scopes import leans_on

#: The numbers that a cell of each kind of metric has.
NUMBERS: Mapping[MetricKind, tuple[str, ...]] = {
    "count": ("value", "count"),
    "sum": ("value", "sum", "count", "avg"),
    "min": ("value", "min"),
    "max": ("value", "max"),
    "avg": ("value", "avg", "sum", "count"),
    "histogram": ("count", "below", "above", "p50", "p75", "p90", "p95", "p99", "p99_9"),
}
#: Functions of figures, and how many arguments they take.
FUNCTIONS: Mapping[str, int] = {"min": 2, "max": 2, "total": 1}
_ARITHMETIC = ("+", "-", "*", "/", "//", "%")

Metrics = Mapping[str, Mapping[str, MetricKind]]
Kind = Literal["number", "truth", "text"]


def metrics_of_plan(plan: Plan) -> dict[str, tuple[Metric, ...]]:
    """What figures can name: by probe or span, its metrics."""
    probes = {probe.name: probe.metrics for probe in plan.probes}
    return probes | {span.name: span.metrics for span in plan.spans}


def dotted(node: Node) -> tuple[str, ...]:
    """The parts of `a.b.c`; empty for anything else."""
    match node:
        case Name(id=name):
            return (name,)
        case Member(base=base, name=name):
            return (*before, name) if (before := dotted(base)) else ()
        case _:
            return ()


# ---------------------------------------------------------------- reading


def build_derived(reader: Reader) -> tuple[Derive, ...]:
    """The plan's derived figures, in the order of the file."""
    found = [_derive(reader, ("derive", name)) for name in reader.get(("derive",), {})]
    return tuple(one for one in found if one is not None)


def _derive(reader: Reader, path: Path_) -> Derive | None:
    value = reader.expression((*path, "value"), fractions=True)
    if value is None:  # reported where it was read, or by the schema
        return None
    return Derive(
        name=str(path[-1]),
        value=value,
        unit=reader.get((*path, "unit"), ""),
        warn=reader.expression((*path, "warn"), fractions=True),
        position=reader.sink.document.key(path),
    )


# ---------------------------------------------------------------- meaning


def check_figures(plan: Plan, sink: Sink) -> None:
    """Report to `sink` what has no meaning in the plan's figures."""
    owners = metrics_of_plan(plan)
    found = {owner: {one.name: one.kind for one in own} for owner, own in owners.items()}
    derived = {one.name: one.value for one in plan.derive}
    known = FigureScope(metrics=found, derived=frozenset(derived))
    figures = _Figures(plan.params, sink)
    for owner, own in owners.items():
        for metric in own:
            of_cell = FigureScope(own=NUMBERS[metric.kind], of=metric.kind)
            if not _damaged(sink, owner, metric.name):
                figures.check(metric.warn, "truth", of_cell)
    for one in plan.derive:
        _check_name(one, sink)
        if one.name in leans_on(one.name, derived):
            hint = "a figure can use others, but not itself"
            sink.add("PP025", f"the figure {one.name!r} leans on itself", one.position, hint)
        else:
            figures.check(one.value, "number", known)
        with_value = FigureScope(metrics=found, derived=known.derived, own=("value",))
        figures.check(one.warn, "truth", with_value)
    figures.check(plan.stop_when, "truth", known)


def _damaged(sink: Sink, owner: str, metric: str) -> bool:
    """Whether the schema refused a part of this metric, so that its kind is not known."""
    return any(sink.damaged((head, owner, "metrics", metric)) for head in ("probes", "spans"))


def _check_name(one: Derive, sink: Sink) -> None:
    if keyword.iskeyword(one.name) or one.name in (*names.UNITS, "elapsed", "value"):
        hint = f"call it `{one.name}_figure` or the like"
        message = f"{one.name!r} is a word of the expression language"
        sink.add("PP058", message, one.position, hint)


@dataclass(frozen=True, slots=True, kw_only=True)
class FigureScope:
    """What a figure may name: metrics, derived figures, and `own` numbers. `of`: in a metric's
    `warn`, the metric's kind."""

    metrics: Metrics = field(default_factory=dict)
    derived: frozenset[str] = frozenset()
    own: tuple[str, ...] = ()
    of: MetricKind | None = None


class _Figures:
    """Checks expressions over metrics: each node's kind, None where it was refused."""

    def __init__(self, params: Mapping[str, Param], sink: Sink) -> None:
        self.params, self.sink = params, sink

    def check(self, expr: Expr | None, wanted: Kind, scope: FigureScope) -> None:
        """Report what has no meaning in `expr`, which is to be of the kind `wanted`."""
        if expr is not None:
            self._is(expr.root, wanted, expr, scope)

    def _report(self, code: str, message: str, node: Node, expr: Expr, hint: str = "") -> None:
        self.sink.add(code, message, expr.place(node), hint)

    def _is(self, node: Node, wanted: Kind, expr: Expr, scope: FigureScope) -> None:
        found = self._kind(node, expr, scope)
        counts = found == "number" and wanted == "truth"  # as in C, and at probes
        if found not in (None, wanted) and not counts:
            message = f"{_A[found]} stands where {_A[wanted]} is needed"
            self._report("PP073", message, node, expr, _CURES[wanted])

    def _kind(self, node: Node, expr: Expr, scope: FigureScope) -> Kind | None:  # noqa: PLR0912
        match node:
            case Number() | Fraction():
                return "number"
            case Boolean():
                return "truth"
            case Text():
                return "text"
            case Name() | Member():
                return self._named(node, expr, scope)
            case Unary(op="not", operand=operand):
                self._is(operand, "truth", expr, scope)
                return "truth"
            case Unary(op="-", operand=operand):
                self._is(operand, "number", expr, scope)
                return "number"
            case Binary(op=op, left=left, right=right) if op in _ARITHMETIC:
                self._is(left, "number", expr, scope)
                self._is(right, "number", expr, scope)
                return "number"
            case Compare(op=op, left=left, right=right):
                self._alike(left, (right,), expr, scope, ordered=op not in ("==", "!="))
                return "truth"
            case Contains(item=item, options=options):
                self._alike(item, options, expr, scope, ordered=False)
                return "truth"
            case Logic(operands=operands):
                for operand in operands:
                    self._is(operand, "truth", expr, scope)
                return "truth"
            case Choice(test=test, yes=yes, no=no):
                self._is(test, "truth", expr, scope)
                return self._alike(yes, (no,), expr, scope, ordered=False)
            case Call():
                return self._call(node, expr, scope)
            case Unary() | Binary():
                hint = f"figures compute with {' '.join(_ARITHMETIC)}"
                self._report("PP073", f"`{node.op}` has no meaning in figures", node, expr, hint)
            case Group():
                self._report("PP073", "a tuple has no meaning in figures", node, expr)
        return None

    def _alike(
        self,
        first: Node,
        others: tuple[Node, ...],
        expr: Expr,
        scope: FigureScope,
        *,
        ordered: bool,
    ) -> Kind | None:
        kind = self._kind(first, expr, scope)
        if ordered and kind in ("truth", "text"):
            message = f"{_A[kind]} has no order"
            self._report("PP073", message, first, expr, "compare it with == or !=")
            kind = None
        for other in others:
            if kind is None:
                self._kind(other, expr, scope)
            else:
                self._is(other, kind, expr, scope)
        return kind

    def _call(self, node: Call, expr: Expr, scope: FigureScope) -> Kind | None:
        wanted = FUNCTIONS.get(node.function)
        if wanted is None:
            known = ", ".join(FUNCTIONS)
            hint = suggestion(node.function, FUNCTIONS, f"functions of figures: {known}")
            message = f"the function {node.function}() has no meaning in figures"
            self._report("PP023", message, node, expr, hint)
            return None
        if len(node.args) != wanted:
            plural = "s" if wanted != 1 else ""
            message = f"{node.function}() takes {wanted} argument{plural}, not {len(node.args)}"
            self._report("PP024", message, node, expr)
        for arg in node.args:
            self._is(arg, "number", expr, scope)
        return "number"

    # -- names

    def _named(self, node: Node, expr: Expr, scope: FigureScope) -> Kind | None:
        match dotted(node):
            case ("params", name):
                return self._param(name, node, expr)
            case (name,):
                return self._bare(name, node, expr, scope)
            case (_, _, *_) as path if scope.of is None:
                return self._metric(path, node, expr, scope)
        hint = f"numbers of this cell: {', '.join(scope.own)}"
        self._report("PP071", "a `warn` judges its own metric alone", node, expr, hint)
        return None

    def _param(self, name: str, node: Node, expr: Expr) -> Kind | None:
        param = self.params.get(name)
        if param is None:
            if not self.sink.damaged(("params", name)):
                hint = suggestion(name, self.params, "define it under `params`")
                self._report("PP065", f"there is no param {name!r}", node, expr, hint)
            return None
        if param.type in ("ratio", "attach"):
            message = f"the param {name!r} of type {param.type} is no number"
            self._report("PP065", message, node, expr)
            return None
        if param.type == "bool":
            return "truth"
        return "number" if param.type in ("int", "duration", "bytes") else "text"

    def _bare(self, name: str, node: Node, expr: Expr, scope: FigureScope) -> Kind | None:
        if name in scope.own or name in scope.derived or name in (*names.UNITS, "elapsed"):
            return "number"
        if name in scope.metrics:
            metrics = ", ".join(f"{name}.{one}" for one in scope.metrics[name])
            hint = metrics or "it has no metrics"
            self._report("PP071", f"{name!r} is no metric by itself", node, expr, hint)
        elif scope.of is not None and any(name in every for every in NUMBERS.values()):
            message = f"a {scope.of} has no {name!r}"
            self._report("PP072", message, node, expr, f"it has {', '.join(scope.own)}")
        else:
            known = [*scope.own, *scope.derived, *_all(scope.metrics), *names.UNITS, "elapsed"]
            otherwise = f"own names: {', '.join([*scope.own, *sorted(scope.derived)])}"
            if scope.of is None:
                otherwise = "a metric is written PROBE.METRIC"
            hint = suggestion(name, known, otherwise)
            self._report("PP022", f"unknown name {name!r}", node, expr, hint)
        return None

    def _metric(
        self, path: tuple[str, ...], node: Node, expr: Expr, scope: FigureScope
    ) -> Kind | None:
        owner, metric, *rest = path
        name = f"{owner}.{metric}"
        kind = scope.metrics.get(owner, {}).get(metric)
        if kind is None:
            if not any(self.sink.damaged((head, owner)) for head in ("probes", "spans")):
                known = _all(scope.metrics)
                hint = suggestion(name, known, f"metrics: {', '.join(known) or 'there are none'}")
                self._report("PP071", f"there is no metric {name!r}", node, expr, hint)
            return None
        numbers = NUMBERS[kind]
        wanted = ".".join(rest) or "value"
        if wanted in numbers or _damaged(self.sink, owner, metric):
            return "number"
        what = f"a {kind} has no {wanted!r}" if rest else f"{name} is a histogram, not one number"
        best = f"{name}.{'p99' if kind == 'histogram' else 'value'}"
        hint = suggestion(wanted, numbers, f"write {best}; it has {', '.join(numbers)}")
        self._report("PP072", what, node, expr, hint)
        return None


_A: Mapping[Kind, str] = {"number": "a number", "truth": "a condition", "text": "a text"}
_CURES: Mapping[Kind, str] = {
    "truth": "compare it with something: `== …`",
    "number": "write `1 if … else 0` to count a condition",
    "text": "",
}


def _all(metrics: Metrics) -> list[str]:
    return [f"{owner}.{name}" for owner, found in metrics.items() for name in found]
