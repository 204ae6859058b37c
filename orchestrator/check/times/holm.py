"""Holm's correction: of many comparisons, one in a hundred would fail by chance alone."""

from collections.abc import Sequence

__all__ = ["adjust_p_values"]


def adjust_p_values(values: Sequence[float]) -> list[float]:
    """The p values, in their order, so that comparing each with a level alpha keeps the chance of
    any false alarm at alpha (Holm 1979): the least times their number, the next times one less, and
    none below the one before it."""
    order = sorted(range(len(values)), key=values.__getitem__)
    adjusted = [1.0] * len(values)
    largest = 0.0
    for rank, index in enumerate(order):
        largest = max(largest, (len(values) - rank) * values[index])
        adjusted[index] = min(1.0, largest)
    return adjusted
