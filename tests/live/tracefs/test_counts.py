"""Exact counts on the running kernel: what the workload did is what the run says."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from orchestrator.accounting.count import UNKNOWN, Count, add_counts, is_known
from orchestrator.backends.protocol import AttachOptions, Counts
from orchestrator.backends.tracefs import backend as tracefs
from orchestrator.kernel.facts import live_facts
from tests.support.tracefs_runs import Outcome, compiled, decoded, new_run, run

CALLS = 3000

pytestmark = pytest.mark.usefixtures("tracing", "nothing_left")


def balanced(outcome: Outcome) -> bool:
    """Whether every identity that can be proved holds (design: bounds and accounts)."""
    counts: Counts = outcome.counts
    for side in counts.sides:
        parts = [
            side.expired,
            side.not_target,
            side.filtered,
            side.sampled_out,
            side.unpaired,
            side.map_full,
            side.accepted,
        ]
        if not agree(side.fired, parts):
            return False
    last = {side.hook: side.accepted for side in counts.sides}
    for emit in counts.emits:
        parts = [emit.rate_limited, emit.over_cap, emit.ring_lost, emit.recorded]
        if not agree(add_counts(last.values()), parts):
            return False
    return True


def agree(whole: Count, parts: Sequence[Count]) -> bool:
    """Whether the parts may be all of it: nothing is refuted by what is unknown."""
    known = is_known(whole) and all(map(is_known, parts))
    return not known or whole == add_counts(parts)


def test_a_tracepoint_without_filter_counts_exactly(load: str) -> None:
    """fired, accepted and recorded are what happened; the target is chosen in the kernel."""
    reported = run(
        """
target: {comm: load}
probes:
  a: {attach: "tracepoint:syscalls:sys_enter_getppid", emit: {t: tid}}
""",
        [load, "getppid", str(CALLS)],
    )
    assert len(reported.records) == CALLS
    assert {(r["pid"], r["tid"], r["comm"], r["t"]) for r in reported.records} == {
        (reported.pid, reported.pid, Path(load).name, reported.pid)
    }
    times = [r["time"] for r in reported.records]
    assert times == sorted(times)
    assert time.monotonic_ns() - times[-1] < 60e9  # CLOCK_MONOTONIC, not another clock
    assert reported.side().accepted == CALLS
    assert reported.artifact.enforced["probes.a.target.comm"] == "kernel"
    assert balanced(reported)


def test_a_system_call_is_entry_and_return_in_one(load: str) -> None:
    """Arguments of the entry and the return value meet; elapsed is the time between."""
    reported = run(
        """
target: {comm: load}
probes:
  a:
    attach: syscall:getppid
    emit: {r: retval, took: elapsed}
    metrics:
      n: {count: true, by: [comm]}
      sum: {sum: elapsed}
      longest: {max: elapsed}
      shape: {histogram: elapsed}
""",
        [load, "getppid", str(CALLS)],
    )
    assert len(reported.records) == CALLS
    assert len({record["r"] for record in reported.records}) == 1
    took = [record["took"] for record in reported.records]
    assert min(took) > 0
    assert [cell.count for cell in reported.cells["n"]] == [CALLS]
    assert reported.cells["n"][0].key == Path(load).name.encode().ljust(16, b"\0")
    assert reported.cells["sum"][0].sum == sum(took)
    assert reported.cells["longest"][0].max == max(took)
    assert sum(reported.cells["shape"][0].buckets.values()) == CALLS
    assert reported.side("return").unpaired == 0
    assert balanced(reported)


def test_a_user_function_s_arguments_are_read(load: str) -> None:
    """Register arguments, and a condition that only user space can compute."""
    reported = run(
        f"""
probes:
  a:
    attach: "uprobe:{load}:target_fn"
    args: {{i: s64, twice: s64}}
    where: args.twice % 4 == 0
    emit: {{i: args.i, twice: args.twice}}
""",
        [load, "call", str(CALLS)],
    )
    assert [(r["i"], r["twice"]) for r in reported.records] == [
        (i, 2 * i) for i in range(0, CALLS, 2)
    ]
    assert {r["comm"] for r in reported.records} == {Path(load).name}
    side = reported.side()
    assert (side.fired, side.filtered, side.accepted) == (CALLS, CALLS // 2, CALLS // 2)
    assert reported.artifact.enforced["probes.a.where"] == "user"
    assert balanced(reported)


def test_a_filter_in_the_kernel_rejects_exactly(load: str) -> None:
    """The kernel's hits report how many a pushed filter rejected."""
    reported = run(
        f"""
probes:
  a:
    attach: "uprobe:{load}:target_fn"
    args: {{i: s64}}
    where: args.i >= 100 and args.i != 200 and not (args.i in (300, 301))
    emit: {{i: args.i}}
""",
        [load, "call", str(CALLS)],
    )
    wanted = [i for i in range(100, CALLS) if i not in (200, 300, 301)]
    assert [record["i"] for record in reported.records] == wanted
    side = reported.side()
    assert (side.fired, side.accepted) == (CALLS, len(wanted))
    assert side.filtered == CALLS - len(wanted)
    assert reported.artifact.enforced["probes.a.where"] == "kernel"
    assert balanced(reported)


