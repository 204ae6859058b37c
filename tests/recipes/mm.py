"""Rows of plans/mm."""

import ctypes
import mmap
import os
import select
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tests.recipes.recipe import Recipe, result_of
from tests.support.workload import plans as workloads

if TYPE_CHECKING:
    from tests.support.product import Ran

SEGMENT = 123_456
IPC_PRIVATE, IPC_RMID = 0, 0
SET_THP_DISABLE = 41  # include/uapi/linux/prctl.h
UNUSUAL = 34_567 * mmap.PAGESIZE
#: Of mm/slub.c, under an allocation that finds no free object.
ROOM_FOR_OBJECTS = {"___slab_alloc", "new_slab", "allocate_slab", "alloc_slab_obj_exts"}


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
    removed = [(one["id"], one["command"], result_of(one)) for one in ran.data("control")]
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


CGROUP = Path("/sys/fs/cgroup")
COLD, ALLOWED = 12 << 20, 4 << 20
#: Where memory begins, and where what old devices cannot reach does: in frames, on x86-64.
ZONES = (1, 4096)


def slab_allocations() -> None:
    """1500 files opened: each takes an object of the cache `filp`."""
    for _ in range(1500):
        os.close(os.open("/dev/null", os.O_RDONLY))


def slab_allocations_seen(ran: "Ran") -> None:
    objects = ran.value("alloc", "objects", cache="filp")
    assert objects >= 1500
    assert ran.value("alloc", "programs", comm="python3", cache="filp") >= 1500
    size = ran.value("alloc", "bytes", cache="filp") / objects
    assert size == int(size) >= 128  # a struct file


def limited(mebibytes: int, work: Callable[[], None]) -> None:
    """A child that works in a memory cgroup of this size."""
    (CGROUP / "cgroup.subtree_control").write_text("+memory")
    group = CGROUP / f"probeplan-{os.getpid()}"
    group.mkdir()
    (group / "memory.max").write_text(f"{mebibytes}M")
    if (child := os.fork()) == 0:
        (group / "cgroup.procs").write_text(str(os.getpid()))
        work()
        os._exit(0)
    os.waitpid(child, 0)
    group.rmdir()


