"""The kernel's own counters of attached programs: hits of events, misses, recursion."""

import os
import sys
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from orchestrator.accounting.count import (
    UNKNOWN,
    Count,
    add_counts,
    at_least,
    count_from_number,
    is_known,
)
from orchestrator.backends.bcc.design.joining import JOINING
from orchestrator.backends.bcc.design.layout import HookSide
from orchestrator.backends.bcc.design.misses import only_tasks_cause
from orchestrator.backends.bcc.handles.attachment import AttachedSide
from orchestrator.kernel.abi import bpf, bpf_links, dynamic_events
from orchestrator.plan.naming.perf_events import PERF_EVENTS, SOFTWARE

__all__ = ["KernelCounts", "KernelMisses", "count_misses"]

_NONE: Mapping[int, int] = {}
_CLOCKS = frozenset(event.config for event in PERF_EVENTS.values() if event.is_clock)
#: Mechanisms whose only misses are counted as recursion (see design/misses.py).
_RECURSION_ONLY = frozenset({"raw tracepoint", "fentry", "fexit", "iterator"})
_FUNCTION_LINK = "kprobe multi"


class KernelMisses(NamedTuple):
    """Misses of a side: its program was running already (`recursion`), or the probe itself missed
    the call."""

    recursion: int
    of_probe: int


_NO_MISSES = KernelMisses(0, 0)
_NOTHING: Mapping[int, KernelMisses] = {}


class KernelCounts:
    """The kernel's counters for the sides that are attached, read at once. They have to be read
    before the ledger: an event between the two must not count as missed."""

    def __init__(
        self,
        sides: Sequence[AttachedSide],
        witnessed: Mapping[int, int] = _NONE,
        before: Mapping[int, "KernelMisses"] = _NOTHING,
    ) -> None:
        """`witnessed`: by side that has a witness, the events that its program missed; `before`:
        by side, what is not to be counted, as `count_misses` gave it."""
        self._witnessed = witnessed
        self._sides = {attached.side.index: attached for attached in sides}
        names = [attached.event for attached in sides if attached.event]
        self._hits = dynamic_events.read_profile(names) if names else {}
        self._counted = _count_software_events(sides)
        self._before = before
        self._of_links = _read_missed(sides)
        self._joined = {
            attached.side.index for attached in sides if attached.attachment.mechanism in JOINING
        }
        self._recursion_misses = {
            index: _less(misses, before.get(index, _NO_MISSES).recursion)
            for index, misses in _sum_recursion_misses(sides).items()
        }

    def recursion_misses(self, side: HookSide) -> Count:
        """How often the kernel skipped the program because it was already active. Of a program
        that other places share, only none is known of each."""
        count = self._recursion_misses.get(side.index, UNKNOWN)
        return UNKNOWN if count and side.index in self._joined else count

    def unseen(self, side: HookSide, fired: int) -> int:
        """Hits without a run so far, of which `fired` are known; 0 where hits are not counted."""
        if side.index in self._counted:
            return max(self._counted[side.index] - fired, 0)
        attached = self._sides.get(side.index)
        hits = self._hits.get(attached.event) if attached is not None else None
        return max(hits.hits - fired, 0) if hits is not None else 0

    def missed(self, side: HookSide, fired: int) -> Count:
        """Events that happened while the program did not run, of which `fired` did: hits without a
        run, and calls that the probe itself missed. Unknown where they are not counted."""
        attached = self._sides.get(side.index)
        if attached is None:
            return UNKNOWN
        if side.index in self._witnessed:
            return self._witnessed[side.index]
        if side.index in self._counted:
            return self.unseen(side, fired)
        hits = self._hits.get(attached.event)
        if hits is None:
            return self._count_skipped(attached)
        own = (hits.misses or 0) - self._before.get(side.index, _NO_MISSES).of_probe
        return max(hits.hits - fired, 0) + own

    def _count_skipped(self, attached: AttachedSide) -> Count:
        """Misses where hits are not counted: known only where being skipped is the only way to miss
        an event, and is counted."""
        if attached.attachment.mechanism in JOINING:
            return self._count_joined(attached)
        if attached.attachment.mechanism in _RECURSION_ONLY or _never_nested(attached.side):
            return at_least(self._recursion_misses.get(attached.side.index, UNKNOWN))
        return UNKNOWN

    def _count_joined(self, attached: AttachedSide) -> Count:
        """Misses at one of the places of a link. The kernel counts those of all together (kprobe
        multi: those of the link, since 6.7, and those of the program), so that only none is
        known of each. It skips no program in user code (uprobe_prog_run,
        kernel/trace/bpf_trace.c)."""
        index = attached.side.index
        before = self._before.get(index, _NO_MISSES).of_probe
        of_link = _less(self._of_links.get(index, 0), before)
        return 0 if add_counts((of_link, self.recursion_misses(attached.side))) == 0 else UNKNOWN


