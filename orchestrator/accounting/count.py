"""Counts, some of which cannot be known.

A count that neither the kernel nor this program keeps is the word "unknown", here as in the log. It
is never zero, and a sum with an unknown part is unknown.
"""

from collections.abc import Iterable
from typing import Final, Literal, TypeGuard

__all__ = ["UNKNOWN", "Count", "add_counts", "at_least", "count_from_number", "is_known"]
__all__ += ["subtract_counts"]

Unknown = Literal["unknown"]
UNKNOWN: Final = "unknown"
#: How often something happened.
Count = int | Unknown


def is_known(count: Count) -> TypeGuard[int]:
    """Whether `count` is a number."""
    return not isinstance(count, str)


def count_from_number(number: int | None) -> Count:
    """A number that may be missing, such as one that older kernels do not report."""
    return UNKNOWN if number is None else number


def at_least(count: Count) -> int:
    """How often it happened as far as is known: 0 if that is unknown."""
    return count if is_known(count) else 0


def add_counts(counts: Iterable[Count]) -> Count:
    """The sum; unknown if a part of it is."""
    total = 0
    for count in counts:
        if not is_known(count):
            return UNKNOWN
        total += count
    return total


def subtract_counts(count: Count, *parts: Count) -> Count:
    """`count` less its `parts`; unknown if one of them is."""
    taken = add_counts(parts)
    return count - taken if is_known(count) and is_known(taken) else UNKNOWN
