"""Histograms as rows to look at: buckets gathered into few ranges, bars drawn in eighths."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Row", "bar", "rows_of"]

#: As many rows as one takes in at a glance, and as fit under a prompt.
ROWS = 24
#: An octave is drawn in finer parts where that takes no more rows than this.
_FINE_ROWS = 16
_PARTS = (8, 4, 2, 1)
_EIGHTHS = " ▏▎▍▌▋▊▉"


@dataclass(frozen=True, slots=True)
class Row:
    """How many values were counted from `low` up to, and without, `high`."""

    low: int
    high: int
    count: int


def bar(number: int, most: int, width: int, *, ascii_only: bool = False) -> str:
    """A bar of `number` where `most` takes `width` columns; whatever is not 0 shows."""
    if not number or not most:
        return ""
    if ascii_only:
        return "#" * -(-number * width // most)
    eighths = max(1, number * width * 8 // most)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def rows_of(cell: Mapping[str, Any], most: int = ROWS) -> list[Row]:
    """The rows of a histogram's cell, as it stands in a metric record, at most `most`. Empty rows
    between others are kept, those around are not."""
    buckets: Sequence[Sequence[int]] = cell["buckets"]
    if not buckets:
        return []
    half_step = cell.get("absolute_error")
    edges = _octaves(buckets, most) if half_step is None else _steps(buckets, half_step, most)
    counts = [0] * (len(edges) - 1)
    for upper, number in buckets:
        counts[bisect_right(edges, upper) - 1] += number
    rows = [Row(*edge) for edge in zip(edges, edges[1:], counts, strict=False)]
    held = [index for index, row in enumerate(rows) if row.count]
    return rows[held[0] : held[-1] + 1]


def _octaves(buckets: Sequence[Sequence[int]], most: int) -> list[int]:
    """Edges of octaves, or of parts of them where there are few: a bucket, 1/16 octave, lies within
    one."""
    first, last = buckets[0][0].bit_length(), buckets[-1][0].bit_length()
    fine = min(most, _FINE_ROWS)
    parts = next((n for n in _PARTS if (last - first + 1) * n <= fine), 1)
    size = -(-(last - first + 1) // most)  # octaves a row
    edges = {_start(bits) for bits in range(first, last + 1, size)}
    if size == 1:
        edges |= {
            _start(bits) + _start(bits) * part // parts
            for bits in range(first, last + 1)
            for part in range(parts)
        }
    return [*sorted(edges), _start(last + 1)]


def _start(bits: int) -> int:
    """The least number of so many bits."""
    return 1 << (bits - 1) if bits else 0


def _steps(buckets: Sequence[Sequence[int]], half_step: float, most: int) -> list[int]:
    """Edges of linear steps, so many together that there are few. The last bucket may be shorter
    than the others; every edge is told from the first."""
    step = round(half_step * 2)
    first, last = buckets[0][0] - step + 1, buckets[-1][0]
    if len(buckets) == 1:
        return [first, last + 1]
    count = -(-(last + 1 - first) // step)
    size = step * -(-count // most)
    edges = list(range(first, last + 1, size))
    return [*edges, last + 1]
