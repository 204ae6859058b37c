"""bpftrace runs alongside our plans, on the same workload, and says the same: the same number where
things are counted, the same bucket where they are timed. The programs here are our own, for plans
that no script of its distribution answers on this kernel (test_beside_scripts.py runs those that
do): where a script would need kernel functions or looks at the whole host, cut down from it to the
workload's own process."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from orchestrator.kernel.syscalls import syscall_names
from tests.recipes.guest import UNBOUND
from tests.recipes.peers import Maps, bpftrace, private_python
from tests.recipes.table import AREA_OF
from tests.support.product import Ran, check_accounts, run_cli
from tests.support.shipped import PLANS

NUMBERS = {name: number for number, name in syscall_names(os.uname().machine).items()}
LIMITS = [word for name, value in UNBOUND.items() for word in ("--limit", f"{name}={value}")]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A plan of ours and a program of theirs. `events`: tracepoints that the program attaches.
    In `program`, ME stands for a test of the workload's process. `work`: the row whose workload
    it is (None: the plan's own). `ours` and `theirs` are distinguished from `who`, its comm."""

    program: str
    events: tuple[str, ...]
    ours: Callable[[Ran, str], Any]
    theirs: Callable[[Maps], Any]
    work: str | None = None
    settings: Mapping[str, str] = field(default_factory=dict)


def number(name: str) -> Callable[[Maps], Any]:
    """A map without keys; one that was never written is 0."""
    return lambda maps: maps.get(name, 0)


def cell(probe: str, metric: str, **key: Any) -> Callable[[Ran, str], Any]:
    """A cell of our metric, with the workload's name in its key."""
    return lambda ran, who: ran.value(probe, metric, comm=who, **key)


def paths(probe: str, part: str) -> Callable[[Ran, str], dict[str, int]]:
    """How often each path with this part is in our records."""

    def counted(ran: Ran, _who: str) -> dict[str, int]:
        found = [one["path"] for one in ran.data(probe) if part in one["path"]]
        return {path: found.count(path) for path in found}

    return counted


def keyed(name: str, part: str = "") -> Callable[[Maps], dict[str, int]]:
    """A map by string, as far as the key has this part."""
    return lambda maps: {key: n for key, n in maps.get(name, {}).items() if part in key}


