"""The expression language: a whitelisted subset of Python's expression syntax.

`parse` turns text into untyped nodes with their column. Types, and what a name means at a given
hook, are determined by the compiler (`orchestrator.compile`).
"""

import ast
import keyword
import math
import re
import warnings
from collections.abc import Callable

from orchestrator.plan.expression.syntax import (
    BinaryOperation,
    Boolean,
    Call,
    Compare,
    Contains,
    ElementOf,
    Expr,
    Filtered,
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
)
from orchestrator.plan.findings import NOWHERE, PlanError, Position, plan_error

MAX_LENGTH = 4096
MAX_DEPTH = 60


def _parse_python(text: str) -> ast.Expression:
    """Python's tree. Its warnings (odd escapes, `1 is x`) are not printed: such text is refused
    later, or harmless."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(text, mode="eval")


def parse(
    text: str, position: Position = NOWHERE, *, fractions: bool = False, filters: bool = False
) -> Expr:
    """Parse one expression; raises PlanError (PP020: syntax, PP021: not part of the language).
    `fractions`: numbers with a point are allowed; only in figures, which no kernel computes.
    `filters`: METRIC[CONDITION] is allowed; only in what a check expects."""
    _check_size(text, position)
    _check_foreign_operators(text, position)
    try:
        tree = _parse_python(text.strip())
    except SyntaxError as error:
        raise _syntax_error(error, text, position) from None
    except (ValueError, RecursionError, MemoryError) as error:
        raise plan_error("PP020", f"cannot parse {_quote(text)}: {error}", position) from None
    lead = len(text) - len(text.lstrip())
    converter = _Converter(text.strip(), lead, position, fractions=fractions, filters=filters)
    return Expr(text=text, root=converter.convert_node(tree.body), position=position)


# ---------------------------------------------------------------- refusals


def _quote(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:57] + "…")


def _check_size(text: str, position: Position) -> None:
    if not text.strip():
        raise plan_error("PP020", "the expression is empty", position)
    if len(text) > MAX_LENGTH:
        raise plan_error(
            "PP020",
            f"the expression has {len(text)} characters; at most {MAX_LENGTH} are allowed",
            position,
            "split it with `let`",
        )
    if "\0" in text:
        raise plan_error("PP020", "the expression contains a NUL character", position)
    depth = deepest = 0
    for char in text:
        depth += (char in "([{") - (char in ")]}")
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH or len(re.findall(r"\bnot\b|[-~+]{2}", text)) > 4 * MAX_DEPTH:
        raise plan_error(
            "PP020",
            f"the expression nests deeper than {MAX_DEPTH}",
            position,
            "split it with `let`",
        )


_STRINGS = re.compile(r"'(?:\\.|[^'\\])*'|\"(?:\\.|[^\"\\])*\"")
_FOREIGN = (
    (re.compile(r"&&"), "&&", "write `and`"),
    (re.compile(r"\|\|"), "||", "write `or`"),
    (re.compile(r"!(?!=)"), "!", "write `not`"),
    (re.compile(r"\$\("), "$(", "inside an expression write `params.NAME` without `$( )`"),
    (re.compile(r"->"), "->", "write `.`: members of pointers are reached with a dot"),
    (re.compile(r"\?"), "?", "write `A if CONDITION else B`"),
    (re.compile(r"(?<![=!<>])=(?!=)"), "=", "compare with `==`"),
    (re.compile(r"\bp99\.9\b"), "p99.9", "write `p99_9`"),
    (
        re.compile(r"\b\d+(?:ns|us|ms|s|KiB|MiB|GiB)\b"),
        "a number joined to a unit",
        "multiply by the unit: `10*ms`, `4*KiB`",
    ),
)


def _check_foreign_operators(text: str, position: Position) -> None:
    bare = _STRINGS.sub(lambda match: "_" * len(match.group()), text)
    for pattern, shown, hint in _FOREIGN:
        if match := pattern.search(bare):
            raise plan_error(
                "PP020",
                f"{shown} is not part of the expression language, in {_quote(text)}",
                position.shifted(match.start()) if position.line else position,
                hint,
            )


def _syntax_error(error: SyntaxError, text: str, position: Position) -> PlanError:
    column = max((error.offset or 1) - 1, 0) + len(text) - len(text.lstrip())
    place = position.shifted(min(column, len(text))) if position.line else position
    return plan_error(
        "PP020",
        f"cannot parse {_quote(text)}: {error.msg}",
        place,
        "expressions follow Python's syntax: names, members, comparisons, and/or/not",
    )


# ---------------------------------------------------------------- conversion

_NEWLINE = re.compile("\r\n|\r|\n")  # as Python's tokenizer counts lines


def _is_encodable(value: str) -> bool:
    """Whether UTF-8 can encode it."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


