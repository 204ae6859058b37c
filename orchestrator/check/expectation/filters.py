"""Filters, `METRIC[CONDITION]`: are their names keys of the metric, and of the types compared?"""

from collections.abc import Mapping
from typing import Literal

from orchestrator.check.expectation.constants import explain_unknown_constant, is_constant_name
from orchestrator.plan.document.finding_collector import FindingCollector
from orchestrator.plan.expression import syntax
from orchestrator.plan.expression.names import UNITS
from orchestrator.plan.expression.syntax import (
    BinaryOperation,
    Boolean,
    Compare,
    Contains,
    Expr,
    Logic,
    MemberOf,
    Name,
    Number,
    SyntaxNode,
    TextLiteral,
    UnaryOperation,
)
from orchestrator.plan.figures import dotted_parts
from orchestrator.plan.model import Metric, Param
from orchestrator.plan.nearest import suggest_name

__all__ = ["FilterChecker"]

KeyType = Literal["number", "text", "truth", "stack"]
#: Keys whose type no kernel changes; of others it is known when they are compared.
_TYPES: Mapping[str, KeyType] = {
    **dict.fromkeys(("pid", "tid", "uid", "gid", "cpu", "ppid"), "number"),
    "comm": "text",
    "kstack": "stack",
    "ustack": "stack",
}
_NUMBERS = frozenset({"int", "duration", "bytes"})
_ARITHMETIC = ("+", "-", "*", "//", "%")


class FilterChecker:
    """Checks the conditions of filters: each node's type, None where it is not known."""

    def __init__(self, params: Mapping[str, Param], collector: FindingCollector) -> None:
        self.params, self.collector = params, collector

    def check(self, condition: SyntaxNode, metric: Metric, name: str, expr: Expr) -> None:
        """Report what has no meaning in the condition on the cells of `metric`, called `name`."""
        if not metric.by:
            hint = f"give {name} a key: `by: [comm]`"
            self.report("PP203", f"{name} has no key to filter by", condition, expr, hint)
            return
        kind = _ConditionTypes(self, metric, name, expr).type_of(condition)
        if kind not in ("truth", None):
            self.report(
                "PP204", "a filter is a condition", condition, expr, "compare the key: `… == …`"
            )

    def report(self, code: str, message: str, node: SyntaxNode, expr: Expr, hint: str = "") -> None:
        """Report a problem at a node."""
        self.collector.add(code, message, expr.place(node), hint)


class _ConditionTypes:
    """The types of one filter's nodes."""

    def __init__(self, checker: FilterChecker, metric: Metric, name: str, expr: Expr) -> None:
        self.checker, self.metric, self.name, self.expr = checker, metric, name, expr

    def type_of(self, node: SyntaxNode) -> KeyType | None:
        """The type of a node; problems are reported."""
        match node:
            case Number() | syntax.Fraction():
                return "number"
            case TextLiteral():
                return "text"
            case Boolean():
                return "truth"
            case Name() | MemberOf():
                return self._type_named(node)
            case Compare(op=op, left=left, right=right):
                self._compare((left, right), ordered=op not in ("==", "!="))
                return "truth"
            case Contains(item=item, options=options):
                self._compare((item, *options), ordered=False)
                return "truth"
            case Logic(operands=operands):
                for operand in operands:
                    self._require("truth", operand)
                return "truth"
            case UnaryOperation(op="not", operand=operand):
                self._require("truth", operand)
                return "truth"
            case UnaryOperation(op="-", operand=operand):
                self._require("number", operand)
                return "number"
            case BinaryOperation(op=op, left=left, right=right) if op in _ARITHMETIC:
                self._require("number", left)
                self._require("number", right)
                return "number"
            case _:
                hint = "compare keys with == != < <= > >= and in, joined by and, or, not"
                self._report("PP204", "this has no meaning in a filter", node, hint)
                return None

    def _type_named(self, node: SyntaxNode) -> KeyType | None:
        parts = dotted_parts(node)
        name = ".".join(parts)
        if name in self.metric.by:
            return _TYPES.get(name)
        if parts[:1] == ("params",) and len(parts) == 2:
            return self._type_param(parts[1], node)
        if name in UNITS:
            return "number"
        if len(parts) == 1 and is_constant_name(name):
            if (hint := explain_unknown_constant(name)) is not None:
                self._report("PP022", f"unknown constant {name!r}", node, hint)
            return "number"
        hint = suggest_name(name, self.metric.by, f"its keys: {', '.join(self.metric.by)}")
        self._report("PP203", f"{self.name} has no key {name!r}", node, hint)
        return None

    def _type_param(self, name: str, node: SyntaxNode) -> KeyType | None:
        param = self.checker.params.get(name)
        if param is None:
            hint = suggest_name(name, self.checker.params, "define it under `params` of the check")
            self._report("PP065", f"there is no param {name!r}", node, hint)
            return None
        if param.type == "bool":
            return "truth"
        return "number" if param.type in _NUMBERS else "text"

    def _require(self, wanted: KeyType, node: SyntaxNode) -> None:
        kind = self.type_of(node)
        if kind not in (wanted, None):
            self._report("PP204", f"{_A[kind]} where {_A[wanted]} is needed", node)

    def _compare(self, nodes: tuple[SyntaxNode, ...], *, ordered: bool) -> None:
        kinds = [self.type_of(node) for node in nodes]
        known = [kind for kind in kinds if kind is not None]
        for node, kind in zip(nodes, kinds, strict=True):
            if kind == "stack":
                self._report("PP204", "a stack cannot be compared", node)
                return
            if ordered and kind in ("text", "truth"):
                self._report("PP204", f"{_A[kind]} has no order", node, "use == or !=")
                return
            if kind is not None and kind != known[0]:
                self._report("PP204", f"{_A[known[0]]} is compared with {_A[kind]}", node)
                return

    def _report(self, code: str, message: str, node: SyntaxNode, hint: str = "") -> None:
        self.checker.report(code, message, node, self.expr, hint)


_A: Mapping[KeyType, str] = {
    "number": "a number",
    "text": "text",
    "truth": "a condition",
    "stack": "a stack",
}
