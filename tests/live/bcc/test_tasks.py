"""Whose event it is, the clock, and texts sought anywhere."""

import os
import time
from itertools import pairwise
from pathlib import Path

import pytest

from tests.live.bcc.test_counts import LIMITS, comm
from tests.support.bcc_runs import balanced, run


def test_another_tasks_ids_are_read_from_its_structure(calls: Path) -> None:
    """`task: args.child`: the event is the child's, and so is the target's test."""
    made = run(LIMITS + comm(calls) + """
probes:
  p:
    attach: rawtracepoint:sched_process_fork
    task: args.child
    where: pid != 0 and uid == 0
    emit: {pid: pid, tid: tid, name: comm, uid: uid, parent: args.parent.tgid}
    metrics: {n: {count: true, by: [comm, uid]}}
""", [str(calls), "forks 5"])  # fmt: skip
    balanced(made)
    assert len(made.records) == 10
    assert all(r["pid"] == r["tid"] != r["parent"] for r in made.records)
    assert {(r["comm"], r["name"], r["uid"]) for r in made.records} == {
        (calls.name, calls.name.encode(), 0)
    }
    root = made.records[0]["parent"]
    assert [r["parent"] for r in made.records].count(root) == 5
    assert made.metric("n")[0].count == 10


def test_without_a_task_nobody_is_tested(calls: Path) -> None:
    """`task: none`: the target lets everything pass, and records name no one."""
    made = run(LIMITS + """
target: {comm: no-such-task}
probes:
  p:
    attach: tracepoint:raw_syscalls:sys_enter
    task: none
    where: args.id == 110
    emit: {id: args.id}
""", [str(calls), "getppid 10"])  # fmt: skip
    balanced(made)
    assert len(made.records) >= 10
    assert {(r["pid"], r["tid"], r["comm"]) for r in made.records} == {(0, 0, "")}


def test_names_are_matched_by_either_end(calls: Path) -> None:
    """`target.comm` with a star behind or in front; another name with the same letters is not."""
    name = calls.name
    cases = ((f"{name[:3]}*", 10), (f"*{name[2:]}", 10), (f"*{name}x", 0), (name[:-1], 0))
    for glob, seen in cases:
        made = run(LIMITS + f"target: {{comm: '{glob}'}}\n" + """
probes: {p: {attach: "syscall:getppid", metrics: {n: {count: true}}}}
""", [str(calls), "getppid 10"])  # fmt: skip
        assert made.metric("n")[0].count == seen, glob


def test_targets_by_number(calls: Path) -> None:
    """pid, tid and uid lists: ours match, others do not."""

    def act(_session: object) -> None:
        for _ in range(20):
            os.getppid()

    plan = "\nprobes: {p: {attach: 'syscall:getppid', metrics: {n: {count: true}}}}\n"
    for target, seen in ((f"pid: [1, {os.getpid()}]", 20), ("pid: 1", 0), ("uid: 0", 20),
                         (f"tid: {os.getpid()}", 20), ("uid: 4242", 0)):  # fmt: skip
        made = run(LIMITS + f"target: {{{target}, exclude_self: false}}" + plan, during=act)
        found = made.metric("n")[0].count
        assert found >= seen if seen else found == 0, target


def test_a_text_is_found_anywhere_in_a_string(calls: Path) -> None:
    """At the start, the end, across the pieces in which it is read; one byte off is not found."""
    places = (0, 1, 50, 54, 55, 56, 57, 61, 62, 63, 64, 90)
    paths = [f"/{'x' * at}needle12.yyyyy" for at in places]
    paths += ["/needle1", "/xneedle2", "/eneedle12"]
    made = run(LIMITS + comm(calls) + """
probes:
  p:
    attach: syscall:openat
    where: glob(str(args.filename), "*needle12*")
    emit: {f: str(args.filename)}
  long:
    attach: syscall:openat
    where: glob(str(args.filename), "*xneedle12.yyyyy*")
    emit: {f: str(args.filename)}
""", [str(calls), *(f"open {path}" for path in paths)])  # fmt: skip
    balanced(made)
    found = [r["f"].decode() for r in made.records if r["probe"] == "p"]
    assert found == [path for path in paths if "needle12" in path]
    longer = [r["f"].decode() for r in made.records if r["probe"] == "long"]
    assert longer == [path for path in paths if "xneedle12.yyyyy" in path]


