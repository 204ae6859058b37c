"""Kernel functions and hist triggers, on kernels that have them."""

import pytest

from tests.support.guest_cases import CaseResult

PLAN = "tests.guest.tracefs.cases:plan"
LOAD = "tests.support.tracefs_runs:prepare_load"
CALLS = 700

ENTRY = """
target: {comm: load}
probes:
  a:
    attach_first:
      ["entry:__x64_sys_getppid", "entry:__ia32_sys_getppid", "entry:__do_sys_getppid"]
    emit: {t: tid}
"""


@pytest.mark.guest(PLAN, prepare=LOAD, text=ENTRY, mode="getppid", calls=CALLS)
def test_a_kprobe_sees_every_call(guest: CaseResult) -> None:
    """N calls of a kernel function are N records, and the kernel's hits agree."""
    reported = guest.result()
    assert len(reported["records"]) == CALLS
    assert reported["sides"]["hit"]["accepted"] == CALLS
    assert reported["sides"]["hit"]["kernel_missed"] == 0
    assert reported["leftovers"] == []


RETURN = """
target: {comm: load}
probes:
  a:
    attach_first:
      - kretprobe:__x64_sys_getppid
      - kretprobe:__ia32_sys_getppid
      - kretprobe:__do_sys_getppid
    returns: s64
    emit: {r: retval}
"""


@pytest.mark.guest(PLAN, prepare=LOAD, text=RETURN, mode="getppid", calls=CALLS)
def test_a_kretprobe_sees_every_return_with_its_value(guest: CaseResult) -> None:
    """The return value is the parent's process id in each of N records."""
    reported = guest.result()
    assert len(reported["records"]) == CALLS
    assert len({record["r"] for record in reported["records"]}) == 1
    assert reported["records"][0]["r"] > 0


THREADS = 100
PAIRED = """
target: {comm: load}
probes:
  a:
    attach: function:vfs_read
    let: {mode: entry(args.file.f_inode.i_mode)}
    where: args.count == 1 and mode & 0xf000 == 0x1000
    emit: {n: args.count, r: retval, took: elapsed, mode: mode}
    metrics: {n: {count: true, by: [comm]}}
"""


@pytest.mark.guest(PLAN, prepare=LOAD, text=PAIRED, mode="threads", calls=THREADS)
def test_entry_and_return_of_a_function_are_one_event(guest: CaseResult) -> None:
    """Arguments, memory behind them at entry, and the return value meet in one record."""
    reported = guest.result()
    assert len(reported["records"]) == THREADS
    assert {(r["n"], r["r"], r["mode"] & 0xF000) for r in reported["records"]} == {(1, 1, 0x1000)}
    assert all(record["took"] > 0 for record in reported["records"])
    assert reported["sides"]["return"]["accepted"] == THREADS
    assert reported["sides"]["entry"]["kernel_missed"] == 0
    assert [count for count, _ in reported["cells"]["n"].values()] == [THREADS]


BLOCKED = """
target: {comm: load}
probes:
  a:
    attach_first: ["function:pipe_read", "function:anon_pipe_read"]
    returns: s64
    emit: {r: retval}
"""


@pytest.mark.guest(PLAN, prepare=LOAD, text=BLOCKED, mode="threads", calls=THREADS)
def test_every_return_of_blocked_threads_is_seen(guest: CaseResult) -> None:
    """Threads blocked in the function at once all come back: maxactive is large enough."""
    reported = guest.result()
    assert len([r for r in reported["records"] if r["r"] == 1]) >= THREADS
    assert reported["sides"]["return"]["kernel_missed"] == 0


COUNTED = """
target: {comm: load}
probes:
  a:
    attach: entry:vfs_read
    args: {file: u64, buf: u64, count: u32}
    where: args.count == 1
    metrics:
      calls: {count: true, by: [comm, cpu_of]}
      bytes: {sum: args.count, by: [comm]}
    let: {cpu_of: args.count}
"""


@pytest.mark.guest(
    PLAN, prepare=LOAD, text=COUNTED, mode="threads", calls=THREADS, feature="hist_triggers"
)
def test_hist_triggers_count_without_records(guest: CaseResult) -> None:
    """Counts and sums by key, in the kernel; the event's hits report how many were filtered."""
    reported = guest.result()
    comm = b"load".ljust(16, b"\0").hex()
    assert reported["cells"]["bytes"] == {comm: [THREADS, THREADS]}
    ((key, calls),) = reported["cells"]["calls"].items()
    assert key.startswith(comm)
    assert calls[0] == THREADS
    assert reported["enforced"]["probes.a.metrics.calls"] == "kernel"
    assert reported["sides"]["hit"]["accepted"] == THREADS
    assert reported["leftovers"] == []


BY_THREAD = """
target: {comm: load}
probes:
  a:
    attach: tracepoint:syscalls:sys_enter_getppid
    metrics: {n: {count: true, by: [tid]}}
"""


@pytest.mark.guest(
    PLAN, prepare=LOAD, text=BY_THREAD, mode="getppid", calls=CALLS, feature="hist_triggers"
)
def test_hist_triggers_count_tracepoints_by_number(guest: CaseResult) -> None:
    """A numeric key is packed as the metric says; the trigger counts only while armed."""
    reported = guest.result()
    ((key, (count, _)),) = reported["cells"]["n"].items()
    assert count == CALLS
    assert int.from_bytes(bytes.fromhex(key)[:4], "little") > 1
    assert reported["enforced"]["probes.a.metrics.n"] == "kernel"


OPENED = """
target: {comm: load}
probes:
  a:
    attach: syscall:openat
    where: args.dfd == AT_FDCWD
    emit: {name: str(args.filename), fd: retval}
"""


@pytest.mark.guest(PLAN, prepare=LOAD, text=OPENED, mode="threads", calls=20)
def test_names_are_read_at_a_system_call_s_entry(guest: CaseResult) -> None:
    """File names by a kprobe on the call's function, with what its exit tracepoint returned."""
    reported = guest.result()
    names = [record["name"] for record in reported["records"]]
    assert len([n for n in names if n and n.startswith("/proc/self/task/")]) >= 20
    assert all(record["fd"] >= 0 for record in reported["records"])
    assert reported["leftovers"] == []
