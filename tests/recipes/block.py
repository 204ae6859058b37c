"""Rows of plans/block."""

import mmap
import os
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.recipes.recipe import Recipe, total
from tests.support.workload import plans as workloads

if TYPE_CHECKING:
    from tests.support.product import Ran


DISK = ("loop", "ext4")


def io_sizes_seen(ran: "Ran") -> None:
    """8 writes of 64 KiB, however the file system splits or merges them."""
    assert sum(one["bytes"] for one in ran.data("issue") if "W" in one["kind"]) >= 8 * 65536
    [size] = ran.cells("issue", "size")
    assert size["count"] == len(ran.data("issue"))


def synced_writes() -> None:
    """8 writes of 64 KiB that wait for the disk."""
    workloads.io_sizes(8)


def block_latency_seen(ran: "Ran") -> None:
    """At least a request a write, on a disk with a name."""
    cells = ran.cells("io", "latency")
    assert sum(cell["count"] for cell in cells) >= 8
    assert all(cell["key"]["disk"] for cell in cells)


def block_requests_seen(ran: "Ran") -> None:
    """All bytes, as writes to a disk, in a time."""
    writes = [one for one in ran.data("io") if "W" in one["kind"]]
    assert sum(one["bytes"] for one in writes) >= 8 * 65536
    assert all(one["took"] > 0 and one["error"] == 0 and one["disk"] for one in writes)


def direct_requests() -> None:
    """8 writes of 64 KiB and 5 reads of 32 KiB past the page cache, in a file that another program
    has put on the disk."""
    with tempfile.NamedTemporaryFile(dir=".") as file, mmap.mmap(-1, 65536) as memory:
        dd = ["dd", "if=/dev/zero", f"of={file.name}", "bs=64k", "count=8", "conv=fsync,notrunc"]
        subprocess.run(dd, check=True, stderr=subprocess.DEVNULL)
        direct = os.open(file.name, os.O_RDWR | os.O_DIRECT)
        for number in range(8):
            assert os.pwrite(direct, memory, number * 65536) == 65536
        for number in range(5):
            with memoryview(memory)[:32768] as part:
                assert os.preadv(direct, [part], number * 65536) == 32768
        os.close(direct)


def block_top_seen(ran: "Ran") -> None:
    """What the program itself asked for, however the file system splits requests: to the byte what
    it wrote; while it reads, the file system may look up where the file is."""
    mine = {
        cell["key"]["op"]: cell["value"]
        for cell in ran.cells("io", "bytes")
        if cell["key"]["comm"] == "python3"
    }
    assert set(mine) == {"read", "write"}
    assert mine["write"] == 8 * 65536
    assert 0 <= mine["read"] - 5 * 32768 < 32768
    [reads] = [cell for cell in ran.cells("io", "took") if is_read(cell)]
    [longest] = [cell for cell in ran.cells("io", "longest") if is_read(cell)]
    assert reads["count"] >= 5
    assert 0 < reads["value"] <= longest["value"]
    assert ran.value("io", "requests", **reads["key"]) == reads["count"]
    time = ran.value("io", "time", **reads["key"])
    assert abs(time - reads["sum"]) < reads["count"] * 100_000  # each metric looks at the clock
    assert total(ran, "io", "errors") == 0


def is_read(cell: Mapping[str, Any]) -> bool:
    """Whether the cell has the workload's reads."""
    return bool(cell["key"]["comm"] == "python3" and cell["key"]["op"] == "read")


def io_pattern_seen(ran: "Ran") -> None:
    """Every request but the first of each disk has one before it. How many follow it is the file
    system's choice and every other user's of that disk: no workload here can know."""
    requests, disks = total(ran, "pair", "requests"), ran.cells("pair", "requests")
    pairs = ran.finished["ledger"]["spans"]["pair"]["counts"]
    assert requests >= 8 - len(disks)
    assert requests == pairs["ended"] + pairs["replaced"] == pairs["started"] - pairs["in_flight"]
    assert 0 < len(disks) <= pairs["in_flight"] <= len(list(Path("/sys/block").iterdir()))
    assert 0 <= total(ran, "pair", "sequential") <= requests


ROWS: Mapping[str, Recipe] = {
    "io-sizes": Recipe(work=workloads.io_sizes, judge=io_sizes_seen, disk=True, modules=DISK),
    "block-latency": Recipe(
        work=synced_writes,
        judge=block_latency_seen,
        settings={"by": "disk"},
        disk=True,
        modules=DISK,
        tracefs_cannot="rawtracepoint",
    ),
    "block-requests": Recipe(
        work=synced_writes,
        judge=block_requests_seen,
        disk=True,
        modules=DISK,
        tracefs_cannot="event joining",
    ),
    "block-top": Recipe(
        work=direct_requests,
        judge=block_top_seen,
        disk=True,
        modules=DISK,
        tracefs_cannot="event joining",
    ),
    "io-pattern": Recipe(
        work=synced_writes,
        judge=io_pattern_seen,
        disk=True,
        modules=DISK,
        tracefs_cannot="event joining",
    ),
}
