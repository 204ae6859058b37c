"""Rows of plans/process and plans/syscalls."""

import contextlib
import ctypes
import errno
import fcntl
import mmap
import os
import pty
import re
import resource
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
import tty
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from tests.recipes.recipe import Recipe, most
from tests.support.workload import plans as workloads
from tests.support.workload.raw_calls import call, call_32bit

if TYPE_CHECKING:
    from tests.support.product import Ran

CGROUP = "probeplan-cgroup-execs"
GETPPID_32, READ_32 = 64, 3  # arch/x86/entry/syscalls/syscall_32.tbl
SHOWN = [*(f"line {number}\a".encode() for number in range(5)), b"long " * 60]


def execs() -> None:
    """5 programs; then one whose strings are not in memory before the exec reads them, from the
    pages of a file."""
    workloads.execs()
    with tempfile.TemporaryFile() as file:
        file.write(b"from a file\0".ljust(mmap.PAGESIZE, b"\0"))
        file.flush()
        os.fsync(file.fileno())
        if (child := os.fork()) == 0:
            absent = mmap.mmap(file.fileno(), mmap.PAGESIZE, flags=mmap.MAP_PRIVATE)
            place = ctypes.addressof(ctypes.c_char.from_buffer(absent))
            name = ctypes.create_string_buffer(b"/bin/true")
            argv = (ctypes.c_void_p * 3)(ctypes.addressof(name), place, None)
            call("execve", name, argv, 0)
            os._exit(1)
        assert os.waitpid(child, 0)[1] == 0


def execs_seen(ran: "Ran") -> None:
    """Those, and before them the workload itself, each with its command line."""
    files = [program["file"] for program in ran.data("exec")]
    assert files == ["/usr/bin/python3", *["/bin/true"] * 6]
    lines = [program["argv"] for program in ran.data("exec")]
    assert lines[0] == "/usr/bin/python3 -S -m tests.recipes process execs"
    assert lines[1:] == [*["/bin/true"] * 5, "/bin/true 'from a file'"]
    assert ran.value("exec", "execs", comm="true") == 6


def process_work() -> None:
    """3 times the same command, which reads and writes 50 blocks."""
    for _ in range(3):
        words = ["dd", "if=/dev/zero", "of=/dev/null", "bs=1000", "count=50", "status=none"]
        subprocess.run(words, check=True)


def process_work_seen(ran: "Ran") -> None:
    """Each with its own bytes; what it reads while it starts comes from its libraries."""
    works = [work for work in ran.data("work") if work["program"] == "dd"]
    assert [work["bytes_written"] for work in works] == [50_000] * 3
    assert all(50_000 <= work["bytes_read"] < 100_000 for work in works)
    assert all(work["faults"] >= 20 and work["took"] > 0 for work in works)
    assert ran.value("work", "commands", **{"start.comm": "dd"}) == 3
    faults = sum(work["faults"] for work in works)
    assert ran.value("work", "faults", **{"start.comm": "dd"}) == faults


def naps() -> None:
    """20 sleeps of a program that is started for it, one of which is long."""
    script = "import time\nfor _ in range(19): time.sleep(0)\ntime.sleep(0.05)"
    subprocess.run(["/usr/bin/python3", "-S", "-c", script], check=True)


def naps_seen(ran: "Ran") -> None:
    """The long one, of the program and its parent; and all of them."""
    [nap] = [nap for nap in ran.data("long") if nap["took"] >= 50e6]
    assert "/usr/bin/python3" in nap["program"]  # below /host in a guest
    assert nap["parent_comm"].startswith("python3")
    assert nap["result"] == 0
    assert ran.value("nap", "naps", comm="python3") == 20


def container_execs() -> None:
    """3 programs on the host and 4 in a PID namespace, whose number is the last line of output."""
    workloads.execs(3)
    new_pid_namespace = 0x20000000  # CLONE_NEWPID, include/uapi/linux/sched.h
    if ctypes.CDLL(None).unshare(new_pid_namespace):
        raise OSError("no PID namespace can be made")
    if (child := os.fork()) == 0:
        workloads.execs(4)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def container_execs_seen(ran: "Ran") -> None:
    """Those 4, in one namespace, which is not the host's."""
    seen = ran.data("exec")
    assert [program["file"] for program in seen] == ["/bin/true"] * 4
    assert len({program["pidns"] for program in seen}) == 1
    assert seen[0]["pidns"] != Path("/proc/self/ns/pid").stat().st_ino
    assert ran.value("exec", "execs", comm="true", pidns=seen[0]["pidns"]) == 4


