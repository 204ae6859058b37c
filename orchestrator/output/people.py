"""Numbers and texts for people: units, thousands, and nothing that a terminal would obey."""

__all__ = ["amount", "count", "ending", "harmless", "histogram_rows"]

_TIMES = ((1_000_000_000, "s"), (1_000_000, "ms"), (1_000, "µs"), (1, "ns"))
_SIZES = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"), (1, "B"))
_TIME_UNITS = ("ns", "us", "ms", "s", "duration")
_ROWS = 24
_ENDINGS = {
    "duration": "its duration",
    "cap": "its cap on records",
    "command": "its command's end",
    "stop_when": "its stop_when",
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
    if unit == "bytes":
        return _scaled(value, _SIZES)
    return f"{count(value)} {unit}".rstrip()


def ending(outcome: str) -> str:
    """What ended a run, after "ended by": an `outcome` of `run.finished` in words."""
    return _ENDINGS.get(outcome, outcome)


def harmless(text: object) -> str:
    """A text with its control characters shown, so that no process can name itself into our
    terminal."""
    return "".join(char if char.isprintable() else repr(char)[1:-1] for char in str(text))


def histogram_rows(buckets: list[list[int]], *, linear: bool) -> list[tuple[int, int]]:
    """Buckets as few enough rows (upper edge, count) to look at: octaves, or groups of steps."""
    if linear:
        size = -(-len(buckets) // _ROWS) or 1
        groups = [buckets[at : at + size] for at in range(0, len(buckets), size)]
        return [(group[-1][0], sum(number for _, number in group)) for group in groups]
    octaves: dict[int, int] = {}
    for upper, number in buckets:
        octaves[upper.bit_length()] = octaves.get(upper.bit_length(), 0) + number
    if not octaves:
        return []
    between = range(min(octaves), max(octaves) + 1)
    return [((1 << bits) - 1, octaves.get(bits, 0)) for bits in between]


def _scaled(value: float, units: tuple[tuple[int, str], ...]) -> str:
    size, name = next(((s, n) for s, n in units if abs(value) >= s), units[-1])
    number = value / size
    return f"{number:.3g} {name}" if abs(number) < 999.5 else f"{number:,.0f} {name}"
