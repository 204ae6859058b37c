"""Decodes ring buffer pages, as read from `trace_pipe_raw`, to arrays of events.

Layout: include/linux/ring_buffer.h and kernel/trace/ring_buffer.c. A page is a u64 time stamp (ns),
a u64 commit (low 20 bits: bytes of events; bit 31: events were lost before it) and events. An event
is a u32 of type_len (5 bits) and time delta (27 bits), then its payload. Importing this module
imports numpy, which is slow: import it lazily.
"""

from struct import Struct
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.backends.tracefs.reader.arrays import BoolArray, ByteArray, IntArray, U64Array
from orchestrator.backends.tracefs.reader.events import Events
from orchestrator.values import dataclass

__all__ = ["Decoded", "decode_pages"]

HEADER = 16  # bytes before the first event (events/header_page: data)
_LENGTH_MASK = (1 << 20) - 1  # RB_WRITE_MASK
_MISSED = 1 << 31  # RB_MISSED_EVENTS
_PADDING, _EXTEND, _STAMP = 29, 30, 31
_TOP = 0xF8 << 56  # TS_MSB: the five bits that an absolute stamp does not hold
_LEAST = 8  # bytes of a trace entry: u16 type, u8 flags, u8 preempt count, s32 tid
_FEW = 24  # pages; for fewer, a plain loop is faster than numpy

_PAGE = Struct("<QQ")
_WORDS = Struct("<II")


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """Events of some pages, in their order there. `corrupt` pages or events were skipped; `missed`
    is the number of pages that are marked as preceded by lost events."""

    events: Events
    corrupt: int
    missed: int


def decode_pages(pages: ByteArray, count: int, size: int, cpus: npt.NDArray[np.uint16]) -> Decoded:
    """Decode the first `count` pages of `size` bytes each in the flat array `pages`, page i being
    from CPU `cpus[i]`. Nothing outside a page's committed bytes is read."""
    walk = _walk_few if count < _FEW else _walk_many
    time, offset, length, page, corrupt = walk(pages[: count * size], count, size)
    kinds = pages[offset].astype(np.uint16) | pages[offset + 1].astype(np.uint16) << np.uint16(8)
    commits = _page_headers(pages, count, size)[:, 1]
    return Decoded(
        events=Events(
            buffer=pages,
            time=time,
            offset=offset,
            length=length,
            kind=kinds,
            cpu=cpus[page],
            task=np.zeros(len(time), dtype=np.int64),
        ),
        corrupt=corrupt,
        missed=int(np.count_nonzero(commits & np.uint64(_MISSED))),
    )


_Walked = tuple[U64Array, IntArray, IntArray, IntArray, int]


def _page_headers(pages: ByteArray, count: int, size: int) -> U64Array:
    return pages[: count * size].reshape(count, size)[:, :HEADER].copy().view("<u8")


# ---------------------------------------------------------------- few pages: a plain loop


def _walk_few(pages: ByteArray, count: int, size: int) -> _Walked:
    events: list[tuple[int, int, int, int]] = []
    data = pages.tobytes()
    corrupt = sum(_walk_page(data, page, size, events) for page in range(count))
    columns = np.array(events, dtype=np.uint64).reshape(-1, 4).T
    offset, length, page = (column.astype(np.int64) for column in columns[1:])
    return columns[0].copy(), offset, length, page, corrupt


def _walk_page(data: bytes, page: int, size: int, events: list[tuple[int, int, int, int]]) -> int:
    """Append (time, payload offset, payload length, page) of each event. Returns 1 if the page is
    corrupt, else 0."""
    start = page * size
    time, commit = _PAGE.unpack_from(data, start)
    at, end = start + HEADER, start + HEADER + (commit & _LENGTH_MASK)
    if end > start + size or end % 4:
        return 1
    while at < end:
        word = int.from_bytes(data[at : at + 4], "little")
        kind, delta = word & 31, word >> 5
        extra = int.from_bytes(data[at + 4 : at + 8], "little") if at + 8 <= end else 0
        if kind == _PADDING and delta == 0:
            return 0
        length = _event_length(kind, extra)
        if at + length > end or (kind == 0 and extra < 4):
            return 1
        time = _advance_time(time, kind, delta, extra)
        if kind < _PADDING:
            head = 4 if kind else 8
            if length - head < _LEAST:
                return 1
            events.append((time, at + head, length - head, page))
        at += length
    return 0


def _event_length(kind: int, extra: int) -> int:
    """Bytes of an event, its header included (rb_event_length)."""
    if kind in (0, _PADDING):
        return 4 + (extra + 3 & ~3)
    return 8 if kind > _PADDING else 4 + 4 * kind


