"""Histograms as rows of bars: buckets grouped into few ranges, bars drawn in eighths."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.values import dataclass

__all__ = ["BarRow", "draw_bar", "group_buckets"]

#: As many rows as can be read at a glance.
ROWS = 24
#: An octave is drawn in finer parts if that takes at most so many rows.
_FINE_ROWS = 16
_PARTS = (8, 4, 2, 1)
_EIGHTHS = " ▏▎▍▌▋▊▉"


@dataclass(frozen=True, slots=True)
class BarRow:
    """The `count` of values in [low, high)."""

    low: int
    high: int
    count: int


def draw_bar(number: int, most: int, width: int, *, ascii_only: bool = False) -> str:
    """A bar for `number`, where `most` takes `width` columns; what is not 0 is visible."""
    if not number or not most:
        return ""
    if ascii_only:
        return "#" * -(-number * width // most)
    eighths = max(1, number * width * 8 // most)
    return "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()


def group_buckets(cell: Mapping[str, Any], most: int = ROWS) -> list[BarRow]:
    """The rows of a histogram's cell (as in a metric.reported record), at most `most`. Empty rows
    are kept between others, and dropped at the ends."""
    buckets: Sequence[Sequence[int]] = cell["buckets"]
    if not buckets:
        return []
    half_step = cell.get("absolute_error")
    edges = (
        _octave_edges(buckets, most)
        if half_step is None
        else _linear_edges(buckets, half_step, most)
    )
    counts = [0] * (len(edges) - 1)
    for upper, number in buckets:
        counts[bisect_right(edges, upper) - 1] += number
    rows = [BarRow(*edge) for edge in zip(edges, edges[1:], counts, strict=False)]
    held = [index for index, row in enumerate(rows) if row.count]
    return rows[held[0] : held[-1] + 1]


def _octave_edges(buckets: Sequence[Sequence[int]], most: int) -> list[int]:
    """Edges of octaves, or of parts of octaves where there are few. A bucket, 1/16 octave, is
    within one part."""
    first, last = buckets[0][0].bit_length(), buckets[-1][0].bit_length()
    fine = min(most, _FINE_ROWS)
    parts = next((n for n in _PARTS if (last - first + 1) * n <= fine), 1)
    size = -(-(last - first + 1) // most)  # octaves a row
    edges = {_octave_start(bits) for bits in range(first, last + 1, size)}
    if size == 1:
        edges |= {
            _octave_start(bits) + _octave_start(bits) * part // parts
            for bits in range(first, last + 1)
            for part in range(parts)
        }
    return [*sorted(edges), _octave_start(last + 1)]


def _octave_start(bits: int) -> int:
    """The smallest number with so many bits."""
    return 1 << (bits - 1) if bits else 0


def _linear_edges(buckets: Sequence[Sequence[int]], half_step: float, most: int) -> list[int]:
    """Edges of linear steps, grouped so that there are at most `most`. The last bucket may be
    shorter than the others, so every edge is computed from the first."""
    step = round(half_step * 2)
    first, last = buckets[0][0] - step + 1, buckets[-1][0]
    if len(buckets) == 1:
        return [first, last + 1]
    count = -(-(last + 1 - first) // step)
    size = step * -(-count // most)
    edges = list(range(first, last + 1, size))
    return [*edges, last + 1]
