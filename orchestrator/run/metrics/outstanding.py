"""What is outstanding: the open ones summed up by key, with their growth and the oldest of them."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from orchestrator.backends.protocol import OpenSpans
from orchestrator.cells.cell import Cell
from orchestrator.compile.program import Program, Resource, SpanProgram
from orchestrator.output.metrics import key_fields, largest_first, merge_same_names

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from orchestrator.output.fields import StackNames

__all__ = ["Outstanding", "caveats", "cells_of"]

Fields = dict[str, Any]

_ALWAYS = "what was opened before the run began is not seen"
_SAMPLED = "the openings are sampled: the numbers are estimates"
#: By event, what its kernel does without telling (mm/slub.c, mm/slab_common.c, kernel/rcu/tree.c).
_CAVEATS: Mapping[str, str] = {
    "kmem:kmem_cache_free": "kmem_cache_free_bulk, and so kfree_rcu, frees without an event on "
    "some kernels: such objects seem outstanding",
    "kmem:kfree": "kfree_rcu frees in bulk without an event on some kernels: such objects seem "
    "outstanding",
    "kmem:kmalloc": "krealloc in place changes a size without an event",
    "kmem:mm_page_alloc": "pages of the slab allocator count here and as its objects",
}


def caveats(program: Program, span: SpanProgram) -> list[str]:
    """What the numbers cannot tell, where it applies."""
    hooks = [hook for hook in program.hooks if any(u.span == span.index for u in hook.body.spans)]
    events = {f"{h.tracepoint.category}:{h.tracepoint.event}" for h in hooks if h.tracepoint}
    told = [text for event, text in _CAVEATS.items() if event in events]
    starts = {h.probe for h in hooks if any(u.role == "start" for u in h.body.spans)}
    sampled = any(program.probes[probe].sample != 1 for probe in starts)
    return [_ALWAYS, *dict.fromkeys(told), *([_SAMPLED] if sampled else [])]


class Outstanding:
    """The reports of one run; growth is told from one report to the next."""

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
        total: bool,
    ) -> Fields:
        """The fields of an `outstanding` record but for its window: cells as in a metric, the
        largest first. Growth is since the report before; in the totals, since the run began."""
        resource = span.resource
        assert resource is not None
        spec = resource.shown
        whole = list(merge_same_names(spec, cells_of(resource, opened, now_ns), stacks))
        before: dict[str, int] = {} if total else self._before.get(span.name, {})
        now: dict[str, int] = {}
        listed: list[Fields] = []
        for cell in largest_first(spec, whole):
            shown = key_fields(spec, cell, stacks)["key"]
            name = repr(shown)
            now[name] = cell.sum
            listed.append(
                {
                    "key": shown,
                    "value": cell.sum,
                    "count": cell.count,
                    "growth": cell.sum - before.get(name, 0),
                    "oldest_ns": cell.max,
                }
            )
        if not total:
            self._before[span.name] = now
        value = sum(cell.sum for cell in whole)
        return {
            "outstanding": span.name,
            "unit": spec.unit,
            "value": value,
            "count": sum(cell.count for cell in whole),
            "growth": value - sum(before.values()),
            "cells": listed[: spec.top],
            "cells_omitted": len(listed) - len(listed[: spec.top]),
            "min_age_ns": resource.min_age_ns,
            "caveats": caveats(self._program, span),
        }


def cells_of(resource: Resource, opened: OpenSpans, now_ns: int) -> list[Cell]:
    """A cell for each key of what is open for at least the least age: `sum` of values and `count`
    are weighted, `max` is the age of the oldest in ns."""
    age = now_ns - opened.since.astype(np.int64)
    chosen = age >= resource.min_age_ns
    if not chosen.any():
        return []
    values = _numbers(opened.kept[resource.value][chosen], signed=resource.shown.signed)
    weights = opened.weight[chosen].astype(np.int64)
    keys = _keys(resource, opened, chosen)
    distinct, which = np.unique(keys, axis=0, return_inverse=True)
    which = which.reshape(-1)
    sums = np.zeros(len(distinct), dtype=np.int64)
    counts = np.zeros(len(distinct), dtype=np.int64)
    oldest = np.zeros(len(distinct), dtype=np.int64)
    np.add.at(sums, which, values * weights)
    np.add.at(counts, which, weights)
    np.maximum.at(oldest, which, age[chosen])
    return [
        Cell(key=key.tobytes(), sum=int(total), count=int(count), max=int(old))
        for key, total, count, old in zip(distinct, sums, counts, oldest, strict=True)
    ]


def _keys(
    resource: Resource, opened: OpenSpans, chosen: "NDArray[np.bool_]"
) -> "NDArray[np.uint8]":
    """The packed keys, a row each; without a key, rows of one zero."""
    spec = resource.shown
    keys = np.zeros((int(chosen.sum()), max(spec.key_size, 1)), dtype=np.uint8)
    for part, index in zip(spec.key, resource.by, strict=True):
        keys[:, part.offset : part.offset + part.size] = opened.kept[index][chosen]
    return keys


def _numbers(raw: "NDArray[np.uint8]", *, signed: bool) -> "NDArray[np.int64]":
    kind = f"<{'i' if signed else 'u'}{raw.shape[1]}"
    return np.ascontiguousarray(raw).view(kind)[:, 0].astype(np.int64)