def _advance_time(time: int, kind: int, delta: int, extra: int) -> int:
    if kind == _EXTEND:
        return (time + (extra << 27) + delta) % (1 << 64)
    if kind == _STAMP:
        return ((extra << 27) + delta) % (1 << 59) | time & _TOP
    return (time + delta) % (1 << 64)


# ---------------------------------------------------------------- many pages: all in lockstep

#: Times, payload offsets and lengths, and pages, of one event a page.
_EventArrays = tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[Any]]


def _walk_many(pages: ByteArray, count: int, size: int) -> _Walked:
    """Step through all pages at once: one numpy operation takes the n-th event of every page."""
    words = pages.view("<u4")
    headers = _page_headers(pages, count, size)
    live = np.arange(count)
    start = live * size
    end = start + HEADER + (headers[:, 1] & np.uint64(_LENGTH_MASK)).astype(np.int64)
    sound = (end <= start + size) & (end % 4 == 0)
    corrupt = int(np.count_nonzero(~sound))
    at, time = start + HEADER, headers[:, 0].copy()
    steps: list[_EventArrays] = []
    keep = sound & (at < end)
    while keep.any():
        if not keep.all():
            live, at, end, time = live[keep], at[keep], end[keep], time[keep]
        keep, bad = _step_pages(words, live, at, end, time, steps)
        corrupt += bad
    return _collect_steps(steps, corrupt)


def _step_pages(  # noqa: PLR0913  # the columns of one walk, changed in place
    words: npt.NDArray[np.uint32],
    live: IntArray,
    at: IntArray,
    end: IntArray,
    time: U64Array,
    steps: list[_EventArrays],
) -> tuple[BoolArray, int]:
    """Take the next event of each page and advance `at` and `time`. Returns which pages have more
    events, and how many are corrupt."""
    word = words[at >> 2]
    kind, delta = word & 31, (word >> 5).astype(np.uint64)
    if ((kind - np.uint32(2)) < _PADDING - 2).all():  # small events alone: the usual case
        return _small_step(live, at, end, time, (kind, delta), steps)
    second = at + 4 < end
    extra = np.where(second, words[np.where(second, at + 4, at) >> 2], 0).astype(np.int64)
    done = (kind == _PADDING) & (delta == 0)
    by_extra = (kind == 0) | (kind == _PADDING)
    length = np.where(by_extra, 4 + (extra + 3 & ~3), np.where(kind > _PADDING, 8, 4 + 4 * kind))
    head = np.where(kind == 0, 8, 4)
    data = kind < _PADDING
    bad = (at + length > end) | ((kind == 0) & (extra < 4)) | (data & (length - head < _LEAST))
    bad &= ~done
    _advance_times(time, kind, delta, extra.astype(np.uint64))
    taken = data & ~bad & ~done
    if taken.any():
        steps.append((time[taken], (at + head)[taken], (length - head)[taken], live[taken]))
    at += length
    return ~bad & ~done & (at < end), int(np.count_nonzero(bad))


def _small_step(  # noqa: PLR0913  # as above
    live: IntArray,
    at: IntArray,
    end: IntArray,
    time: U64Array,
    heads: tuple[npt.NDArray[np.uint32], U64Array],
    steps: list[_EventArrays],
) -> tuple[BoolArray, int]:
    """As _step_pages, where the next event of every page is a small one."""
    kind, delta = heads
    length = kind.astype(np.int64) << 2
    time += delta
    after = at + length + 4
    good = after <= end
    bad = len(good) - int(np.count_nonzero(good))
    if bad:
        steps.append((time[good], at[good] + 4, length[good], live[good]))
    else:
        steps.append((time.copy(), at + 4, length, live))
    at[:] = after
    return good & (after < end), bad


def _advance_times(
    time: U64Array,
    kind: npt.NDArray[np.uint32],
    delta: U64Array,
    extra: U64Array,
) -> None:
    long = kind > _PADDING
    if not long.any():
        time += delta
        return
    wide = delta + (extra << np.uint64(27))
    stamp = kind == _STAMP
    absolute = wide & np.uint64((1 << 59) - 1) | time & np.uint64(_TOP)
    time[:] = np.where(stamp, absolute, time + np.where(long, wide, delta))


def _collect_steps(steps: list[_EventArrays], corrupt: int) -> _Walked:
    if not steps:
        none = np.empty(0, dtype=np.int64)
        return np.empty(0, dtype=np.uint64), none, none, none, corrupt
    time, offset, length, page = (np.concatenate(column) for column in zip(*steps, strict=True))
    order = np.argsort(offset, kind="stable")
    offsets, lengths, of_page = (c[order].astype(np.int64) for c in (offset, length, page))
    return time[order], offsets, lengths, of_page, corrupt
