"""Quantities as people write them: durations, sizes, counts, rates, ratios, percentages.

Each `parse_*` takes the text of a plan and returns base units (nanoseconds, bytes, events), or
raises UnitError. Only percentages have fractions, so every value is exact. The `format_*` functions
give the shortest text that parses to the same value.
"""

import re
from collections.abc import Mapping
from dataclasses import replace

from orchestrator.plan.model import Rate

#: JSON numbers stay exact up to here (RFC 8259, section 6).
MAX_COUNT = 1 << 53
MAX_DURATION_NS = 30 * 86_400 * 1_000_000_000
MAX_SAMPLE = 1_000_000
#: A burst takes as long to earn as its records take at their rate. Times are signed 64-bit
#: nanoseconds where they are compared, and need room above this.
MAX_BURST_NS = MAX_DURATION_NS

DURATION_UNITS: Mapping[str, int] = {
    "d": 86_400_000_000_000,
    "h": 3_600_000_000_000,
    "m": 60_000_000_000,
    "s": 1_000_000_000,
    "ms": 1_000_000,
    "us": 1_000,
    "ns": 1,
}
BYTE_UNITS: Mapping[str, int] = {
    "TiB": 1 << 40,
    "GiB": 1 << 30,
    "MiB": 1 << 20,
    "KiB": 1 << 10,
    "B": 1,
}
COUNT_UNITS: Mapping[str, int] = {"G": 1_000_000_000, "M": 1_000_000, "k": 1_000, "": 1}

_DURATION_PART = re.compile(r"([0-9]{1,20})(ns|us|ms|s|m|h|d)")
_BYTES = re.compile(r"([0-9]{1,20})(B|KiB|MiB|GiB|TiB)")
_COUNT = re.compile(r"([0-9]{1,20})([kMG]?)")
_RATE = re.compile(r"([^/]+)/([0-9]*(?:ns|us|ms|s|m|h|d))")
_RATIO = re.compile(r"1/([0-9]{1,20})")
_PERCENT = re.compile(r"([0-9]{1,3})(?:\.([0-9]{1,4}))?%")


class UnitError(ValueError):
    """A quantity that cannot be used. `absurd`: it can be read, but is out of range."""

    def __init__(self, message: str, hint: str = "", *, absurd: bool = False) -> None:
        super().__init__(message)
        self.hint = hint
        self.absurd = absurd


def _unreadable(text: str, wanted: str, hint: str) -> UnitError:
    shown = text if len(text) <= 40 else text[:37] + "…"
    return UnitError(f"{shown!r} is not {wanted}", hint)


def _check_range(value: int, text: str, low: int, high: int, shown: tuple[str, str]) -> int:
    if low <= value <= high:
        return value
    raise UnitError(f"{text!r} is out of range", f"from {shown[0]} to {shown[1]}", absurd=True)


def parse_duration(text: str, *, low: int = 1, high: int = MAX_DURATION_NS) -> int:
    """`30s`, `500ms`, `1m30s` → nanoseconds, from `low` to `high`. Units are in falling order."""
    parts = _DURATION_PART.findall(text)
    order = [list(DURATION_UNITS).index(unit) for _, unit in parts]
    if not parts or "".join(map("".join, parts)) != text or order != sorted(set(order)):
        raise _unreadable(
            text, "a duration", "write a number with ns, us, ms, s, m, h or d: 30s, 500ms, 1m30s"
        )
    value = sum(int(number) * DURATION_UNITS[unit] for number, unit in parts)
    return _check_range(value, text, low, high, (format_duration(low), format_duration(high)))


def parse_bytes(text: str, *, low: int = 1, high: int = MAX_COUNT) -> int:
    """`32MiB`, `1GiB`, `512B` → bytes. Only binary units: `MB` means two things."""
    match = _BYTES.fullmatch(text)
    if match is None:
        raise _unreadable(text, "a size", "write a number with B, KiB, MiB, GiB or TiB: 32MiB")
    value = int(match[1]) * BYTE_UNITS[match[2]]
    return _check_range(value, text, low, high, (format_bytes(low), format_bytes(high)))