COUNTED: Mapping[str, Peer] = {
    "stats": Peer(  # statsnoop.bt does not know this call
        program="tracepoint:syscalls:sys_enter_newfstatat /ME/ "
        "{ @[str(args->filename)] = count(); }",
        events=("sys_enter_newfstatat",),
        ours=paths("stat", "probeplan-recipe"),
        theirs=keyed("@", "probeplan-recipe"),
    ),
    "new-processes": Peer(  # pidpersec.bt counts those of the host
        program="tracepoint:sched:sched_process_fork /ME/ { @ = count(); }",
        events=("sched_process_fork",),
        ours=lambda ran, who: (
            ran.value("task", "processes", comm=who) + ran.value("task", "threads", comm=who)
        ),
        theirs=number("@"),
    ),
    "exits": Peer(  # exitsnoop
        program="tracepoint:sched:sched_process_exit /ME && pid == tid/ { @ = count(); }",
        events=("sched_process_exit",),
        ours=cell("exit", "exits"),
        theirs=number("@"),
        work="new-processes",
    ),
    "failing-syscalls": Peer(
        program="tracepoint:raw_syscalls:sys_exit /ME && args->ret == -22/ "
        "{ @[args->id] = count(); }",
        events=("sys_exit",),
        ours=lambda ran, who: {
            str(NUMBERS[one["key"]["call"]]): one["value"]
            for one in ran.cells("call", "failures")
            if one["key"]["comm"] == who and one["key"]["error"] == "EINVAL"
        },
        theirs=keyed("@"),
    ),
    "page-faults": Peer(
        program="tracepoint:exceptions:page_fault_user /ME/ { @ = count(); }",
        events=("page_fault_user",),
        ours=cell("fault", "faults"),
        theirs=number("@"),
        settings={"sample": "1/1"},
    ),
    "memory-maps": Peer(
        program="tracepoint:syscalls:sys_enter_munmap /ME/ "
        "{ @ = count(); @bytes = sum(args->len); }",
        events=("sys_enter_munmap",),
        ours=lambda ran, who: (
            ran.value("unmap", "calls", comm=who),
            ran.value("unmap", "bytes", comm=who),
        ),
        theirs=lambda maps: (maps["@"], maps["@bytes"]),
    ),
    "shared-memory": Peer(  # shmsnoop
        program="tracepoint:syscalls:sys_enter_shmget /ME/ { @ = sum(args->size); }",
        events=("sys_enter_shmget",),
        ours=lambda ran, _who: sum(one["size"] for one in ran.data("get")),
        theirs=number("@"),
    ),
    "tcp-connects": Peer(  # tcpconnect.bt wants a kernel function
        program="tracepoint:sock:inet_sock_set_state /ME && args->newstate == 2/ "
        "{ @[args->dport] = count(); }",
        events=("inet_sock_set_state",),
        ours=lambda ran, _who: {
            str(one["port"]): len(ran.data("connect")) for one in ran.data("connect")
        },
        theirs=keyed("@"),
    ),
    "tcp-listens": Peer(  # solisten
        program="tracepoint:sock:inet_sock_set_state /ME && args->newstate == 10/ "
        "{ @[args->sport] = count(); }",
        events=("inet_sock_set_state",),
        ours=lambda ran, _who: {str(one["port"]): 1 for one in ran.data("listen")},
        theirs=keyed("@"),
    ),
    "context-switches": Peer(
        program="tracepoint:sched:sched_switch /ME && args->prev_state == 1/ { @ = count(); }",
        events=("sched_switch",),
        ours=lambda ran, who: sum(
            one["leaves"] == who and one["state"] == 1 for one in ran.data("switch")
        ),
        theirs=number("@"),
        settings={"sample": "1/1"},
    ),
    "argument-values": Peer(  # argdist
        program="tracepoint:syscalls:sys_enter_read /ME/ { @[args->count] = count(); }",
        events=("sys_enter_read",),
        ours=lambda ran, _who: {"12345": ran.value("call", "values", arg2=12345)},
        theirs=lambda maps: {"12345": maps["@"].get("12345")},
    ),
    "bpf-calls": Peer(  # bpfsnoop
        program="tracepoint:syscalls:sys_enter_bpf /ME/ { @[args->cmd] = count(); }",
        events=("sys_enter_bpf",),
        ours=lambda ran, who: {
            str(one["key"]["command"]): one["value"]
            for one in ran.cells("all", "calls")
            if one["key"]["comm"] == who
        },
        theirs=keyed("@"),
    ),
    "permission-changes": Peer(
        program="tracepoint:syscalls:sys_enter_fchmodat /ME/ { @[args->mode] = count(); } "
        "tracepoint:syscalls:sys_enter_chmod /ME/ { @[args->mode] = count(); }",
        events=("sys_enter_fchmodat", "sys_enter_chmod"),
        ours=lambda ran, _who: {str(0o751): sum(one["mode"] == 0o751 for one in ran.data("mode"))},
        theirs=lambda maps: {str(0o751): maps["@"].get(str(0o751))},
    ),
    "futex-waits": Peer(
        program="tracepoint:syscalls:sys_exit_futex /ME && args->ret == -110/ { @ = count(); }",
        events=("sys_exit_futex",),
        ours=lambda ran, _who: sum(
            (one["call"], one["result_name"]) == ("futex", "ETIMEDOUT") for one in ran.data("wait")
        ),
        theirs=number("@"),
    ),
}


