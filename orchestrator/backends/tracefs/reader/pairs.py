"""Matches entries and returns: by task, and for functions by the stack pointer as well.

The stack pointer distinguishes nested and recursive calls. So a call whose entry or return was
filtered, missed or skipped cannot be mistaken for another one.
"""

from dataclasses import replace

import numpy as np

from orchestrator.backends.tracefs.reader.arrays import BoolArray, IntArray
from orchestrator.values import dataclass

__all__ = ["MatchedCalls", "match_calls"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedCalls:
    """Pairs as row numbers of entries and returns, in the order of the returns. `open` are entries
    without a return so far."""

    entries: IntArray
    returns: IntArray
    open: IntArray

    def only(self, kept: BoolArray) -> "MatchedCalls":
        """Without the pairs that are not `kept`: their entries have returned unseen."""
        return replace(self, entries=self.entries[kept], returns=self.returns[kept])

    def without_others(self, is_own: BoolArray) -> tuple[IntArray, "MatchedCalls"]:
        """Where returns may be those of other calls: the rows of returns that are left without
        those that are not ours and have no entry, and the pairs with their new numbers."""
        kept = is_own.copy()
        kept[self.returns] = True
        numbers = np.cumsum(kept) - 1
        return np.flatnonzero(kept), replace(self, returns=numbers[self.returns])


def match_calls(
    entry_keys: tuple[IntArray, IntArray],
    entry_order: IntArray,
    return_keys: tuple[IntArray, IntArray],
    return_order: IntArray,
) -> MatchedCalls:
    """Match each return with the event of the same key just before it, if that is an entry. Keys
    are (task, stack pointer); orders are positions in time, all different."""
    count = len(entry_order)
    first = np.concatenate((entry_keys[0], return_keys[0]))
    second = np.concatenate((entry_keys[1], return_keys[1]))
    when = np.concatenate((entry_order, return_order))
    order = np.lexsort((when, second, first))
    first, second = first[order], second[order]
    is_entry = order < count
    same = np.zeros(len(order), dtype=bool)
    same[1:] = (first[1:] == first[:-1]) & (second[1:] == second[:-1])
    ends = np.flatnonzero(same & ~is_entry & np.concatenate(([False], is_entry[:-1])))
    last = np.ones(len(order), dtype=bool)
    last[:-1] = ~same[1:]
    returns, entries = order[ends] - count, order[ends - 1]
    by_time = np.argsort(return_order[returns], kind="stable")
    return MatchedCalls(
        entries=entries[by_time], returns=returns[by_time], open=np.sort(order[last & is_entry])
    )
