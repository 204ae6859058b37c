"""Rows of plans/locks."""

import ctypes
import fcntl
import mmap
import os
import struct
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tests.recipes.recipe import Recipe, result_of, total
from tests.support.workload.raw_calls import call, number_of
from tests.support.workload.waiting import WRITE, wait_asleep

if TYPE_CHECKING:
    from tests.support.product import Ran

FUTEX, USERFAULTFD = number_of("futex"), number_of("userfaultfd")
FUTEX2_SIZE_U32 = 2  # include/uapi/linux/futex.h
# include/uapi/linux/userfaultfd.h
UFFDIO_API, UFFDIO_REGISTER, UFFDIO_ZEROPAGE = 0xC018AA3F, 0xC020AA00, 0xC020AA04


class Timespec(ctypes.Structure):
    """struct timespec of a 64-bit machine."""

    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


def futex_waits() -> None:
    """6 waits of 20 ms for a lock that no one gives back; then one by each newer call, as far as
    this kernel has it."""
    libc, word = ctypes.CDLL(None), ctypes.c_int(1)
    for _ in range(6):
        timeout = Timespec(0, 20_000_000)
        libc.syscall(FUTEX, ctypes.byref(word), 128, 1, ctypes.byref(timeout), None, 0)
    end, private = Timespec(time.monotonic_ns() // 10**9 + 1, 0), FUTEX2_SIZE_U32 | 128
    one = (ctypes.c_uint64 * 3)(1, ctypes.addressof(word), private)  # struct futex_waitv
    call("futex_waitv", one, 1, 0, ctypes.byref(end), time.CLOCK_MONOTONIC)
    end.seconds += 1
    everyone = 0xFFFFFFFF
    call("futex_wait", ctypes.byref(word), 1, everyone, private, ctypes.byref(end), 1)


def futex_waits_seen(ran: "Ran") -> None:
    """Each with its lock and its time."""
    waits = [one for one in ran.data("wait") if result_of(one) == "ETIMEDOUT"]
    attached = {line["to"].removeprefix("syscall:") for line in ran.of_kind("probe.attached")}
    newer = [call for call in ("futex_waitv", "futex_wait") if call in attached]
    assert [one["call"] for one in waits] == [*["futex"] * 6, *newer]
    assert len({one["lock"] for one in waits if one["call"] != "futex_waitv"}) == 1
    assert all(one["took"] >= 20_000_000 for one in waits)
    assert ran.value("wait", "waits", comm="python3") >= 6
    assert ran.value("wait", "time", comm="python3") >= 6 * 20_000_000


def lock_contention() -> None:
    """3 waits of 30 ms for the mutex of a pipe, which someone has who waits for a page."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, *[ctypes.c_size_t] * 5]
    for _ in range(3):
        faults = libc.syscall(USERFAULTFD, os.O_CLOEXEC)
        assert faults >= 0, os.strerror(ctypes.get_errno())
        fcntl.ioctl(faults, UFFDIO_API, struct.pack("QQQ", 0xAA, 0, 0))
        page = libc.mmap(None, mmap.PAGESIZE, 3, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS, -1, 0)
        fcntl.ioctl(faults, UFFDIO_REGISTER, struct.pack("QQQQ", page, mmap.PAGESIZE, 1, 0))
        reading, writing = os.pipe()
        holder = threading.Thread(target=libc.write, args=(writing, ctypes.c_void_p(page), 16))
        holder.start()
        os.read(faults, 32)
        waiter = threading.Thread(target=libc.write, args=(writing, b"x", 1))
        waiter.start()
        wait_asleep(f"self/task/{waiter.native_id}", WRITE)
        time.sleep(0.03)
        fcntl.ioctl(faults, UFFDIO_ZEROPAGE, struct.pack("QQQq", page, mmap.PAGESIZE, 0, 0))
        holder.join()
        waiter.join()
        assert len(os.read(reading, 100)) == 17
        for fd in (faults, reading, writing):
            os.close(fd)


def lock_contention_seen(ran: "Ran") -> None:
    """The three, of which each has a separate mutex or, at its old address, again the same."""
    assert ran.value("wait", "waits", comm="python3", kind="mutex") >= 3
    assert ran.value("wait", "time", comm="python3", kind="mutex") >= 3 * 30_000_000
    long = [cell for cell in ran.cells("wait", "locks") if cell["value"] >= 30_000_000]
    assert sum(cell["count"] for cell in long) >= 3
    [latency] = ran.cells("wait", "latency")
    assert latency["count"] == total(ran, "wait", "waits")
    assert sum(count for edge, count in latency["buckets"] if edge >= 30_000_000) >= 3


ROWS: Mapping[str, Recipe] = {
    "futex-waits": Recipe(
        differs=("5.10", "6.12", "7.x"), work=futex_waits, judge=futex_waits_seen
    ),
    "lock-contention": Recipe(
        differs=("5.10",),
        work=lock_contention,
        judge=lock_contention_seen,
        tracefs_cannot="event joining",
    ),
}
