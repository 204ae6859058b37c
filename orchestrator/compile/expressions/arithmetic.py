"""Typing of operators: C's conversions, and units that must fit."""

from dataclasses import replace

from orchestrator.compile.expressions.nodes import (
    Arithmetic,
    Combination,
    Comparison,
    Const,
    Convert,
    Either,
    Node,
    StringTest,
    TextConst,
    Unseen,
)
from orchestrator.compile.expressions.types import (
    S32,
    S64,
    U64,
    Bool,
    Int,
    Ip,
    Pointer,
    Str,
    UnknownType,
    promote_types,
    space_of,
    with_space,
    wrap_integer,
)
from orchestrator.plan.findings import Position, plan_error


def make_constant(value: int) -> Const:
    """A literal with C's type for it: int if it fits, else s64, else u64."""
    if -(1 << 31) <= value < 1 << 31:
        return Const(value, S32)
    return Const(value, S64 if value < 1 << 63 else U64)


def convert_node(node: Node, kind: Int | Bool | Pointer) -> Node:
    """`node` as `kind`; constants are converted at once. A number of an address goes on being
    one."""
    if node.type == kind:
        return node
    if isinstance(kind, Int):
        kind = _in_space_of(node, kind)
    if isinstance(node, Const):
        value = (
            int(node.value != 0)
            if isinstance(kind, Bool)
            else (wrap_integer(node.value, kind if isinstance(kind, Int) else U64))
        )
        return Const(value, kind, "" if isinstance(kind, Bool) else node.enumerator)
    return Convert(node, kind)


def _in_space_of(node: Node, kind: Int) -> Int:
    marked = with_space(kind, space_of(node.type))
    assert isinstance(marked, Int)
    return marked


def require_integer(node: Node, position: Position, what: str = "this") -> Node:
    """`node` as an integer: bools are 0 or 1, pointers u64. Raises PlanError for the rest."""
    match node.type:
        case Int():
            return node
        case Bool():
            return convert_node(node, S32)
        case Pointer():
            return convert_node(node, U64)
        case UnknownType(plain=plain):
            return Unseen(S64 if plain else replace(S64, unit="any"))
        case other:
            raise plan_error(
                "PP084",
                f"{what} is a {other} where a number is needed",
                position,
                "read it first: `str(p)` for strings, `.member` for structs"
                if not isinstance(other, Str)
                else "",
            )


def require_condition(node: Node, position: Position) -> Node:
    """`node` as a condition: numbers and pointers are true when they are not 0."""
    if isinstance(node.type, Bool):
        return node
    if isinstance(node.type, Str):
        raise plan_error("PP084", "a string is not a condition", position, 'compare it: s != ""')
    number = require_integer(node, position)
    return Comparison("!=", number, _zero(number))


def make_negation(node: Node, position: Position) -> Node:
    """`not node`."""
    return Combination("not", (require_condition(node, position),))


def _zero(number: Node) -> Const:
    assert isinstance(number.type, Int)
    return Const(0, number.type)


def make_unary(op: str, node: Node, position: Position) -> Node:
    """`-x` or `~x`, at least 32 bits wide as in C."""
    number = require_integer(node, position)
    kind = _common(number, Const(0, S32))
    if isinstance(number, Const):
        return Const(wrap_integer(-number.value if op == "-" else ~number.value, kind), kind)
    return Arithmetic(op, convert_node(number, kind), None, kind)


def make_binary(op: str, left: Node, right: Node, position: Position) -> Node:
    """`left op right` in C's common type, with units checked."""
    left, right = require_integer(left, position), require_integer(right, position)
    unit = _unit_of(op, left, right, position)
    shift = op in ("<<", ">>")
    kind = _with_unit(_common(left, Const(0, S32) if shift else right), unit)
    return Arithmetic(op, convert_node(left, kind), convert_node(right, kind), kind)


def _with_unit(kind: Int, unit: str) -> Int:
    return replace(kind, unit=unit)  # type: ignore[arg-type]  # callers take units of types


def _common(left: Node, right: Node) -> Int:
    assert isinstance(left.type, Int)
    assert isinstance(right.type, Int)
    return promote_types(left.type, right.type)


def _units(left: Node, right: Node) -> tuple[str, str]:
    assert isinstance(left.type, Int)
    assert isinstance(right.type, Int)
    return left.type.unit, right.type.unit


def _is_zero(node: Node) -> bool:
    return isinstance(node, Const) and node.value == 0


def _unit_of(op: str, left: Node, right: Node, position: Position) -> str:
    mine, other = _units(left, right)
    if "any" in (mine, other):
        return "any"
    if op == "*":
        if mine and other:
            raise plan_error("PP085", f"a {mine} times a {other} has no meaning", position)
        return mine or other
    if op in ("+", "-", "%"):
        _check_same_unit(op, left, right, position)
        return mine or other
    if op == "//":
        if "duration" in (mine, other) and mine != "duration":
            raise plan_error(
                "PP085",
                f"a {mine or 'number'} divided by a duration has no meaning here",
                position,
                "rates are for `derive`",
            )
        return "" if other else mine
    return ""


