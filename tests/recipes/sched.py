"""Rows of plans/sched."""

import os
import pty
import resource
import signal
import socket
import subprocess
import time
import tty
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from tests.recipes.recipe import Recipe, by_function, longest, most, total
from tests.support.workload import plans as workloads
from tests.support.workload.raw_calls import call
from tests.support.workload.waiting import READ, wait_asleep

if TYPE_CHECKING:
    from tests.support.product import Ran

CLONE_VFORK = 0x4000  # include/uapi/linux/sched.h


def context_switches_seen(ran: "Ran") -> None:
    """Each sleep leaves the CPU."""
    asleep = [one for one in ran.data("switch") if one["leaves"] == "python3" and one["state"] == 1]
    assert len(asleep) >= 100
    assert ran.value("switch", "switches", comm="python3") >= 100


def context_switches() -> None:
    """100 sleeps that leave the CPU: one whose time is over before it does is no switch."""
    left = 0
    while left < 100:
        before = times_left()
        time.sleep(0.004)
        left += times_left() > before


def times_left() -> int:
    """How often this process left the CPU voluntarily."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw


def spin(cpu_seconds: float) -> None:
    """Until this process has used so much CPU time since it began."""
    while time.process_time() < cpu_seconds:
        pass


def cpu_samples() -> None:
    """Three seconds of CPU time, the start of the interpreter among them."""
    spin(3.0)


def cpu_samples_seen(ran: "Ran") -> None:
    """99 looks a second of it, more or less: the looks are random to the work."""
    assert 240 <= ran.value("sample", "programs", comm="python3") <= 350
    assert total(ran, "sample", "processes") == total(ran, "sample", "programs")


def cpu_stacks_seen(ran: "Ran") -> None:
    """Two seconds of CPU time, a quarter of them by one function."""
    samples: dict[str, int] = {}
    for cell in ran.cells("sample", "code"):
        for frame in cell["key"]["ustack"] or ():
            name = frame.partition("+")[0]
            samples[name] = samples.get(name, 0) + cell["value"]
    assert 30 <= samples["little"] <= 75
    assert 110 <= samples["much"] <= 200


def migrations() -> None:
    """100 moves from CPU to CPU and back, by force."""
    allowed = sorted(os.sched_getaffinity(0))
    assert len(allowed) > 1, "a single CPU has nowhere to move to"
    for turn in range(101):
        os.sched_setaffinity(0, {allowed[turn % 2]})


def migrations_seen(ran: "Ran") -> None:
    assert ran.value("move", "tasks", moved="python3") >= 100
    assert total(ran, "move", "paths") == total(ran, "move", "tasks")


def run_queue_length() -> None:
    """4 processes that share a CPU for 0.1 s each, from when all are there."""
    os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    gate, opener = os.pipe()
    children = []
    for _ in range(4):
        if (child := os.fork()) == 0:
            os.close(opener)
            os.read(gate, 1)
            spin(time.process_time() + 0.1)
            os._exit(0)
        children.append(child)
    for child in children:
        wait_asleep(str(child), READ)
    os.close(opener)
    for child in children:
        os.waitpid(child, 0)


def run_queue_length_seen(ran: "Ran") -> None:
    """At some ticks all four were on one queue."""
    [length] = ran.cells("tick", "length")
    assert longest(length) >= 4
    assert length["count"] == total(ran, "tick", "ticks") > total(ran, "tick", "busy") > 0


def crowd() -> None:
    """4 processes on one CPU, of which each wants it for 0.1 s."""
    run_queue_length()


def run_queue_latency_seen(ran: "Ran") -> None:
    """Someone waited for longer than a tick while another had the CPU."""
    cells = [cell for cell in ran.cells("queued", "latency") if cell["key"]["comm"] == "python3"]
    assert sum(cell["count"] for cell in cells) >= 4
    assert longest(cells[0]) >= 1_000_000


def slow_wakeups_seen(ran: "Ran") -> None:
    """The same one by one, with a threshold of 1 ms."""
    waits = [one for one in ran.data("queued") if one["comm"] == "python3"]
    assert waits
    assert all(one["took"] >= 1_000_000 for one in waits)
    assert ran.value("queued", "slow", comm="python3") == len(waits)


def cpu_bursts_seen(ran: "Ran") -> None:
    """0.4 s of CPU in all."""
    assert ran.value("burst", "time", comm="python3") >= 400_000_000
    assert [cell for cell in ran.cells("burst", "bursts") if cell["key"]["comm"] == "python3"]


def off_cpu_time_seen(ran: "Ran") -> None:
    """0.2 s each by the function that sleeps briefly and the one that sleeps long, and where in
    the kernel they slept; a timer runs already while its task leaves, so they asked for more."""
    slept = [
        cell
        for cell in ran.cells("blocked", "code")
        if any(frame.startswith("sleep_for+") for frame in cell["key"]["start.ustack"] or ())
        and any("nanosleep" in frame for frame in cell["key"]["start.kstack"])
    ]
    [comm] = {cell["key"]["comm"] for cell in slept}
    time = by_function(slept, "start.ustack", depth=1)
    assert set(time) == {"short_naps", "long_naps"}
    assert all(took >= 200_000_000 for took in time.values())
    assert ran.value("blocked", "waits", comm=comm) >= 25
    assert ran.value("blocked", "time", comm=comm) >= sum(time.values())


def handshakes() -> None:
    """50 questions through a pipe to a child that waits 2 ms for each, and 50 answers."""
    question, ask = os.pipe()
    listen, answer = os.pipe()
    if (child := os.fork()) == 0:
        for _ in range(50):
            os.read(question, 1)
            os.write(answer, b"x")
        os._exit(0)
    for _ in range(50):
        wait_asleep(str(child), READ)
        time.sleep(0.002)
        os.write(ask, b"x")
        os.read(listen, 1)
    os.waitpid(child, 0)


def wakers_seen(ran: "Ran") -> None:
    """Parent and child wake each other: the child at each question, for which it slept 2 ms."""
    assert ran.value("asleep", "wakeups", who="python3", waker="python3") >= 50
    assert ran.value("asleep", "time", who="python3", waker="python3") >= 50 * 1_000_000


def datagrams() -> None:
    """300 datagrams over loopback: each is received in a softirq."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        one.bind(("127.0.0.1", 0))
        for _ in range(300):
            one.sendto(b"x", one.getsockname())
            one.recv(1)


