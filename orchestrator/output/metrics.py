"""A metric's cells as a record of the log: keys decoded, values by kind, `other` last."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from orchestrator.compile.histogram import LinearBuckets
from orchestrator.compile.program import MetricSpec
from orchestrator.output.fields import StackNames, no_stacks, value_of
from orchestrator.output.percentiles import histogram_fields

__all__ = ["CellCounts", "cell_fields", "key_fields", "largest_first", "linear_of", "merged"]
__all__ += ["metric_fields"]


class CellCounts(Protocol):
    """One cell as a backend delivers it; `key` None is the cell `other`."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def count(self) -> int: ...
    @property
    def sum(self) -> int: ...
    @property
    def min(self) -> int | None: ...
    @property
    def max(self) -> int | None: ...
    @property
    def buckets(self) -> Mapping[int, int]: ...
    @property
    def below(self) -> int: ...
    @property
    def above(self) -> int: ...


C = TypeVar("C", bound=CellCounts)


def metric_fields(  # noqa: PLR0913  # a record has this many properties
    spec: MetricSpec,
    cells: Iterable[CellCounts],
    *,
    start: str,
    end: str,
    total: bool,
    stacks: StackNames = no_stacks,
) -> dict[str, Any]:
    """The fields of a `metric` record: the largest cells first, at most `spec.top` of them.

    `start`, `end`: RFC 3339 times between which was counted; `total`: since the run began.
    """
    listed = largest_first(spec, merged(spec, cells, stacks))
    named = [cell for cell in listed if cell.key is not None]
    shown = named[: spec.top] + [cell for cell in listed if cell.key is None]
    return {
        "probe": spec.probe,
        "metric": spec.name,
        "kind": spec.kind,
        "unit": spec.unit,
        "display_unit": spec.display,
        "window": {"start": start, "end": end},
        "total": total,
        "cells": [cell_fields(spec, cell, stacks) for cell in shown],
        "cells_omitted": len(listed) - len(shown),
    }


def largest_first(spec: MetricSpec, cells: Iterable[C]) -> list[C]:
    """Cells in the order in which they are shown: the largest first (of `min` the least), and
    `other` last."""
    return sorted(cells, key=lambda cell: (cell.key is None, -_weight(spec, cell)))


def cell_fields(
    spec: MetricSpec, cell: CellCounts, stacks: StackNames = no_stacks
) -> dict[str, Any]:
    """One cell: its key by names, whether it is `other` (never without a key), and its value."""
    return {**key_fields(spec, cell, stacks), **_value(spec, cell)}


def key_fields(
    spec: MetricSpec, cell: CellCounts, stacks: StackNames = no_stacks
) -> dict[str, Any]:
    """Which cell it is: `key` and `other`."""
    return {"key": _key(spec, cell.key, stacks), "other": cell.key is None and bool(spec.key)}


def _key(spec: MetricSpec, key: bytes | None, stacks: StackNames) -> dict[str, Any]:
    if key is None:
        return {}
    return {
        part.name: value_of(part, key[part.offset : part.offset + part.size], stacks)
        for part in spec.key
    }


@dataclass(slots=True, kw_only=True)
class _Merged:
    """Cells that are shown as one."""

    key: bytes | None
    count: int = 0
    sum: int = 0
    min: int | None = None
    max: int | None = None
    buckets: dict[int, int] = field(default_factory=dict)
    below: int = 0
    above: int = 0

    def add(self, cell: CellCounts) -> None:
        self.count += cell.count
        self.sum += cell.sum
        self.min = min((n for n in (self.min, cell.min) if n is not None), default=None)
        self.max = max((n for n in (self.max, cell.max) if n is not None), default=None)
        self.below += cell.below
        self.above += cell.above
        for index, count in cell.buckets.items():
            self.buckets[index] = self.buckets.get(index, 0) + count


def merged(
    spec: MetricSpec, cells: Iterable[CellCounts], stacks: StackNames
) -> Iterable[CellCounts]:
    """The cells, those in one that only differ in the addresses behind the names of a stack: those
    of two processes that run the same program."""
    if not any(part.form in ("kstack", "ustack") for part in spec.key):
        return cells
    found: dict[str, _Merged] = {}
    for cell in cells:
        shown = repr(_key(spec, cell.key, stacks)) if cell.key is not None else ""
        found.setdefault(shown, _Merged(key=cell.key)).add(cell)
    return found.values()


def _value(spec: MetricSpec, cell: CellCounts) -> dict[str, Any]:
    match spec.kind:
        case "count":
            return {"value": cell.count}
        case "sum":
            return {"value": cell.sum, "count": cell.count}
        case "min":
            return {"value": cell.min}
        case "max":
            return {"value": cell.max}
        case "avg":
            average = cell.sum / cell.count if cell.count else None
            return {"value": average, "sum": cell.sum, "count": cell.count}
        case "histogram":
            return histogram_fields(
                cell.buckets, below=cell.below, above=cell.above, linear=linear_of(spec)
            )


def linear_of(spec: MetricSpec) -> LinearBuckets | None:
    """The metric's linear buckets; None: they are logarithmic."""
    chosen = spec.buckets
    if chosen.kind == "log":
        return None
    return LinearBuckets(low=chosen.low, high=chosen.high, step=chosen.step)


def _weight(spec: MetricSpec, cell: CellCounts) -> float:
    match spec.kind:
        case "sum":
            return cell.sum
        case "min":
            return -(cell.min or 0)
        case "max":
            return cell.max or 0
        case "avg":
            return cell.sum / cell.count if cell.count else 0
        case "histogram":
            return cell.below + cell.above + sum(cell.buckets.values())
    return cell.count