def container_syscalls() -> None:
    """5 times the CPU is given up on the host, and 17 times in a PID namespace."""
    for _ in range(5):
        os.sched_yield()
    new_pid_namespace = 0x20000000  # CLONE_NEWPID, include/uapi/linux/sched.h
    if ctypes.CDLL(None).unshare(new_pid_namespace):
        raise OSError("no PID namespace can be made")
    if (child := os.fork()) == 0:
        for _ in range(17):
            os.sched_yield()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0


def container_syscalls_seen(ran: "Ran") -> None:
    """Those in the namespace alone."""
    calls = {cell["key"]["call"]: cell["value"] for cell in ran.cells("call", "calls")}
    assert calls["sched_yield"] == 17
    assert calls["exit_group"] == 1
    assert "unshare" not in calls


def cgroup_execs() -> None:
    """6 programs in a cgroup that is gone when the run ends."""
    from orchestrator.kernel.abi.cgroups import cgroup2_mount

    mount = cgroup2_mount()
    if mount is None:
        raise OSError("there is no cgroup v2")
    folder = mount / CGROUP
    folder.mkdir(exist_ok=True)
    time.sleep(1.5)  # it is looked at twice a second
    if (child := os.fork()) == 0:
        (folder / "cgroup.procs").write_text(str(os.getpid()))
        workloads.execs(6)
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    folder.rmdir()


def cgroup_execs_seen(ran: "Ran") -> None:
    """Under the name that it had."""
    assert ran.value("exec", "execs", comm="true", group=f"/{CGROUP}") == 6


def open_files() -> None:
    """11 directories, 7 pipes and 5 pairs of sockets, open for two windows."""
    with contextlib.ExitStack() as stack:
        ends = [os.open("/", os.O_RDONLY) for _ in range(11)]
        ends += [end for _ in range(7) for end in os.pipe()]
        for end in ends:
            stack.callback(os.close, end)
        for one in (one for _ in range(5) for one in socket.socketpair()):
            stack.enter_context(one)
        time.sleep(2.5)


def open_files_seen(ran: "Ran") -> None:
    """In a window, all of them; the totals are no sum of windows."""
    assert most(ran, "files", "kinds", kind="directory") == 11
    assert most(ran, "files", "kinds", kind="socket") == 10
    whole = most(ran, "files", "open", comm="python3")
    assert 35 <= whole <= 35 + 6  # standard ones, and what we inherited
    assert all(cell["value"] <= whole for cell in ran.cells("files", "open"))


def exits() -> None:
    """4 shells that end with 3, 2 that kill themselves, a thread of ours that ends early, and a
    process that another of its threads outlives."""
    for _ in range(4):
        subprocess.run(["/bin/sh", "-c", "exit 3"], check=False)
    for _ in range(2):
        subprocess.run(["/bin/sh", "-c", "kill -TERM $$"], check=False)
    thread = threading.Thread(target=int)
    thread.start()
    thread.join()
    if (child := os.fork()) == 0:
        end_before_worker()
    os.waitpid(child, 0)


def end_before_worker() -> NoReturn:
    """This process lives for 50 ms; then a thread with another name begins, which ends the process
    with 6 when it is alone."""
    first = Path(f"/proc/self/task/{os.getpid()}/status")
    rename_thread("first")
    time.sleep(0.05)

    def work() -> None:
        rename_thread("worker")
        while "State:\tZ" not in first.read_text():
            time.sleep(0.001)
        os._exit(6)

    threading.Thread(target=work).start()
    call("exit", 0)
    raise AssertionError("a thread that has ended runs on")


def rename_thread(name: str) -> None:
    """The current thread, as `comm` has it."""
    Path(f"/proc/self/task/{threading.get_native_id()}/comm").write_text(name)


