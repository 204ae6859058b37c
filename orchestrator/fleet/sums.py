"""What is added: a metric's cells over many results. All of it is whole numbers and extremes, so
that the order in which results are added makes no difference."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, NamedTuple

from orchestrator.cells.cell import weigh_cell
from orchestrator.cells.sums import fits_into_word, saturate
from orchestrator.fleet.histograms import HistogramLayout, find_layout, find_percentiles
from orchestrator.output.percentiles import PERCENTILES

__all__ = ["KINDS", "CellIdentity", "CellNumbers", "CellSum", "MetricName", "NumbersReader"]
__all__ += ["describe_key", "describe_sum", "find_reader", "identify_cell"]

#: The numbers of one cell: events (or values), their sum, minimum, maximum, how many were below and
#: above all buckets, the upper edges of buckets in ascending order and their counts, and whether
#: the sum is not all of it. A plain tuple, since thirty of them are made for a usual result.
CellNumbers = tuple[int, int, int | None, int | None, int, int, Sequence[int], Sequence[int], bool]
#: Which cell of a metric it is: whether it is `other`, whether it is redacted, names and values.
CellIdentity = tuple[Any, ...]
_NONE: tuple[int, ...] = ()
_EDGE, _COUNT = itemgetter(0), itemgetter(1)


class MetricName(NamedTuple):
    """Which metric it is; numbers of metrics that differ in any of these are never added."""

    probe: str
    metric: str
    kind: str
    unit: str
    display_unit: str
    layout: str

    @property
    def histogram(self) -> HistogramLayout:
        """The buckets of a histogram."""
        layout = find_layout(self.layout)
        assert layout is not None, "checked when it was read"
        return layout


class CellSum:
    """The numbers of one cell in several results. `runs`: in how many."""

    __slots__ = ("above", "below", "buckets", "events", "inexact", "max", "min", "runs", "sum")

    def __init__(self) -> None:
        self.runs = self.events = self.sum = self.below = self.above = 0
        self.min: int | None = None
        self.max: int | None = None
        self.buckets: defaultdict[int, int] = defaultdict(int)
        self.inexact = False

    @property
    def numbers(self) -> CellNumbers:
        """As those of one result."""
        edges = sorted(self.buckets)
        counts = [self.buckets[edge] for edge in edges]
        return (
            self.events, self.sum, self.min, self.max, self.below, self.above, edges, counts,
            self.inexact,
        )  # fmt: skip

    def add(self, numbers: CellNumbers, runs: int = 1) -> None:
        """Add the numbers of a cell that is in so many further results."""
        events, total, least, most, below, above, edges, counts, inexact = numbers
        self.runs += runs
        self.events += events
        self.sum += total
        if least is not None and (self.min is None or least < self.min):
            self.min = least
        if most is not None and (self.max is None or most > self.max):
            self.max = most
        if inexact:
            self.inexact = True
        if edges or below or above:
            self.below += below
            self.above += above
            buckets = self.buckets
            for edge, count in zip(edges, counts, strict=True):
                buckets[edge] += count

    def weigh(self, kind: str) -> float:
        """By what cells are ordered, as in the log: the largest first."""
        return weigh_cell(kind, self.events, self.sum, self.min, self.max)


def identify_cell(
    key: Mapping[str, Any], other: bool = False, redacted: bool = False
) -> CellIdentity:
    """The same value for the same cell, whatever the order of its names. Raises ValueError."""
    items = sorted(key.items()) if len(key) > 1 else key.items()
    identity = (other, redacted, *items)
    try:
        hash(identity)
    except TypeError:  # a stack
        return _freeze_stacks(identity)
    return identity


def _freeze_stacks(identity: CellIdentity) -> CellIdentity:
    """Raises ValueError for values that are neither stacks nor scalars."""
    other, redacted, *items = identity
    frozen = (
        other,
        redacted,
        *((name, tuple(value) if type(value) is list else value) for name, value in items),
    )
    try:
        hash(frozen)
    except TypeError:
        raise ValueError(f"a cell's key is {dict(items)!r:.60}") from None
    return frozen


def describe_key(identity: CellIdentity) -> dict[str, Any]:
    """Which cell it is, as a merge has it: `key`, `other` and `redacted`."""
    other, redacted, *items = identity
    key = {name: list(value) if isinstance(value, tuple) else value for name, value in items}
    return {"key": key, "other": other, "redacted": redacted}


def describe_sum(numbers: CellNumbers, identity: MetricName) -> dict[str, Any]:
    """The numbers as in a metric record of the log, with percentiles of the whole. A sum that left
    64 bits is there as a text too, `exact`; one of which a part had left 64 bits in its result, so
    that it is not known, is `inexact`."""
    events, total, least, most, below, above, edges, counts, inexact = numbers
    match identity.kind:
        case "count":
            return _word_fields("value", events, inexact)
        case "sum":
            return {**_word_fields("value", total, inexact), "count": events}
        case "min":
            return {"value": least}
        case "max":
            return {"value": most}
        case "avg":
            average = total / events if events else None
            return {"value": average, **_word_fields("sum", total, inexact), "count": events}
    permilles = list(PERCENTILES.values())
    percentiles = find_percentiles(
        edges, counts, identity.histogram, permilles, count=events, below=below
    )
    return {
        "count": events,
        "below": below,
        "above": above,
        "buckets": [list(pair) for pair in zip(edges, counts, strict=True)],
        "percentiles": dict(zip(PERCENTILES, percentiles, strict=True)),
    }


def _word_fields(name: str, number: int, inexact: bool) -> dict[str, Any]:
    fields: dict[str, Any] = {name: saturate(number)}
    if not fits_into_word(number):
        fields |= {"saturated": True, "exact": str(number)}
    if inexact:
        fields["inexact"] = True
    return fields


# ---------------------------------------------------------------- reading

#: From the fields of a cell to its numbers. Raises ValueError, KeyError or TypeError for what is no
#: such cell.
NumbersReader = Callable[[Mapping[str, Any]], CellNumbers]


def find_reader(identity: MetricName) -> NumbersReader:
    """What reads the cells of a metric, in a result or in a merge."""
    if identity.kind != "histogram":
        return KINDS[identity.kind]
    layout = identity.histogram
    return lambda fields: _read_histogram(fields, layout, identity.layout)


def _read_count(fields: Mapping[str, Any]) -> CellNumbers:
    number = _natural(_read_sum(fields, "value"))
    return number, 0, None, None, 0, 0, _NONE, _NONE, _is_inexact(fields)


def _read_total(fields: Mapping[str, Any]) -> CellNumbers:
    number, events = _read_sum(fields, "value"), _natural(fields["count"])
    return events, number, None, None, 0, 0, _NONE, _NONE, _is_inexact(fields)


def _read_average(fields: Mapping[str, Any]) -> CellNumbers:
    number, events = _read_sum(fields, "sum"), _natural(fields["count"])
    return events, number, None, None, 0, 0, _NONE, _NONE, _is_inexact(fields)


def _read_extreme(fields: Mapping[str, Any]) -> CellNumbers:
    value = fields["value"]
    if value is not None:
        _integer(value)
    return 0, 0, value, value, 0, 0, _NONE, _NONE, False


def _read_histogram(fields: Mapping[str, Any], layout: HistogramLayout, name: str) -> CellNumbers:
    pairs = fields["buckets"]
    edges, counts = list(map(_EDGE, pairs)), list(map(_COUNT, pairs))
    events = _natural(fields["count"])
    below, above = _natural(fields["below"]), _natural(fields["above"])
    inside = sum(counts)
    if type(inside) is not int or type(sum(edges)) is not int:
        raise ValueError("a bucket is not a pair of whole numbers")
    if counts and min(counts) < 0:
        raise ValueError("a bucket has a negative count")
    if not layout.has_edges(edges):
        raise ValueError(f"its buckets are not those of {name}")
    if events != below + above + inside:
        raise ValueError(f"its buckets do not add up to its count, {events:,}")
    if edges != sorted(edges):
        raise ValueError("its buckets are not in ascending order")
    return events, 0, None, None, below, above, edges, counts, False


#: Readers by kind; histograms have one for each layout.
KINDS: Mapping[str, NumbersReader] = {
    "count": _read_count,
    "sum": _read_total,
    "avg": _read_average,
    "min": _read_extreme,
    "max": _read_extreme,
}


def _read_sum(fields: Mapping[str, Any], name: str) -> int:
    if "exact" in fields:
        return int(fields["exact"])
    return _integer(fields[name])


def _is_inexact(fields: Mapping[str, Any]) -> bool:
    """Whether the number is not the whole sum: the nearest that 64 bits hold, with no exact one, or
    added up of such."""
    return "inexact" in fields or ("saturated" in fields and "exact" not in fields)


def _integer(value: Any) -> int:
    if type(value) is not int or not fits_into_word(value):
        raise ValueError(f"{value!r:.40} is no whole number of 64 bits")
    return value


def _natural(value: Any) -> int:
    if type(value) is not int or value < 0:
        raise ValueError(f"{value!r:.40} is no count")
    return value
