"""Calls of user functions that are nested deeper than the kernel follows.

The kernel shows the returns of 64 nested calls in a thread, and none of deeper ones
(MAX_URETPROBE_DEPTH, include/linux/uprobes.h). It counts all functions whose returns are probed,
and forgets those that were left by a jump as soon as the stack pointer shows it.
"""

from collections.abc import Sequence

import numpy as np

from orchestrator.backends.tracefs.reader.arrays import BoolArray, IntArray
from orchestrator.values import dataclass

__all__ = ["FOLLOWED", "NEVER", "BatchCalls", "find_too_deep"]

FOLLOWED = 64
NEVER = np.iinfo(np.int64).max


@dataclass(frozen=True, slots=True, kw_only=True)
class BatchCalls:
    """The calls of one hook that were open during a batch of events: the thread, the stack pointer
    and the time of each entry, the time of its return (NEVER: none so far), and whether the entry
    is in this batch."""

    threads: IntArray
    places: IntArray
    entered: IntArray
    returned: IntArray
    is_new: BoolArray


def find_too_deep(hooks: Sequence[BatchCalls]) -> list[BoolArray]:
    """For each hook, which of its new calls have no return since they are nested too deep."""
    if not hooks:
        return []
    threads = np.concatenate([calls.threads for calls in hooks])
    deep = np.zeros(len(threads), dtype=bool)
    returned = np.concatenate([calls.returned for calls in hooks])
    lost = (returned == NEVER) & np.concatenate([calls.is_new for calls in hooks])
    numbers, counts = np.unique(threads, return_counts=True)
    places = np.concatenate([calls.places for calls in hooks])
    entered = np.concatenate([calls.entered for calls in hooks])
    for thread in np.intersect1d(numbers[counts > FOLLOWED], threads[lost]):
        rows = np.flatnonzero(threads == thread)
        rows = rows[np.argsort(entered[rows], kind="stable")]
        depths = _find_depths(
            places[rows].tolist(), entered[rows].tolist(), returned[rows].tolist()
        )
        deep[rows] = lost[rows] & (np.array(depths) >= FOLLOWED)
    ends = np.cumsum([len(calls.threads) for calls in hooks])
    return np.split(deep, ends[:-1])


def _find_depths(places: list[int], entered: list[int], returned: list[int]) -> list[int]:
    """How many calls of the thread are open when each begins, in the order in which they begin."""
    stack: list[int] = []
    depths = []
    for row, (place, time) in enumerate(zip(places, entered, strict=True)):
        while stack and (places[stack[-1]] <= place or returned[stack[-1]] <= time):
            stack.pop()
        depths.append(len(stack))
        stack.append(row)
    return depths