def oom_kills() -> None:
    """A child that touches three times the memory that it may have."""
    limited(24, lambda: workloads.page_faults((72 << 20) // mmap.PAGESIZE))


def oom_kills_seen(ran: "Ran") -> None:
    [kill] = ran.data("kill")
    assert kill["victim"] == "python3"
    assert kill["victim_pid"] > 1
    assert ran.value("kill", "kills", victim="python3") == 1


def direct_reclaim() -> None:
    """A cold file three times as large as the memory that its reader may have."""
    with tempfile.TemporaryFile(dir=Path.cwd(), buffering=0) as file:
        file.write(bytes(COLD))
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        file.seek(0)

        def read() -> None:
            while file.read(65536):
                pass

        limited(ALLOWED >> 20, read)


def direct_reclaim_seen(ran: "Ran") -> None:
    """Its reader had to give up the pages that it may not have. At least those: the kernel takes
    them by the batch, and some that hold no file."""
    stalls = [one for one in ran.data("stall") if one["comm"] == "python3"]
    assert sum(one["freed"] for one in stalls) >= (COLD - ALLOWED) // mmap.PAGESIZE
    assert all(one["took"] > 0 for one in stalls)
    assert ran.value("stall", "stalls", comm="python3") == len(stalls)
    assert ran.value("stall", "time", comm="python3") == sum(one["took"] for one in stalls)


def compactions() -> None:
    """All zones compacted on demand, twice; and none for a huge page of this test."""
    assert ctypes.CDLL(None).prctl(SET_THP_DISABLE, 1, 0, 0, 0) == 0
    for _ in range(2):
        Path("/proc/sys/vm/compact_memory").write_text("1")


def compactions_seen(ran: "Ran") -> None:
    """Each zone of a guest's 2 GiB in our own name, twice, and waited for."""
    ours = [one for one in ran.data("compaction") if one["comm"] == "python3"]
    assert sorted(one["zone"] for one in ours) == sorted(2 * ZONES)
    assert all(one["sync"] and one["took"] > 0 for one in ours)
    assert ran.value("compaction", "compactions", comm="python3") == len(ours)


def kernel_outstanding() -> None:
    """100 pipes, kept by a child that lives as long as the run; another 100 are closed."""
    run = os.pidfd_open(os.getppid())
    for _ in range(100):
        for end in os.pipe():
            os.close(end)
    for _ in range(100):
        os.pipe()
    if os.fork() == 0:
        for stream in range(3):
            os.close(stream)
        select.select([run], [], [])
        os._exit(0)


def kernel_outstanding_seen(ran: "Ran") -> None:
    """Two objects a pipe that is open: the pipe and its buffers, which are larger. What the
    allocator takes for itself while it makes room for them is another cell."""
    reported = ran.of_kind("outstanding.reported")[-1]
    assert reported["total"]
    stacks = [[frame.partition("+")[0] for frame in c["key"]["kstack"]] for c in reported["cells"]]
    pipes = [
        cell
        for cell, stack in zip(reported["cells"], stacks, strict=True)
        if "alloc_pipe_info" in stack and not set(stack) & ROOM_FOR_OBJECTS
    ]
    assert {cell["key"]["comm"] for cell in pipes} == {"python3"}
    assert sorted(cell["count"] for cell in pipes) == [100, 100]
    sizes = sorted(cell["value"] for cell in pipes)
    assert sizes[0] in (100 * 192, 100 * 256)
    assert sizes[1] == 100 * 1024


def memory_growth() -> None:
    """3 maps of an unusual size, of which one is given back and one grows, and the others at the
    end; the heap grows 5 times."""
    libc = ctypes.CDLL(None, use_errno=True)
    maps = [mmap.mmap(-1, UNUSUAL) for _ in range(3)]
    maps[0].close()
    maps[1].resize(2 * UNUSUAL)
    libc.sbrk.restype = ctypes.c_void_p
    for _ in range(5):
        assert libc.sbrk(mmap.PAGESIZE) not in (None, 2**64 - 1)
    for left in maps[1:]:
        left.close()


def memory_growth_seen(ran: "Ran") -> None:
    """By program and by stack the same; what the interpreter maps for itself is there, too."""
    grown = ran.value("map", "grown", comm="python3")
    assert 3 * UNUSUAL <= grown < 4 * UNUSUAL
    assert sum(cell["value"] for cell in ran.cells("map", "bytes")) >= grown
    assert ran.value("remap", "bytes", comm="python3") >= UNUSUAL
    assert 4 * UNUSUAL <= ran.value("unmap", "bytes", comm="python3") < 5 * UNUSUAL
    assert sum(cell["value"] for cell in ran.cells("heap", "calls")) >= 5
    [net] = [one for one in ran.of_kind("figure.reported") if one["total"]]
    assert net["values"]["net"] == (
        sum(cell["value"] for cell in ran.cells("map", "grown"))
        + sum(cell["value"] for cell in ran.cells("remap", "bytes"))
        - sum(cell["value"] for cell in ran.cells("unmap", "bytes"))
    )


ROWS: Mapping[str, Recipe] = {
    "memory-growth": Recipe(
        work=memory_growth, judge=memory_growth_seen, tracefs_cannot="'ustack'"
    ),
    "kernel-outstanding": Recipe(
        differs=("5.10",),
        work=kernel_outstanding,
        judge=kernel_outstanding_seen,
        tracefs_cannot="event joining",
    ),
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
    "slab-allocations": Recipe(
        differs=("5.10",),
        work=slab_allocations,
        judge=slab_allocations_seen,
        tracefs_cannot="tracefs cannot",
    ),
    "oom-kills": Recipe(work=oom_kills, judge=oom_kills_seen, changes_host=True),
    "direct-reclaim": Recipe(
        work=direct_reclaim,
        judge=direct_reclaim_seen,
        changes_host=True,
        disk=True,
        modules=("loop", "ext4"),
        tracefs_cannot="event joining",
    ),
    "compactions": Recipe(
        work=compactions, judge=compactions_seen, changes_host=True, tracefs_cannot="event joining"
    ),
}
