"""A metric's cells as a record of the log: keys decoded, values by kind, `other` last."""

from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any

from orchestrator.cells.cell import Cell, merge_all, weigh_cell
from orchestrator.cells.sums import fits_into_word, saturate
from orchestrator.compile.program import STACK_FORMS, MetricSpec
from orchestrator.output.fields import RenderedField, StackNames, decode_field, no_stacks
from orchestrator.output.forms import AMBIGUOUS, NUMBER_TEXTS
from orchestrator.output.percentiles import histogram_fields

__all__ = [
    "bound_cells",
    "cell_fields",
    "describe_layout",
    "key_fields",
    "largest_first",
    "merge_same_names",
    "metric_fields",
    "sum_fields",
]


#: Forms of which different bytes can be shown alike.
_SHOWN_ALIKE = AMBIGUOUS | STACK_FORMS


def metric_fields(  # noqa: PLR0913  # a record has this many properties
    spec: MetricSpec,
    cells: Iterable[Cell],
    *,
    start: str,
    end: str,
    total: bool,
    stacks: StackNames = no_stacks,
    whole: bool = False,
) -> dict[str, Any]:
    """The fields of a `metric` record: the largest cells first, at most `spec.top` of them unless
    it is to be `whole`.

    `start`, `end`: RFC 3339 times between which was counted; `total`: since the run began.
    """
    listed = largest_first(spec, merge_same_names(spec, cells, stacks))
    shown = listed if whole else _bound(spec, listed)
    return {
        "probe": spec.probe,
        "metric": spec.name,
        "kind": spec.kind,
        "unit": spec.unit,
        "display_unit": spec.display,
        **({"layout": layout} if (layout := describe_layout(spec)) else {}),
        "window": {"start": start, "end": end},
        "total": total,
        "cells": [cell_fields(spec, cell, stacks) for cell in shown],
        "cells_omitted": len(listed) - len(shown),
    }


def bound_cells(spec: MetricSpec, record: Mapping[str, Any]) -> dict[str, Any]:
    """A whole `metric` record with as many cells as are shown: `spec.top`, and `other`."""
    cells = record["cells"]
    named = [cell for cell in cells if not cell["other"]]
    shown = named[: spec.top] + [cell for cell in cells if cell["other"]]
    return {**record, "cells": shown, "cells_omitted": len(cells) - len(shown)}


def describe_layout(spec: MetricSpec) -> str | None:
    """The buckets of a histogram as the plan writes them, with the numbers of this run; None:
    it has none. Only histograms of one layout can be added."""
    if spec.kind != "histogram":
        return None
    buckets = spec.buckets
    if buckets.kind == "log":
        return "log(16)"
    return f"linear({buckets.low}, {buckets.high}, {buckets.step})"


def _bound(spec: MetricSpec, listed: list[Cell]) -> list[Cell]:
    named = [cell for cell in listed if cell.key is not None]
    return named[: spec.top] + [cell for cell in listed if cell.key is None]


def largest_first(spec: MetricSpec, cells: Iterable[Cell]) -> list[Cell]:
    """Cells in the order in which they are shown: the largest first (of `min` the least), and
    `other` last."""
    return sorted(cells, key=lambda cell: (cell.key is None, -_weight(spec, cell)))


def cell_fields(spec: MetricSpec, cell: Cell, stacks: StackNames = no_stacks) -> dict[str, Any]:
    """One cell: its key by names, whether it is `other` (never without a key), and its value."""
    return {**key_fields(spec, cell, stacks), **_value(spec, cell)}


def key_fields(spec: MetricSpec, cell: Cell, stacks: StackNames = no_stacks) -> dict[str, Any]:
    """Which cell it is: `key` and `other`."""
    return {"key": _key(spec, cell.key, stacks), "other": cell.key is None and bool(spec.key)}


def _key(spec: MetricSpec, key: bytes | None, stacks: StackNames) -> dict[str, Any]:
    if key is None:
        return {}
    return {
        part.name: decode_field(part, key[part.offset : part.offset + part.size], stacks)
        for part in spec.key
    }


def merge_same_names(spec: MetricSpec, cells: Iterable[Cell], stacks: StackNames) -> Iterable[Cell]:
    """The cells; those whose keys are shown alike become one: they differ only in the addresses
    behind the names of a stack, as in two processes of the same program, in whether an IPv4 address
    is one of an IPv6 socket, in the numbers of one label, or in what a call returned that did not
    fail."""
    if not any(part.form in _SHOWN_ALIKE or _share_names(part) for part in spec.key):
        return cells
    by_name: dict[str, list[Cell]] = {}
    for cell in cells:
        name = repr(_key(spec, cell.key, stacks)) if cell.key is not None else ""
        by_name.setdefault(name, []).append(cell)
    return [merge_all(same, _choose_key(spec, same[0].key)) for same in by_name.values()]


def _choose_key(spec: MetricSpec, key: bytes | None) -> bytes | None:
    """The key of all cells that are shown alike. It does not depend on which of them there are, as
    far as numbers are concerned: runs are compared by them."""
    if key is None:
        return None
    chosen = bytearray(key)
    for part in spec.key:
        if _share_names(part):
            place = slice(part.offset, part.offset + part.size)
            is_signed = part.form[0] == "s"
            number = int.from_bytes(key[place], "little", signed=is_signed)
            first = _first_of_name(part, number)
            chosen[place] = first.to_bytes(part.size, "little", signed=is_signed)
    return bytes(chosen)


def _first_of_name(part: RenderedField, number: int) -> int:
    """The first number that has the name of `number`: of the table, or none of it. What is no
    error is 0."""
    assert part.presentation is not None
    if part.presentation.form == "errno":
        return 0 if NUMBER_TEXTS["errno"](number, part.presentation) is None else number
    if part.presentation.names_cgroups:
        return number
    names = part.presentation.names
    if number in names:
        return next(code for code, name in names.items() if name == names[number])
    return next(free for free in count() if free not in names)


def _share_names(part: RenderedField) -> bool:
    """Whether two numbers may have one name."""
    shown = part.presentation
    if shown is None or shown.hashed:
        return False
    if shown.form not in ("", "errno") and not shown.names_cgroups:
        return False
    return (
        bool(shown.form)
        or bool(shown.otherwise)
        or len(set(shown.names.values())) < len(shown.names)
    )


def _value(spec: MetricSpec, cell: Cell) -> dict[str, Any]:
    match spec.kind:
        case "count":
            return {"value": cell.count}
        case "sum":
            return {**sum_fields("value", cell.sum), "count": cell.count}
        case "min":
            return {"value": cell.min}
        case "max":
            return {"value": cell.max}
        case "avg":
            average = cell.sum / cell.count if cell.count else None
            return {"value": average, **sum_fields("sum", cell.sum), "count": cell.count}
        case "histogram":
            return histogram_fields(
                cell.buckets, below=cell.below, above=cell.above, buckets=spec.buckets
            )


def sum_fields(name: str, total: int) -> dict[str, Any]:
    """The sum as `name`, and where it left 64 bits the mark that it is the nearest they hold."""
    mark = {} if fits_into_word(total) else {"saturated": True}
    return {name: saturate(total), **mark}


def _weight(spec: MetricSpec, cell: Cell) -> float:
    count = cell.count
    if spec.kind == "histogram":
        count = cell.below + cell.above + sum(cell.buckets.values())
    return weigh_cell(spec.kind, count, cell.sum, cell.min, cell.max)
