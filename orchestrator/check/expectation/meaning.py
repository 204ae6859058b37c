"""What expectations mean: are their names those of the plan, and can they be decided at all?"""

from collections.abc import Mapping
from fractions import Fraction

from orchestrator.check.expectation.claim import (
    Bound,
    Claim,
    compares_with_baseline,
    read_claim,
)
from orchestrator.check.expectation.constants import explain_unknown_constant, is_constant_name
from orchestrator.check.expectation.exact import evaluate_bound
from orchestrator.check.expectation.filters import FilterChecker
from orchestrator.check.expectation.references import (
    WORKLOAD_FIGURES,
    MetricReference,
    PlanNames,
    Reference,
    read_reference,
)
from orchestrator.check.expectation.time_bounds import list_time_bounds
from orchestrator.check.model import Expectation, Workload
from orchestrator.plan.document.finding_collector import FindingCollector
from orchestrator.plan.expression import syntax
from orchestrator.plan.expression.names import UNITS
from orchestrator.plan.expression.syntax import (
    BinaryOperation,
    Call,
    Expr,
    Filtered,
    MemberOf,
    Name,
    Number,
    SyntaxNode,
    UnaryOperation,
)
from orchestrator.plan.figures import CELL_NUMBERS
from orchestrator.plan.findings import PlanError
from orchestrator.plan.model import Param, Plan
from orchestrator.plan.nearest import suggest_name

__all__ = ["check_expectations"]

_ARITHMETIC = ("+", "-", "*", "/", "//", "%")
_FUNCTIONS = ("min", "max")
_NUMBERS = frozenset({"int", "duration", "bytes"})
#: The least relative difference that a histogram's percentile shows: cells.buckets.RELATIVE_ERROR.
_RESOLUTION = Fraction(31, 1000)


def _is_constant(name: str) -> bool:
    """Whether a bare name has a value without any measurement. (`baseline` at the left is reported
    for the whole side.)"""
    return name in ("ops", "baseline") or name in UNITS or is_constant_name(name)


def check_expectations(  # noqa: PLR0913  # the parts of a check, which is not made yet
    expectations: tuple[Expectation, ...],
    plan: Plan,
    workload: Workload,
    params: Mapping[str, Param],
    collector: FindingCollector,
    *,
    sided: bool = False,
    seeded: bool = False,
) -> None:
    """Report what has no meaning in these expectations, and what could never be decided. `sided`:
    `baseline` is another side, measured in the same session; otherwise it was recorded. `seeded`:
    in a deterministic machine, where times are the same again."""
    checker = _ExpectationChecker(plan, workload, params, collector, sided=sided, seeded=seeded)
    for expectation in expectations:
        checker.check(expectation)