def test_the_clock_ticks_on_every_busy_cpu() -> None:
    """profile: a busy process is seen about as often as its CPU time and the frequency say."""
    busy: list[float] = []

    def act(_session: object) -> None:
        start, end = time.process_time(), time.monotonic() + 0.5
        while time.monotonic() < end:
            pass
        busy.append(time.process_time() - start)

    made = run(LIMITS + "target: {exclude_self: false}\n" + f"""
probes:
  p:
    attach: profile:199hz
    where: pid == {os.getpid()}
    metrics: {{n: {{count: true, by: [cpu]}}}}
""", during=act)  # fmt: skip
    ticks = sum(cell.count for cell in made.metric("n"))
    assert ticks == pytest.approx(199 * busy[0], rel=0.5)


def test_an_interval_is_one_hit_each_time_on_one_cpu() -> None:
    """interval: as many hits as times fit into the run, on the same CPU, of no task."""
    made = run(LIMITS + """
target: {comm: no-such-task}
probes:
  p:
    attach: interval:20ms
    emit: {at: now}
    metrics: {n: {count: true, by: [cpu]}}
""", during=lambda _session: time.sleep(0.5))  # fmt: skip
    balanced(made)
    times = [record["at"] for record in made.records]
    assert [cell.count for cell in made.metric("n")] == [len(times)]
    gaps = [after - before for before, after in pairwise(times)]
    assert 20 <= len(times) <= 40
    assert sum(gaps) / len(gaps) == pytest.approx(20_000_000, rel=0.01)


def test_dynamic_strings_of_a_record_are_read(calls: Path) -> None:
    """A __data_loc field: the file name of an exec."""
    made = run(LIMITS + f"""
probes:
  p:
    attach: tracepoint:sched:sched_process_exec
    where: args.filename == "{calls}"
    emit: {{file: args.filename}}
""", [str(calls)])  # fmt: skip
    balanced(made)
    assert [r["file"] for r in made.records] == [str(calls).encode()]


def test_the_task_is_followed_to_its_program_its_parent_and_its_namespace(calls: Path) -> None:
    """Of each of 10 children and grandchildren: what /proc says of them."""
    made = run(LIMITS + comm(calls) + """
probes:
  p:
    attach: syscall:getppid
    emit:
      inode: inode
      parent: ppid
      parent_too: task.real_parent.tgid
      parent_comm: task.real_parent.comm
      pidns: task.nsproxy.pid_ns_for_children.ns.inum
    metrics: {n: {count: true, by: [inode]}}
    let: {inode: task.mm.exe_file.f_inode.i_ino}
""", [str(calls), "forks 5"])  # fmt: skip
    balanced(made)
    assert len(made.records) == 10
    status, namespace = calls.stat(), Path("/proc/self/ns/pid_for_children").stat()
    assert {record["inode"] for record in made.records} == {status.st_ino}
    assert {record["pidns"] for record in made.records} == {namespace.st_ino}
    assert all(record["parent"] == record["parent_too"] for record in made.records)
    assert {record["parent_comm"] for record in made.records} >= {calls.name.encode()}
    assert [(cell.count, len(made.metric("n"))) for cell in made.metric("n")] == [(10, 1)]


def test_what_a_null_member_leads_to_is_null_and_counted() -> None:
    """Kernel threads have no memory: the field is null, the condition is false, both are faults."""
    made = run(LIMITS + """
target: {exclude_self: false}
probes:
  idle:
    attach: rawtracepoint:sched_switch
    task: args.next
    where: tid == 0
    emit: {map: task.mm.map_count}
  never:
    attach: rawtracepoint:sched_switch
    task: args.next
    where: tid == 0 and task.mm.map_count >= 0
    metrics: {n: {count: true}}
""", during=lambda _session: time.sleep(0.2))  # fmt: skip
    balanced(made)
    assert made.records
    assert {record["map"] for record in made.records} == {None}
    assert made.side(1).accepted == 0
    assert made.counts.faulted >= len(made.records)


def test_the_parent_can_be_the_events_task(calls: Path) -> None:
    """`task: task.real_parent`: ids, name and target are the parent's, of whom 5 children call."""
    made = run(LIMITS + comm(calls) + """
probes:
  p:
    attach: tracepoint:syscalls:sys_enter_getppid
    task: task.real_parent
    emit: {pid: pid, of: task.tgid}
""", [str(calls), "forks 5"])  # fmt: skip
    balanced(made)
    assert {record["comm"] for record in made.records} == {calls.name}
    assert all(record["pid"] == record["of"] for record in made.records)
    assert len(made.records) == 10
