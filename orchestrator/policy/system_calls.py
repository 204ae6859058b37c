"""Which system calls an attach point sees, by any of their names.

A system call has a number, and a name in each place where the kernel lets one look at it: its
events (syscalls:sys_enter_NAME), its entry points (__x64_sys_NAME, arch/x86/include/asm/
syscall_wrapper.h; __se_sys_ and __do_sys_, include/linux/syscalls.h), and functions that several
calls share.
"""

import re
from collections.abc import Iterable, Iterator

__all__ = ["EVERY_CALL", "calls_of_event", "calls_of_function", "names_of_calls"]

#: In place of a name: all system calls.
EVERY_CALL = "*"

_ENTRY_POINT = re.compile(
    r"(?:__(?:x64|x32|ia32|arm64|s390x?|riscv)_(?:compat_)?|__(?:se|do)_(?:compat_)?"
    r"|do_compat_|compat_|do_|__|k|)sys_(?:aarch32_)?(?P<call>[a-z]\w*)"
)
#: Functions on the way of every system call (arch/x86/entry/common.c, arch/arm64/kernel/syscall.c,
#: kernel/entry/common.c, kernel/seccomp.c, kernel/auditsc.c, kernel/trace/trace_syscalls.c).
_EVERY_CALL = re.compile(
    r"do_syscall_64|do_syscall_x64|x64_sys_call|x32_sys_call|ia32_sys_call|do_int80_\w+"
    r"|do_fast_syscall_32|do_SYSENTER_32|entry_SYSCALL\w*|entry_SYSENTER\w*|invoke_syscall"
    r"|el0_svc\w*|do_el0_svc\w*|el0t_(?:32|64)_sync\w*|(?:__)?syscall_(?:enter|exit|trace)_\w+"
    r"|trace_syscall_\w+|syscall_trace_enter|__secure_computing|__seccomp_filter"
    r"|__audit_syscall_\w+|(?:perf|ftrace|prof)_syscall_(?:enter|exit)"
)
_SHARED = {
    ("do_sys_open", "do_sys_openat2", "do_filp_open"): ("open", "openat", "openat2", "creat"),
    ("do_execve", "do_execveat", "do_execveat_common", "bprm_execve"): ("execve", "execveat"),
    ("kernel_clone", "_do_fork", "copy_process"): ("clone", "clone3", "fork", "vfork"),
    ("__sys_accept4", "__sys_accept4_file", "do_accept"): ("accept", "accept4"),
    ("___sys_sendmsg", "____sys_sendmsg", "__sys_sendmsg"): ("sendmsg", "sendmmsg"),
    ("___sys_recvmsg", "____sys_recvmsg", "__sys_recvmsg"): ("recvmsg", "recvmmsg"),
    ("load_module", "do_init_module"): ("init_module", "finit_module"),
    ("do_mount", "path_mount"): ("mount",),
}
_CALLS_OF_SHARED = {name: calls for names, calls in _SHARED.items() for name in names}

#: The name in the table of numbers, and the kernel's own where it differs.
_OTHER_NAMES = (
    *(("stat", "newstat"), ("fstat", "newfstat"), ("lstat", "newlstat"), ("uname", "newuname")),
    *(("umount2", "umount"), ("sendfile", "sendfile64"), ("_sysctl", "sysctl")),
    *(("fadvise64", "fadvise64_64"), ("personality", "arm64_personality")),
    *(("fstatat", "newfstatat"), ("getdents", "getdents64"), ("prlimit", "prlimit64")),
)
_FORMS = (
    *("{}", "sys_{}", "sys_enter_{}", "sys_exit_{}", "syscalls:sys_enter_{}"),
    *("syscalls:sys_exit_{}", "__x64_sys_{}", "__ia32_sys_{}", "__ia32_compat_sys_{}"),
    *("__x32_compat_sys_{}", "__arm64_sys_{}", "__arm64_compat_sys_{}", "__riscv_sys_{}"),
    *("__s390x_sys_{}", "__se_sys_{}", "__do_sys_{}", "__se_compat_sys_{}"),
    *("__do_compat_sys_{}", "compat_sys_{}", "__sys_{}", "do_sys_{}", "ksys_{}"),
)


def calls_of_event(category: str, event: str) -> tuple[str, ...]:
    """The system calls that a tracepoint sees; `category` "" for a raw tracepoint."""
    if category in ("", "raw_syscalls") and event in ("sys_enter", "sys_exit"):
        return (EVERY_CALL,)
    if category == "syscalls" and event.startswith(("sys_enter_", "sys_exit_")):
        return (event.split("_", 2)[2],)
    return ()


def calls_of_function(symbol: str) -> tuple[str, ...]:
    """The system calls whose way leads through a kernel function, as far as its name says so."""
    bare = symbol.rpartition(":")[2].partition(".")[0]
    if _EVERY_CALL.fullmatch(bare):
        return (EVERY_CALL,)
    named = _ENTRY_POINT.fullmatch(bare)
    own = (named["call"],) if named is not None else ()
    return (*own, *_CALLS_OF_SHARED.get(bare, ()))


def names_of_calls(calls: Iterable[str], known: Iterable[str]) -> tuple[str, ...]:
    """All names of the system calls; `known` are those that EVERY_CALL means."""
    meant = set(calls)
    if EVERY_CALL in meant:
        meant = {*meant, *known} - {EVERY_CALL}
    for pair in _OTHER_NAMES:
        if not meant.isdisjoint(pair):
            meant.update(pair)
    return tuple(_spell_calls(sorted(meant)))


def _spell_calls(calls: Iterable[str]) -> Iterator[str]:
    for call in calls:
        yield from (form.format(call) for form in _FORMS)
        yield from (name for name, shared in _CALLS_OF_SHARED.items() if call in shared)
