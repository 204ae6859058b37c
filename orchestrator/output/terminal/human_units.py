"""Numbers and texts for people: with units and thousands separators, and without control
characters that a terminal would execute."""

from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.plan import printable

__all__ = [
    "SIZE_UNITS",
    "TIME_UNITS",
    "choose_unit",
    "collect_units",
    "describe_ending",
    "format_amount",
    "format_bound",
    "format_count",
    "format_numbers",
    "format_rate",
    "is_address",
    "make_printable",
]

_TIMES = ((1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs"), (1, "ns"))
_SIZES = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B"))
#: Where addresses of the kernel begin, with four or five levels of page tables.
_KERNEL_SPACE = 0xFF00_0000_0000_0000
#: In a word that may be an address, no usual count or size is as large: one TiB.
_SURELY_AN_ADDRESS = 1 << 40
#: Units that plans name for values in ns, and for those in bytes.
TIME_UNITS = ("ns", "us", "ms", "s", "duration")
SIZE_UNITS = ("bytes", "B", "KiB", "MiB", "GiB", "TiB")
_LIMIT_UNITS = {"duration": "ns", "memory": "bytes", "output": "bytes"}
#: Periods of rates by their length in ns.
_PERIODS = {
    1_000_000: "millisecond",
    1_000_000_000: "second",
    60 * 1_000_000_000: "minute",
    3600 * 1_000_000_000: "hour",
    24 * 3600 * 1_000_000_000: "day",
}
_ENDINGS = {
    "duration": "its duration",
    "cap": "its cap on records",
    "command": "the end of its command",
    "stop_when": "its stop_when",
    "cost": "its cost",
    "interrupted": "a signal",
    "limit": "a limit",
    "output": "a failure of its output",
    "error": "an error",
}


def format_count(value: int | float | str | None) -> str:
    """12,345; "unknown" is unchanged, None is a dash."""
    if value is None:
        return "-"
    if isinstance(value, float) and not value.is_integer():
        return f"{value:,.2f}"
    return value if isinstance(value, str) else f"{int(value):,}"


def format_amount(value: float | str | None, unit: str, digits: int = 3) -> str:
    """A value in the unit that reads best, with so many digits. Durations are in ns and sizes in
    bytes, whatever `unit` a plan names for them; any other unit is appended to the number."""
    if value is None or isinstance(value, str):
        return format_count(value)
    if unit in TIME_UNITS:
        return _format_scaled(value, _TIMES, digits)
    if unit in SIZE_UNITS:
        return _format_scaled(value, _SIZES, digits)
    return f"{format_count(value)} {unit}".rstrip()


def format_bound(name: str, limit: Mapping[str, Any]) -> str:
    """The bound of the limit `name`, from its `value` and, of a rate, `per_ns`: `30 s`, `64 MiB`,
    `1,000 records per second`."""
    if "per_ns" in limit:
        return format_rate(limit["value"], limit["per_ns"])
    return format_amount(limit["value"], _LIMIT_UNITS.get(name, ""))


def format_rate(records: int, per_ns: int) -> str:
    """`1,000 records per second`, `1 record per 5 s`."""
    period = _PERIODS.get(per_ns) or format_amount(per_ns, "ns")
    return f"{records:,} {'record' if records == 1 else 'records'} per {period}"


def choose_unit(record: Mapping[str, Any]) -> str:
    """The unit of the values in a metric or warning record, for `format_amount`: their own, or the
    plan's display unit where they have none."""
    return str(record["unit"] or record.get("display_unit", ""))


def collect_units(
    metrics: Iterable[Mapping[str, Any]], figures: Mapping[str, str]
) -> dict[str, str]:
    """Units by the names in conditions: of metrics (`read.latency`), from their records, and of
    figures, from `display_units` of the figure.reported record."""
    return {
        f"{metric['probe']}.{metric['metric']}": choose_unit(metric) for metric in metrics
    } | dict(figures)


def format_numbers(values: Mapping[str, Any], units: Mapping[str, str], own: str = "") -> str:
    """The `values` that a condition was judged by: `p99 12.4 ms, count 3`. `units`: by the names in
    the condition; `own`: the unit of the cell that it judges. Counts and params have none."""
    return ", ".join(
        f"{name} {_format_number(name, value, units, own)}" for name, value in values.items()
    )


def _format_number(name: str, value: Any, units: Mapping[str, str], own: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    parts = name.removeprefix("total(").removesuffix(")").split(".")
    number = parts[2] if len(parts) == 3 else parts[0] if len(parts) == 1 else "value"
    known = {"elapsed": "ns", **units}
    unit = known.get(".".join(parts[:2]), own if len(parts) == 1 else "")
    return format_amount(value, "" if number in ("count", "below", "above") else unit)


def describe_ending(outcome: str) -> str:
    """The `outcome` of run.finished in words that follow "ended by"."""
    return _ENDINGS.get(outcome, outcome)


def is_address(value: int, size: int, unit: str) -> bool:
    """Whether a number of `size` bytes is an address: by its `unit` (compile.program.FieldUnit), or
    because no usual count or size is as large."""
    if unit == "address":
        return True
    return size == 8 and (
        value >= _KERNEL_SPACE or (unit == "word" and value >= _SURELY_AN_ADDRESS)
    )


def make_printable(text: object) -> str:
    """A text with its control characters escaped, so that no process can control the terminal by
    its name."""
    return printable.make_printable(str(text))


def _format_scaled(value: float, units: tuple[tuple[int, str], ...], digits: int) -> str:
    size, name = next(((s, n) for s, n in units if abs(value) >= s), units[-1])
    number = value / size
    return f"{number:.{digits}g} {name}" if abs(number) < 999.5 else f"{number:,.0f} {name}"