def test_entry_and_return_of_a_user_function_meet(load: str) -> None:
    """Paired by thread and stack pointer here. The kernel filters the returns, and counts a hit of
    a user function's return at its entry: one that it did not record may be a call that never
    returned."""
    reported = run(
        f"""
probes:
  a:
    attach: "ufunction:{load}:target_fn"
    args: {{i: s64}}
    returns: s64
    where: args.i >= 1000 and retval < 2007
    emit: {{i: args.i, r: retval, took: elapsed}}
""",
        [load, "call", str(CALLS)],
    )
    assert [(r["i"], r["r"]) for r in reported.records] == [(i, i + 7) for i in range(1000, 2000)]
    entry, back = reported.side("entry"), reported.side("return")
    assert (entry.fired, entry.filtered, entry.accepted) == (CALLS, 1000, CALLS - 1000)
    assert (back.fired, back.filtered) == (UNKNOWN, UNKNOWN)
    assert (back.unpaired, back.accepted) == (1000, 1000)
    assert balanced(reported)


def test_a_process_is_chosen_by_number(load: str) -> None:
    """target.pid: events of other processes do not enter the buffer."""
    outside = run(
        """
target: {pid: 1}
probes:
  a: {attach: "tracepoint:syscalls:sys_enter_getppid", emit: {t: tid}}
""",
        [load, "getppid", str(CALLS)],
    )
    assert outside.records == []
    assert outside.side().not_target == UNKNOWN  # rejected by the kernel, which does not count
    assert outside.side().accepted == 0


def test_the_cap_is_exact_and_metrics_go_on(load: str) -> None:
    """limits.events bounds records to the unit; metrics count them all."""
    reported = run(
        """
target: {comm: load}
probes:
  a:
    attach: tracepoint:syscalls:sys_enter_getppid
    emit: {}
    metrics: {n: {count: true}}
""",
        [load, "getppid", str(CALLS)],
        room="limits: {events: 123, rate: 10M/s, at_cap: mute}\n",
    )
    assert len(reported.records) == 123
    assert reported.counts.emits[0].over_cap == CALLS - 123
    assert reported.cells["n"][0].count == CALLS
    assert balanced(reported)


def test_sampling_keeps_its_share_with_its_weight(load: str) -> None:
    """1/10 of many: the estimate is near, every record says 10, and the accounts balance."""
    reported = run(
        """
target: {comm: load}
probes:
  a:
    attach: tracepoint:syscalls:sys_enter_getppid
    sample: 1/10
    emit: {}
    metrics: {n: {count: true}}
""",
        [load, "getppid", "20000"],
    )
    kept = len(reported.records)
    assert 1600 < kept < 2400  # 10 standard deviations (about 35 each) around 2000
    assert {record["weight"] for record in reported.records} == {10}
    assert reported.cells["n"][0].count == kept * 10
    assert reported.side().sampled_out == 20000 - kept
    assert balanced(reported)


def test_what_comes_after_the_deadline_is_expired(load: str) -> None:
    """No record is later than the deadline; the rest is counted."""
    reported = run(
        """
target: {comm: load}
probes:
  a: {attach: "tracepoint:syscalls:sys_enter_getppid", emit: {}}
""",
        [load, "getppid", str(CALLS)],
        seconds=0.0,
    )
    assert reported.records == []
    assert reported.side().expired == CALLS
    assert balanced(reported)


def test_losses_of_a_full_buffer_are_counted(load: str) -> None:
    """delivered + lost = what happened, to the unit, when the buffer is far too small."""
    calls = 200_000
    reported = run(
        """
target: {comm: load}
probes:
  a: {attach: "tracepoint:syscalls:sys_enter_getppid", emit: {}}
""",
        [load, "getppid", str(calls)],
        room="limits: {events: 1M, rate: 100M/s, memory: 64KiB}\n",
    )
    side, emit = reported.side(), reported.counts.emits[0]
    assert is_known(emit.ring_lost)
    assert is_known(emit.recorded)
    assert emit.ring_lost > 0
    assert side.accepted == calls
    assert emit.recorded + emit.ring_lost == calls
    assert len(reported.records) == emit.recorded
    assert balanced(reported)


