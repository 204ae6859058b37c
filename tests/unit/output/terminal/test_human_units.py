"""Numbers and texts for people."""

import pytest

from orchestrator.output.terminal.human_units import (
    choose_unit,
    collect_units,
    format_amount,
    format_count,
    format_numbers,
    make_printable,
)


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1500, "ns", "1.5 µs"), (30_000_000_000, "us", "30 s"), (0, "ns", "0 ns"),
        (8 << 20, "bytes", "8 MiB"), (1234567, "", "1,234,567"), (None, "ns", "-"),
        ("unknown", "ns", "unknown"), (999_999, "ns", "1,000 µs"), (2.5, "pages", "2.50 pages"),
    ],
)  # fmt: skip
def test_amounts_read_well(value: float, unit: str, text: str) -> None:
    """Durations are ns and sizes bytes, whatever the display unit."""
    assert format_amount(value, unit) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(12345, "12,345"), (2.5, "2.50"), (3.0, "3"), ("unknown", "unknown"), (None, "-")],
)
def test_counts_have_thousands(value: float | str | None, text: str) -> None:
    assert format_count(value) == text


def test_the_display_unit_is_for_values_without_a_unit() -> None:
    assert choose_unit({"unit": "ns", "display_unit": "us"}) == "ns"
    assert choose_unit({"unit": "", "display_unit": "pages"}) == "pages"
    assert choose_unit({"unit": ""}) == ""


def test_the_numbers_of_a_condition_have_the_units_of_their_names() -> None:
    metric = {"probe": "read", "metric": "latency", "unit": "ns"}
    units = collect_units([metric], {"share": "%"})
    numbers = {
        "p99": 12_400_000, "total(read.latency)": 1500, "share": 2.5, "read.latency.count": 3,
        "elapsed": 2_000_000_000, "params.on": True,
    }  # fmt: skip
    assert format_numbers(numbers, units, "ns") == (
        "p99 12.4 ms, total(read.latency) 1.5 µs, share 2.50 %, read.latency.count 3, elapsed 2 s, "
        "params.on true"
    )


def test_control_characters_are_shown() -> None:
    """And so is what changes the direction of text."""
    assert make_printable("a\nb\x1b[0m\u202e") == "a\\nb\\x1b[0m\\u202e"
