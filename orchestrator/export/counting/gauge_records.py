"""figure.reported and outstanding.reported records: checked, and their numbers as gauges."""

import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from orchestrator.export.names import (
    OTHER,
    FamilyName,
    check_name,
    check_plan_name,
    label_keys,
    name_family,
)
from orchestrator.export.snapshot import SeriesLabels
from orchestrator.output.terminal.human_units import SIZE_UNITS, TIME_UNITS

__all__ = ["GaugeName", "GaugeReading", "parse_figure_record", "parse_outstanding_record"]

_WORD = range(-(1 << 63), 1 << 64)
_HELP = {
    "value": "the sum of the values of what is open",
    "open": "how many are open",
    "oldest": "the age of the oldest that is open",
}


class GaugeName(NamedTuple):
    """Which gauge it is: `name` in the plan, of `kind` figure or outstanding; `part`: which of its
    numbers; empty: the only one."""

    plan: str
    kind: str
    name: str
    part: str


class GaugeReading(NamedTuple):
    """The numbers of one gauge in a record, by labels. `replaces`: earlier ones with other labels
    hold no longer."""

    gauge: GaugeName
    family: FamilyName
    help: str
    values: dict[SeriesLabels, int | float]
    replaces: bool


def parse_figure_record(record: Mapping[str, Any]) -> Iterator[GaugeReading]:
    """A gauge for each figure; NaN where it has no value. Its label `of` says of what: the latest
    window, or the whole run. Raises KeyError, TypeError, AttributeError, ValueError or
    OverflowError for what is no such record."""
    plan, units, is_total = (
        check_plan_name(record["plan"]),
        record["display_units"],
        record["total"],
    )
    if not isinstance(is_total, bool):
        raise TypeError("total is neither true nor false")
    labels: SeriesLabels = (("of", "run" if is_total else "window"),)
    for name, value in record["values"].items():
        yield GaugeReading(
            gauge=GaugeName(plan, "figure", check_name(name), ""),
            family=name_family(f"figure_{name}", _base_unit(units.get(name, ""))),
            help=f"Figure {name} that plans derive.",
            values={labels: math.nan if value is None else _number(value)},
            replaces=False,
        )


def parse_outstanding_record(
    record: Mapping[str, Any], max_series: int
) -> tuple[list[GaugeReading], int]:
    """Three gauges: the sum of the values of what is open, how many there are, and the age of the
    oldest. All keys beyond `max_series`, and those that the log omits, are in the series `other`;
    also returns how many the former are. Raises as parse_figure_record."""
    plan, name = check_plan_name(record["plan"]), check_name(record["outstanding"])
    unit = _base_unit(record["unit"])
    overflowed = 0
    values: dict[SeriesLabels, int | float] = {}
    opened: dict[SeriesLabels, int | float] = {}
    oldest: dict[SeriesLabels, int | float] = {}
    for cell in record["cells"]:
        labels = label_keys(cell["key"])
        if labels not in values and len(values) >= max_series:
            overflowed += 1
            continue
        values[labels] = values.get(labels, 0) + _whole(cell["value"])
        opened[labels] = opened.get(labels, 0) + _whole(cell["count"])
        oldest[labels] = max(oldest.get(labels, 0), _whole(cell["oldest_ns"]))
    rest = _whole(record["count"]) - sum(opened.values())
    if rest > 0:
        is_known = "saturated" not in record
        values[OTHER,] = _whole(record["value"]) - sum(values.values()) if is_known else math.nan
        opened[OTHER,] = rest
    base = f"outstanding_{name}"
    parts = (
        ("value", name_family(base, unit), values),
        ("open", name_family(base, part="open", has_unit=False), opened),
        ("oldest", name_family(base, "ns", part="oldest"), oldest),
    )
    readings = [
        GaugeReading(
            gauge=GaugeName(plan, "outstanding", name, part),
            family=family,
            help=f"Outstanding {name} of plans: {_HELP[part]}.",
            values=numbers,
            replaces=True,
        )
        for part, family, numbers in parts
    ]
    return readings, overflowed


def _base_unit(unit: str) -> str:
    """The log's unit of values that a plan shows in `unit`: durations are in ns, sizes in bytes."""
    return "ns" if unit in TIME_UNITS else "bytes" if unit in SIZE_UNITS else ""


def _number(value: Any) -> int | float:
    if type(value) is int:
        return value if value in _WORD else float(value)
    if type(value) is not float or not math.isfinite(value):
        raise ValueError(f"{value!r:.60} is no number")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int or value not in _WORD:
        raise ValueError(f"{value!r:.60} is no whole number of 64 bits")
    return value
