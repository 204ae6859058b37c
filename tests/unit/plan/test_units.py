"""Quantities: what is read, what is refused, and that formatting is the inverse of parsing."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.plan import units
from orchestrator.plan.model import Rate
from orchestrator.plan.units import UnitError


@pytest.mark.parametrize(
    ("read", "text", "value"),
    [
        (units.parse_duration, "30s", 30_000_000_000),
        (units.parse_duration, "500ms", 500_000_000),
        (units.parse_duration, "1m30s", 90_000_000_000),
        (units.parse_duration, "1h1m1s1ms1us1ns", 3_661_001_001_001),
        (units.parse_duration, "30d", 2_592_000_000_000_000),
        (units.parse_bytes, "32MiB", 33_554_432),
        (units.parse_bytes, "512B", 512),
        (units.parse_count, "10k", 10_000),
        (units.parse_count, "9007199254740992", 1 << 53),
        (units.parse_rate, "1k/s", Rate(count=1000, per_ns=1_000_000_000)),
        (units.parse_rate, "10/ms", Rate(count=10, per_ns=1_000_000)),
        (units.parse_rate, "600/m", Rate(count=600, per_ns=60_000_000_000)),
        (units.parse_rate, "5/10s", Rate(count=5, per_ns=10_000_000_000)),
        (units.parse_ratio, "1/1", 1),
        (units.parse_ratio, "1/1000000", 1_000_000),
        (units.parse_percent, "2%", 0.02),
        (units.parse_percent, "0.5%", 0.005),
        (units.parse_percent, "100%", 1.0),
    ],
)
def test_quantities_are_exact(read: Callable[[str], object], text: str, value: object) -> None:
    """Each spelling means exactly this many base units."""
    assert read(text) == value


@pytest.mark.parametrize(
    ("read", "text"),
    [
        *((units.parse_duration, text) for text in ("", "30", "s", "1.5s", "-1s", "1s1m", "1s1s")),
        *((units.parse_duration, text) for text in ("30 s", "30S", "٣s", "30s\n", "1s ", "1mo")),
        *((units.parse_bytes, text) for text in ("32", "32MB", "64k", "1.5GiB", "MiB", "-1B")),
        *((units.parse_count, text) for text in ("", "1_000", "1e3", "-1", "10K", "1.5k", "٣")),
        *((units.parse_rate, text) for text in ("1k", "/s", "1k/", "1k/day", "1/0x1s", "1//s")),
        *((units.parse_ratio, text) for text in ("0.1", "2/3", "1/", "1/1k", "1 / 10", "10")),
        *((units.parse_percent, text) for text in ("2", "%", "-1%", "1e1%", "2 %", "0.12345%")),
    ],
)
def test_misspelt_quantities_are_refused_with_a_hint(
    read: Callable[[str], object], text: str
) -> None:
    """Nothing is guessed: another spelling is refused, with an example of the right one."""
    with pytest.raises(UnitError) as refusal:
        read(text)
    assert refusal.value.hint
    assert not refusal.value.absurd


@pytest.mark.parametrize(
    ("read", "text"),
    [
        (units.parse_duration, "0s"),
        (units.parse_duration, "31d"),
        (units.parse_duration, "99999999999999999999h"),
        (units.parse_bytes, "0B"),
        (units.parse_bytes, "9007199254740993B"),
        (units.parse_count, "0"),
        (units.parse_count, "9007199254740993"),
        (units.parse_rate, "0/s"),
        (units.parse_rate, "2/ns"),
        (units.parse_rate, "1/0s"),
        (units.parse_ratio, "1/0"),
        (units.parse_ratio, "1/1000001"),
        (units.parse_percent, "0%"),
        (units.parse_percent, "100.0001%"),
    ],
)
def test_absurd_quantities_are_told_from_misspelt_ones(
    read: Callable[[str], object], text: str
) -> None:
    """A value that reads well but is out of range says so, with the range."""
    with pytest.raises(UnitError) as refusal:
        read(text)
    assert refusal.value.absurd
    assert refusal.value.hint


@given(st.integers(1, units.MAX_DURATION_NS))
def test_durations_survive_a_round_trip(ns: int) -> None:
    """parse(format(x)) == x for every duration that is allowed."""
    assert units.parse_duration(units.format_duration(ns)) == ns


@given(st.integers(1, units.MAX_COUNT))
def test_sizes_and_counts_survive_a_round_trip(number: int) -> None:
    """parse(format(x)) == x for sizes and counts."""
    assert units.parse_bytes(units.format_bytes(number)) == number
    assert units.parse_count(units.format_count(number)) == number


@given(st.integers(1, 10**9), st.sampled_from(list(units.DURATION_UNITS.values())[1:]))
def test_rates_survive_a_round_trip(count: int, per_ns: int) -> None:
    """parse(format(x)) == x for rates over a unit of time."""
    rate = Rate(count=min(count, per_ns), per_ns=per_ns)
    assert units.parse_rate(units.format_rate(rate)) == rate


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    """No text makes a reader fail in another way."""
    for read in (units.parse_duration, units.parse_bytes, units.parse_rate, units.parse_percent):
        try:
            read(text)
        except UnitError:
            continue
