"""Names that a tracepoint's own print format has for the numbers in its fields.

The format of a tracepoint ends with the arguments of its printk. A table of names for a field is an
argument there: `__print_symbolic(REC->reason, { 2, "NO_SOCKET" }, …)`, or `__print_flags(…)` for
bits (include/trace/stages/stage3_trace_output.h). Values are C expressions: `1 << 3`,
`(( gfp_t)(0x400u|0x800u))`, or an enumerator that the kernel did not replace by its number.
"""

import ast
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Literal

from orchestrator.values import dataclass

__all__ = ["NumberNames", "evaluate_constant", "parse_printed_names"]

_TABLE = re.compile(r"\b__print_(symbolic|flags)(?:64|_u64)?\s*\(")
_FIELD = re.compile(r"REC->(\w+)", re.ASCII)
_MASKED = re.compile(r"REC->(\w+)\s*&.*", re.ASCII | re.DOTALL)
_STRING = re.compile(r'"((?:[^"\\]|\\.)*)"\s*')
_ENTRY = re.compile(rf"\{{(.*?),\s*((?:{_STRING.pattern})+)\}}", re.DOTALL)
_WORD = r"(?:unsigned|signed|long|int|short|char|_*[us](?:8|16|32|64)|\w+_t|enum\s+\w+)"
_CAST = re.compile(rf"\(\s*(?:__force\s+)?(?:const\s+)?{_WORD}(?:\s+{_WORD})*\s*\)", re.ASCII)
_SUFFIX = re.compile(r"\b(0[xX][0-9a-fA-F]+|[0-9]+)[uUlL]+\b")
_OCTAL = re.compile(r"\b0[0-7]+\b")
_MOST_ENTRIES, _MOST_CHARACTERS = 4096, 4096


@dataclass(frozen=True, slots=True, kw_only=True)
class NumberNames:
    """Where names for the values of a number are. `symbolic` and `flags` have `entries`, C text of
    a value and its name; an `enum` is the type `ctype` (`enum x`) or, if that is not 0, the BTF
    type `type_id`; of what is `unrecorded` it is not known whether there are names."""

    kind: Literal["symbolic", "flags", "enum", "unrecorded"]
    entries: tuple[tuple[str, str], ...] = ()
    ctype: str = ""
    type_id: int = 0


def parse_printed_names(text: str) -> dict[str, NumberNames]:
    """The tables in a print format, by the fields that they are for. A field that is printed in
    another way than by itself, or by some of its bits, has none."""
    tables: dict[str, NumberNames] = {}
    for match in _TABLE.finditer(text):
        field, *entries = _split_arguments(text, match.end()) or [""]
        kind: Literal["symbolic", "flags"] = "flags" if match[1] == "flags" else "symbolic"
        name = _find_field(field, may_mask=kind == "flags")
        known = tables.get(name)
        if not name or (known is not None and known.kind != kind):
            continue
        pairs = (known.entries if known is not None else ()) + tuple(_read_entries(entries))
        if pairs:
            tables[name] = NumberNames(kind=kind, entries=pairs[:_MOST_ENTRIES])
    return tables


def _split_arguments(text: str, start: int) -> list[str]:
    """The arguments of the call whose first begins at `start`; none if it does not end."""
    arguments, depth, begun, at = [], 1, start, start
    while at < len(text):
        match text[at]:
            case '"':
                at = _skip_string(text, at)
            case "(" | "{":
                depth += 1
            case ")" | "}":
                depth -= 1
            case ",":
                if depth == 1:
                    arguments.append(text[begun:at])
                    begun = at + 1
        if depth == 0:
            return [part.strip() for part in (*arguments, text[begun:at])]
        at += 1
    return []


def _skip_string(text: str, at: int) -> int:
    """The place of the quote that ends the string at `at`."""
    at += 1
    while at < len(text) and text[at] != '"':
        at += 2 if text[at] == "\\" else 1
    return at


def _find_field(text: str, *, may_mask: bool) -> str:
    """The field that an argument is; "" where it is computed from one."""
    bare = _without_parentheses(_CAST.sub("", text).strip())
    match = _FIELD.fullmatch(bare) or (_MASKED.fullmatch(bare) if may_mask else None)
    return match[1] if match else ""


def _without_parentheses(text: str) -> str:
    while text.startswith("(") and text.endswith(")"):
        text = text[1:-1].strip()
    return text


def _read_entries(arguments: list[str]) -> Iterator[tuple[str, str]]:
    for argument in arguments:
        match = _ENTRY.fullmatch(argument)
        if match is not None:
            name = re.sub(r"\\(.)", r"\1", "".join(_STRING.findall(match[2])))
            if name.isprintable() and name:
                yield match[1].strip(), name


# ---------------------------------------------------------------- values

_OPERATIONS: Mapping[type, Callable[[int, int], int]] = {
    ast.BitOr: lambda left, right: left | right,
    ast.BitAnd: lambda left, right: left & right,
    ast.BitXor: lambda left, right: left ^ right,
    ast.Add: lambda left, right: left + right,
    ast.Sub: lambda left, right: left - right,
    ast.LShift: lambda left, right: left << right,
    ast.RShift: lambda left, right: left >> right,
}
_UNARY: Mapping[type, Callable[[int], int]] = {
    ast.USub: lambda value: -value,
    ast.UAdd: lambda value: value,
    ast.Invert: lambda value: ~value,
}


def evaluate_constant(text: str, find: Callable[[str], int | None]) -> int | None:
    """The value of a constant expression of C; `find` gives the value of a name. None: it cannot be
    computed here."""
    if len(text) > _MOST_CHARACTERS:
        return None
    python = _OCTAL.sub(
        lambda match: str(int(match[0], 8)), _SUFFIX.sub(r"\1", _CAST.sub("", text))
    )
    try:
        return _evaluate(ast.parse(python.strip(), mode="eval").body, find)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


def _evaluate(node: ast.expr, find: Callable[[str], int | None]) -> int:
    """Raises ValueError for what is no constant of 64 bits."""
    match node:
        case ast.Constant(value=int() as value):
            return _require_word(value)
        case ast.Name(id=name):
            known = find(name)
            if known is None:
                raise ValueError(name)
            return known
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _UNARY:
            return _require_word(_UNARY[type(op)](_evaluate(operand, find)))
        case ast.BinOp(op=op, left=left, right=right) if type(op) in _OPERATIONS:
            first, second = _evaluate(left, find), _evaluate(right, find)
            if isinstance(op, ast.LShift | ast.RShift) and not 0 <= second < 64:
                raise ValueError(second)
            return _require_word(_OPERATIONS[type(op)](first, second))
    raise ValueError(type(node).__name__)


def _require_word(value: int) -> int:
    if not -(1 << 63) <= value < 1 << 64:
        raise ValueError(value)
    return value
