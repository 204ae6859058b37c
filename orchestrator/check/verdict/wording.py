"""Words that reasons and notes share."""

from fractions import Fraction

from orchestrator.check.verdict.model import JudgedSeries

__all__ = ["name_series", "show_number"]


def name_series(series: JudgedSeries) -> str:
    """Which series of an expectation it is, to be appended; "" for the only one."""
    return f" ({series.label})" if series.label else ""


def show_number(value: Fraction) -> str:
    """A number for people: whole ones exactly, others with six digits, or more before the point."""
    if value.denominator == 1:
        return f"{value.numerator:,}"
    return f"{float(value):,.6g}" if abs(value) < 10**6 else f"{round(value):,}"
