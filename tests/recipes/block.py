"""Rows of plans/block."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

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


def block_top_seen(ran: "Ran") -> None:
    assert total(ran, "io", "requests") >= 8
    assert total(ran, "io", "bytes") >= 8 * 65536
    assert total(ran, "io", "time") > 0


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
        work=synced_writes,
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
