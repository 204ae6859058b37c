"""Rows of plans/fs."""

import contextlib
import ctypes
import mmap
import os
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.recipes.recipe import Recipe
from tests.support.workload import plans as workloads

if TYPE_CHECKING:
    from tests.support.product import Ran

MISSING = "/nonexistent/probeplan-recipe"


def vfs_reads_seen(ran: "Ran") -> None:
    """50 reads of a size that no other process asks for."""
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
    """3 tmpfs mounted and unmounted, in a private mount namespace, and one refused."""
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


KPROBES = ("kprobes",)
CACHED, COLD = 64, 1024  # pages
PIECE = 100_000
TMP = "/tmp"  # noqa: S108  # named, so that tempfile does not try where it can write


def file_io() -> None:
    """40 writes of 100 kB to a file with a separate name, and 30 reads of it."""
    with tempfile.TemporaryDirectory(dir=TMP) as folder:
        file = os.open(f"{folder}/probeplan-file", os.O_RDWR | os.O_CREAT)
        for _ in range(40):
            os.write(file, bytes(PIECE))
        os.lseek(file, 0, os.SEEK_SET)
        for _ in range(30):
            os.read(file, PIECE)


def slow_files_seen(ran: "Ran") -> None:
    """Every one, since the threshold is 0; pipes and devices are left out."""
    for probe, count in (("read", 30), ("write", 40)):
        ours = named(ran.data(probe), "file", "probeplan-file")
        assert [(one["wanted"], one["got"]) for one in ours] == [(PIECE, PIECE)] * count
        assert all(one["took"] > 0 for one in ours)
        assert ran.value(probe, "slow", comm="python3") == len(ran.data(probe))


def busy_files_seen(ran: "Ran") -> None:
    key = {"comm": "python3", "file": "probeplan-file"}
    assert ran.value("read", "calls", **key) == 30
    assert ran.value("read", "bytes", **key) == 30 * PIECE
    assert ran.value("write", "calls", **key) == 40
    assert ran.value("write", "bytes", **key) == 40 * PIECE


def vfs_calls() -> None:
    """8 folders made and removed, with 3 files in each that are renamed and removed."""
    with tempfile.TemporaryDirectory(dir=TMP) as top:
        for number in range(8):
            folder = Path(top) / str(number)
            folder.mkdir()
            for name in "abc":
                (folder / name).touch()
                (folder / name).rename(folder / "x")
                (folder / "x").unlink()
            folder.rmdir()


def vfs_calls_seen(ran: "Ran") -> None:
    """Those, the folder around them, and nothing else."""
    counts = {"vfs_mkdir": 9, "vfs_rmdir": 9, "vfs_rename": 24, "vfs_unlink": 24}
    assert counts == {
        func: ran.value("call", "programs", comm="python3", func=func) for func in counts
    }
    assert ran.value("call", "operations", func="vfs_open") >= 24


def page_cache() -> None:
    """A file of 1024 pages written out, forgotten by the cache, and read twice."""
    with tempfile.TemporaryFile(dir=Path.cwd(), buffering=0) as file:
        file.write(bytes(COLD * mmap.PAGESIZE))
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        for _ in range(2):
            file.seek(0)
            while file.read(16 * mmap.PAGESIZE):
                pass


def page_cache_seen(ran: "Ran") -> None:
    """Each page is brought in twice, not thrice: written, and read again; the writing makes it
    dirty, and each reading uses it. These are counts of all files, which may add half a file; and
    for uses there is no upper bound, since a process that ends uses all that it has mapped."""
    added = ran.value("added", "programs", comm="python3")
    assert 2 * COLD <= added < 2.5 * COLD
    assert ran.value("added", "pages") >= added
    assert COLD <= ran.value("dirtied", "pages") < 1.5 * COLD
    assert ran.value("accessed", "pages") >= 2 * COLD


def dentry_lookups() -> None:
    """200 names that do not exist, each asked for once; 300 times one that does."""
    for number in range(200):
        with contextlib.suppress(FileNotFoundError):
            Path(f"/tmp/probeplan-lookup-{os.getpid()}-{number}").stat()  # noqa: S108
    for _ in range(300):
        Path("/dev/null").stat()


