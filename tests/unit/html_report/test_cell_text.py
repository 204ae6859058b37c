"""A cell's key as text."""

import pytest

from orchestrator.html_report.cell_text import describe_cell, key_column

KERNEL_ADDRESS = 0xFFFF_8880_0123_4560


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (KERNEL_ADDRESS, "0xffff888001234560"),
        (1 << 40, 1 << 40),  # a count or a size: it can be sorted
        (-5, -5),
        (True, "true"),
        (None, "(unknown)"),
        (2.5, 2.5),
        (["a", "b", "c", "d"], "a ← b ← c ← 1 more"),
    ],
)
def test_a_part_of_a_key_is_a_number_or_a_text(value: object, shown: object) -> None:
    """Addresses of the kernel as on a terminal: no usual number is as large."""
    assert key_column(value) == shown


def test_a_key_is_one_line() -> None:
    """Its parts in order; what did not fit is one cell."""
    cell = {"other": False, "key": {"sk": KERNEL_ADDRESS, "port": 80}}
    assert describe_cell(cell) == "0xffff888001234560 80"
    assert describe_cell({"other": True, "key": {}}) == "(other)"