def _check_same_unit(op: str, left: Node, right: Node, position: Position) -> None:
    mine, other = _units(left, right)
    if "any" in (mine, other):
        return
    if mine == other or "duration" not in (mine, other) or _is_zero(left) or _is_zero(right):
        return
    if {mine, other} == {"duration", "bytes"}:
        raise plan_error("PP085", f"`{op}` between a duration and bytes", position)
    raise plan_error(
        "PP085",
        f"`{op}` between a duration and a plain number",
        position,
        f"write the unit: `{_number_of(left, right)}*ms`; a duration counts ns, and `N*ns` makes "
        "one",
    )


def _number_of(left: Node, right: Node) -> int:
    """The constant of the two that has no unit, else an example."""
    for node, unit in zip((left, right), _units(left, right), strict=True):
        if isinstance(node, Const) and not unit:
            return node.value
    return 10


def make_extreme(op: str, left: Node, right: Node, position: Position) -> Node:
    """`min(left, right)` or `max(left, right)` in C's common type; each is evaluated once."""
    left, right = require_integer(left, position), require_integer(right, position)
    _check_same_unit(op, left, right, position)
    units = _units(left, right)
    kind = _with_unit(_common(left, right), units[0] or units[1])
    return Arithmetic(op, convert_node(left, kind), convert_node(right, kind), kind)


# ---------------------------------------------------------------- comparisons


def make_comparison(op: str, left: Node, right: Node, position: Position) -> Node:
    """`left op right`: numbers in their common type; strings with a constant, == and != only."""
    if isinstance(left.type, Str) or isinstance(right.type, Str):
        return _string_comparison(op, left, right, position)
    left, right = require_integer(left, position), require_integer(right, position)
    _check_same_unit(op, left, right, position)
    kind = _common(left, right)
    return Comparison(op, convert_node(left, kind), convert_node(right, kind))


_TEXT_TESTS = 'use ==, !=, startswith(s, "…") or glob(s, "*…")'


def _string_comparison(op: str, left: Node, right: Node, position: Position) -> Node:
    if isinstance(left, TextConst):
        left, right = right, left
    if not isinstance(left.type, Str) or not isinstance(right, TextConst):
        raise plan_error(
            "PP084",
            f"`{op}` between {left.type} and {right.type}",
            position,
            _suggest_comparison(op, left, right),
        )
    if op not in ("==", "!="):
        raise plan_error(
            "PP084",
            f"`{op}` is not defined for strings",
            position,
            _TEXT_TESTS,
        )
    test = make_string_test("equal", left, right.value)
    return test if op == "==" else Combination("not", (test,))


def _suggest_comparison(op: str, left: Node, right: Node) -> str:
    """What to write for a comparison of text and something else, or of two texts."""
    text, other = (left, right) if isinstance(left.type, Str) else (right, left)
    if isinstance(other.type, Str):
        return "a string compares with a constant string"
    if op not in ("==", "!="):
        return _TEXT_TESTS
    if not isinstance(text, TextConst):
        return f'a string compares with text in quotes: "{_show_number(other)}"'
    if isinstance(other.type, Pointer | UnknownType):
        return f'read the text that the pointer leads to: str(…) == "{_show_text(text)}"'
    if text.value.isdigit():
        return f"write the number without quotes: {_show_text(text)}"
    return "a number compares with a number; the name of the task is comm, and str(p) reads text"


def _show_number(node: Node) -> str:
    return str(node.value) if isinstance(node, Const) else "…"


def _show_text(node: TextConst) -> str:
    return node.value.decode(errors="replace")


def make_string_test(op: str, string: Node, text: bytes) -> Node:
    """A string test; text longer than the string is never found."""
    return StringTest(op, string, text)  # type: ignore[arg-type]  # callers name the four tests


def make_if_else(test: Node, yes: Node, no: Node, position: Position) -> Node:
    """`yes if test else no`, both arms brought to one type."""
    test = require_condition(test, position)
    if yes.type == no.type and not isinstance(yes.type, Str):
        kind = with_space(yes.type, space_of(yes.type), space_of(no.type))
        return Either(test, yes, no, kind)
    if isinstance(yes.type, Int | Bool | Pointer) and isinstance(no.type, Int | Bool | Pointer):
        yes, no = require_integer(yes, position), require_integer(no, position)
        _check_same_unit("else", yes, no, position)
        unit = next((u for u in _units(yes, no) if u), "")
        common = _with_unit(_common(yes, no), unit)
        return Either(test, convert_node(yes, common), convert_node(no, common), common)
    if isinstance(yes.type, Ip) and isinstance(no.type, Ip):
        return Either(test, yes, no, Ip(0))
    if isinstance(yes.type, Str) and isinstance(no.type, Str):
        return Either(test, yes, no, Str(max(yes.type.size, no.type.size)))
    raise plan_error(
        "PP084",
        f"the two arms have different types: {yes.type} and {no.type}",
        position,
        "both numbers, both strings or both addresses",
    )
