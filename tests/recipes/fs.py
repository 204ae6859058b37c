"""Rows of plans/fs."""

import contextlib
import ctypes
import fcntl
import mmap
import os
import struct
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.recipes.recipe import Recipe, result_of
from tests.support.workload import plans as workloads
from tests.support.workload.raw_calls import (
    AT_FDCWD,
    FSYNC,
    OPENAT,
    READ,
    STATX,
    Ring,
    address_of,
    call,
    has_call,
)

if TYPE_CHECKING:
    from tests.support.product import Ran

MISSING = "/nonexistent/probeplan-recipe"
#: struct open_how: flags, mode, resolve.
HOW = struct.Struct("3Q")


def vfs_reads_seen(ran: "Ran") -> None:
    """50 reads of a size that no other process asks for."""
    reads = [read for read in ran.data("read") if read["wanted"] == 12345]
    assert len(reads) == 50
    assert {read["got"] for read in reads} == {12345}
    assert {read["symbol"] for read in reads} <= {"vfs_read", "read"}
    assert ran.value("read", "calls", comm="python3", func=reads[0]["symbol"]) >= 50
    assert ran.value("read", "bytes", comm="python3") >= 50 * 12345


def open_through_ring(ring: Ring, path: Path) -> int:
    """A file that is created by a request instead of a call."""
    name = ctypes.create_string_buffer(bytes(path))
    return ring.request(OPENAT, AT_FDCWD, address_of(name), 0o600)


def opens() -> None:
    """20 opens that work and 20 that fail; then each of the family by itself, as far as this
    architecture has it, and 3 requests."""
    workloads.opens()
    with tempfile.TemporaryDirectory(prefix="probeplan-opens-") as folder:
        made, null = (ctypes.create_string_buffer(path) for path in (
            f"{folder}/made".encode(), b"/dev/null"
        ))  # fmt: skip
        if has_call("creat"):
            assert call("creat", made, 0o600) > 0
            assert call("open", null, os.O_WRONLY) > 0
        how = HOW.pack(os.O_RDWR | os.O_CREAT, 0o600, 0)
        assert call("openat2", AT_FDCWD, made, how, HOW.size) > 0
        ring = Ring()
        for _ in range(3):
            assert open_through_ring(ring, Path("/dev/null")) > 0


