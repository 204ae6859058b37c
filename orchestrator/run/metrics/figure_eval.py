"""Evaluates expressions over metrics, and reads the numbers of cells that they name. Pure.

Numbers are Python's own, so that nothing overflows. What has no value (nothing counted, a division
by 0, a result that JSON cannot represent) is None, and so is everything computed from it. Such a
condition is None too: it does not hold, and neither does its opposite.
"""

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from orchestrator.cells.cell import Cell
from orchestrator.compile.program import MetricSpec
from orchestrator.output.percentiles import PERCENTILES, percentile
from orchestrator.plan.expression.names import UNITS
from orchestrator.plan.expression.syntax import (
    BinaryOperation,
    Boolean,
    Call,
    Compare,
    Contains,
    Fraction,
    IfElse,
    Logic,
    MemberOf,
    Name,
    Number,
    SyntaxNode,
    TextLiteral,
    UnaryOperation,
    children,
)
from orchestrator.plan.expression.truth import COMPARISONS, decide_logic
from orchestrator.plan.figures import dotted_parts

__all__ = ["FigureValue", "Lookup", "evaluate_figure", "list_references", "number_of_cell"]

FigureValue = int | float | str | bool | None
#: From the parts of a dotted name to its value.
Lookup = Callable[[tuple[str, ...]], FigureValue]


def evaluate_figure(node: SyntaxNode, look_up: Lookup, in_total: Lookup) -> FigureValue:
    """The value of an expression that `check_figures` has passed. `look_up` resolves names in a
    window, `in_total` in the run so far, which applies within total()."""
    match node:
        case Number() | Fraction() | TextLiteral() | Boolean():
            return node.value
        case Name(id=unit) if unit in UNITS:
            return UNITS[unit]
        case Name() | MemberOf():
            return look_up(dotted_parts(node))
        case Call(function="total", args=args):
            return evaluate_figure(args[0], in_total, in_total)
        case Logic(op=op, operands=operands):
            values = (evaluate_figure(operand, look_up, in_total) for operand in operands)
            return decide_logic(op, values)
        case IfElse(test=test, yes=yes, no=no):
            holds = evaluate_figure(test, look_up, in_total)
            if holds is None:
                return None
            return evaluate_figure(yes if holds else no, look_up, in_total)
        case _:
            return _apply(
                node, [evaluate_figure(child, look_up, in_total) for child in children(node)]
            )


def _apply(node: SyntaxNode, values: list[Any]) -> FigureValue:
    if any(value is None for value in values):
        return None
    match node:
        case UnaryOperation(op=op):
            return not values[0] if op == "not" else -values[0]
        case Compare(op=op):
            return bool(COMPARISONS[op](*values))
        case Contains(negated=negated):
            return (values[0] in values[1:]) != negated
        case Call(function=function):
            best: int | float = min(values) if function == "min" else max(values)
            return best
        case BinaryOperation(op=op):
            return _compute_finite(op, *values)
        case _:
            raise TypeError(f"{type(node).__name__} has no meaning in figures")


def _divide_truncating(left: float, right: float) -> int:
    """The quotient, rounded towards zero as in C; exact for whole numbers."""
    if isinstance(left, int) and isinstance(right, int):
        quotient = abs(left) // abs(right)
        return quotient if (left < 0) == (right < 0) else -quotient
    return math.trunc(left / right)


_ARITHMETIC: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right,
    "//": _divide_truncating,
    "%": lambda left, right: left - right * _divide_truncating(left, right),
}


def _compute_finite(op: str, left: Any, right: Any) -> int | float | None:
    try:
        result: int | float = _ARITHMETIC[op](left, right)
        return result if math.isfinite(result) else None
    except (ZeroDivisionError, OverflowError, ValueError):
        return None


def list_references(
    node: SyntaxNode, *, in_total: bool = False
) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    """The names in an expression, without units: as written, its parts, and whether it is within
    total()."""
    if path := dotted_parts(node):
        if path[0] not in UNITS:
            name = ".".join(path)
            yield (f"total({name})" if in_total else name), path, in_total
        return
    within = in_total or (isinstance(node, Call) and node.function == "total")
    for child in children(node):
        yield from list_references(child, in_total=within)


def number_of_cell(spec: MetricSpec, cell: Cell, name: str) -> int | float | None:
    """A number of a cell by its name, one of those in plan.figures.CELL_NUMBERS for its kind."""
    wanted = spec.kind if name == "value" else name
    match wanted:
        case "count" if spec.kind == "histogram":
            return cell.below + cell.above + sum(cell.buckets.values())
        case "count":
            return cell.count
        case "sum":
            return cell.sum
        case "avg":
            return cell.sum / cell.count if cell.count else None
        case "min":
            return cell.min
        case "max":
            return cell.max
        case "below":
            return cell.below
        case "above":
            return cell.above
        case _:
            return percentile(
                cell.buckets,
                PERCENTILES[wanted.replace("_", ".")],
                below=cell.below,
                above=cell.above,
                buckets=spec.buckets,
            )