_BINARY: dict[type[ast.operator], str] = {
    ast.Add: "+",
    ast.Sub: "-",
    ast.Mult: "*",
    ast.FloorDiv: "//",
    ast.Mod: "%",
    ast.LShift: "<<",
    ast.RShift: ">>",
    ast.BitAnd: "&",
    ast.BitOr: "|",
    ast.BitXor: "^",
    ast.Div: "/",
}
_COMPARE: dict[type[ast.cmpop], str] = {
    ast.Eq: "==",
    ast.NotEq: "!=",
    ast.Lt: "<",
    ast.LtE: "<=",
    ast.Gt: ">",
    ast.GtE: ">=",
}
_UNARY: dict[type[ast.unaryop], str] = {ast.USub: "-", ast.Invert: "~", ast.Not: "not"}


class _Converter:
    """Converts Python's tree to ours, with character columns (Python counts UTF-8 bytes)."""

    def __init__(
        self, text: str, lead: int, position: Position, *, fractions: bool, filters: bool
    ) -> None:
        self.text, self.lead, self.position = text, lead, position
        self.fractions, self.filters = fractions, filters
        self.starts = [0, *(match.end() for match in _NEWLINE.finditer(text))]
        self.depth = 0

    def column_of(self, node: ast.expr) -> int:
        start = self.starts[node.lineno - 1]
        line = self.text[start:].encode()[: node.col_offset].decode(errors="replace")
        return self.lead + start + len(line)

    def source_of(self, node: ast.expr) -> str:
        """The source text of `node`, at most 60 characters. (`ast.unparse` recurses once a level,
        and text may nest deeper than it can.)"""
        return repr((ast.get_source_segment(self.text, node) or "")[:60])

    def refuse_node(self, node: ast.expr, message: str, hint: str = "") -> PlanError:
        place = self.position.shifted(self.column_of(node)) if self.position.line else self.position
        return plan_error("PP021", message, place, hint)

    def convert_node(self, node: ast.expr) -> SyntaxNode:
        self.depth += 1
        if self.depth > 4 * MAX_DEPTH:
            raise self.refuse_node(node, "the expression nests too deeply", "split it with `let`")
        handler = _HANDLERS.get(type(node))
        if handler is None or (isinstance(node, ast.Subscript) and not self._may_index(node)):
            raise self.refuse_node(
                node,
                f"{self.source_of(node)} ({type(node).__name__}) is not part of the "
                "expression language",
                "allowed: names, members, x[i], numbers, strings, comparisons, and/or/not, in (…), "
                "arithmetic, shifts, A if C else B, and calls of builtin functions",
            )
        converted = handler(self, node)
        self.depth -= 1
        return converted

    def convert_constant(self, node: ast.Constant) -> SyntaxNode:
        value, at = node.value, self.column_of(node)
        if isinstance(value, bool):
            return Boolean(value, at)
        if isinstance(value, int):
            if value >= 1 << 64:
                shown = self.source_of(node).strip("'")
                raise self.refuse_node(node, f"{shown} does not fit into 64 bits")
            return Number(value, at)
        if isinstance(value, str):
            if not value.isascii() and not _is_encodable(value):
                raise self.refuse_node(node, "half of a surrogate pair is not a character")
            return TextLiteral(value, at)
        if isinstance(value, float) and self.fractions and math.isfinite(value):
            return Fraction(value, at, ast.get_source_segment(self.text, node) or "")
        hint = "there are no fractions: scale the number, e.g. `10*us` for 0.01 ms"
        raise self.refuse_node(
            node, f"the constant {value!r} is not allowed", hint if isinstance(value, float) else ""
        )

    def convert_name(self, node: ast.Name) -> SyntaxNode:
        lowered = {"true": True, "false": False}
        if node.id in lowered:
            return Boolean(lowered[node.id], self.column_of(node))
        return Name(node.id, self.column_of(node))

    def convert_member(self, node: ast.Attribute) -> SyntaxNode:
        bare = node.attr.removesuffix("_")
        name = bare if keyword.iskeyword(bare) else node.attr
        return MemberOf(self.convert_node(node.value), name, self.column_of(node))

    def convert_unary(self, node: ast.UnaryOp) -> SyntaxNode:
        op = _UNARY.get(type(node.op))
        if op is None:
            return self.convert_node(node.operand)
        operand = self.convert_node(node.operand)
        if op == "-" and isinstance(operand, Number):
            if operand.value > 1 << 63:
                raise self.refuse_node(node, f"-{operand.value} does not fit into 64 bits")
            return Number(-operand.value, self.column_of(node))
        return UnaryOperation(op, operand, self.column_of(node))

    def convert_binary(self, node: ast.BinOp) -> SyntaxNode:
        op = _BINARY.get(type(node.op))
        if op is None:
            raise self.refuse_node(
                node,
                f"the operator of {self.source_of(node)} is not allowed",
                "allowed: + - * // % << >> & | ^",
            )
        return BinaryOperation(
            op, self.convert_node(node.left), self.convert_node(node.right), self.column_of(node)
        )

    def convert_comparison(self, node: ast.Compare) -> SyntaxNode:
        parts: list[SyntaxNode] = []
        left = node.left
        for op, right in zip(node.ops, node.comparators, strict=True):
            parts.append(self.convert_one_comparison(node, op, left, right))
            left = right
        return parts[0] if len(parts) == 1 else Logic("and", tuple(parts), self.column_of(node))

    def convert_one_comparison(
        self, node: ast.Compare, op: ast.cmpop, left: ast.expr, right: ast.expr
    ) -> SyntaxNode:
        if isinstance(op, ast.In | ast.NotIn):
            if _is_param(right):
                right = ast.Tuple(elts=[right])
            if not isinstance(right, ast.Tuple | ast.List | ast.Set) or not right.elts:
                raise self.refuse_node(
                    right,
                    "`in` needs a list of values",
                    "write `X in (A, B)`; one value: `X in (A,)`",
                )
            options = tuple(map(self.convert_node, right.elts))
            return Contains(
                self.convert_node(left), options, isinstance(op, ast.NotIn), self.column_of(node)
            )
        if type(op) not in _COMPARE:
            raise self.refuse_node(
                node, "`is` is not part of the expression language", "write `==`"
            )
        return Compare(
            _COMPARE[type(op)],
            self.convert_node(left),
            self.convert_node(right),
            self.column_of(node),
        )

    def convert_logic(self, node: ast.BoolOp) -> SyntaxNode:
        op = "and" if isinstance(node.op, ast.And) else "or"
        return Logic(op, tuple(map(self.convert_node, node.values)), self.column_of(node))

    def convert_if_else(self, node: ast.IfExp) -> SyntaxNode:
        return IfElse(
            self.convert_node(node.test),
            self.convert_node(node.body),
            self.convert_node(node.orelse),
            self.column_of(node),
        )

    def convert_call(self, node: ast.Call) -> SyntaxNode:
        if not isinstance(node.func, ast.Name):
            raise self.refuse_node(
                node,
                f"{self.source_of(node.func)} cannot be called",
                "only builtin functions can be called, e.g. `str(args.name)`",
            )
        if node.keywords:
            raise self.refuse_node(
                node, "keyword arguments are not allowed", "pass them by position"
            )
        return Call(node.func.id, tuple(map(self.convert_node, node.args)), self.column_of(node))

    def _may_index(self, node: ast.Subscript) -> bool:
        """Whether `x[i]` has a meaning: not in figures, and of one index alone."""
        return self.filters or not (self.fractions or isinstance(node.slice, ast.Slice | ast.Tuple))

    def convert_subscript(self, node: ast.Subscript) -> SyntaxNode:
        base, inner = self.convert_node(node.value), self.convert_node(node.slice)
        made = Filtered if self.filters else ElementOf
        return made(base, inner, self.column_of(node))

    def convert_tuple(self, node: ast.Tuple) -> SyntaxNode:
        return TupleOf(tuple(map(self.convert_node, node.elts)), self.column_of(node))


