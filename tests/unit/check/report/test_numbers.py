"""Numbers of reports are written alike everywhere, and none is too large for their readers."""

import sys
from fractions import Fraction

import pytest

from orchestrator.check.report.numbers import number_from, number_text

MOST = sys.float_info.max


@pytest.mark.parametrize(
    ("value", "number", "text"),
    [
        (Fraction(0), 0, "0"),
        (Fraction(-12_345_678), -12_345_678, "-12345678"),
        (Fraction(2**63 - 1), 2**63 - 1, "9223372036854775807"),
        (Fraction(2**63), 2.0**63, "9.22337203685478e+18"),
        (Fraction(2, 3), 2 / 3, "0.666666666666667"),
        (Fraction(1, 10**9), 1e-9, "1e-09"),
        (Fraction(10**400), MOST, "1.79769313486232e+308"),
        (Fraction(-(10**400), 3), -MOST, "-1.79769313486232e+308"),
        (Fraction(1, 10**400), 0.0, "0"),
    ],
)
def test_a_number_is_exact_or_as_near_as_a_float(value: Fraction, number: float, text: str) -> None:
    assert number_from(value) == number
    assert isinstance(number_from(value), type(number))
    assert number_text(value) == text
