"""Entries and returns, matched: by thread, and for functions by the stack pointer too.

The stack pointer tells nested and recursive calls apart, so that a call whose entry or return the
kernel filtered, missed or jumped over cannot be taken for another.
"""

from dataclasses import dataclass

import numpy as np

from orchestrator.backends.tracefs.reader.arrays import IntArray

__all__ = ["MatchedCalls", "match_calls"]


@dataclass(frozen=True, slots=True, kw_only=True)
class MatchedCalls:
    """Pairs as indexes into the entries and returns, in the returns' order; `open` are entries
    whose call goes on."""

    entries: IntArray
    returns: IntArray
    open: IntArray


def match_calls(
    entry_keys: tuple[IntArray, IntArray],
    entry_order: IntArray,
    return_keys: tuple[IntArray, IntArray],
    return_order: IntArray,
) -> MatchedCalls:
    """Match each return with the event before it of the same key, if that is an entry. Keys are
    (thread, stack pointer); orders are positions in time, all different."""
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
