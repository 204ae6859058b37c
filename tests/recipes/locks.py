"""Rows of plans/locks."""

import ctypes
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tests.recipes.recipe import Recipe, total

if TYPE_CHECKING:
    from tests.live.product import Ran

FUTEX = 202  # arch/x86/entry/syscalls/syscall_64.tbl


class Timespec(ctypes.Structure):
    """struct timespec of a 64-bit machine."""

    _fields_ = (("seconds", ctypes.c_long), ("nanoseconds", ctypes.c_long))


def futex_waits() -> None:
    """6 waits of 20 ms for a lock that nobody gives back."""
    libc, word = ctypes.CDLL(None), ctypes.c_int(1)
    for _ in range(6):
        timeout = Timespec(0, 20_000_000)
        libc.syscall(FUTEX, ctypes.byref(word), 128, 1, ctypes.byref(timeout), None, 0)


def futex_waits_seen(ran: "Ran") -> None:
    """Each with its lock and its time."""
    waits = [one for one in ran.data("wait") if one["result"] == "ETIMEDOUT"]
    assert len(waits) == 6
    assert len({one["lock"] for one in waits}) == 1
    assert all(one["took"] >= 20_000_000 for one in waits)
    assert ran.value("wait", "waits", comm="python3") >= 6
    assert ran.value("wait", "time", comm="python3") >= 6 * 20_000_000


def lock_contention() -> None:
    """4 processes that write to one pipe, which one at a time may, while a fifth reads it."""
    reading, writing = os.pipe()
    children = []
    for _ in range(4):
        if (child := os.fork()) == 0:
            for _ in range(3000):
                os.write(writing, b"x" * 100)
            os._exit(0)
        children.append(child)
    os.close(writing)
    while os.read(reading, 65536):
        pass
    for child in children:
        os.waitpid(child, 0)


def lock_contention_seen(ran: "Ran") -> None:
    """Some of them waited, and the waits have a time."""
    waits = total(ran, "wait", "waits")
    assert waits > 0
    assert total(ran, "wait", "time") > 0
    [latency] = ran.cells("wait", "latency")
    assert latency["count"] == waits


ROWS: Mapping[str, Recipe] = {
    "futex-waits": Recipe(work=futex_waits, judge=futex_waits_seen),
    "lock-contention": Recipe(
        work=lock_contention, judge=lock_contention_seen, tracefs_cannot="joins events"
    ),
}
