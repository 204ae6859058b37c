"""Conditions as tracefs filters, where the filter grammar can express exactly the same.

Source: kernel/trace/trace_events_filter.c (parse_pred, filter_parse_regex). A field is compared
with a constant in the field's width and sign. The kernel would truncate a constant outside that
range, which changes its meaning, so such a condition is not pushed. Faulting reads do not match.
"""

from collections.abc import Callable, Mapping

from orchestrator.compile.expressions.nodes import (
    Arithmetic,
    Combination,
    Comparison,
    Const,
    Convert,
    Node,
    ShownAs,
    StringTest,
)
from orchestrator.compile.expressions.types import Bool, Int, Pointer, Str, wrap_integer
from orchestrator.values import dataclass

__all__ = ["FieldRef", "comm_filter", "field_name_of", "filter_text", "join_filters"]

_MOST_STRING = 255  # MAX_FILTER_STR_VAL is 256 with the NUL
_NEGATED = {"==": "!=", "!=": "=="}
_SWAPPED = {"<": ">", ">": "<", "<=": ">=", ">=": "<="}
_PLAIN = set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+./:=,@% ")


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldRef:
    """The name of the field that holds a node's value, and what a filter compares there: an integer
    of `type`, or a string stored in `size` bytes (0: of variable length)."""

    name: str
    type: Int | None
    size: int = 0


#: From a node to the field that holds its value; None where there is none.
FieldLookup = Callable[[Node], FieldRef | None]


def filter_text(node: Node, field_of: FieldLookup) -> str | None:
    """The filter that matches exactly where `node` is true; None where there is none."""
    match node:
        case Combination(op="not", operands=(operand,)):
            inner = filter_text(operand, field_of)
            return None if inner is None else f"!({inner})"
        case Combination(op=op, operands=operands):
            parts = [filter_text(operand, field_of) for operand in operands]
            known = [part for part in parts if part is not None]
            return (
                join_filters(known, " && " if op == "and" else " || ")
                if len(known) == len(parts)
                else None
            )
        case Comparison(op=op, left=left, right=right):
            return _filter_comparison(op, left, right, field_of)
        case StringTest():
            return _string_test(node, field_of)
        case Convert(value=value, type=Bool()):
            return _compare_number("!=", value, 0, field_of)
        case _ if isinstance(node.type, Bool | Int):
            return _compare_number("!=", node, 0, field_of)
        case _:
            return None


def field_name_of(node: Node, names: Mapping[Node, str]) -> str | None:
    """The field that holds the number or string `node`, unchanged; None where there is none."""
    while True:
        node = _strip_shown(node)
        if node in names:
            return names[node]
        if not (isinstance(node, Convert) and _is_widening(_number_type(node.value), node.type)):
            return None
        node = node.value


def join_filters(parts: list[str], glue: str = " && ") -> str:
    """Several filters as one."""
    return parts[0] if len(parts) == 1 else glue.join(f"({part})" for part in parts)


def _filter_comparison(op: str, left: Node, right: Node, field_of: FieldLookup) -> str | None:
    left, right = _strip_shown(left), _strip_shown(right)
    if isinstance(left, Const) and not isinstance(right, Const):
        left, right, op = right, left, _SWAPPED.get(op, op)
    return _compare_number(op, left, right.value, field_of) if isinstance(right, Const) else None


def _compare_number(op: str, node: Node, constant: int, field_of: FieldLookup) -> str | None:
    """`node op constant`, both in the node's type."""
    node = _strip_shown(node)
    match node:
        case Arithmetic(op="&", left=left, right=Const(value=mask)) if constant == 0:
            return _test_mask(op, left, mask, field_of)
        case Convert(value=inner, type=kind) if isinstance(_number_type(inner), Int | Bool):
            moved = _before_conversion(op, constant, _number_type(inner), kind)
            return None if moved is None else _compare_number(op, inner, moved, field_of)
        case _:
            return _compare_field(op, field_of(node), constant)


def _compare_field(op: str, ref: FieldRef | None, constant: int) -> str | None:
    if ref is None or ref.type is None or not _can_hold(ref.type, constant):
        return None
    return f"{ref.name} {op} {constant}"


