"""Rows of plans/fs."""

import contextlib
import ctypes
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.plans import workloads
from tests.recipes.recipe import Recipe

if TYPE_CHECKING:
    from tests.live.product import Ran

MISSING = "/nonexistent/probeplan-recipe"


def vfs_reads_seen(ran: "Ran") -> None:
    """50 reads of a size that nobody else asks for."""
    reads = [read for read in ran.data("read") if read["wanted"] == 12345]
    assert len(reads) == 50
    assert {read["got"] for read in reads} == {12345}
    assert {read["symbol"] for read in reads} <= {"vfs_read", "read"}
    assert ran.value("read", "calls", comm="python3", func=reads[0]["symbol"]) >= 50
    assert ran.value("read", "bytes", comm="python3") >= 50 * 12345


def opens_seen(ran: "Ran") -> None:
    """20 opens that work and 20 that fail."""
    results = [(one["path"], one["result"]) for one in ran.data("open")]
    assert results.count(("/nonexistent/probeplan-opens", "ENOENT")) == 20
    assert [path for path, _ in results].count("/dev/null") == 20
    assert ran.value("open", "failed", comm="python3") >= 20
    assert ran.value("open", "opens", comm="python3") >= 40


def slow_io_seen(ran: "Ran") -> None:
    """3 reads that waited for 50 ms, a byte each; little else is slow."""
    waited = [read for read in ran.data("read") if read["wanted"] == 1]
    assert len(waited) == 3
    assert all(read["took"] >= 10_000_000 for read in ran.data("read"))
    assert ran.value("read", "slow", comm="python3") >= 3


def fsync_seen(ran: "Ran") -> None:
    """5 fsyncs."""
    assert [sync["call"] for sync in ran.data("sync")] == ["fsync"] * 5
    assert ran.value("sync", "calls", comm="python3", func="fsync") == 5


def stats() -> None:
    """12 questions about a file that is there, and 9 about one that is not."""
    for _ in range(12):
        Path("/dev/null").stat()
    for _ in range(9):
        with contextlib.suppress(FileNotFoundError):
            Path(MISSING).stat()


def stats_seen(ran: "Ran") -> None:
    asked = [(one["path"], one["result"]) for one in ran.data("stat")]
    assert asked.count(("/dev/null", 0)) == 12
    assert asked.count((MISSING, "ENOENT")) == 9
    assert ran.value("stat", "calls", comm="python3") == len(asked)
    assert ran.value("stat", "failed", comm="python3") >= 9


def mounts() -> None:
    """3 tmpfs mounted and unmounted, in a mount namespace of our own, and one refused."""
    libc = ctypes.CDLL(None, use_errno=True)
    assert libc.unshare(0x20000) == 0  # CLONE_NEWNS
    assert libc.mount(b"none", b"/", None, 0x44000, None) == 0  # MS_REC | MS_PRIVATE
    with tempfile.TemporaryDirectory(prefix="probeplan-mounts") as folder:
        place = folder.encode()
        for _ in range(3):
            assert libc.mount(b"probeplan-source", place, b"tmpfs", 0, None) == 0
            assert libc.umount2(place, 0) == 0
    assert libc.mount(b"probeplan-source", MISSING.encode(), b"tmpfs", 0, None) == -1


def mounts_seen(ran: "Ran") -> None:
    ours = [one for one in ran.data("mount") if one["source"] == "probeplan-source"]
    assert [(one["type"], one["result"]) for one in ours] == [
        *[("tmpfs", 0)] * 3, ("tmpfs", "ENOENT")
    ]  # fmt: skip
    assert len({one["at"] for one in ours}) == 2
    assert ran.value("mount", "mounts", comm="python3") == 5
    assert [one["at"] for one in ran.data("umount")] == [ours[0]["at"]] * 3


def file_changes() -> None:
    """A file that is created, renamed and removed, 7 times; then a removal that fails."""
    with tempfile.TemporaryDirectory(prefix="probeplan-changes") as folder:
        for number in range(7):
            file = Path(folder) / f"made{number}"
            file.touch()
            file.rename(file.with_suffix(".new"))
            file.with_suffix(".new").unlink()
        with contextlib.suppress(FileNotFoundError):
            (Path(folder) / "never").unlink()


def file_changes_seen(ran: "Ran") -> None:
    made = [one for one in ran.data("create") if "probeplan-changes" in one["path"]]
    assert len(made) == 7
    assert all(one["result"] >= 0 for one in made)
    moved = ran.data("rename")
    assert [Path(one["to"]).name for one in moved] == [f"made{n}.new" for n in range(7)]
    assert [one["to"] for one in moved] == [f"{one['from']}.new" for one in moved]
    results = [(Path(one["path"]).name, one["result"]) for one in ran.data("remove")]
    assert [pair for pair in results if pair[0].startswith("made")] == [
        (f"made{n}.new", 0) for n in range(7)
    ]
    assert ("never", "ENOENT") in results
    assert ran.value("rename", "renamed", comm="python3") == 7
    assert ran.value("remove", "removed", comm="python3") >= 7


def named(records: list[dict[str, Any]], field: str, value: object) -> list[dict[str, Any]]:
    """The records that have this value in this field."""
    return [one for one in records if one[field] == value]


ROWS: Mapping[str, Recipe] = {
    "vfs-reads": Recipe(work=workloads.vfs_reads, judge=vfs_reads_seen),
    "opens": Recipe(
        work=workloads.opens,
        judge=opens_seen,
        tracefs_cannot_without_kprobes="a string from memory",
    ),
    "slow-io": Recipe(work=workloads.slow_io, judge=slow_io_seen),
    "fsync": Recipe(work=workloads.fsync, judge=fsync_seen),
    "stats": Recipe(
        work=stats, judge=stats_seen, tracefs_cannot_without_kprobes="a string from memory"
    ),
    "mounts": Recipe(
        work=mounts, judge=mounts_seen, tracefs_cannot_without_kprobes="a string from memory"
    ),
    "file-changes": Recipe(
        work=file_changes,
        judge=file_changes_seen,
        tracefs_cannot_without_kprobes="a string from memory",
    ),
}