def opens_seen(ran: "Ran") -> None:
    records = ran.data("open")
    results = [(one["path"], result_of(one)) for one in records]
    assert results.count(("/nonexistent/probeplan-opens", "ENOENT")) == 20
    opened = [one["call"] for one in records if one["path"] == "/dev/null"]
    attached = {line["to"] for line in ran.of_kind("probe.attached")}
    has_old = "syscall:creat" in attached
    assert opened == [*["openat"] * 20, *["open"] * has_old]
    made = [(one["call"], one["flags"]) for one in records if "/made" in one["path"]]
    creat = ("creat", os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    assert made == [*[creat] * has_old, ("openat2", os.O_RDWR | os.O_CREAT)]
    assert ran.value("open", "failed", comm="python3") >= 20
    assert ran.value("open", "opens", comm="python3") >= 41 + 2 * has_old
    assert ran.value("ring", "opens", comm="python3") == 3


def slow_io() -> None:
    """3 reads that wait for 50 ms, a byte each; each of both families by itself, with a size of
    its own or with as many vectors; 2 requests."""
    workloads.slow_io()
    size = 1111
    with tempfile.TemporaryFile(buffering=0) as file:
        fd, data = file.fileno(), bytearray(size)
        os.write(fd, data)
        os.pwrite(fd, data, 0)
        os.writev(fd, [data] * 2)
        call("pwritev", fd, *vectors(data, 3), 0, 0)
        call("pwritev2", fd, *vectors(data, 4), 0, 0, 0)
        os.lseek(fd, 0, os.SEEK_SET)
        os.read(fd, size)
        os.pread(fd, size, 0)
        os.readv(fd, [data] * 2)
        call("preadv", fd, *vectors(data, 3), 0, 0)
        call("preadv2", fd, *vectors(data, 4), 0, 0, 0)
        ring, room = Ring(), ctypes.create_string_buffer(size)
        for _ in range(2):
            assert ring.request(READ, fd, address_of(room), size) >= 0


def vectors(data: bytearray, count: int) -> tuple[object, int]:
    """An array of struct iovec for `count` times the same memory, and the number."""
    place = ctypes.addressof(ctypes.c_char.from_buffer(data))
    return (ctypes.c_uint64 * (2 * count))(*[place, len(data)] * count), count


def slow_io_seen(ran: "Ran") -> None:
    """Every call, since the threshold is 0; the first three waited."""
    waited = [read for read in ran.data("read") if read["wanted"] == 1]
    assert sum(read["took"] >= 40_000_000 for read in waited) >= 3
    for probe, family in (
        ("read", ["read", "pread64", "readv", "preadv", "preadv2"]),
        ("write", ["write", "pwrite64", "writev", "pwritev", "pwritev2"]),
    ):
        ours = [
            (one["call"], one["vectors"], one["got"])
            for one in ran.data(probe)
            if one["wanted"] == 1111 or one["vectors"] > 1
        ]
        assert ours == [
            (call, vectors, 1111 * max(vectors, 1))
            for call, vectors in zip(family, (0, 0, 2, 3, 4), strict=True)
        ]
        assert ran.value(probe, "slow", comm="python3") == len(ran.data(probe))
    assert ran.value("ring", "requests", comm="python3", opcode=READ) == 2


def fsync() -> None:
    """5 fsyncs; each of the family by itself, but sync, which writes out all of the host; a
    request."""
    workloads.fsync()
    with tempfile.TemporaryFile(buffering=0) as file:
        fd = file.fileno()
        file.write(bytes(mmap.PAGESIZE))
        os.fdatasync(fd)
        assert call("sync_file_range", fd, 0, 0, 2) == 0  # SYNC_FILE_RANGE_WRITE
        assert call("syncfs", fd) == 0
        with mmap.mmap(fd, mmap.PAGESIZE) as mapped:
            mapped.flush()
        assert Ring().request(FSYNC, fd) == 0


def fsync_seen(ran: "Ran") -> None:
    calls = ["fdatasync", "sync_file_range", "syncfs", "msync"]
    assert [sync["call"] for sync in ran.data("sync")] == [*["fsync"] * 5, *calls]
    assert ran.value("sync", "calls", comm="python3", func="fsync") == 5
    assert ran.value("ring", "requests", comm="python3") == 1


def stats() -> None:
    """12 questions about a file that is there, and 9 about one that is not; 2 requests, which fail
    since they say nothing of where to put the answer."""
    for _ in range(12):
        Path("/dev/null").stat()
    for _ in range(9):
        with contextlib.suppress(FileNotFoundError):
            Path(MISSING).stat()
    ring, name = Ring(), ctypes.create_string_buffer(b"/dev/null")
    for _ in range(2):
        assert ring.request(STATX, AT_FDCWD, address_of(name)) < 0


def stats_seen(ran: "Ran") -> None:
    asked = [(one["path"], result_of(one)) for one in ran.data("stat")]
    assert asked.count(("/dev/null", 0)) == 12
    assert asked.count((MISSING, "ENOENT")) == 9
    assert ran.value("stat", "calls", comm="python3") == len(asked)
    assert ran.value("stat", "failed", comm="python3") >= 9
    assert ran.value("ring", "requests", comm="python3") == 2


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
    assert [(one["type"], result_of(one)) for one in ours] == [
        *[("tmpfs", 0)] * 3, ("tmpfs", "ENOENT")
    ]  # fmt: skip
    assert len({one["at"] for one in ours}) == 2
    assert ran.value("mount", "mounts", comm="python3") == 5
    assert [one["at"] for one in ran.data("umount")] == [ours[0]["at"]] * 3


def file_changes() -> None:
    """A file that is created, renamed and removed, 7 times; then a removal that fails, each of the
    families by itself, and a request."""
    with tempfile.TemporaryDirectory(prefix="probeplan-changes") as folder:
        for number in range(7):
            file = Path(folder) / f"made{number}"
            file.touch()
            file.rename(file.with_suffix(".new"))
            file.with_suffix(".new").unlink()
        with contextlib.suppress(FileNotFoundError):
            (Path(folder) / "never").unlink()
        change_by_each_call(Path(folder))
        assert open_through_ring(Ring(), Path("/dev/null")) > 0


def change_by_each_call(folder: Path) -> None:
    """A file by each call that makes one, under the call's name."""

    def named(name: str) -> "ctypes.Array[ctypes.c_char]":
        return ctypes.create_string_buffer(bytes(folder / name))

    creates = HOW.pack(os.O_CREAT | os.O_RDWR, 0o600, 0)
    results = [
        call("open", named("open"), os.O_CREAT, 0o600),
        call("openat2", AT_FDCWD, named("openat2"), creates, HOW.size),
        call("openat2", AT_FDCWD, named("openat2"), HOW.pack(os.O_RDWR, 0, 0), HOW.size),
        call("creat", named("creat"), 0o600),
        call("mkdirat", AT_FDCWD, named("mkdirat"), 0o700),
        call("mkdir", named("mkdir"), 0o700),
        call("mknodat", AT_FDCWD, named("mknodat"), 0o010600, 0),  # S_IFIFO
        call("mknod", named("mknod"), 0o010600, 0),
        call("linkat", AT_FDCWD, named("creat"), AT_FDCWD, named("linkat"), 0),
        call("link", named("creat"), named("link")),
        call("symlinkat", named("creat"), AT_FDCWD, named("symlinkat")),
        call("symlink", named("creat"), named("symlink")),
        call("rename", named("open"), named("rename")),
        call("renameat", AT_FDCWD, named("creat"), AT_FDCWD, named("renameat")),
        call("rmdir", named("mkdir")),
        call("unlink", named("mknod")),
    ]
    assert all(result >= 0 for result in results), results


CREATES = ("open", "openat2", "creat", "mkdirat", "mkdir", "mknodat", "mknod")
LINKS = ("linkat", "link", "symlinkat", "symlink")


def file_changes_seen(ran: "Ran") -> None:
    made = [one for one in ran.data("create") if "probeplan-changes" in one["path"]]
    assert all(one["result"] >= 0 for one in made)
    names = [(one["call"], Path(one["path"]).name) for one in made]
    assert [pair for pair in names if pair[1].startswith("made")] == [
        ("openat", f"made{n}") for n in range(7)
    ]
    assert names[-len(CREATES) :] == [(call, call) for call in CREATES]
    linked = [
        (one["call"], Path(one["path"]).name, Path(one["to"]).name) for one in ran.data("link")
    ]
    assert linked == [(call, call, "creat") for call in LINKS]
    moved = [(one["from"], one["to"]) for one in ran.data("rename")]
    assert [Path(to).name for _, to in moved] == [
        *(f"made{n}.new" for n in range(7)), "rename", "renameat"
    ]  # fmt: skip
    assert [to for _, to in moved[:7]] == [f"{was}.new" for was, _ in moved[:7]]
    results = [(Path(one["path"]).name, result_of(one)) for one in ran.data("remove")]
    assert [pair for pair in results if pair[0].startswith("made")] == [
        (f"made{n}.new", 0) for n in range(7)
    ]
    assert ("never", "ENOENT") in results
    assert {("mkdir", 0), ("mknod", 0)} < set(results)
    assert ran.value("rename", "renamed", comm="python3") == 9
    assert ran.value("remove", "removed", comm="python3") >= 9
    assert ran.value("link", "linked", comm="python3") == 4
    assert ran.value("ring", "requests", comm="python3", opcode=OPENAT) == 1


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


def small_writes() -> None:
    """300 writes of 100 bytes and 10 of twice 50; 20 that are large."""
    with tempfile.TemporaryFile(buffering=0) as file:
        fd = fcntl.fcntl(file.fileno(), fcntl.F_DUPFD, 77)  # which nothing else has written to
        for _ in range(300):
            os.write(fd, b"x" * 100)
        for _ in range(10):
            os.writev(fd, [b"x" * 50] * 2)
        for _ in range(20):
            os.pwrite(fd, bytes(65536), 0)


def small_writes_seen(ran: "Ran") -> None:
    """Those into the one descriptor; the large ones count among all."""
    [calls] = [one for one in ran.cells("write", "calls") if one["key"]["descriptor"] == 77]
    assert calls["value"] == 310
    assert calls["key"]["comm"] == "python3"
    assert ran.value("write", "bytes", **calls["key"]) == 310 * 100
    all_writes, small = ran.value("write", "all"), ran.value("write", "small")
    assert all_writes - small >= 20
    [figure] = [one for one in ran.of_kind("figure.reported") if one["total"]]
    assert abs(figure["values"]["share"] - small / all_writes) < 1e-9


ROWS: Mapping[str, Recipe] = {
    "vfs-reads": Recipe(work=workloads.vfs_reads, judge=vfs_reads_seen),
    "small-writes": Recipe(work=small_writes, judge=small_writes_seen),
    "opens": Recipe(
        differs=("6.12", "7.x"),
        work=opens,
        judge=opens_seen,
        tracefs_cannot_without_kprobes="a string from memory",
    ),
    "slow-io": Recipe(
        differs=("6.12", "7.x"), work=slow_io, judge=slow_io_seen, settings={"threshold": "0ns"}
    ),
    "fsync": Recipe(differs=("6.12", "7.x"), work=fsync, judge=fsync_seen),
    "stats": Recipe(
        differs=("6.12", "7.x"),
        work=stats,
        judge=stats_seen,
        tracefs_cannot_without_kprobes="a string from memory",
    ),
    "mounts": Recipe(
        work=mounts, judge=mounts_seen, tracefs_cannot_without_kprobes="a string from memory"
    ),
    "file-changes": Recipe(
        differs=("6.12", "7.x"),
        work=file_changes,
        judge=file_changes_seen,
        tracefs_cannot="memory behind this pointer",
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
