"""Rows of plans/mm."""

import ctypes
import mmap
from collections.abc import Mapping
from typing import TYPE_CHECKING

from tests.plans import workloads
from tests.recipes.recipe import Recipe

if TYPE_CHECKING:
    from tests.live.product import Ran

SEGMENT = 123_456
IPC_PRIVATE, IPC_RMID = 0, 0
UNUSUAL = 34_567 * mmap.PAGESIZE


def kernel_allocations_seen(ran: "Ran") -> None:
    """2000 pipes of two allocations each, and the frees of both."""
    assert ran.value("alloc", "count", comm="python3") >= 4000
    assert ran.value("free", "count", comm="python3") >= 4000
    assert ran.value("alloc", "bytes", comm="python3") > 2000 * 100
    assert all(one["got"] >= one["wanted"] > 0 for one in ran.data("sampled"))
    assert ran.data("sampled")


def page_faults_seen(ran: "Ran") -> None:
    """1000 fresh pages."""
    assert ran.value("fault", "faults", comm="python3") >= 1000


def shared_memory() -> None:
    """5 segments made, attached, detached and removed."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.shmat.restype = ctypes.c_void_p
    libc.shmdt.argtypes = [ctypes.c_void_p]
    for _ in range(5):
        segment = libc.shmget(IPC_PRIVATE, SEGMENT, 0o1600)  # IPC_CREAT
        assert segment >= 0
        address = libc.shmat(segment, None, 0)
        assert libc.shmdt(address) == 0
        assert libc.shmctl(segment, IPC_RMID, None) == 0


def shared_memory_seen(ran: "Ran") -> None:
    """Each step of each segment, joined by its id and its address."""
    ids = [one["id"] for one in ran.data("get")]
    assert [one["size"] for one in ran.data("get")] == [SEGMENT] * 5
    assert [one["id"] for one in ran.data("attach")] == ids
    addresses = [one["address"] for one in ran.data("attach")]
    assert [one["address"] for one in ran.data("detach")] == addresses
    removed = [(one["id"], one["command"], one["result"]) for one in ran.data("control")]
    assert removed == [(segment, IPC_RMID, 0) for segment in ids]
    assert ran.value("attach", "attaches", comm="python3") == 5


def page_allocations() -> None:
    """2000 pages of fresh memory touched, then given back."""
    workloads.page_faults(2000)


def page_allocations_seen(ran: "Ran") -> None:
    """At least as many pages; nearly all of them alone."""
    assert ran.value("alloc", "pages", comm="python3") >= 2000
    assert ran.value("alloc", "orders", order=0) >= 2000
    assert ran.value("free", "pages", comm="python3") > 0


def memory_maps() -> None:
    """11 mappings of an unusual size, made and given back; 6 that cannot be."""
    for _ in range(11):
        mmap.mmap(-1, UNUSUAL).close()
    libc = ctypes.CDLL(None)
    for _ in range(6):
        libc.mmap(None, ctypes.c_size_t(0), 0, 0, -1, 0)


def memory_maps_seen(ran: "Ran") -> None:
    assert ran.value("map", "calls", comm="python3") >= 17
    assert 0 <= ran.value("map", "bytes", comm="python3") - 11 * UNUSUAL < UNUSUAL
    assert 0 <= ran.value("unmap", "bytes", comm="python3") - 11 * UNUSUAL < UNUSUAL
    [latency] = ran.cells("map", "latency")
    assert latency["count"] >= 17
    assert ran.value("others", "calls", comm="python3", func="brk") > 0


ROWS: Mapping[str, Recipe] = {
    "kernel-allocations": Recipe(
        work=workloads.kernel_allocations,
        judge=kernel_allocations_seen,
        settings={"sample": "1/10"},
    ),
    "page-faults": Recipe(
        work=workloads.page_faults, judge=page_faults_seen, settings={"sample": "1/1"}
    ),
    "shared-memory": Recipe(work=shared_memory, judge=shared_memory_seen),
    "page-allocations": Recipe(work=page_allocations, judge=page_allocations_seen),
    "memory-maps": Recipe(work=memory_maps, judge=memory_maps_seen),
}