def softirqs_seen(ran: "Ran") -> None:
    """Packets are received in softirqs of that kind, and no kind is unheard of."""
    assert ran.value("softirq", "runs", kind="NET_RX") >= 300
    assert ran.value("softirq", "time", kind="NET_RX") > 0
    kinds = {cell["key"]["kind"] for cell in ran.cells("softirq", "runs")}
    assert "other" not in kinds


def interrupts() -> None:
    """Some work for the machine's disk, or for whatever brings us our files, until devices have
    interrupted 20 times."""
    before = device_interrupts()
    while device_interrupts() < before + 20:
        workloads.io_sizes(8)
        for name in Path("/usr/share/doc").iterdir():
            name.lstat()


def device_interrupts() -> int:
    """Those of /proc/interrupts that have a number: the others have no handler."""
    lines = [line.split() for line in Path("/proc/interrupts").read_text().splitlines()[1:]]
    cpus = os.cpu_count() or 1
    return sum(sum(map(int, counts[:cpus])) for name, *counts in lines if name[:-1].isdigit())


def interrupts_seen(ran: "Ran") -> None:
    """Those that the workload waited for, and whatever else the devices had to say: they interrupt
    for everyone, so there is no upper bound. Each run has its time."""
    runs = ran.cells("handler", "runs")
    assert total(ran, "handler", "runs") >= 20
    [latency] = ran.cells("handler", "latency")
    assert latency["count"] == total(ran, "handler", "runs")
    assert all(cell["key"]["device"] for cell in runs)
    assert total(ran, "handler", "time") > 0


def terminal_writes() -> None:
    """50 lines into a terminal, each read before the next: the kernel's queue hands them over."""
    master, terminal = pty.openpty()
    tty.setraw(terminal)
    for _ in range(50):
        os.write(master, b"line")
        assert os.read(terminal, 100) == b"line"


def workqueue_latency_seen(ran: "Ran") -> None:
    """The function that brings them, each time: waited for, and executed."""
    for span, metric in (("wait", "waited"), ("work", "ran")):
        counts = {
            cell["key"]["fn"].partition("+")[0]: cell["count"] for cell in ran.cells(span, metric)
        }
        assert counts["flush_to_ldisc"] >= 50