def exits_seen(ran: "Ran") -> None:
    """Eight processes with status or signal; the shells are younger than the workload. Name and
    age are the process's, whichever thread ended last."""
    ends = [(one["status"], one["signal"], one["core"]) for one in ran.data("exit")]
    assert sorted(ends, key=str) == sorted(
        [*[(3, 0, False)] * 4, *[(0, "SIGTERM", False)] * 2, (6, 0, False), (0, 0, False)], key=str
    )
    ages = [one["age"] for one in ran.data("exit")]
    assert 0 < min(ages) <= max(ages) == ages[-1]
    assert ages[-2] >= 50_000_000
    assert [line["comm"] for line in ran.of_kind("event.recorded")][-2:] == ["first", "python3"]
    assert ran.value("exit", "exits", comm="sh") == 6
    assert ran.value("exit", "failed", comm="sh") == 6
    assert ran.value("exit", "killed", comm="sh") == 2
    assert ran.value("exit", "failed", comm="first") == 1


def kills() -> None:
    """5 signals to ourselves, one by each other call that sends, two to a group of two, one to no
    one, and a question whether we are there."""
    signal.signal(signal.SIGUSR1, signal.SIG_IGN)
    ourselves = os.getpid()
    for _ in range(5):
        os.kill(ourselves, signal.SIGUSR1)
    descriptor = os.pidfd_open(ourselves)
    information = struct.pack("iii116x", signal.SIGUSR1, 0, -1)  # siginfo_t: SI_QUEUE
    results = [
        call("tkill", ourselves, signal.SIGUSR1),
        call("tgkill", ourselves, ourselves, signal.SIGUSR1),
        call("rt_sigqueueinfo", ourselves, signal.SIGUSR1, information),
        call("rt_tgsigqueueinfo", ourselves, ourselves, signal.SIGUSR1, information),
        call("pidfd_send_signal", descriptor, signal.SIGUSR1, 0, 0),
    ]
    assert results == [0] * 5
    signal_group(2)
    with contextlib.suppress(ProcessLookupError):
        os.kill(2**22, signal.SIGTERM)  # the largest pid there can be
    os.kill(ourselves, 0)


def signal_group(size: int) -> None:
    """A signal that is ignored and one that is not, to a group of so many children."""
    children = []
    for _ in range(size):
        if (child := os.fork()) == 0:
            signal.pause()
        children.append(child)
    for child in children:
        os.setpgid(child, children[0])
    os.killpg(children[0], signal.SIGUSR1)
    os.killpg(children[0], signal.SIGKILL)
    for child in children:
        os.waitpid(child, 0)


def kills_seen(ran: "Ran") -> None:
    """Each by its victim, with the sender's parent; the question is left out. The group is two
    victims. What failed is a call."""
    sent = [(one["signal"], one["group"], one["code"]) for one in ran.data("kill")]
    tkill, queue = -6, -1  # SI_TKILL, SI_QUEUE
    assert sent == [
        *[("SIGUSR1", True, 0)] * 5,
        *[("SIGUSR1", False, tkill)] * 2,
        *[("SIGUSR1", True, queue), ("SIGUSR1", False, queue)],
        ("SIGUSR1", True, 0),
        *[("SIGUSR1", True, 0)] * 2,
        *[("SIGKILL", True, 0)] * 2,
    ]
    assert {one["victim"] for one in ran.data("kill")} == {"python3"}
    assert len({one["to"] for one in ran.data("kill")}) == 3
    ourselves, parent = (ran.data("kill")[0][name] for name in ("to", "parent"))
    assert {line["pid"] for line in ran.of_kind("event.recorded")} == {ourselves}
    assert parent not in (0, ourselves)
    refused = {"call": "kill", "signal": "SIGTERM", "to": 2**22}
    refused |= {"result": -3, "result_name": "ESRCH", "parent": parent}
    assert ran.data("refused") == [refused]
    assert ran.value("kill", "sent", comm="python3") == 14
    key = {"comm": "python3", "victim": "python3", "signal": "SIGKILL"}
    assert ran.value("kill", "victims", **key) == 2
    assert ran.value("refused", "failed", comm="python3") == 1


def new_processes() -> None:
    """6 forks and 4 threads."""
    for _ in range(6):
        if (child := os.fork()) == 0:
            os._exit(0)
        os.waitpid(child, 0)
    for _ in range(4):
        thread = threading.Thread(target=int)
        thread.start()
        thread.join()


def new_processes_seen(ran: "Ran") -> None:
    """By the parent's name, threads apart."""
    assert ran.value("task", "processes", comm="python3") == 6
    assert ran.value("task", "threads", comm="python3") == 4


