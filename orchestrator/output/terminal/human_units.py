"""Numbers and texts for people: units, thousands, and nothing that a terminal would obey."""

from collections.abc import Iterable, Mapping
from typing import Any

__all__ = ["amount", "count", "ending", "harmless", "numbers", "unit_of", "units_of"]

_TIMES = ((1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs"), (1, "ns"))
_SIZES = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B"))
_TIME_UNITS = ("ns", "us", "ms", "s", "duration")
_SIZE_UNITS = ("bytes", "B", "KiB", "MiB", "GiB", "TiB")
_ENDINGS = {
    "duration": "its duration",
    "cap": "its cap on records",
    "command": "its command's end",
    "stop_when": "its stop_when",
    "cost": "its cost",
    "interrupted": "a signal",
    "limit": "a limit",
    "output": "its output, which took no more",
    "error": "an error",
}


def count(value: int | float | str | None) -> str:
    """12,345; "unknown" stays; None is a dash."""
    if value is None:
        return "-"
    if isinstance(value, float) and not value.is_integer():
        return f"{value:,.2f}"
    return value if isinstance(value, str) else f"{int(value):,}"


def amount(value: float | str | None, unit: str) -> str:
    """A value in the unit that reads best. Durations come in ns and sizes in bytes, whatever
    `unit` a plan names for them; other units are put behind the number."""
    if value is None or isinstance(value, str):
        return count(value)
    if unit in _TIME_UNITS:
        return _scaled(value, _TIMES)
    if unit in _SIZE_UNITS:
        return _scaled(value, _SIZES)
    return f"{count(value)} {unit}".rstrip()


def unit_of(record: Mapping[str, Any]) -> str:
    """The unit of the values in a metric or warning record, as `amount` takes it: what they are,
    and where that is but a number, what the plan calls them."""
    return str(record["unit"] or record.get("display_unit", ""))


def units_of(metrics: Iterable[Mapping[str, Any]], figures: Mapping[str, str]) -> dict[str, str]:
    """The units by which figures name things: of metrics (`read.latency`) and of derived figures,
    from metric records and from `units` of a derive record."""
    return {f"{one['probe']}.{one['metric']}": unit_of(one) for one in metrics} | dict(figures)


def numbers(found: Mapping[str, Any], units: Mapping[str, str], own: str = "") -> str:
    """What a condition was judged by: `p99 12.4 ms, count 3`. `units` are those of what it names,
    `own` that of the cell that it judges; counts and params have none."""
    return ", ".join(f"{name} {_judged(name, found[name], units, own)}" for name in found)


def _judged(name: str, value: Any, units: Mapping[str, str], own: str) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    parts = name.removeprefix("total(").removesuffix(")").split(".")
    number = parts[2] if len(parts) == 3 else parts[0] if len(parts) == 1 else "value"
    known = {"elapsed": "ns", **units}
    unit = known.get(".".join(parts[:2]), own if len(parts) == 1 else "")
    return amount(value, "" if number in ("count", "below", "above") else unit)


def ending(outcome: str) -> str:
    """What ended a run, after "ended by": an `outcome` of `run.finished` in words."""
    return _ENDINGS.get(outcome, outcome)


def harmless(text: object) -> str:
    """A text with its control characters shown, so that no process can name itself into our
    terminal."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in str(text))


def _scaled(value: float, units: tuple[tuple[int, str], ...]) -> str:
    size, name = next(((s, n) for s, n in units if abs(value) >= s), units[-1])
    number = value / size
    return f"{number:.3g} {name}" if abs(number) < 999.5 else f"{number:,.0f} {name}"