def preemptions_seen(ran: "Ran") -> None:
    """Those who share a CPU take it from each other, and wait for longer than a millisecond."""
    key = {"who": "python3", "taken_by": "python3"}
    assert ran.value("gone", "times", **key) >= 4
    assert ran.value("gone", "lost", **key) >= ran.value("gone", "longest", **key) > 1_000_000
    long = [one for one in ran.data("long") if one["taken_by"] == one["who"] == "python3"]
    assert long
    assert all(one["took"] > 1_000_000 for one in long)


def busy() -> None:
    """Half a second on the CPU, in slices."""
    for _ in range(10):
        end = time.process_time() + 0.05
        while time.process_time() < end:
            pass
        time.sleep(0.001)


def steal_time_seen(ran: "Ran") -> None:
    """Of each CPU's clock no more than it went on is taken from the program, which ran so long all
    the same; where no hypervisor takes anything, the clock is 0, and so is that."""
    clock = {cell["key"]["cpu"]: cell["value"] for cell in ran.cells("switch", "clock")}
    before = {cell["key"]["cpu"]: cell["value"] for cell in ran.cells("switch", "before")}
    stolen = {cell["key"]["cpu"]: cell["value"] for cell in ran.cells("slice", "by_cpu")}
    assert stolen
    assert all(0 <= stolen[cpu] <= clock[cpu] - before[cpu] for cpu in stolen)
    assert total(ran, "slice", "stolen") == sum(stolen.values())
    assert ran.value("slice", "ran", who="python3") >= 500_000_000
    long = [one["stolen"] for one in ran.data("long")]
    assert all(one > 10_000_000 for one in long)
    longest = ran.value("slice", "longest", who="python3")
    assert longest <= ran.value("slice", "stolen", who="python3")


def cgroup_cpu_seen(ran: "Ran") -> None:
    """The half second that the program has used, and what its start takes, in one cgroup, and every
    other nanosecond."""
    mine = [c for c in ran.cells("run", "programs") if c["key"]["comm"] == "python3"]
    assert len({cell["key"]["group"] for cell in mine}) == 1
    assert 450_000_000 < sum(cell["value"] for cell in mine) < ran.finished["duration_ns"]
    assert all(cell["key"]["group"].startswith("/") for cell in mine)
    assert total(ran, "run", "time") == total(ran, "run", "programs") == total(ran, "run", "whole")


HELD = Path("/sys/fs/cgroup/probeplan-held")
HELD_TIMES = 5


def over_quota() -> None:
    """A program that never rests, with 50 ms of a CPU in each 200 ms, until the kernel says that it
    was held 5 times, each time in a new period; on a slow machine a few times more."""
    root = HELD.parent / "cgroup.subtree_control"
    if not any(HELD.parent.glob("cgroup.controllers")):
        subprocess.run(["mount", "-t", "cgroup2", "cgroup2", str(HELD.parent)], check=True)
    root.write_text("+cpu")
    HELD.mkdir()
    try:
        (HELD / "cpu.max").write_text("50000 200000")
        with subprocess.Popen(["/bin/sh", "-c", "read line; while :; do :; done"], stdin=-1) as it:
            (HELD / "cgroup.procs").write_text(str(it.pid))
            assert it.stdin is not None
            it.stdin.write(b"\n")
            it.stdin.flush()
            while times_held() < HELD_TIMES:
                time.sleep(0.002)
            it.kill()
    finally:
        HELD.rmdir()


def times_held() -> int:
    """In how many periods the kernel counts the cgroup as held."""
    lines = (HELD / "cpu.stat").read_text().splitlines()
    return int(dict(line.split() for line in lines)["nr_throttled"])


def cgroup_throttling_seen(ran: "Ran") -> None:
    """Once in each period, of which there may be more until the program is killed; where it changes
    its CPU, on both. Each time is the rest of a period, and they are no ticks."""
    held = [one for one in ran.data("long") if one["name"] == HELD.name]
    assert HELD_TIMES <= len(held) <= 4 * HELD_TIMES
    assert {one["group"] for one in held} == {f"/{HELD.name}"}
    assert sum(one["took"] for one in held) > HELD_TIMES * 50_000_000
    assert all(one["took"] < 250_000_000 for one in held)
    key = {"group": f"/{HELD.name}", "name": HELD.name}
    assert ran.value("hold_back", "times", **key) == len(held)
    apart = ran.value("hold_back", "held", **key) - sum(one["took"] for one in held)
    assert abs(apart) < len(held) * 1_000_000  # each looks at the clock


