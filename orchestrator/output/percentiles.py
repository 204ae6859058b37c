"""From bucket counts to what the log shows: edges, percentiles and how exact they are."""

from collections.abc import Mapping
from typing import Any

from orchestrator.cells.buckets import LOG, Buckets

__all__ = ["PERCENTILES", "histogram_fields", "percentile"]

#: Those that are reported, by name, in parts of a thousand.
PERCENTILES = {"p50": 500, "p75": 750, "p90": 900, "p95": 950, "p99": 990, "p99.9": 999}


def percentile(
    counts: Mapping[int, int],
    permille: int,
    *,
    below: int = 0,
    above: int = 0,
    buckets: Buckets = LOG,
) -> int | float | None:
    """The value that `permille` parts of a thousand do not exceed (nearest rank), taken at the
    middle of its bucket. `counts`: bucket index → count. None: the value is outside of the buckets
    (among `below` or `above`), or nothing was counted."""
    total = below + above + sum(counts.values())
    rank = max(1, -(-total * permille // 1000))
    seen = below
    if rank <= below:
        return None
    for index in sorted(counts):
        seen += counts[index]
        if seen >= rank:
            return buckets.middle(index)
    return None


def histogram_fields(
    counts: Mapping[int, int],
    *,
    below: int = 0,
    above: int = 0,
    buckets: Buckets = LOG,
) -> dict[str, Any]:
    """A histogram as in a metric record: count, below, above, buckets, percentiles, and how far a
    percentile may be from the true one: relative_error of logarithmic buckets, absolute_error (half
    a step) of linear ones; the other is null."""
    return {
        "count": below + above + sum(counts.values()),
        "below": below,
        "above": above,
        "buckets": [
            [buckets.upper_edge(index), counts[index]] for index in sorted(counts) if counts[index]
        ],
        "percentiles": {
            name: percentile(counts, permille, below=below, above=above, buckets=buckets)
            for name, permille in PERCENTILES.items()
        },
        "relative_error": buckets.relative_error,
        "absolute_error": buckets.absolute_error,
    }
