"""Rows of plans/security."""

import contextlib
import ctypes
import errno
import os
import struct
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.recipes.recipe import Recipe, result_of
from tests.support.workload.raw_calls import AT_FDCWD, call, number_of

if TYPE_CHECKING:
    from tests.support.product import Ran

BPF = number_of("bpf")
PROG_LOAD, MAP_LOOKUP = 5, 1  # include/uapi/linux/bpf.h
CAP_SYS_CHROOT, CAP_SETUID, CAP_SYS_ADMIN = 18, 7, 21
NOBODY = 65534


def capability_checks() -> None:
    """5 changes of root as root, and 5 as no one, in a child."""
    for _ in range(5):
        os.chroot("/")
    if (child := os.fork()) == 0:
        os.setuid(NOBODY)
        for _ in range(5):
            with contextlib.suppress(PermissionError):
                os.chroot("/")
        os._exit(0)
    os.waitpid(child, 0)


def capability_checks_seen(ran: "Ran") -> None:
    asked = [one["refused"] for one in ran.data("check") if one["capability"] == "CAP_SYS_CHROOT"]
    assert asked == [*[False] * 5, *[True] * 5]
    assert ran.value("check", "checks", comm="python3", cap=CAP_SYS_CHROOT) == 10
    assert ran.value("check", "refused", comm="python3", cap=CAP_SYS_CHROOT) == 5
    assert ran.value("check", "checks", comm="python3", cap=CAP_SETUID) >= 1


def capability_calls() -> None:
    """5 changes of root as root, and as no one 5 of them and 3 new names for the host."""
    for _ in range(5):
        os.chroot("/")
    if (child := os.fork()) == 0:
        os.setuid(NOBODY)
        for _ in range(5):
            assert call("chroot", b"/") == -errno.EPERM
        for _ in range(3):
            assert call("sethostname", b"x", 1) == -errno.EPERM
        os._exit(0)
    os.waitpid(child, 0)


def capability_calls_seen(ran: "Ran") -> None:
    refused = [
        (one["capability"], one["call"])
        for one in ran.data("refusal")
        if one["call"] in ("chroot", "sethostname")
    ]
    assert refused == [
        *[("CAP_SYS_CHROOT", "chroot")] * 5,
        *[("CAP_SYS_ADMIN", "sethostname")] * 3,
    ]
    chroot = {"comm": "python3", "call": "chroot", "cap": CAP_SYS_CHROOT}
    assert ran.value("check", "checks", **chroot) == 10
    assert ran.value("check", "refused", **chroot) == 5
    hostname = {"comm": "python3", "call": "sethostname", "cap": CAP_SYS_ADMIN}
    assert ran.value("check", "refused", **hostname) == 3
    assert all(one["in_call"] > 0 for one in ran.data("refusal"))
    note = ran.finished["ledger"]["notes"]["call"]
    assert note["set"] == note["replaced"] + note["dropped"] + note["kept"]
    assert note["full"] == 0
    looks = [hook["sides"] for probe in ("check", "refusal") for hook in hooks_of(ran, probe)]
    accepted = sum(list(sides.values())[-1]["accepted"] for sides in looks)
    assert note["found"] + note["missed"] == accepted


def hooks_of(ran: "Ran", probe: str) -> list[dict[str, Any]]:
    hooks: list[dict[str, Any]] = ran.finished["ledger"]["probes"][probe]["hooks"]
    return hooks


def privilege_changes() -> None:
    """3 children that become no one, one of them also for files alone first, and it cannot go
    back."""
    for number in range(3):
        if (child := os.fork()) == 0:
            if number == 2:
                call("setfsgid", NOBODY)
                call("setfsuid", NOBODY)
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            if number == 2:
                with contextlib.suppress(PermissionError):
                    os.setuid(0)
            os._exit(0)
        os.waitpid(child, 0)


def privilege_changes_seen(ran: "Ran") -> None:
    changes = [(one["call"], one["first"], result_of(one)) for one in ran.data("change")]
    assert changes == [
        *[("setgid", NOBODY, 0), ("setuid", NOBODY, 0)] * 2,
        *[("setfsgid", NOBODY, 0), ("setfsuid", NOBODY, 0)],
        *[("setgid", NOBODY, 0), ("setuid", NOBODY, 0)],
        ("setuid", 0, "EPERM"),
    ]
    by = [one["by"] for one in ran.data("change")]
    assert by in ([0] * 8 + [NOBODY], [None] * 9)  # tracefs does not know whose call it is
    assert ran.value("change", "changes", comm="python3", func="setuid") == 4
    assert ran.value("change", "failed", comm="python3", func="setuid") == 1


def bpf_calls() -> None:
    """3 loads of no program, and 8 look-ups in no map."""
    libc = ctypes.CDLL(None)
    empty = ctypes.create_string_buffer(128)
    for _ in range(3):
        libc.syscall(BPF, PROG_LOAD, empty, 128)
    for _ in range(8):
        libc.syscall(BPF, MAP_LOOKUP, empty, 128)


