"""Rows of plans/block."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from tests.plans import workloads
from tests.recipes.recipe import Recipe

if TYPE_CHECKING:
    from tests.live.product import Ran


DISK = ("loop", "ext4")


def io_sizes_seen(ran: "Ran") -> None:
    """8 writes of 64 KiB, however the file system splits or merges them."""
    assert sum(one["bytes"] for one in ran.data("issue") if "W" in one["kind"]) >= 8 * 65536
    [size] = ran.cells("issue", "size")
    assert size["count"] == len(ran.data("issue"))


ROWS: Mapping[str, Recipe] = {
    "io-sizes": Recipe(work=workloads.io_sizes, judge=io_sizes_seen, disk=True, modules=DISK),
}