_HANDLERS: dict[type[ast.expr], Callable[[_Converter, "ast.expr"], SyntaxNode]] = {  # type: ignore[type-arg,unused-ignore]
    ast.Constant: _Converter.convert_constant,  # type: ignore[dict-item]  # each handler takes its own node type
    ast.Name: _Converter.convert_name,  # type: ignore[dict-item]
    ast.Attribute: _Converter.convert_member,  # type: ignore[dict-item]
    ast.UnaryOp: _Converter.convert_unary,  # type: ignore[dict-item]
    ast.BinOp: _Converter.convert_binary,  # type: ignore[dict-item]
    ast.Compare: _Converter.convert_comparison,  # type: ignore[dict-item]
    ast.BoolOp: _Converter.convert_logic,  # type: ignore[dict-item]
    ast.IfExp: _Converter.convert_if_else,  # type: ignore[dict-item]
    ast.Call: _Converter.convert_call,  # type: ignore[dict-item]
    ast.Subscript: _Converter.convert_subscript,  # type: ignore[dict-item]
    ast.Tuple: _Converter.convert_tuple,  # type: ignore[dict-item]
}


def _is_param(node: ast.expr) -> bool:
    """Whether it is `params.NAME`, which may be a list of networks."""
    return isinstance(node, ast.Attribute) and getattr(node.value, "id", "") == "params"
