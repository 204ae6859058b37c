"""Rows of plans/functions: plans for any function, each with one chosen by its params."""

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tests.recipes.recipe import Recipe, by_function, longest
from tests.support.workload import plans as workloads

if TYPE_CHECKING:
    from tests.support.product import Ran


def function_calls() -> None:
    """40 reads and 30 links looked at."""
    workloads.vfs_reads(40)
    for _ in range(30):
        Path("/proc/self").readlink()


def function_calls_seen(ran: "Ran") -> None:
    """Each by its own name."""
    assert ran.value("call", "programs", comm="python3", func="vfs_read") >= 40
    assert ran.value("call", "programs", comm="python3", func="vfs_readlink") >= 30
    assert ran.value("call", "functions", func="vfs_read") >= 40


def function_latency_seen(ran: "Ran") -> None:
    """3 reads that wait for 50 ms are its long tail."""
    [latency] = ran.cells("call", "latency")
    assert latency["count"] == ran.value("call", "calls", func="read") >= 3
    assert longest(latency) >= 40_000_000


def slow_calls_seen(ran: "Ran") -> None:
    """Those that wait, a byte each; on a busy host also others that lost the CPU meanwhile."""
    slow = ran.data("call")
    assert [one["result"] for one in slow].count(1) == 3
    assert all(one["took"] >= 10_000_000 for one in slow)
    assert ran.value("call", "slow", comm="python3") == len(slow)


def argument_values_seen(ran: "Ran") -> None:
    """50 reads of a size that no other process asks for."""
    assert ran.value("call", "values", arg2=12345) == 50


def trace_calls() -> None:
    """5 signals of number 0 to ourselves."""
    for _ in range(5):
        os.kill(os.getpid(), 0)


def trace_calls_seen(ran: "Ran") -> None:
    calls = [(one["function"], one["second"], one["result"]) for one in ran.data("call")]
    assert calls == [("kill", 0, 0)] * 5
    assert len({one["first"] for one in ran.data("call")}) == 1


ENTRY = re.compile("do_syscall_64|el0_svc")  # of a system call, on x86-64 and arm64


def stack_counts_seen(ran: "Ran") -> None:
    """70 by one way, 30 by another, and the kernel's entry on each: but kernels before the last
    ones begin at the process where a system call's tracepoint asks for stacks."""
    cells = [cell for cell in ran.cells("event", "ways") if cell["key"]["comm"].startswith("pr")]
    assert sorted(cell["value"] for cell in cells) == [30, 70]
    assert by_function(cells, "ustack", depth=1) == {"often": 70, "seldom": 30}
    for cell in cells:
        kstack = cell["key"]["kstack"]
        assert not kstack or any(ENTRY.search(frame) for frame in kstack)


def event_stacks_seen(ran: "Ran") -> None:
    """1000 fresh pages, of this workload, and all of them in stacks."""
    faults = ran.value("event", "events", comm="python3")
    assert faults >= 1000
    stacks = [cell for cell in ran.cells("event", "stacks") if cell["key"]["comm"] == "python3"]
    assert sum(cell["value"] for cell in stacks) <= faults
    assert max(cell["value"] for cell in stacks) >= 500


READ = {"function": "syscall:read"}
ROWS: Mapping[str, Recipe] = {
    "function-calls": Recipe(
        differs=("5.10", "6.12", "7.x"),
        work=function_calls,
        judge=function_calls_seen,
        needs=("kprobes",),
    ),
    "function-latency": Recipe(work=workloads.slow_io, judge=function_latency_seen, settings=READ),
    "slow-calls": Recipe(work=workloads.slow_io, judge=slow_calls_seen, settings=READ),
    "argument-values": Recipe(work=workloads.vfs_reads, judge=argument_values_seen),
    "stack-counts": Recipe(
        judge=stack_counts_seen,
        settings={"at": "tracepoint:syscalls:sys_enter_getppid"},
        tracefs_cannot="stack",
    ),
    "trace-calls": Recipe(work=trace_calls, judge=trace_calls_seen),
    "event-stacks": Recipe(
        work=workloads.page_faults, judge=event_stacks_seen, tracefs_cannot="tracefs cannot"
    ),
}