def test_a_run_s_own_threads_are_left_out(load: str) -> None:
    """exclude_self is the default: what this process does meanwhile is not recorded."""

    def meddle(_session: Any) -> None:
        for _ in range(500):
            os.getppid()

    reported = run(
        """
probes:
  a: {attach: "tracepoint:syscalls:sys_enter_getppid", emit: {t: pid}}
""",
        [load, "getppid", "10"],
        meanwhile=meddle,
    )
    assert os.getpid() not in {record["t"] for record in reported.records}
    assert len([r for r in reported.records if r["t"] == reported.pid]) == 10


CHILDREN = """
import os, sys
print("ready", flush=True)
sys.stdin.readline()
for _ in range({children}):
    if (child := os.fork()) == 0:
        os.getppid()
        os._exit(0)
    os.waitpid(child, 0)
"""


def test_a_command_and_its_children_are_followed(tmp_path: Path) -> None:
    """A parked process is given as root: its short-lived descendants' events are all seen, those
    of the rest of the machine are not."""
    children = 200
    script = tmp_path / "children.py"
    script.write_text(CHILDREN.format(children=children))
    plan = """
target: {children: true}
probes:
  a: {attach: "tracepoint:syscalls:sys_enter_getppid", emit: {}}
  b: {attach: "tracepoint:syscalls:sys_enter_exit_group", emit: {}}
"""
    facts = live_facts()
    artifact = tracefs.emit(compiled(plan, facts), facts)
    with subprocess.Popen(
        [sys.executable, "-S", str(script)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        options = AttachOptions(run_id=new_run(), root_pid=process.pid)
        session = tracefs.attach(artifact, facts, options)
        try:
            session.arm(time.monotonic_ns() + 60 * 10**9)
            process.stdin.write(b"\n")
            process.stdin.close()
            process.stdout.read()
            process.wait()
            session.disarm()
            records = [r for batch in session.read() for r in decoded(artifact.program, batch)]
        finally:
            session.detach()
    calls = [record for record in records if record["probe"] == "a"]
    assert len(calls) == children
    assert len({record["tid"] for record in calls}) == children
    assert len([record for record in records if record["probe"] == "b"]) == children + 1
    known = [record for record in calls if record["pid"]]
    assert all(record["pid"] == record["tid"] for record in known)
    assert len(known) > children * 0.9  # dead by now: as the kernel saved them


def test_threads_of_a_chosen_process_are_its_own(load: str) -> None:
    """target.pid follows threads made later; the record reports the process and the thread."""
    facts = live_facts()
    plan = f"""
target: {{pid: {os.getpid()}, exclude_self: false}}
probes:
  a: {{attach: "tracepoint:syscalls:sys_enter_getppid", emit: {{}}}}
"""
    artifact = tracefs.emit(compiled(plan, facts), facts)
    session = tracefs.attach(artifact, facts, AttachOptions(run_id=new_run()))
    try:
        session.arm(time.monotonic_ns() + 60 * 10**9)
        tids: list[int] = []

        def call() -> None:
            tids.append(threading.get_native_id())
            os.getppid()

        threads = [threading.Thread(target=call) for _ in range(5)]
        for thread in threads:
            thread.start()
            thread.join()
        subprocess.run([load, "getppid", "50"], check=True, stdout=subprocess.DEVNULL)
        session.disarm()
        records = [r for batch in session.read() for r in decoded(artifact.program, batch)]
        counts = session.counts()
    finally:
        session.detach()
    assert {record["tid"] for record in records} == set(tids)
    assert {record["pid"] for record in records} == {os.getpid()}
    assert counts.sides[0].accepted == 5


@pytest.mark.parametrize("key", ["comm: {name}", "comm: '{name}*'"])
def test_what_is_left_out_is_not_of_the_target(load: str, key: str) -> None:
    """By name, in user space."""
    reported = run(
        f"""
target: {{comm: load, not: {{{key.format(name=Path(load).name)}}}}}
probes:
  a: {{attach: "tracepoint:syscalls:sys_enter_getppid", emit: {{t: tid}}}}
""",
        [load, "getppid", str(CALLS)],
    )
    [side] = reported.counts.sides
    assert side.accepted == 0
    assert side.fired == UNKNOWN or add_counts([side.not_target]) != 0
    assert balanced(reported)
