"""Exact values of expressions: rationals, so that nothing rounds and nothing overflows.

What has no value (nothing counted, a division by 0, a name without one) is None, and so is all that
is computed from it.
"""

import math
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

from orchestrator.check.expectation.constants import is_constant_name
from orchestrator.check.expectation.references import Reference, read_reference
from orchestrator.check.measurement import CellValue
from orchestrator.plan.expression import syntax
from orchestrator.plan.expression.names import UNITS
from orchestrator.plan.expression.syntax import (
    BinaryOperation,
    Boolean,
    Call,
    Compare,
    Contains,
    Filtered,
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
from orchestrator.values import dataclass

__all__ = ["ExactValue", "UnlikeKey", "compare_exactly", "evaluate_bound", "evaluate_exact"]
__all__ += ["NamedNumber", "evaluate_filter"]


@dataclass(frozen=True, slots=True)
class NamedNumber:
    """A number of a cell's key that stands for something, such as a system call: it is compared
    with a number by itself, and with text by its `name`."""

    number: Fraction
    name: str


ExactValue = Fraction | str | bool | NamedNumber | None
#: From a name as written to its value.
NameValues = Callable[[Reference], ExactValue]


class UnlikeKey(Exception):  # the data decide, not the check alone
    """A filter compares a key with a value of another type; the text says which."""


def compare_exactly(op: str, left: Fraction, right: Fraction) -> bool:
    """Whether `left op right`."""
    return COMPARISONS[op](left, right)


def evaluate_exact(node: SyntaxNode, look_up: NameValues) -> ExactValue:
    """The value of an expression whose names `look_up` resolves. Raises UnlikeKey where values of
    different types are compared."""
    match node:
        case Number():
            return Fraction(node.value)
        case syntax.Fraction():
            # Of 0e-999999999 the text would be a fraction with a billion digits.
            return Fraction(node.text or str(node.value)) if node.value else Fraction(0)
        case TextLiteral() | Boolean():
            return node.value
        case Name() | MemberOf() | Filtered():
            return _evaluate_name(node, look_up)
        case Call(function="total", args=args):  # of a whole run
            return evaluate_exact(args[0], look_up)
        case Logic(op=op, operands=operands):
            return decide_logic(op, (evaluate_exact(operand, look_up) for operand in operands))
        case IfElse(test=test, yes=yes, no=no):
            holds = evaluate_exact(test, look_up)
            if holds is None:
                return None
            return evaluate_exact(yes if holds else no, look_up)
        case _:
            return _apply(node, [evaluate_exact(child, look_up) for child in children(node)])


def _evaluate_name(node: SyntaxNode, look_up: NameValues) -> ExactValue:
    reference = read_reference(node)
    if reference is None:
        return None
    value = look_up(reference)
    if value is None and reference.parts[0] in UNITS and len(reference.parts) == 1:
        return Fraction(UNITS[reference.parts[0]])
    return value


def _apply(node: SyntaxNode, values: list[Any]) -> ExactValue:
    if any(value is None for value in values):
        return None
    by_name = isinstance(node, Compare | Contains) and any(isinstance(v, str) for v in values)
    values = [_take_side(value, by_name=by_name) for value in values]
    match node:
        case UnaryOperation(op="not"):
            return not values[0]
        case UnaryOperation(op="-"):
            return -_number(values[0])
        case Compare(op=op):
            _require_alike(values)
            return COMPARISONS[op](*values)
        case Contains(negated=negated):
            _require_alike(values)
            return (values[0] in values[1:]) != negated
        case Call(function="min" | "max" as function):
            return (min if function == "min" else max)(map(_number, values))
        case BinaryOperation(op=op):
            return _compute(op, _number(values[0]), _number(values[1]))
        case _:
            raise UnlikeKey(f"{type(node).__name__} has no exact value")


def _take_side(value: Any, *, by_name: bool) -> Any:
    if not isinstance(value, NamedNumber):
        return value
    return value.name if by_name else value.number


def _number(value: ExactValue) -> Fraction:
    if not isinstance(value, Fraction):
        raise UnlikeKey(f"{value!r} is not a number")
    return value


def _require_alike(values: list[ExactValue]) -> None:
    first = values[0]
    for other in values[1:]:
        if type(first) is not type(other):
            raise UnlikeKey(f"{_show(first)} is compared with {_show(other)}")


def _show(value: ExactValue) -> str:
    if isinstance(value, Fraction):
        return f"the number {value}"
    return f"the text {value!r}" if isinstance(value, str) else str(value).lower()


def _compute(op: str, left: Fraction, right: Fraction) -> Fraction | None:
    match op:
        case "+":
            return left + right
        case "-":
            return left - right
        case "*":
            return left * right
        case _ if right == 0:
            return None
        case "/":
            return left / right
        case "//":
            return Fraction(math.trunc(left / right))
        case "%":  # its sign is that of the left side, as in C
            return left - right * math.trunc(left / right)
        case _:
            raise UnlikeKey(f"`{op}` has no exact value")


# ---------------------------------------------------------------- bounds and filters

#: Values of params by name, and of constants such as SYS_fsync by name.
Names = Mapping[str, Any]


def evaluate_bound(
    node: SyntaxNode,
    params: Names,
    baseline: Fraction | int | None,
    constants: Names | None = None,
) -> Fraction | None:
    """The value of a bound. `baseline` None: there is none."""

    def look_up(reference: Reference) -> ExactValue:
        match reference.parts:
            case ("baseline",):
                return None if baseline is None else Fraction(baseline)
            case ("params", name):
                return _exact(params.get(name))
            case (name,):
                return _exact((constants or {}).get(name))
        return None

    value = evaluate_exact(node, look_up)
    return value if isinstance(value, Fraction) else None


def evaluate_filter(
    node: SyntaxNode,
    key: Mapping[str, CellValue],
    params: Names,
    constants: Names,
    names: Mapping[str, str] | None = None,
) -> bool | None:
    """Whether a cell with this key is meant; None where a part of its key could not be read.
    `names`: of parts of the key whose number stands for something, its text.

    Raises UnlikeKey where a key is compared with a value of another type, or with a constant that
    this machine does not have.
    """

    def look_up(reference: Reference) -> ExactValue:
        name = ".".join(reference.parts)
        if name in key:
            value, text = _exact(key[name]), (names or {}).get(name)
            return NamedNumber(value, text) if isinstance(value, Fraction) and text else value
        if reference.parts[0] == "params" and len(reference.parts) == 2:
            return _exact(params.get(reference.parts[1]))
        if is_constant_name(name) and name not in constants:
            raise UnlikeKey(f"{name} has no value on this machine")
        return _exact(constants.get(name))

    value = evaluate_exact(node, look_up)
    return None if value is None else bool(value)


def _exact(value: Any) -> ExactValue:
    if isinstance(value, bool | str) or value is None:
        return value
    if isinstance(value, int):
        return Fraction(value)
    raise UnlikeKey("a stack is compared")