def bpf_calls_seen(ran: "Ran") -> None:
    assert [one["command"] for one in ran.data("call")] == [PROG_LOAD] * 3
    assert all(isinstance(result_of(one), str) for one in ran.data("call"))
    assert ran.value("all", "calls", comm="python3", command=PROG_LOAD) == 3
    assert ran.value("all", "calls", comm="python3", command=MAP_LOOKUP) == 8


def process_access() -> None:
    """4 children read, and one question of ptrace that no process answers."""
    libc = ctypes.CDLL(None)
    data = ctypes.create_string_buffer(8)
    local = (ctypes.c_void_p * 2)(ctypes.addressof(data), 8)
    for _ in range(4):
        assert libc.process_vm_readv(os.getpid(), local, 1, local, 1, 0) == 8
    libc.ptrace(16, 2**22, None, None)


def process_access_seen(ran: "Ran") -> None:
    reads = ran.data("memory")
    assert [(one["call"], result_of(one)) for one in reads] == [("process_vm_readv", 8)] * 4
    traced = [(one["request"], one["of"], result_of(one)) for one in ran.data("trace")]
    assert traced == [(16, 2**22, "ESRCH")]
    assert ran.value("memory", "calls", comm="python3", func="process_vm_readv") == 4


def permission_changes() -> None:
    """6 changes of mode and 2 of owner; then each of the families by itself, as far as this kernel
    has it."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "probeplan-mode"
        file.touch()
        for _ in range(6):
            file.chmod(0o751)
        for _ in range(2):
            os.chown(file, NOBODY, NOBODY)
        change_by_each_call(ctypes.create_string_buffer(bytes(file)))


def change_by_each_call(name: "ctypes.Array[ctypes.c_char]") -> None:
    """Modes are distinguished by their last digits, owners by their numbers."""
    fd = call("open", name, 0)
    results = [
        call("chmod", name, 0o701),
        call("fchmodat", AT_FDCWD, name, 0o702),
        call("fchmod", fd, 0o703),
        call("chown", name, 1, 11),
        call("lchown", name, 2, 12),
        call("fchownat", AT_FDCWD, name, 3, 13, 0),
        call("fchown", fd, 4, 14),
    ]
    assert results == [0] * 7
    assert call("fchmodat2", AT_FDCWD, name, 0o704, 0) in (0, -errno.ENOSYS)


def permission_changes_seen(ran: "Ran") -> None:
    modes = [one for one in ran.data("mode") if one["mode"] & 0o7777 == 0o751]
    assert [one["path"].endswith("/probeplan-mode") for one in modes] == [True] * 6
    assert {one["result"] for one in ran.data("mode")} == {0}
    changed = [(one["call"], one["mode"]) for one in ran.data("mode") if one["mode"] < 0o750]
    assert changed[:2] == [("chmod", 0o701), ("fchmodat", 0o702)]
    assert changed[2:] == ([("fchmodat2", 0o704)] if has_fchmodat2(ran) else [])
    assert [one["mode"] for one in ran.data("mode_by_fd")] == [0o703]
    owners = [(one["call"], one["user"], one["group"]) for one in ran.data("owner")]
    assert owners[:2] == [("chown", NOBODY, NOBODY)] * 2
    assert owners[2:] == [("chown", 1, 11), ("lchown", 2, 12), ("fchownat", 3, 13)]
    assert {one["result"] for one in ran.data("owner")} == {0}
    assert [(one["user"], one["group"]) for one in ran.data("owner_by_fd")] == [(4, 14)]


def has_fchmodat2(ran: "Ran") -> bool:
    """Whether the kernel of the run has the call."""
    return "syscall:fchmodat2" in {line["to"] for line in ran.of_kind("probe.attached")}


CLONE_FS = 0x200  # include/uapi/linux/sched.h
CLONE_NEWUTS = 0x04000000


def namespace_changes() -> None:
    """3 times a working directory that is not shared; the namespace of host names that the program
    has, twice; one that is none; and two new roots, of which one does not exist."""
    for _ in range(3):
        assert call("unshare", CLONE_FS) == 0
    fd = os.open("/proc/self/ns/uts", os.O_RDONLY)
    results = [call("setns", fd, CLONE_NEWUTS), call("setns", fd, 0), call("setns", -1, 0)]
    assert results == [0, 0, -errno.EBADF]
    missing = ctypes.create_string_buffer(b"/nonexistent")
    assert call("chroot", ctypes.create_string_buffer(b"/")) == 0
    assert call("pivot_root", missing, missing) == -errno.ENOENT


def namespace_changes_seen(ran: "Ran") -> None:
    made = [(one["kind"], result_of(one)) for one in ran.data("make")]
    assert made == [("CLONE_FS", 0)] * 3
    entered = [(one["kind"], result_of(one)) for one in ran.data("enter")]
    assert [result for _, result in entered] == [0, 0, "EBADF"]
    assert [kind for kind, _ in entered] == ["CLONE_NEWUTS", entered[2][0], entered[1][0]]
    roots = [(one["call"], result_of(one)) for one in ran.data("root")]
    assert roots == [("chroot", 0), ("pivot_root", "ENOENT")]
    assert ran.value("make", "calls", comm="python3") == 3
    assert ran.value("enter", "calls", comm="python3") == 3


ADJ_TICK = 0x4000  # include/uapi/linux/timex.h
TICK_AT = 88  # struct timex, where a long has 8 bytes


def clock_changes() -> None:
    """A time that is none, 2 times by one call and once by the other; 3 looks at the clock's speed;
    and a speed that is none, by two calls. No clock is changed."""
    nanoseconds = ctypes.create_string_buffer(struct.pack("qq", 0, 2_000_000_000))
    microseconds = ctypes.create_string_buffer(struct.pack("qq", 0, 2_000_000))
    for _ in range(2):
        assert call("clock_settime", 0, nanoseconds) == -errno.EINVAL
    assert call("settimeofday", microseconds, None) == -errno.EINVAL
    for _ in range(3):
        assert call("adjtimex", ctypes.create_string_buffer(256)) >= 0
    speed = ctypes.create_string_buffer(256)
    struct.pack_into("I", speed, 0, ADJ_TICK)
    struct.pack_into("q", speed, TICK_AT, 1)
    assert call("adjtimex", speed) == call("clock_adjtime", 0, speed) == -errno.EINVAL


def clock_changes_seen(ran: "Ran") -> None:
    assert [(one["call"], result_of(one)) for one in ran.data("set")] == [
        ("clock_settime", "EINVAL"),
        ("clock_settime", "EINVAL"),
        ("settimeofday", "EINVAL"),
    ]
    assert [(one["call"], one["modes"], result_of(one)) for one in ran.data("adjust")] == [
        ("adjtimex", ADJ_TICK, "EINVAL"),
        ("clock_adjtime", ADJ_TICK, "EINVAL"),
    ]
    assert ran.value("set", "calls", comm="python3", func="clock_settime") == 2


WATCHED = Path("/tmp/probeplan-watched")  # noqa: S108  # the run is given its name


def watched_files() -> None:
    """A file that is made, 3 times opened to write and twice to read; one that is missing; and one
    that no one asked for."""
    WATCHED.mkdir()
    try:
        file = WATCHED / "secret"
        file.touch()
        for _ in range(3):
            os.close(os.open(file, os.O_WRONLY))
        for _ in range(2):
            os.close(os.open(file, os.O_RDONLY))
        with contextlib.suppress(FileNotFoundError):
            os.open(WATCHED / "missing", os.O_RDWR)
        os.close(os.open("/dev/null", os.O_WRONLY))
    finally:
        (WATCHED / "secret").unlink()
        WATCHED.rmdir()


def watched_files_seen(ran: "Ran") -> None:
    """What may change a file: reads are left out."""
    seen = [(Path(one["name"]).name, one["result_name"]) for one in ran.data("open")]
    assert seen == [("secret", None)] * 4 + [("missing", "ENOENT")]
    assert all(one["comm"] == "python3" for one in ran.of_kind("event.recorded"))
    assert all({"O_WRONLY", "O_RDWR"} & set(one["flags"].split("|")) for one in ran.data("open"))
    assert ran.value("open", "opens", comm="python3") == 5
    assert ran.value("open", "failed", comm="python3") == 1


ROWS: Mapping[str, Recipe] = {
    "namespace-changes": Recipe(work=namespace_changes, judge=namespace_changes_seen),
    "clock-changes": Recipe(
        work=clock_changes, judge=clock_changes_seen, tracefs_cannot="memory behind this pointer"
    ),
    "watched-files": Recipe(
        work=watched_files,
        judge=watched_files_seen,
        settings={"folder": f"{WATCHED}/", "writes": "true"},
        tracefs_cannot="memory behind this pointer",
    ),
    "capability-checks": Recipe(
        differs=("7.x",), work=capability_checks, judge=capability_checks_seen
    ),
    "capability-calls": Recipe(
        differs=("7.x",),
        work=capability_calls,
        judge=capability_calls_seen,
        tracefs_cannot="state that one event leaves",
    ),
    "privilege-changes": Recipe(work=privilege_changes, judge=privilege_changes_seen),
    "bpf-calls": Recipe(work=bpf_calls, judge=bpf_calls_seen),
    "process-access": Recipe(work=process_access, judge=process_access_seen),
    "permission-changes": Recipe(
        differs=("6.12", "7.x"),
        work=permission_changes,
        judge=permission_changes_seen,
        tracefs_cannot_without_kprobes="a string from memory",
    ),
}
