"""Reports what is outstanding: open spans summed by key, their growth and the age of the oldest."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.backends.protocol import OpenSpans
from orchestrator.cells.cell import Cell
from orchestrator.cells.sums import restore_sum, saturate
from orchestrator.compile.program import MetricSpec, Program, Resource, SpanProgram
from orchestrator.output.log import RecordFields
from orchestrator.output.metrics import (
    key_fields,
    largest_first,
    merge_same_names,
    sum_fields,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from orchestrator.output.fields import StackNames

__all__ = ["OutstandingReports", "bound_outstanding", "list_caveats", "sum_open_spans"]

_ALWAYS = "what was opened before the run began is not seen"
_SAMPLED = "the openings are sampled: the numbers are estimates"
#: By event, what the kernel does without an event (mm/slub.c, mm/slab_common.c, kernel/rcu/tree.c).
_CAVEATS: Mapping[str, str] = {
    "kmem:kmem_cache_free": "kmem_cache_free_bulk, and so kfree_rcu, frees without an event on "
    "some kernels: such objects seem outstanding",
    "kmem:kfree": "kfree_rcu frees in bulk without an event on some kernels: such objects seem "
    "outstanding",
    "kmem:kmalloc": "krealloc in place changes a size without an event",
    "kmem:mm_page_alloc": "pages of the slab allocator count here and as its objects",
}


def list_caveats(program: Program, span: SpanProgram) -> list[str]:
    """What the numbers of this span do not include, and where they are estimates."""
    hooks = [hook for hook in program.hooks if any(u.span == span.index for u in hook.body.spans)]
    events = {f"{h.tracepoint.category}:{h.tracepoint.event}" for h in hooks if h.tracepoint}
    silent = [text for event, text in _CAVEATS.items() if event in events]
    starts = {h.probe for h in hooks if any(u.role == "start" for u in h.body.spans)}
    sampled = any(program.probes[probe].sample != 1 for probe in starts)
    return [_ALWAYS, *dict.fromkeys(silent), *([_SAMPLED] if sampled else [])]


class OutstandingReports:
    """The reports of one run; each contains the growth since the one before."""

    def __init__(self, program: Program) -> None:
        self._program = program
        self._before: dict[str, dict[str, int]] = {}

    def report(
        self,
        span: SpanProgram,
        opened: OpenSpans,
        now_ns: int,
        stacks: "StackNames",
        *,
        is_total: bool,
    ) -> RecordFields:
        """The fields of an outstanding.reported record without its window and with all its cells,
        as in a metric, the largest first. Growth is since the last report; in the totals, since the
        run began."""
        resource = span.resource
        assert resource is not None
        spec = resource.shown
        cells = list(merge_same_names(spec, sum_open_spans(resource, opened, now_ns), stacks))
        before: dict[str, int] = {} if is_total else self._before.get(span.name, {})
        now: dict[str, int] = {}
        listed: list[RecordFields] = []
        for cell in largest_first(spec, cells):
            shown = key_fields(spec, cell, stacks)["key"]
            name = repr(shown)
            now[name] = cell.sum
            listed.append(
                {
                    "key": shown,
                    **sum_fields("value", cell.sum),
                    "count": cell.count,
                    "growth": saturate(cell.sum - before.get(name, 0)),
                    "oldest_ns": cell.max,
                }
            )
        if not is_total:
            self._before[span.name] = now
        value = sum(cell.sum for cell in cells)
        return {
            "outstanding": span.name,
            "unit": spec.unit,
            **sum_fields("value", value),
            "count": sum(cell.count for cell in cells),
            "growth": saturate(value - sum(before.values())),
            "cells": listed,
            "cells_omitted": 0,
            "min_age_ns": resource.min_age_ns,
            "caveats": list_caveats(self._program, span),
        }


def bound_outstanding(spec: MetricSpec, report: Mapping[str, Any]) -> RecordFields:
    """An outstanding.reported record with as many cells as are shown: `spec.top`."""
    shown = report["cells"][: spec.top]
    return {**report, "cells": shown, "cells_omitted": len(report["cells"]) - len(shown)}


def sum_open_spans(resource: Resource, opened: OpenSpans, now_ns: int) -> list[Cell]:
    """A cell for each key of the spans that are open for at least the resource's least age: `sum`
    of values and `count` are weighted, `max` is the age of the oldest in ns."""
    age = now_ns - opened.since.astype(np.int64)
    chosen = age >= resource.min_age_ns
    if not chosen.any():
        return []
    values = _parse_numbers(opened.kept[resource.value][chosen], signed=resource.shown.signed)
    weights = opened.weight[chosen].astype(np.int64)
    keys = _pack_keys(resource, opened, chosen)
    distinct, which = np.unique(keys, axis=0, return_inverse=True)
    which = which.reshape(-1)
    lows = np.zeros(len(distinct), dtype=np.uint64)
    highs = np.zeros(len(distinct), dtype=np.int64)
    counts = np.zeros(len(distinct), dtype=np.int64)
    oldest = np.zeros(len(distinct), dtype=np.int64)
    np.add.at(lows, which, values.astype(np.uint64) * weights.astype(np.uint64))
    np.add.at(highs, which, (values >> 32).astype(np.int64) * weights)
    np.add.at(counts, which, weights)
    np.maximum.at(oldest, which, age[chosen])
    return [
        Cell(
            key=key.tobytes(),
            sum=restore_sum(int(low), int(high), int(count), signed=resource.shown.signed),
            count=int(count),
            max=int(old),
        )
        for key, low, high, count, old in zip(distinct, lows, highs, counts, oldest, strict=True)
    ]


def _pack_keys(
    resource: Resource, opened: OpenSpans, chosen: "NDArray[np.bool_]"
) -> "NDArray[np.uint8]":
    """The packed keys, a row each; without a key, rows of one zero."""
    spec = resource.shown
    keys = np.zeros((int(chosen.sum()), max(spec.key_size, 1)), dtype=np.uint8)
    for part, index in zip(spec.key, resource.by, strict=True):
        keys[:, part.offset : part.offset + part.size] = opened.kept[index][chosen]
    return keys


def _parse_numbers(
    raw: "NDArray[np.uint8]", *, signed: bool
) -> "NDArray[np.int64] | NDArray[np.uint64]":
    kind = f"<{'i' if signed else 'u'}{raw.shape[1]}"
    numbers = np.ascontiguousarray(raw).view(kind)[:, 0]
    return numbers.astype(np.int64) if signed else numbers.astype(np.uint64)