def run_with_peer(name: str, peer: Peer, folder: Path) -> tuple[Ran, Maps, str]:
    """Our run, their maps, and the name of the workload's process that both looked for."""
    python = private_python(folder)
    who = Path(python).name
    work = peer.work or name
    command = [python, "-S", "-m", "tests.recipes", AREA_OF[work], work]
    more = [word for pair in peer.settings.items() for word in ("--set", "=".join(pair))]
    program = peer.program.replace("ME", f'comm == "{who}"').replace("WHO", who)
    with bpftrace(program, peer.events) as theirs:
        ran = run_cli(str(PLANS[name]), "--backend", "bcc", *LIMITS, *more, command=command)
    check_accounts(ran)
    return ran, theirs.maps, who


@pytest.mark.root
@pytest.mark.parametrize("name", sorted(COUNTED))
def test_both_count_the_same(name: str, tmp_path: Path) -> None:
    """Each event that one of them sees the other sees too."""
    peer = COUNTED[name]
    ran, maps, who = run_with_peer(name, peer, tmp_path)
    ours = peer.ours(ran, who)
    assert ours == peer.theirs(maps)
    assert ours  # and it was something


# ---------------------------------------------------------------- times


LATENCY = Peer(  # funclatency, as bpftrace says it
    program="tracepoint:syscalls:sys_enter_read /ME/ { @start[tid] = nsecs; } "
    "tracepoint:syscalls:sys_exit_read /@start[tid]/ "
    "{ @ = hist(nsecs - @start[tid]); delete(@start[tid]); } END { clear(@start); }",
    events=("sys_enter_read", "sys_exit_read"),
    ours=lambda ran, who: next(
        one for one in ran.cells("call", "latency") if one["key"]["comm"] == who
    ),
    theirs=lambda maps: maps["@"],
    work="slow-io",
    settings={"function": "syscall:read", "by": "comm"},
)
RUN_QUEUE = Peer(  # runqlat.bt times the tasks of the host, and needs its headers
    program="""
    tracepoint:sched:sched_wakeup, tracepoint:sched:sched_wakeup_new { @queued[args->pid] = nsecs; }
    tracepoint:sched:sched_switch {
      if (args->prev_state == 0) { @queued[args->prev_pid] = nsecs; }
      if (@queued[args->next_pid] && args->next_comm == "WHO") {
        @ = hist(nsecs - @queued[args->next_pid]);
      }
      delete(@queued[args->next_pid]);
    }
    END { clear(@queued); }
    """,
    events=("sched_wakeup", "sched_wakeup_new", "sched_switch"),
    ours=lambda ran, who: next(
        one for one in ran.cells("queued", "latency") if one["key"]["comm"] == who
    ),
    theirs=lambda maps: maps["@"],
    work="run-queue-latency",
    settings={"by": "comm"},
)
TIMED: Mapping[str, Peer] = {"function-latency": LATENCY, "run-queue-latency": RUN_QUEUE}


def octaves(buckets: list[tuple[int, int]]) -> list[int]:
    """Every value's power of two, in order: of (upper edge, count) pairs."""
    return [edge.bit_length() for edge, count in buckets for _ in range(count)]


@pytest.mark.root
@pytest.mark.parametrize("name", sorted(TIMED))
def test_both_time_alike(name: str, tmp_path: Path) -> None:
    """The values in order are the same, within a bucket of theirs: a power of two. Each has what
    the other's probes take in its times, and its own moment of start."""
    peer = TIMED[name]
    ran, maps, who = run_with_peer(name, peer, tmp_path)
    ours = octaves([(edge, count) for edge, count in peer.ours(ran, who)["buckets"]])
    theirs = octaves([(one["max"], one["count"]) for one in peer.theirs(maps)])
    assert abs(len(ours) - len(theirs)) <= 2
    middle, tail = len(ours) // 2, -2
    assert abs(ours[middle] - theirs[len(theirs) // 2]) <= 1
    assert abs(ours[tail] - theirs[tail]) <= 1
    assert len(ours) >= 3
