"""Figures at run time: the numbers of cells, and expressions over them. Pure.

Numbers are Python's own, so that nothing overflows; what has no value (nothing counted, a division
by 0, a result beyond what JSON can say) is None, and so is everything made of it. A condition made
of it is None too: it does not hold, and neither does its opposite.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
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
from orchestrator.plan.figures import dotted_parts

__all__ = ["Look", "Value", "evaluate", "number_of", "references"]

Value = int | float | str | bool | None
#: From the parts of a dotted name to its value.
Look = Callable[[tuple[str, ...]], Value]


def evaluate(node: SyntaxNode, look: Look, whole: Look) -> Value:
    """The value of an expression that `check_figures` has passed. `look` knows the names as of a
    window, `whole` as of the run so far: within total() they are taken from it."""
    match node:
        case Number() | Fraction() | TextLiteral() | Boolean():
            return node.value
        case Name(id=unit) if unit in UNITS:
            return UNITS[unit]
        case Name() | MemberOf():
            return look(dotted_parts(node))
        case Call(function="total", args=args):
            return evaluate(args[0], whole, whole)
        case Logic(op=op, operands=operands):
            return _logic(op, (evaluate(one, look, whole) for one in operands))
        case IfElse(test=test, yes=yes, no=no):
            held = evaluate(test, look, whole)
            return None if held is None else evaluate(yes if held else no, look, whole)
        case _:
            return _apply(node, [evaluate(one, look, whole) for one in children(node)])


def _logic(op: str, values: Iterable[Value]) -> bool | None:
    """What decides wins over what is not known."""
    decisive, unknown = op == "or", False
    for value in values:
        if value is None:
            unknown = True
        elif bool(value) == decisive:
            return decisive
    return None if unknown else not decisive


def _apply(node: SyntaxNode, values: list[Any]) -> Value:
    if any(value is None for value in values):
        return None
    match node:
        case UnaryOperation(op=op):
            return not values[0] if op == "not" else -values[0]
        case Compare(op=op):
            return bool(_COMPARE[op](*values))
        case Contains(negated=negated):
            return (values[0] in values[1:]) != negated
        case Call(function=function):
            best: int | float = min(values) if function == "min" else max(values)
            return best
        case BinaryOperation(op=op):
            return _finite(op, *values)
        case _:
            raise TypeError(f"{type(node).__name__} has no meaning in figures")


_COMPARE: Mapping[str, Callable[[Any, Any], Any]] = {
    "==": lambda left, right: left == right,
    "!=": lambda left, right: left != right,
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}


def _truncated(left: float, right: float) -> int:
    """Towards zero, as in C; of whole numbers exactly."""
    if isinstance(left, int) and isinstance(right, int):
        quotient = abs(left) // abs(right)
        return quotient if (left < 0) == (right < 0) else -quotient
    return math.trunc(left / right)


_ARITHMETIC: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": lambda left, right: left + right,
    "-": lambda left, right: left - right,
    "*": lambda left, right: left * right,
    "/": lambda left, right: left / right,
    "//": _truncated,
    "%": lambda left, right: left - right * _truncated(left, right),
}


def _finite(op: str, left: Any, right: Any) -> int | float | None:
    try:
        found: int | float = _ARITHMETIC[op](left, right)
        return found if math.isfinite(found) else None
    except (ZeroDivisionError, OverflowError, ValueError):
        return None


def references(
    node: SyntaxNode, *, whole: bool = False
) -> Iterator[tuple[str, tuple[str, ...], bool]]:
    """What an expression names, units left out: as it is written, its parts, and whether it stands
    within total()."""
    if path := dotted_parts(node):
        if path[0] not in UNITS:
            name = ".".join(path)
            yield (f"total({name})" if whole else name), path, whole
        return
    within = whole or (isinstance(node, Call) and node.function == "total")
    for child in children(node):
        yield from references(child, whole=within)


# ---------------------------------------------------------------- numbers of cells


def number_of(spec: MetricSpec, cell: Cell, name: str) -> int | float | None:
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