def syscall_counts() -> None:
    """1000 calls of a system call that no other process here makes, and 70 of it as 32-bit code
    makes it; 20 that fail, which the other table calls close."""
    for _ in range(1000):
        os.getppid()
    for _ in range(70):
        assert call_32bit(GETPPID_32) > 0
    for _ in range(20):
        assert call_32bit(READ_32, -1) == -errno.EBADF


def syscall_counts_seen(ran: "Ran") -> None:
    """By the call's name, and by the program; 64 is semget in the table of 64-bit calls."""
    assert ran.value("call", "calls", number="getppid") == 1000
    assert ran.value("call", "calls", number="getppid (32-bit)") == 70
    assert ran.value("call", "calls", number="semget") == 0
    assert ran.value("call", "programs", comm="python3") >= 1090
    assert ran.value("call", "failed", number="getppid") == 0
    assert ran.value("call", "failed", number="read (32-bit)") == 20


def compat_calls_seen(ran: "Ran") -> None:
    """Those of 32-bit code alone."""
    cells = {
        one["key"]["call"]: one["value"]
        for one in ran.cells("call", "calls")
        if one["key"]["comm"] == "python3"
    }
    assert cells == {"getppid (32-bit)": 70, "read (32-bit)": 20}


def failing_syscalls() -> None:
    """70 calls that are refused for their argument, and 30 of 32-bit code."""
    libc = ctypes.CDLL(None)
    for _ in range(70):
        libc.prctl(-1, 0, 0, 0, 0)
    for _ in range(30):
        assert call_32bit(READ_32, -1) == -errno.EBADF


def failing_syscalls_seen(ran: "Ran") -> None:
    """With the names of call and error."""
    key = {"comm": "python3", "call": "prctl", "error": "EINVAL"}
    assert ran.value("call", "failures", **key) == 70
    key = {"comm": "python3", "call": "read (32-bit)", "error": "EBADF"}
    assert ran.value("call", "failures", **key) == 30


def slow_syscalls_seen(ran: "Ran") -> None:
    """3 polls of 100 ms that end without an event. Where the kernel has no call poll, the library
    makes the newer one."""
    attached = {line["to"] for line in ran.of_kind("probe.attached")}
    name = "poll" if "syscall:poll" in attached else "ppoll"
    polls = [call for call in ran.data("call") if call["call"] == name]
    assert [poll["result"] for poll in polls] == [0] * 3
    assert ran.value("call", "slow", comm="python3", func=name) == 3


def terminal_output() -> None:
    """6 lines shown on a terminal, one of 300 bytes, and 4 times something typed into it."""
    if not Path("/dev/pts/ptmx").exists():
        subprocess.run(["mount", "-t", "devpts", "devpts", "/dev/pts"], check=True)
    emulator, terminal = pty.openpty()
    tty.setraw(terminal)
    for text in SHOWN:
        os.write(terminal, text)
        os.read(emulator, 1000)
    for _ in range(4):
        os.write(emulator, b"typed")
        os.read(terminal, 1000)


def terminal_output_seen(ran: "Ran") -> None:
    """Each line once and in order, all on one terminal; what was typed is not shown in raw mode."""
    shown = ran.data("write")
    assert [(one["bytes"], one["text"]) for one in shown] == [
        (len(text), text[:200].decode()) for text in SHOWN
    ]
    assert re.search(r"/dev/pts/\d+$", shown[0]["terminal"])
    assert len({one["terminal"] for one in shown}) == 1
    assert ran.value("write", "bytes", comm="python3") == sum(map(len, SHOWN))


def fd_leaks() -> None:
    """7 files, 5 sockets, 3 pipes, 4 duplicates by dup and 2 by fcntl that stay open, and 20 files
    that do not; until they are old enough to be counted."""
    kept = [os.open("/dev/null", os.O_RDONLY) for _ in range(7)]
    kept += [socket.socket().detach() for _ in range(5)]
    kept += [end for _ in range(3) for end in os.pipe()]
    kept += [call("dup", kept[0]) for _ in range(4)]
    kept += [fcntl.fcntl(kept[0], fcntl.F_DUPFD_CLOEXEC, 0) for _ in range(2)]
    for _ in range(20):
        os.close(os.open("/dev/null", os.O_RDONLY))
    time.sleep(2.2)
    assert min(kept) >= 0