def _test_mask(op: str, node: Node, mask: int, field_of: FieldLookup) -> str | None:
    """`(field & mask) != 0`, which is written `field & mask` in a filter."""
    node = _strip_shown(node)
    if (
        isinstance(node, Convert)
        and _is_widening(_number_type(node.value), node.type)
        and mask >= 0
    ):
        # The upper bits of a widened signed value repeat its sign: only lower masks are equal.
        kind = _number_type(node.value)
        if isinstance(kind, Int) and mask < 1 << (kind.bits - kind.signed):
            return _test_mask(op, node.value, mask, field_of)
        return None
    ref = field_of(node)
    if ref is None or ref.type is None or not _can_hold(ref.type, mask) or op not in _NEGATED:
        return None
    text = f"{ref.name} & {mask}"
    return text if op == "!=" else f"!({text})"


def _before_conversion(op: str, constant: int, source: object, target: object) -> int | None:
    """The constant to compare the unconverted value with; None where there is none."""
    if isinstance(source, Bool):
        source = Int(8, False)
    if not isinstance(source, Int):
        return None
    if _is_widening(source, target):
        return constant if _can_hold(source, constant) else None
    if not isinstance(target, Int) or op not in _NEGATED or target.bits < source.bits:
        return None
    before = wrap_integer(constant, source)
    return before if wrap_integer(before, target) == constant else None


def _is_widening(source: object, target: object) -> bool:
    """Whether every value of `source` is the same number in `target`."""
    if isinstance(target, Pointer):
        target = Int(64, False)
    if not (isinstance(source, Int) and isinstance(target, Int)):
        return False
    if source.signed and not target.signed:
        return False
    return target.bits > source.bits or (target.bits, target.signed) == (source.bits, source.signed)


def _can_hold(kind: Int, value: int) -> bool:
    return wrap_integer(value, kind) == value


def _number_type(node: Node) -> object:
    kind = node.type
    return Int(64, False) if isinstance(kind, Pointer) else kind


def _strip_shown(node: Node) -> Node:
    """Without the nodes that change no value: presentations, conversions to the same type."""
    while True:
        match node:
            case ShownAs(value=value):
                node = value
            case Convert(value=value, type=kind) if _is_same_type(value.type, kind):
                node = value
            case _:
                return node


def _is_same_type(left: object, right: object) -> bool:
    if isinstance(left, Int) and isinstance(right, Int):
        return (left.bits, left.signed) == (right.bits, right.signed)
    return isinstance(left, Pointer) and isinstance(right, Pointer)


# ---------------------------------------------------------------- strings


def _string_test(node: StringTest, field_of: FieldLookup) -> str | None:
    ref, kind = field_of(_strip_shown(node.string)), node.string.type
    if ref is None or ref.type is not None or not isinstance(kind, Str):
        return None
    text = _plain_text(node.text)
    # The plan compares at most size - 1 bytes; the kernel compares all of the field.
    if text is None:
        return None
    if not 0 < ref.size <= kind.size and (
        node.op in ("suffix", "contains") or len(text) >= kind.size - 1
    ):
        return None
    return _match_text(ref.name, node.op, text)


def _match_text(name: str, op: str, text: str) -> str | None:
    if op == "equal":
        return f'{name} == "{text}"'
    # A bracket makes the kernel use its full glob matcher. Without it a leading digit is taken for
    # an index, and the shortcut for suffixes compares the end of the array, not of the string.
    if not (text[0].isalnum() or text[0] == "_"):
        return None
    glob = f"[{text[0]}]{text[1:]}"
    pattern = {"prefix": f"{glob}*", "suffix": f"*{glob}", "contains": f"*{glob}*"}[op]
    return f'{name} ~ "{pattern}"'


def _plain_text(text: bytes) -> str | None:
    """Text that has no special meaning in a filter, in quotes and in a pattern; else None."""
    try:
        plain = text.decode("ascii")
    except UnicodeDecodeError:
        return None
    return plain if 0 < len(plain) <= _MOST_STRING - 4 and set(plain) <= _PLAIN else None


def comm_filter(globs: tuple[str, ...]) -> str | None:
    """A filter on the current task's name: exact, or with one `*` at an end. COMM is a field of
    every event (trace_events.c, trace_define_generic_fields)."""
    parts = [_match_comm(glob.encode()) for glob in globs]
    known = [part for part in parts if part is not None]
    return join_filters(known, " || ") if known and len(known) == len(parts) else None


def _match_comm(glob: bytes) -> str | None:
    op = "prefix" if glob.endswith(b"*") else "suffix" if glob.startswith(b"*") else "equal"
    text = _plain_text(glob.removesuffix(b"*") if op == "prefix" else glob.removeprefix(b"*"))
    return None if text is None else _match_text("COMM", op, text)
