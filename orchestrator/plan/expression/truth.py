"""What comparisons and `and`, `or` mean where values may be unknown (None)."""

import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any

__all__ = ["COMPARISONS", "decide_logic"]

COMPARISONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "==": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


def decide_logic(op: str, values: Iterable[object]) -> bool | None:
    """The value of `and` or `or`: one operand that decides is enough, also where others are
    unknown. Operands after it are not taken from `values`."""
    decisive, unknown = op == "or", False
    for value in values:
        if value is None:
            unknown = True
        elif bool(value) == decisive:
            return decisive
    return None if unknown else not decisive