def fd_leaks_seen(ran: "Ran") -> None:
    """What is still open, by call."""
    reported = ran.of_kind("outstanding.reported")[-1]
    assert reported["total"]
    still_open: dict[str, int] = {}
    for cell in reported["cells"]:
        if cell["key"]["comm"] == "python3":
            call_name = cell["key"]["call"]
            still_open[call_name] = still_open.get(call_name, 0) + cell["count"]
    assert still_open == {"openat": 7, "socket": 5, "pipe2": 6, "dup": 4, "fcntl": 2}


def signals() -> None:
    """3 processes that read address 0, and 2 that this one ends."""
    for _ in range(3):
        if (child := os.fork()) == 0:
            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            ctypes.string_at(0)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGSEGV
    for _ in range(2):
        if (child := os.fork()) == 0:
            signal.pause()
        os.kill(child, signal.SIGTERM)
        assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGTERM


def signals_seen(ran: "Ran") -> None:
    """Cause 1 is SEGV_MAPERR, and the victim of a fault its own sender; 0 is SI_USER."""
    records = [one for one in ran.of_kind("event.recorded") if one["probe"] == "signal"]
    ours = [one for one in records if one["comm"] == "python3"]
    seen = [(one["data"]["signal"], one["data"]["victim"], one["data"]["cause"]) for one in ours]
    assert seen == [("SIGSEGV", "python3", 1)] * 3 + [("SIGTERM", "python3", 0)] * 2
    assert [one["data"]["to"] == one["tid"] for one in ours] == [True] * 3 + [False] * 2
    key = {"victim": "python3", "comm": "python3"}
    assert ran.value("signal", "signals", signal="SIGSEGV", **key) == 3
    assert ran.value("signal", "signals", signal="SIGTERM", **key) == 2


ROWS: Mapping[str, Recipe] = {
    "execs": Recipe(
        work=execs, judge=execs_seen, everywhere=True, tracefs_cannot="task's task_struct leads to"
    ),
    "cgroup-execs": Recipe(work=cgroup_execs, judge=cgroup_execs_seen, tracefs_cannot="'cgroup'"),
    "container-execs": Recipe(
        work=container_execs, judge=container_execs_seen, everywhere=True, tracefs_cannot="pidns"
    ),
    "container-syscalls": Recipe(
        work=container_syscalls, judge=container_syscalls_seen, tracefs_cannot="'cgroup'"
    ),
    "exits": Recipe(work=exits, judge=exits_seen, everywhere=True, tracefs_cannot="rawtracepoint"),
    "kills": Recipe(work=kills, judge=kills_seen, everywhere=True, tracefs_cannot="rawtracepoint"),
    "open-files": Recipe(
        work=open_files, judge=open_files_seen, everywhere=True, tracefs_cannot="iter"
    ),
    "fd-leaks": Recipe(work=fd_leaks, judge=fd_leaks_seen, tracefs_cannot="event joining"),
    "signals": Recipe(work=signals, judge=signals_seen),
    "new-processes": Recipe(
        work=new_processes, judge=new_processes_seen, tracefs_cannot="rawtracepoint"
    ),
    "process-work": Recipe(
        work=process_work, judge=process_work_seen, tracefs_cannot="event joining"
    ),
    "naps": Recipe(
        work=naps, judge=naps_seen, everywhere=True, tracefs_cannot="task's task_struct leads to"
    ),
    "syscall-counts": Recipe(
        work=syscall_counts,
        judge=syscall_counts_seen,
        everywhere=True,
        tracefs_cannot="'compat'",
    ),
    "compat-calls": Recipe(
        work=syscall_counts, judge=compat_calls_seen, tracefs_cannot="rawtracepoint"
    ),
    "failing-syscalls": Recipe(
        work=failing_syscalls, judge=failing_syscalls_seen, tracefs_cannot="'compat'"
    ),
    "terminal-output": Recipe(
        work=terminal_output,
        judge=terminal_output_seen,
        needs=("kprobes",),
        tracefs_cannot="a buffer (buf)",
    ),
    "slow-syscalls": Recipe(work=workloads.slow_syscalls, judge=slow_syscalls_seen),
}
