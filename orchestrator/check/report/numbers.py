"""Numbers of reports that programs read: always written alike, without separators. Pure."""

import sys
from fractions import Fraction

__all__ = ["number_from", "number_text"]

_MOST_EXACT = 1 << 63


def number_from(value: Fraction) -> int | float:
    """Whole numbers exactly; others, and those beyond 64 bits, as near as a float is."""
    if value.denominator == 1 and abs(value.numerator) < _MOST_EXACT:
        return value.numerator
    try:
        return float(value)
    except OverflowError:
        return sys.float_info.max if value > 0 else -sys.float_info.max


def number_text(value: Fraction) -> str:
    """Whole numbers exactly; others with 15 digits, which a float holds."""
    number = number_from(value)
    return str(number) if isinstance(number, int) else f"{number:.15g}"
