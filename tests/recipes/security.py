"""Rows of plans/security."""

import contextlib
import ctypes
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tests.recipes.recipe import Recipe

if TYPE_CHECKING:
    from tests.support.product import Ran

BPF = 321  # arch/x86/entry/syscalls/syscall_64.tbl
PROG_LOAD, MAP_LOOKUP = 5, 1  # include/uapi/linux/bpf.h
CAP_SYS_CHROOT, CAP_SETUID = 18, 7
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


def privilege_changes() -> None:
    """3 children that become no one, and one of them that cannot go back."""
    for number in range(3):
        if (child := os.fork()) == 0:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            if number == 2:
                with contextlib.suppress(PermissionError):
                    os.setuid(0)
            os._exit(0)
        os.waitpid(child, 0)


def privilege_changes_seen(ran: "Ran") -> None:
    changes = [(one["call"], one["first"], one["result"]) for one in ran.data("change")]
    assert changes == [
        *[("setgid", NOBODY, 0), ("setuid", NOBODY, 0)] * 3,
        ("setuid", 0, "EPERM"),
    ]
    by = [one["by"] for one in ran.data("change")]
    assert by in ([0] * 6 + [NOBODY], [None] * 7)  # tracefs does not know whose call it is
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
    assert all(isinstance(one["result"], str) for one in ran.data("call"))
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
    assert [(one["call"], one["result"]) for one in reads] == [("process_vm_readv", 8)] * 4
    traced = [(one["request"], one["of"], one["result"]) for one in ran.data("trace")]
    assert traced == [(16, 2**22, "ESRCH")]
    assert ran.value("memory", "calls", comm="python3", func="process_vm_readv") == 4


def permission_changes() -> None:
    """6 changes of mode and 2 of owner."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "probeplan-mode"
        file.touch()
        for _ in range(6):
            file.chmod(0o751)
        for _ in range(2):
            os.chown(file, NOBODY, NOBODY)


def permission_changes_seen(ran: "Ran") -> None:
    modes = [one for one in ran.data("mode") if one["path"].endswith("/probeplan-mode")]
    assert [(one["mode"] & 0o7777, one["result"]) for one in modes] == [(0o751, 0)] * 6
    owners = [(one["user"], one["group"], one["result"]) for one in ran.data("owner")]
    assert owners == [(NOBODY, NOBODY, 0)] * 2


ROWS: Mapping[str, Recipe] = {
    "capability-checks": Recipe(
        differs=("7.x",), work=capability_checks, judge=capability_checks_seen
    ),
    "privilege-changes": Recipe(work=privilege_changes, judge=privilege_changes_seen),
    "bpf-calls": Recipe(work=bpf_calls, judge=bpf_calls_seen),
    "process-access": Recipe(work=process_access, judge=process_access_seen),
    "permission-changes": Recipe(
        work=permission_changes,
        judge=permission_changes_seen,
        tracefs_cannot_without_kprobes="a string from memory",
    ),
}