def stuck_tasks() -> None:
    """Two processes that vfork and then wait for their children, which no signal but one that
    kills ends: they are in state D for 3.5 s, and a third is in state S."""
    children = []
    for name in ("waits-1", "waits-2", "sleeps"):
        if (child := os.fork()) == 0:
            Path("/proc/self/comm").write_text(name)
            if name == "sleeps" or not call("clone", CLONE_VFORK | signal.SIGCHLD, 0, 0, 0, 0):
                time.sleep(3.5)
            os._exit(0)
        children.append(child)
    assert [os.waitpid(child, 0)[1] for child in children] == [0, 0, 0]


def stuck_tasks_seen(ran: "Ran") -> None:
    """One record of each wait, with the call that it is in; the one in state S and the children
    are none. A snapshot shows both, and the time grows from one to the next."""
    stuck = [row for row in ran.of_kind("event.recorded") if row["comm"].startswith("waits-")]
    assert sorted(row["comm"] for row in stuck) == ["waits-1", "waits-2"]
    for row in stuck:
        assert row["data"]["killable"] is True
        assert row["data"]["uid"] == os.getuid()
        assert 1_000_000_000 <= row["data"]["waited"] < 30_000_000_000
        functions = [frame.partition("+")[0] for frame in row["data"]["stack"]]
        assert functions[0] in ("kernel_clone", "wait_for_vfork_done", "_do_fork")
        assert any("clone" in function for function in functions)
    for name in ("waits-1", "waits-2"):
        assert most(ran, "stuck", "tasks", comm=name) == 1
        waited = [
            cell["value"]
            for line in ran.of_kind("metric.reported")
            if (line["metric"], line["total"]) == ("longest", False)
            for cell in line["cells"]
            if cell["key"]["comm"] == name
        ]
        assert len(waited) >= 2
        assert all(after > before for before, after in pairwise(waited))
    assert not [row for row in ran.of_kind("event.recorded") if row["comm"] == "sleeps"]


ROWS: Mapping[str, Recipe] = {
    "stuck-tasks": Recipe(
        work=stuck_tasks, judge=stuck_tasks_seen, everywhere=True, tracefs_cannot="iter"
    ),
    "cgroup-cpu": Recipe(work=busy, judge=cgroup_cpu_seen, tracefs_cannot="'cgroup'"),
    "steal-time": Recipe(work=busy, judge=steal_time_seen, tracefs_cannot="rawtracepoint"),
    "cgroup-throttling": Recipe(
        work=over_quota,
        judge=cgroup_throttling_seen,
        needs=("kprobes",),
        changes_host=True,
        everywhere=True,
        tracefs_cannot="event joining",
    ),
    "context-switches": Recipe(
        work=context_switches,
        judge=context_switches_seen,
        settings={"sample": "1/1"},
    ),
    "cpu-samples": Recipe(work=cpu_samples, judge=cpu_samples_seen, tracefs_cannot="profile"),
    "cpu-stacks": Recipe(judge=cpu_stacks_seen, tracefs_cannot="profile"),
    "migrations": Recipe(work=migrations, judge=migrations_seen),
    "run-queue-length": Recipe(
        work=run_queue_length, judge=run_queue_length_seen, needs=("kprobes",)
    ),
    "run-queue-latency": Recipe(
        work=crowd,
        judge=run_queue_latency_seen,
        settings={"by": "comm"},
        tracefs_cannot="rawtracepoint",
    ),
    "slow-wakeups": Recipe(
        work=crowd,
        judge=slow_wakeups_seen,
        settings={"threshold": "1ms"},
        tracefs_cannot="rawtracepoint",
    ),
    "cpu-bursts": Recipe(
        work=crowd, judge=cpu_bursts_seen, settings={"by": "comm"}, tracefs_cannot="rawtracepoint"
    ),
    "preemptions": Recipe(
        work=crowd,
        judge=preemptions_seen,
        settings={"min": "1ms"},
        tracefs_cannot="rawtracepoint",
    ),
    "workqueue-latency": Recipe(
        work=terminal_writes, judge=workqueue_latency_seen, tracefs_cannot="event joining"
    ),
    "off-cpu-time": Recipe(judge=off_cpu_time_seen, tracefs_cannot="rawtracepoint"),
    "wakers": Recipe(work=handshakes, judge=wakers_seen, tracefs_cannot="rawtracepoint"),
    "softirqs": Recipe(work=datagrams, judge=softirqs_seen, tracefs_cannot="event joining"),
    "interrupts": Recipe(work=interrupts, judge=interrupts_seen, tracefs_cannot="event joining"),
}