class _ExpectationChecker:
    def __init__(  # noqa: PLR0913  # the parts of a check, which is not made yet
        self,
        plan: Plan,
        workload: Workload,
        params: Mapping[str, Param],
        collector: FindingCollector,
        *,
        sided: bool,
        seeded: bool,
    ) -> None:
        self.figures, self.workload = PlanNames(plan), workload
        self.sided, self.seeded = sided, seeded
        self.params, self.collector = params, collector
        self.filters = FilterChecker(params, collector)
        self.sampled = {probe.name: probe.sample for probe in plan.probes if probe.sample != 1}

    def check(self, expectation: Expectation) -> None:
        """Report what is wrong with one expectation; what follows from its names only where they
        are right."""
        expr = expectation.that
        try:
            claim = read_claim(expr)
        except PlanError as error:
            self.collector.extend(error.findings)
            return
        before = len(self.collector.findings)
        self._check_sides(claim, expr)
        self._check_value(claim.subject, expr, subject=True)
        for bound in claim.bounds:
            self._check_value(bound.value, expr, subject=False)
        if len(self.collector.findings) == before:
            self._check_decidable(claim, expectation)

    def _report(
        self, code: str, message: str, node: SyntaxNode, expr: Expr, hint: str = ""
    ) -> None:
        self.collector.add(code, message, expr.place(node), hint)

    # -- sides

    def _check_sides(self, claim: Claim, expr: Expr) -> None:
        subject = claim.subject
        if compares_with_baseline(subject):
            both = any(compares_with_baseline(bound.value) for bound in claim.bounds)
            message = "`baseline` is at the left" + (", and at the right" if both else "")
            hint = "write the measured value at the left: `sync.calls <= 1.01 * baseline`"
            self._report("PP202", message, subject, expr, hint)
            return
        if not self._names_something(subject):
            hint = "write a metric, PROBE.METRIC, at the left and the bound at the right"
            message = "nothing that is measured is at the left of the comparison"
            self._report("PP201", message, subject, expr, hint)
            return
        for bound in claim.bounds:
            if self._is_measured(bound.value):
                hint = "bring it to the left, e.g. `a.calls - b.calls <= 0`"
                message = "the bound is measured itself: it has to be a constant or use `baseline`"
                self._report("PP201", message, bound.value, expr, hint)

    def _names_something(self, node: SyntaxNode) -> bool:
        """Whether a value has a name that is, or was meant to be, something measured."""
        found = [read_reference(part) for part in syntax.walk(node)]
        names = [one.parts for one in found if one is not None and one.parts[0] != "params"]
        return any(len(parts) > 1 or not _is_constant(parts[0]) for parts in names)

    def _is_measured(self, node: SyntaxNode) -> bool:
        return self.figures.reads_workload(node) or any(self.figures.list_metrics(node))

    # -- names and types

    def _check_value(self, node: SyntaxNode, expr: Expr, *, subject: bool) -> None:
        """Report everything in a value that is not a number, with all its parts."""
        match node:
            case Number():
                pass
            case syntax.Fraction():
                self._check_fraction(node, expr)
            case Name() | MemberOf() | Filtered():
                self._check_name(node, expr, subject=subject)
            case UnaryOperation(op="-", operand=operand):
                self._check_value(operand, expr, subject=subject)
            case BinaryOperation(op=op, left=left, right=right) if op in _ARITHMETIC:
                self._check_value(left, expr, subject=subject)
                self._check_value(right, expr, subject=subject)
            case Call(function=function, args=args):
                self._check_call(function, args, node, expr)
                for arg in args:
                    self._check_value(arg, expr, subject=subject)
            case syntax.TextLiteral(value=text):
                hint = 'compare cells by text in a filter: `METRIC[comm == "sh"]`'
                self._report("PP204", f"the text {text[:40]!r} is not a number", node, expr, hint)
            case _:
                hint = f"expectations compare numbers, made with {' '.join(_ARITHMETIC)}"
                self._report("PP204", "this is not a number", node, expr, hint)

    def _check_fraction(self, node: syntax.Fraction, expr: Expr) -> None:
        if node.value == 0 and any(digit in "123456789" for digit in node.text.split("e")[0]):
            hint = "compare in smaller units"
            self._report("PP204", f"{node.text[:40]} is too small a number", node, expr, hint)

    def _check_call(
        self, function: str, args: tuple[SyntaxNode, ...], node: SyntaxNode, expr: Expr
    ) -> None:
        if function not in _FUNCTIONS:
            hint = suggest_name(function, _FUNCTIONS, f"functions: {', '.join(_FUNCTIONS)}")
            message = f"the function {function}() has no meaning in expectations"
            self._report("PP023", message, node, expr, hint)
        elif len(args) != 2:
            self._report("PP024", f"{function}() takes 2 arguments, not {len(args)}", node, expr)

    def _check_name(self, node: SyntaxNode, expr: Expr, *, subject: bool) -> None:
        reference = read_reference(node)
        if reference is None:
            hint = "a filter belongs to a metric: `PROBE.METRIC[CONDITION]`"
            self._report("PP071", "this has no cells to filter", node, expr, hint)
            return
        match reference.parts:
            case ("params", name):
                self._check_param(name, node, expr)
            case ("workload", name) if "workload" not in self.figures.metrics:
                self._check_workload_figure(name, reference, node, expr)
            case (name,):
                self._check_bare_name(name, reference, node, expr, subject=subject)
            case _:
                self._check_metric(reference, node, expr)

    def _check_param(self, name: str, node: SyntaxNode, expr: Expr) -> None:
        param = self.params.get(name)
        if param is None and not self.collector.has_refused(("params", name)):
            hint = suggest_name(name, self.params, "define it under `params` of the check")
            self._report("PP065", f"there is no param {name!r}", node, expr, hint)
        elif param is not None and param.type not in _NUMBERS:
            message = f"the param {name!r} of type {param.type} is not a number"
            self._report("PP065", message, node, expr)

    def _check_workload_figure(
        self, name: str, reference: Reference, node: SyntaxNode, expr: Expr
    ) -> None:
        if name not in WORKLOAD_FIGURES:
            hint = suggest_name(name, WORKLOAD_FIGURES, f"it has {', '.join(WORKLOAD_FIGURES)}")
            self._report("PP072", f"the workload has no {name!r}", node, expr, hint)
        elif reference.condition is not None:
            self._report("PP203", f"workload.{name} has no cells to filter", node, expr)

    def _check_bare_name(
        self, name: str, reference: Reference, node: SyntaxNode, expr: Expr, *, subject: bool
    ) -> None:
        if reference.condition is not None:
            hint = "a filter belongs to a metric: `PROBE.METRIC[CONDITION]`"
            self._report("PP071", f"{name!r} has no cells to filter", node, expr, hint)
        elif name == "ops" and not subject:
            message = "`ops` is at the right: the number of operations belongs to the value"
            self._report("PP201", message, node, expr, "write e.g. `call.calls / ops <= 4`")
        elif is_constant_name(name) and name not in self.figures.derived:
            if (unknown := explain_unknown_constant(name)) is not None:
                self._report("PP022", f"unknown constant {name!r}", node, expr, unknown)
        elif not _is_constant(name) and name not in self.figures.derived:
            known = [*self.figures.derived, *self._list_metrics(), *UNITS, "ops", "baseline"]
            otherwise = "a metric is written PROBE.METRIC"
            hint = suggest_name(name, known, otherwise)
            self._report("PP022", f"unknown name {name!r}", node, expr, hint)

    def _list_metrics(self) -> list[str]:
        metrics = self.figures.metrics.items()
        return [f"{owner}.{name}" for owner, own in metrics for name in own]

    def _check_metric(self, reference: Reference, node: SyntaxNode, expr: Expr) -> None:
        found = self.figures.find_metric(reference)
        if found is None:
            known = self._list_metrics()
            name = ".".join(reference.parts)
            listed = f"metrics of the plan: {', '.join(known) or 'there are none'}"
            hint = suggest_name(name, known, listed)
            self._report("PP071", f"there is no metric {name!r}", node, expr, hint)
            return
        numbers = CELL_NUMBERS[found.metric.kind]
        name = f"{found.owner}.{found.metric.name}"
        if found.number not in numbers:
            best = "count" if found.metric.kind == "histogram" else "value"
            hint = suggest_name(found.number, numbers, f"it has {', '.join(numbers)}")
            what = f"{name} is a {found.metric.kind} and has no {found.number!r}"
            if found.number == "value":
                what = f"{name} is a histogram, not one number"
                hint = f"write {name}.{best} or {name}.p99; it has {', '.join(numbers)}"
            self._report("PP072", what, node, expr, hint)
        if found.condition is not None:
            self.filters.check(found.condition, found.metric, name, expr)

    # -- what can be decided

    def _check_decidable(self, claim: Claim, expectation: Expectation) -> None:
        subject, expr = claim.subject, expectation.that
        metrics = list(self.figures.list_metrics(subject))
        if not self.seeded and (times := list_time_bounds(claim, self.figures)):
            self._check_times([claim.bounds[number] for number in times], claim, expectation)
        if len(self.workload.ops) > 1 and self.figures.reads_operations(subject):
            self._check_difference(subject, metrics, expr)
        if expectation.each:
            self._check_cells(subject, metrics, expr)
        for bound in claim.bounds:
            self._check_resolution(bound, subject, metrics, expr)
            self._check_sampling(bound, subject, expr)

    def _check_times(self, bounds: list[Bound], claim: Claim, expectation: Expectation) -> None:
        """Times are compared between two sides, and as a whole."""
        expr = expectation.that
        if not self.sided:
            message = "a time is compared with a stored baseline, which machines do not reproduce"
            hint = (
                "compare it with a constant, or gate what is counted; or give the check a param, "
                "and compare two of its values in turns: `--ab NAME=A,B`"
            )
            self._report("PP208", message, claim.subject, expr, hint)
            return
        hint = "write e.g. `workload.wall <= 1.10 * baseline`"
        for bound in bounds:
            if bound.op in ("==", "!="):
                message = f"times of two sides are compared by `{bound.op}`: they always differ"
                self._report("PP212", message, bound.value, expr, hint)
        if expectation.of != "median":
            message = (
                f"times of two sides are judged by all repeats, and not by `of: {expectation.of}`"
            )
            self._report("PP212", message, claim.subject, expr, "leave out `of`")

    def _check_difference(
        self, subject: SyntaxNode, metrics: list[MetricReference], expr: Expr
    ) -> None:
        unfit = next((one for one in metrics if one.is_percentile or one.is_extreme), None)
        if unfit is not None:
            name = f"{unfit.owner}.{unfit.metric.name}"
            message = f"{name}.{unfit.number} has no difference between two numbers of operations"
            self._report("PP205", message, subject, expr, "use a count or a sum, or one `ops`")
        elif any(
            reference is not None and reference.parts == ("workload", "maxrss")
            for reference in map(read_reference, syntax.walk(subject))
        ):
            message = "workload.maxrss has no difference between two numbers of operations"
            self._report("PP205", message, subject, expr, "judge it without `ops`")

    def _check_cells(self, subject: SyntaxNode, metrics: list[MetricReference], expr: Expr) -> None:
        keys = {reference.metric.by for reference in metrics}
        if self.figures.reads_workload(subject) or keys in (set(), {()}):
            message = "`each` judges cells, and nothing here has any"
            self._report("PP211", message, subject, expr, "use a metric with `by`")
        elif len(keys) > 1:
            message = "`each` needs metrics with the same key"
            shown = " and ".join(f"by {', '.join(key) or 'nothing'}" for key in sorted(keys))
            self._report("PP211", message, subject, expr, f"they are counted {shown}")

    def _check_resolution(
        self, bound: Bound, subject: SyntaxNode, metrics: list[MetricReference], expr: Expr
    ) -> None:
        coarse = [one for one in metrics if one.is_percentile and one.metric.buckets.kind == "log"]
        tolerance = self._tolerance(bound)
        if coarse and tolerance is not None and tolerance < _RESOLUTION:
            shown = f"{float(100 * tolerance):.3g} %"
            message = f"a histogram's percentile resolves 3.1 %; this bound needs {shown}"
            hint = "widen the bound, or gate a sum or a count, which are exact"
            self._report("PP207", message, subject, expr, hint)

    def _tolerance(self, bound: Bound) -> Fraction | None:
        """How far from the value itself it holds, relative to it; None where that is not said."""
        if bound.op in ("==", "!="):
            return Fraction(0)
        if not compares_with_baseline(bound.value):
            return None
        values = {name: param.value for name, param in self.params.items()}
        at_zero, at_one = (evaluate_bound(bound.value, values, n) for n in (0, 1))
        if at_one is None or at_zero != 0:
            return None
        return abs(at_one - 1)

    def _check_sampling(self, bound: Bound, subject: SyntaxNode, expr: Expr) -> None:
        sampled = [name for name in self.figures.list_read(subject) if name in self.sampled]
        exact = bound.op in ("==", "!=")
        if sampled and (exact or compares_with_baseline(bound.value)):
            ratio = self.sampled[sampled[0]]
            what = f"`{bound.op}`" if exact else "`baseline`"
            message = f"{sampled[0]!r} is sampled 1/{ratio}, which estimates: {what} needs counts"
            hint = "let it see every event, e.g. `set: {sample: 1/1}`"
            self._report("PP206", message, subject, expr, hint)