def parse_count(text: str, *, low: int = 1, high: int = MAX_COUNT) -> int:
    """`500`, `10k`, `1M` → a number of things; k, M and G are powers of a thousand."""
    match = _COUNT.fullmatch(text)
    if match is None:
        raise _unreadable(text, "a count", "write a whole number, with k, M or G if you like: 10k")
    value = int(match[1]) * COUNT_UNITS[match[2]]
    return _check_range(value, text, low, high, (format_count(low), format_count(high)))


def parse_rate(text: str) -> Rate:
    """`1k/s`, `10/ms`, `600/m` → events a period. At most one event a nanosecond."""
    match = _RATE.fullmatch(text)
    if match is None or not _COUNT.fullmatch(match[1]):
        raise _unreadable(text, "a rate", "write a count over a unit of time: 1k/s, 10/ms, 600/m")
    period = match[2] if match[2][0].isdigit() else f"1{match[2]}"
    per_ns = parse_duration(period, high=DURATION_UNITS["d"])
    count = parse_count(match[1])
    if count > per_ns:
        raise UnitError(
            f"{text!r} is out of range", "at most one event a nanosecond, 1G/s", absurd=True
        )
    return Rate(count=count, per_ns=per_ns)


def add_burst(rate: Rate, burst: str) -> Rate:
    """`rate`, of which as many records may come at once as the count `burst` says, e.g. `5k`."""
    bursting = replace(rate, burst=parse_count(burst))
    if bursting.early_ns > MAX_BURST_NS:
        most = f"as many records as {format_rate(rate)} gives in {format_duration(MAX_BURST_NS)}"
        raise UnitError(f"{burst!r} is out of range", f"at most {most}", absurd=True)
    return bursting


def parse_ratio(text: str) -> int:
    """`1/10` → 10: one of how many, from 1 to a million."""
    match = _RATIO.fullmatch(text)
    if match is None:
        raise _unreadable(text, "a sampling ratio", "write one of how many: 1/10, 1/1000")
    return _check_range(int(match[1]), text, 1, MAX_SAMPLE, ("1/1", f"1/{MAX_SAMPLE}"))


def parse_percent(text: str) -> float:
    """`2%`, `0.5%` → a fraction, above 0 and at most 1."""
    match = _PERCENT.fullmatch(text)
    if match is None:
        raise _unreadable(text, "a percentage", "write a number with %: 2%, 0.5%")
    parts = int(match[1]) * 10_000 + int((match[2] or "").ljust(4, "0"))
    return _check_range(parts, text, 1, 1_000_000, ("0.0001%", "100%")) / 1_000_000


def format_duration(ns: int) -> str:
    """The shortest text that `parse_duration` reads as `ns`, e.g. `1m30s`."""
    text = ""
    for unit, size in DURATION_UNITS.items():
        if number := ns // size:
            text, ns = f"{text}{number}{unit}", ns % size
    return text or "0ns"


def format_bytes(size: int) -> str:
    """`size` in the largest binary unit that divides it, e.g. `32MiB`."""
    return _format_in_units(size, BYTE_UNITS)


def format_count(count: int) -> str:
    """`count` in the largest of G, M, k that divides it, e.g. `10k`."""
    return _format_in_units(count, COUNT_UNITS)


def format_rate(rate: Rate) -> str:
    """`rate` as `parse_rate` reads it, e.g. `1k/s`; a burst of another size follows in words."""
    period = format_duration(rate.per_ns)
    unit = period.removeprefix("1")
    per = f"{format_count(rate.count)}/{unit if unit in DURATION_UNITS else f'{rate.per_ns}ns'}"
    return per if rate.burst == rate.count else f"{per}, at most {rate.burst:,} at once"


def _format_in_units(value: int, units: Mapping[str, int]) -> str:
    unit, size = next((u, s) for u, s in units.items() if (value and value % s == 0) or s == 1)
    return f"{value // size}{unit}"
