"""Every shipped plan, run on this machine's kernel by the command line, sees what its workload did.

Rates and caps are lifted where a workload is faster than a plan's limits, since these tests count.
"""

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.kernel.elf import resolve_binary
from tests.live.product import Ran, run_cli
from tests.plans.shipped import PLANS, tracefs_cannot

UNBOUND = ("--limit", "rate=1M/s", "--limit", "events=1M")
LOOPBACK = "::ffff:127.0.0.1"
Judge = Callable[[Ran], None]


def vfs_reads(ran: Ran) -> None:
    """50 reads of a size that nobody else asks for."""
    reads = [read for read in ran.data("read") if read["wanted"] == 12345]
    assert len(reads) == 50
    assert {read["got"] for read in reads} == {12345}
    assert {read["symbol"] for read in reads} <= {"vfs_read", "read"}
    assert ran.value("read", "calls", comm="python3", func=reads[0]["symbol"]) >= 50
    assert ran.value("read", "bytes", comm="python3") >= 50 * 12345


def opens(ran: Ran) -> None:
    """20 opens that work and 20 that fail."""
    results = [(one["path"], one["result"]) for one in ran.data("open")]
    assert results.count(("/nonexistent/probeplan-opens", "ENOENT")) == 20
    assert [path for path, _ in results].count("/dev/null") == 20
    assert ran.value("open", "failed", comm="python3") >= 20
    assert ran.value("open", "opens", comm="python3") >= 40


def slow_io(ran: Ran) -> None:
    """3 reads that waited for 50 ms, a byte each; little else is slow."""
    waited = [read for read in ran.data("read") if read["wanted"] == 1]
    assert len(waited) == 3
    assert all(read["took"] >= 10_000_000 for read in ran.data("read"))
    assert ran.value("read", "slow", comm="python3") >= 3


def fsync(ran: Ran) -> None:
    """5 fsyncs."""
    assert [sync["call"] for sync in ran.data("sync")] == ["fsync"] * 5
    assert ran.value("sync", "calls", comm="python3", func="fsync") == 5


def execs(ran: Ran) -> None:
    """5 programs, and before them the workload itself."""
    files = [program["file"] for program in ran.data("exec")]
    assert files == ["/usr/bin/python3", *["/bin/true"] * 5]
    assert ran.value("exec", "execs", comm="true") == 5


def slow_syscalls(ran: Ran) -> None:
    """3 polls of 100 ms that end without an event."""
    polls = [call for call in ran.data("call") if call["call"] == "poll"]
    assert [poll["result"] for poll in polls] == [0] * 3
    assert ran.value("call", "slow", comm="python3", func="poll") == 3


def kernel_allocations(ran: Ran) -> None:
    """2000 pipes of two allocations each, and the frees of both."""
    assert ran.value("alloc", "count", comm="python3") >= 4000
    assert ran.value("free", "count", comm="python3") >= 4000
    assert ran.value("alloc", "bytes", comm="python3") > 2000 * 100
    assert all(one["got"] >= one["wanted"] > 0 for one in ran.data("sampled"))
    assert ran.data("sampled")


def page_faults(ran: Ran) -> None:
    """1000 fresh pages."""
    assert ran.value("fault", "faults", comm="python3") >= 1000


def tcp_connects(ran: Ran) -> None:
    """5 connections to one port over loopback."""
    connects = ran.data("connect")
    assert [connect["to"] for connect in connects] == [LOOPBACK] * 5
    assert {connect["family"] for connect in connects} == {"AF_INET"}
    assert len({connect["port"] for connect in connects}) == 1
    assert ran.value("connect", "connects", comm="python3") == 5


def tcp_retransmits(ran: Ran) -> None:
    """First segments that the full listener dropped, again after a second."""
    again = [one for one in ran.data("retransmit") if one["to"] == LOOPBACK]
    assert again
    assert {one["state"] for one in again} == {"TCP_SYN_SENT"}
    assert ran.value("retransmit", "segments") >= len(again)


def io_sizes(ran: Ran) -> None:
    """8 writes of 64 KiB, however the file system splits or merges them."""
    assert sum(one["bytes"] for one in ran.data("issue") if "W" in one["kind"]) >= 8 * 65536
    [size] = ran.cells("issue", "size")
    assert size["count"] == len(ran.data("issue"))


def malloc_calls(ran: Ran) -> None:
    """500 allocations of a size that nobody else asks for."""
    sizes = [call["size"] for call in ran.data("malloc")]
    assert sizes.count(54321) == 500
    assert ran.value("malloc", "calls", comm="python3") == len(sizes)
    assert ran.value("malloc", "failed") == 0


def python_gc(ran: Ran) -> None:
    """7 full collections."""
    assert [start["generation"] for start in ran.data("start")].count(2) == 7
    assert ran.value("start", "collections", comm="python3") == len(ran.data("done"))
    assert ran.value("done", "objects", comm="python3") >= 7 * 100


def context_switches(ran: Ran) -> None:
    """200 sleeps, each of which leaves the CPU."""
    asleep = [one for one in ran.data("switch") if one["leaves"] == "python3" and one["state"] == 1]
    assert len(asleep) >= 200
    assert ran.value("switch", "switches", comm="python3") >= 200


#: Beside the plan's own arguments: what makes the counts exact.
MORE = {
    "context-switches": ("--set", "sample=1/1"),
    "page-faults": ("--set", "sample=1/1"),
    "kernel-allocations": ("--set", "sample=1/10"),
}


@pytest.mark.skipif(os.geteuid() != 0, reason="attaching probes needs root")
@pytest.mark.parametrize(
    ("name", "backend"),
    [
        (name, backend)
        for name in sorted(PLANS)
        for backend in ("bcc", "tracefs")
        # What works without kprobes works anywhere; test_compiles.py proves the refusals.
        if backend == "bcc" or name not in tracefs_cannot(kprobes=False)
    ],
)
def test_a_plan_sees_its_workload(name: str, backend: str, tmp_path: Path) -> None:
    """The number of events is that of the workload; lines are valid and accounts add up."""
    if name == "io-sizes" and os.major(Path.cwd().stat().st_dev) == 0:
        pytest.skip("the current directory is on no block device")
    command = ["/usr/bin/python3", "-m", "tests.plans.workloads", name]
    more = [*UNBOUND, *MORE.get(name, ())]
    if name == "malloc-calls":
        library = private_libc(tmp_path)
        command = ["/usr/bin/env", f"LD_LIBRARY_PATH={tmp_path}", *command]
        more += ["--set", f"lib={library}"]
    ran = run_cli(str(PLANS[name]), "--backend", backend, *more, command=command)
    judge: Judge = globals()[name.replace("-", "_")]
    judge(ran)
    assert ran.finished["outcome"] == "command"


def private_libc(folder: Path) -> Path:
    """A copy of the C library that only the workload uses: a probe stands in a file for all."""
    found = resolve_binary("libc.so.6")
    return Path(shutil.copy(found, folder / "libc.so.6"))