def _read_missed(sides: Sequence[AttachedSide]) -> dict[int, Count]:
    """By side at a link of kernel functions, what the link has missed of all its functions."""
    links = {
        id(attached.attachment): attached.attachment.fds
        for attached in sides
        if attached.attachment.mechanism == _FUNCTION_LINK
    }
    missed = {key: _read_link(fds) for key, fds in links.items()}
    return {
        attached.side.index: missed[id(attached.attachment)]
        for attached in sides
        if id(attached.attachment) in missed
    }


def _read_link(fds: Sequence[int]) -> Count:
    try:
        return add_counts(count_from_number(bpf_links.read_missed(fd)) for fd in fds)
    except OSError:
        return UNKNOWN


def _count_software_events(sides: Sequence[AttachedSide]) -> dict[int, int]:
    """By side at an event that the kernel counts itself, how many periods are over, by the counts
    of its descriptors. Of clocks and of the processor's events these say nothing about hits: their
    interrupts come late, and too many of them are throttled."""
    return {
        attached.side.index: sum(_count_periods(fd, hook.period) for fd in attached.attachment.fds)
        for attached in sides
        if (hook := attached.side.hook).counter is not None
        and hook.counter[0] == SOFTWARE
        and hook.counter[1] not in _CLOCKS
    }


def _count_periods(fd: int, period: int) -> int:
    try:
        return int.from_bytes(os.read(fd, 8), sys.byteorder) // period
    except OSError:  # its CPU went offline
        return 0


def _never_nested(side: HookSide) -> bool:
    return side.tracepoint is not None and only_tasks_cause(side.tracepoint)


def count_misses(sides: Sequence[AttachedSide]) -> dict[int, KernelMisses]:
    """By side, all misses since it was attached, as far as they are counted."""
    names = [attached.event for attached in sides if attached.event]
    hits = dynamic_events.read_profile(names) if names else {}
    recursion, of_links = _sum_recursion_misses(sides), _read_missed(sides)
    return {
        attached.side.index: KernelMisses(
            recursion=at_least(recursion[attached.side.index]),
            of_probe=(found.misses or 0)
            if (found := hits.get(attached.event))
            else at_least(of_links.get(attached.side.index, 0)),
        )
        for attached in sides
    }


def _less(count: Count, before: int) -> Count:
    return count - before if is_known(count) else count


def _sum_recursion_misses(sides: Sequence[AttachedSide]) -> dict[int, Count]:
    """By side, of all its programs: two where it has returns at two places."""
    misses: dict[int, Count] = {}
    for attached in sides:
        so_far = misses.get(attached.side.index, 0)
        own = _read_recursion_misses(attached.program)
        misses[attached.side.index] = add_counts((so_far, own))
    return misses


def _read_recursion_misses(program: int) -> Count:
    try:
        return count_from_number(bpf.program_statistics(program).recursion_misses)
    except OSError:
        return UNKNOWN