def dentry_lookups_seen(ran: "Ran") -> None:
    """Two parts a path; the last part of the 200 is not known."""
    assert ran.value("lookup", "lookups", comm="python3") >= 2 * 500
    missed = ran.value("missed", "lookups", comm="python3")
    assert 200 <= missed < 200 + 300
    assert ran.value("change", "lookups", comm="python3") >= 0


def fs_latency() -> None:
    """A file on the disk: 6 writes, 1 sync, 9 reads."""
    with tempfile.NamedTemporaryFile(dir=Path.cwd(), prefix="probeplan-", buffering=0) as file:
        for _ in range(6):
            file.write(bytes(100))
        os.fsync(file.fileno())
        file.seek(0)
        for _ in range(9):
            file.read(10)


def fs_latency_seen(ran: "Ran") -> None:
    """Counted, timed, and with a threshold of 0 each a record with the file's name."""
    for func, count in (("ext4_file_read_iter", 9), ("ext4_file_write_iter", 6)):
        assert ran.value("io", "calls", comm="python3", func=func) == count
        assert [one["call"] for one in ran.data("slow")].count(func) == count
    assert {one["file"].split("-")[0] for one in ran.data("slow")} == {"probeplan"}
    assert ran.value("sync", "calls", comm="python3") == 1
    [opened] = ran.cells("open", "latency")
    assert opened["count"] == 1


def file_life() -> None:
    """5 files that live for 20 ms each."""
    with tempfile.TemporaryDirectory(dir=TMP) as folder:
        for number in range(5):
            file = Path(folder) / f"probeplan-{number}"
            file.touch()
            time.sleep(0.02)
            file.unlink()


def file_life_seen(ran: "Ran") -> None:
    """The five, by name and in order."""
    lives = ran.data("life")
    assert [one["file"] for one in lives] == [f"probeplan-{number}" for number in range(5)]
    assert all(one["took"] >= 20_000_000 for one in lives)
    assert {(one["made_by"], one["removed_by"]) for one in lives} == {("python3", "python3")}


def readahead() -> None:
    """A cold file of 64 pages, of which the first 8 are read one by one."""
    with tempfile.TemporaryFile(dir=Path.cwd(), buffering=0) as file:
        file.write(bytes(CACHED * mmap.PAGESIZE))
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        file.seek(0)
        for _ in range(8):
            file.read(mmap.PAGESIZE)


def readahead_seen(ran: "Ran") -> None:
    """What was written is used as it is written; of what was read ahead most is not used yet."""
    added = ran.value("added", "pages", comm="python3")
    used = ran.value("wait", "used", comm="python3")
    assert 0 < used < added
    [age] = ran.cells("wait", "age")
    assert age["count"] >= used
    assert ran.finished["ledger"]["spans"]["wait"]["counts"]["in_flight"] > 0


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
    "slow-files": Recipe(
        work=file_io,
        judge=slow_files_seen,
        settings={"threshold": "0ns"},
        needs=KPROBES,
        tracefs_cannot="memory behind this pointer",
    ),
    "busy-files": Recipe(
        work=file_io,
        judge=busy_files_seen,
        needs=KPROBES,
        tracefs_cannot="memory behind this pointer",
    ),
    "vfs-calls": Recipe(work=vfs_calls, judge=vfs_calls_seen, needs=KPROBES),
    "page-cache": Recipe(
        differs=("5.10",),
        work=page_cache,
        judge=page_cache_seen,
        needs=KPROBES,
        disk=True,
        modules=("loop", "ext4"),
    ),
    "dentry-lookups": Recipe(work=dentry_lookups, judge=dentry_lookups_seen, needs=KPROBES),
    "fs-latency": Recipe(
        work=fs_latency,
        judge=fs_latency_seen,
        settings={"threshold": "0ns"},
        needs=KPROBES,
        disk=True,
        modules=("loop", "ext4"),
        tracefs_cannot="a string from memory",
    ),
    "file-life": Recipe(
        work=file_life, judge=file_life_seen, needs=KPROBES, tracefs_cannot="event joining"
    ),
    "readahead": Recipe(
        differs=("5.10",),
        work=readahead,
        judge=readahead_seen,
        needs=KPROBES,
        disk=True,
        modules=("loop", "ext4"),
        tracefs_cannot="event joining",
    ),
}
