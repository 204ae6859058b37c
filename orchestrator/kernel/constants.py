"""Shipped names of kernel constants, and the way back from a value to its name.

UPPER_CASE names in a plan are looked up here first, then among the kernel's BTF enums: errno
values and flags are preprocessor macros, which BTF does not know. Values are those of the generic
architectures (x86-64, riscv; arm64 but for four flags of open); each table names the header that
they were taken from.
"""

from collections.abc import Mapping
from functools import cache

# fmt: off
# include/uapi/asm-generic/errno-base.h, errno.h
ERRNO: Mapping[str, int] = {
    "EPERM": 1, "ENOENT": 2, "ESRCH": 3, "EINTR": 4, "EIO": 5, "ENXIO": 6, "E2BIG": 7, "ENOEXEC": 8,
    "EBADF": 9, "ECHILD": 10, "EAGAIN": 11, "EWOULDBLOCK": 11, "ENOMEM": 12, "EACCES": 13,
    "EFAULT": 14, "ENOTBLK": 15, "EBUSY": 16, "EEXIST": 17, "EXDEV": 18, "ENODEV": 19,
    "ENOTDIR": 20, "EISDIR": 21, "EINVAL": 22, "ENFILE": 23, "EMFILE": 24, "ENOTTY": 25,
    "ETXTBSY": 26, "EFBIG": 27, "ENOSPC": 28, "ESPIPE": 29, "EROFS": 30, "EMLINK": 31, "EPIPE": 32,
    "EDOM": 33, "ERANGE": 34, "EDEADLK": 35, "EDEADLOCK": 35, "ENAMETOOLONG": 36, "ENOLCK": 37,
    "ENOSYS": 38, "ENOTEMPTY": 39, "ELOOP": 40, "ENOMSG": 42, "EIDRM": 43, "ECHRNG": 44,
    "EL2NSYNC": 45, "EL3HLT": 46, "EL3RST": 47, "ELNRNG": 48, "EUNATCH": 49, "ENOCSI": 50,
    "EL2HLT": 51, "EBADE": 52, "EBADR": 53, "EXFULL": 54, "ENOANO": 55, "EBADRQC": 56,
    "EBADSLT": 57, "EBFONT": 59, "ENOSTR": 60, "ENODATA": 61, "ETIME": 62, "ENOSR": 63,
    "ENONET": 64, "ENOPKG": 65, "EREMOTE": 66, "ENOLINK": 67, "EADV": 68, "ESRMNT": 69, "ECOMM": 70,
    "EPROTO": 71, "EMULTIHOP": 72, "EDOTDOT": 73, "EBADMSG": 74, "EOVERFLOW": 75, "ENOTUNIQ": 76,
    "EBADFD": 77, "EREMCHG": 78, "ELIBACC": 79, "ELIBBAD": 80, "ELIBSCN": 81, "ELIBMAX": 82,
    "ELIBEXEC": 83, "EILSEQ": 84, "ERESTART": 85, "ESTRPIPE": 86, "EUSERS": 87, "ENOTSOCK": 88,
    "EDESTADDRREQ": 89, "EMSGSIZE": 90, "EPROTOTYPE": 91, "ENOPROTOOPT": 92, "EPROTONOSUPPORT": 93,
    "ESOCKTNOSUPPORT": 94, "EOPNOTSUPP": 95, "EPFNOSUPPORT": 96, "EAFNOSUPPORT": 97,
    "EADDRINUSE": 98, "EADDRNOTAVAIL": 99, "ENETDOWN": 100, "ENETUNREACH": 101, "ENETRESET": 102,
    "ECONNABORTED": 103, "ECONNRESET": 104, "ENOBUFS": 105, "EISCONN": 106, "ENOTCONN": 107,
    "ESHUTDOWN": 108, "ETOOMANYREFS": 109, "ETIMEDOUT": 110, "ECONNREFUSED": 111, "EHOSTDOWN": 112,
    "EHOSTUNREACH": 113, "EALREADY": 114, "EINPROGRESS": 115, "ESTALE": 116, "EUCLEAN": 117,
    "ENOTNAM": 118, "ENAVAIL": 119, "EISNAM": 120, "EREMOTEIO": 121, "EDQUOT": 122,
    "ENOMEDIUM": 123, "EMEDIUMTYPE": 124, "ECANCELED": 125, "ENOKEY": 126, "EKEYEXPIRED": 127,
    "EKEYREVOKED": 128, "EKEYREJECTED": 129, "EOWNERDEAD": 130, "ENOTRECOVERABLE": 131,
    "ERFKILL": 132, "EHWPOISON": 133,
    # include/linux/errno.h: programs do not see them, but probes do, at a call's return
    "ERESTARTSYS": 512, "ERESTARTNOINTR": 513, "ERESTARTNOHAND": 514, "ENOIOCTLCMD": 515,
    "ERESTART_RESTARTBLOCK": 516, "EPROBE_DEFER": 517, "EOPENSTALE": 518, "ENOPARAM": 519,
    "EBADHANDLE": 521, "ENOTSYNC": 522, "EBADCOOKIE": 523, "ENOTSUPP": 524, "ETOOSMALL": 525,
    "ESERVERFAULT": 526, "EBADTYPE": 527, "EJUKEBOX": 528, "EIOCBQUEUED": 529,
    "ERECALLCONFLICT": 530, "ENOGRACE": 531,
}
# arch/x86/include/uapi/asm/fcntl.h, which is asm-generic/fcntl.h
OPEN: Mapping[str, int] = {
    "O_RDONLY": 0, "O_WRONLY": 1, "O_RDWR": 2, "O_ACCMODE": 3, "O_CREAT": 0x40, "O_EXCL": 0x80,
    "O_NOCTTY": 0x100, "O_TRUNC": 0x200, "O_APPEND": 0x400, "O_NONBLOCK": 0x800, "O_DSYNC": 0x1000,
    "O_DIRECT": 0x4000, "O_LARGEFILE": 0x8000, "O_DIRECTORY": 0x10000, "O_NOFOLLOW": 0x20000,
    "O_NOATIME": 0x40000, "O_CLOEXEC": 0x80000, "O_SYNC": 0x101000, "O_PATH": 0x200000,
    "O_TMPFILE": 0x410000,
}
# arch/arm64/include/uapi/asm/fcntl.h
OPEN_ARM64: Mapping[str, int] = {
    **OPEN, "O_DIRECTORY": 0x4000, "O_NOFOLLOW": 0x8000, "O_DIRECT": 0x10000,
    "O_LARGEFILE": 0x20000, "O_TMPFILE": 0x404000,
}
# include/uapi/linux/fcntl.h
AT: Mapping[str, int] = {
    "AT_FDCWD": -100, "AT_STATX_SYNC_AS_STAT": 0, "AT_SYMLINK_NOFOLLOW": 0x100, "AT_EACCESS": 0x200,
    "AT_REMOVEDIR": 0x200, "AT_SYMLINK_FOLLOW": 0x400, "AT_NO_AUTOMOUNT": 0x800,
    "AT_EMPTY_PATH": 0x1000, "AT_STATX_FORCE_SYNC": 0x2000, "AT_STATX_DONT_SYNC": 0x4000,
    "AT_STATX_SYNC_TYPE": 0x6000, "AT_RECURSIVE": 0x8000,
}
# include/uapi/linux/stat.h
MODE: Mapping[str, int] = {
    "S_IFIFO": 0x1000, "S_IFCHR": 0x2000, "S_IFDIR": 0x4000, "S_IFBLK": 0x6000, "S_IFREG": 0x8000,
    "S_IFLNK": 0xa000, "S_IFSOCK": 0xc000, "S_IFMT": 0xf000,
}
# arch/x86/include/uapi/asm/signal.h
SIGNALS: Mapping[str, int] = {
    "SIGHUP": 1, "SIGINT": 2, "SIGQUIT": 3, "SIGILL": 4, "SIGTRAP": 5, "SIGABRT": 6, "SIGBUS": 7,
    "SIGFPE": 8, "SIGKILL": 9, "SIGUSR1": 10, "SIGSEGV": 11, "SIGUSR2": 12, "SIGPIPE": 13,
    "SIGALRM": 14, "SIGTERM": 15, "SIGSTKFLT": 16, "SIGCHLD": 17, "SIGCONT": 18, "SIGSTOP": 19,
    "SIGTSTP": 20, "SIGTTIN": 21, "SIGTTOU": 22, "SIGURG": 23, "SIGXCPU": 24, "SIGXFSZ": 25,
    "SIGVTALRM": 26, "SIGPROF": 27, "SIGWINCH": 28, "SIGIO": 29, "SIGPWR": 30, "SIGSYS": 31,
}
# include/linux/socket.h
FAMILIES: Mapping[str, int] = {
    "AF_UNSPEC": 0, "AF_LOCAL": 1, "AF_UNIX": 1, "AF_INET": 2, "AF_AX25": 3, "AF_IPX": 4,
    "AF_APPLETALK": 5, "AF_NETROM": 6, "AF_BRIDGE": 7, "AF_ATMPVC": 8, "AF_X25": 9, "AF_INET6": 10,
    "AF_ROSE": 11, "AF_NETBEUI": 13, "AF_SECURITY": 14, "AF_KEY": 15, "AF_NETLINK": 16,
    "AF_PACKET": 17, "AF_ASH": 18, "AF_ECONET": 19, "AF_ATMSVC": 20, "AF_RDS": 21, "AF_SNA": 22,
    "AF_IRDA": 23, "AF_PPPOX": 24, "AF_WANPIPE": 25, "AF_LLC": 26, "AF_IB": 27, "AF_MPLS": 28,
    "AF_CAN": 29, "AF_TIPC": 30, "AF_BLUETOOTH": 31, "AF_IUCV": 32, "AF_RXRPC": 33, "AF_ISDN": 34,
    "AF_PHONET": 35, "AF_IEEE802154": 36, "AF_CAIF": 37, "AF_ALG": 38, "AF_NFC": 39, "AF_VSOCK": 40,
    "AF_KCM": 41, "AF_QIPCRTR": 42, "AF_SMC": 43, "AF_XDP": 44, "AF_MCTP": 45,
}
# include/linux/net.h (enum sock_type)
SOCKETS: Mapping[str, int] = {
    "SOCK_STREAM": 1, "SOCK_DGRAM": 2, "SOCK_RAW": 3, "SOCK_RDM": 4, "SOCK_SEQPACKET": 5,
    "SOCK_DCCP": 6, "SOCK_PACKET": 0xa, "SOCK_NONBLOCK": 0x800, "SOCK_CLOEXEC": 0x80000,
}
# include/uapi/linux/in.h
PROTOCOLS: Mapping[str, int] = {
    "IPPROTO_IP": 0, "IPPROTO_ICMP": 1, "IPPROTO_IGMP": 2, "IPPROTO_IPIP": 4, "IPPROTO_TCP": 6,
    "IPPROTO_EGP": 8, "IPPROTO_PUP": 12, "IPPROTO_UDP": 17, "IPPROTO_IDP": 22, "IPPROTO_TP": 29,
    "IPPROTO_DCCP": 33, "IPPROTO_IPV6": 41, "IPPROTO_RSVP": 46, "IPPROTO_GRE": 47,
    "IPPROTO_ESP": 50, "IPPROTO_AH": 51, "IPPROTO_MTP": 92, "IPPROTO_BEETPH": 94,
    "IPPROTO_ENCAP": 98, "IPPROTO_PIM": 103, "IPPROTO_COMP": 108, "IPPROTO_L2TP": 115,
    "IPPROTO_SCTP": 132, "IPPROTO_UDPLITE": 136, "IPPROTO_MPLS": 137, "IPPROTO_ETHERNET": 143,
    "IPPROTO_RAW": 255, "IPPROTO_MPTCP": 262,
}
# include/uapi/asm-generic/mman-common.h
PROTECTION: Mapping[str, int] = {
    "PROT_NONE": 0, "PROT_READ": 1, "PROT_WRITE": 2, "PROT_EXEC": 4, "PROT_SEM": 8,
    "PROT_GROWSDOWN": 0x1000000, "PROT_GROWSUP": 0x2000000,
}
# include/uapi/asm-generic/mman-common.h, mman.h, linux/mman.h
MAPPINGS: Mapping[str, int] = {
    "MAP_FILE": 0, "MAP_SHARED": 1, "MAP_PRIVATE": 2, "MAP_SHARED_VALIDATE": 3, "MAP_TYPE": 0xf,
    "MAP_FIXED": 0x10, "MAP_ANONYMOUS": 0x20, "MAP_32BIT": 0x40, "MAP_GROWSDOWN": 0x100,
    "MAP_DENYWRITE": 0x800, "MAP_EXECUTABLE": 0x1000, "MAP_LOCKED": 0x2000, "MAP_NORESERVE": 0x4000,
    "MAP_POPULATE": 0x8000, "MAP_NONBLOCK": 0x10000, "MAP_STACK": 0x20000, "MAP_HUGETLB": 0x40000,
    "MAP_SYNC": 0x80000, "MAP_FIXED_NOREPLACE": 0x100000, "MAP_UNINITIALIZED": 0x4000000,
}
# include/uapi/linux/sched.h
CLONE: Mapping[str, int] = {
    "CLONE_ARGS_SIZE_VER0": 0x40, "CLONE_ARGS_SIZE_VER1": 0x50, "CLONE_ARGS_SIZE_VER2": 0x58,
    "CLONE_NEWTIME": 0x80, "CLONE_VM": 0x100, "CLONE_FS": 0x200, "CLONE_FILES": 0x400,
    "CLONE_SIGHAND": 0x800, "CLONE_PIDFD": 0x1000, "CLONE_PTRACE": 0x2000, "CLONE_VFORK": 0x4000,
    "CLONE_PARENT": 0x8000, "CLONE_THREAD": 0x10000, "CLONE_NEWNS": 0x20000,
    "CLONE_SYSVSEM": 0x40000, "CLONE_SETTLS": 0x80000, "CLONE_PARENT_SETTID": 0x100000,
    "CLONE_CHILD_CLEARTID": 0x200000, "CLONE_DETACHED": 0x400000, "CLONE_UNTRACED": 0x800000,
    "CLONE_CHILD_SETTID": 0x1000000, "CLONE_NEWCGROUP": 0x2000000, "CLONE_NEWUTS": 0x4000000,
    "CLONE_NEWIPC": 0x8000000, "CLONE_NEWUSER": 0x10000000, "CLONE_NEWPID": 0x20000000,
    "CLONE_NEWNET": 0x40000000, "CLONE_IO": 0x80000000, "CLONE_CLEAR_SIGHAND": 0x100000000,
    "CLONE_INTO_CGROUP": 0x200000000,
}
# include/linux/sched.h; values have been the same since 4.14
TASKS: Mapping[str, int] = {
    "TASK_RUNNING": 0, "TASK_INTERRUPTIBLE": 1, "TASK_UNINTERRUPTIBLE": 2, "TASK_STOPPED": 4,
    "TASK_TRACED": 8, "EXIT_DEAD": 0x10, "EXIT_ZOMBIE": 0x20, "TASK_PARKED": 0x40,
    "TASK_DEAD": 0x80, "TASK_WAKEKILL": 0x100, "TASK_WAKING": 0x200, "TASK_NOLOAD": 0x400,
    "TASK_NEW": 0x800,
}
# include/uapi/linux/capability.h
CAPABILITIES: Mapping[str, int] = {
    "CAP_CHOWN": 0, "CAP_DAC_OVERRIDE": 1, "CAP_DAC_READ_SEARCH": 2, "CAP_FOWNER": 3,
    "CAP_FSETID": 4, "CAP_KILL": 5, "CAP_SETGID": 6, "CAP_SETUID": 7, "CAP_SETPCAP": 8,
    "CAP_LINUX_IMMUTABLE": 9, "CAP_NET_BIND_SERVICE": 10, "CAP_NET_BROADCAST": 11,
    "CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13, "CAP_IPC_LOCK": 14, "CAP_IPC_OWNER": 15,
    "CAP_SYS_MODULE": 16, "CAP_SYS_RAWIO": 17, "CAP_SYS_CHROOT": 18, "CAP_SYS_PTRACE": 19,
    "CAP_SYS_PACCT": 20, "CAP_SYS_ADMIN": 21, "CAP_SYS_BOOT": 22, "CAP_SYS_NICE": 23,
    "CAP_SYS_RESOURCE": 24, "CAP_SYS_TIME": 25, "CAP_SYS_TTY_CONFIG": 26, "CAP_MKNOD": 27,
    "CAP_LEASE": 28, "CAP_AUDIT_WRITE": 29, "CAP_AUDIT_CONTROL": 30, "CAP_SETFCAP": 31,
    "CAP_MAC_OVERRIDE": 32, "CAP_MAC_ADMIN": 33, "CAP_SYSLOG": 34, "CAP_WAKE_ALARM": 35,
    "CAP_BLOCK_SUSPEND": 36, "CAP_AUDIT_READ": 37, "CAP_PERFMON": 38, "CAP_BPF": 39,
    "CAP_CHECKPOINT_RESTORE": 40,
}
# include/net/tcp_states.h
TCP_STATES: Mapping[str, int] = {
    "TCP_ESTABLISHED": 1, "TCP_SYN_SENT": 2, "TCP_SYN_RECV": 3, "TCP_FIN_WAIT1": 4,
    "TCP_FIN_WAIT2": 5, "TCP_TIME_WAIT": 6, "TCP_CLOSE": 7, "TCP_CLOSE_WAIT": 8, "TCP_LAST_ACK": 9,
    "TCP_LISTEN": 10, "TCP_CLOSING": 11, "TCP_NEW_SYN_RECV": 12, "TCP_BOUND_INACTIVE": 13,
}
# fmt: on

GROUPS: Mapping[str, Mapping[str, int]] = {
    "E": ERRNO,
    "O_": OPEN,
    "AT_": AT,
    "S_": MODE,
    "SIG": SIGNALS,
    "AF_": FAMILIES,
    "SOCK_": SOCKETS,
    "IPPROTO_": PROTOCOLS,
    "PROT_": PROTECTION,
    "MAP_": MAPPINGS,
    "CLONE_": CLONE,
    "TASK_": TASKS,
    "CAP_": CAPABILITIES,
    "TCP_": TCP_STATES,
}
"""Prefix for a plan's `label` and `flags` → the names with this prefix."""

CONSTANTS: Mapping[str, int] = {
    name: value for group in GROUPS.values() for name, value in group.items()
}
_OTHER_GROUPS: Mapping[str, Mapping[str, Mapping[str, int]]] = {"aarch64": {"O_": OPEN_ARM64}}

# Where a value has two names, the one to show.
_PREFERRED = frozenset({"EAGAIN", "EDEADLK", "AF_UNIX", "AT_REMOVEDIR"})


def constant(name: str, arch: str = "") -> int | None:
    """The value of a shipped constant on `arch` (uname's word)."""
    return constants_on(arch).get(name)


@cache
def constants_on(arch: str) -> Mapping[str, int]:
    """All shipped constants with their values on `arch`."""
    groups = _OTHER_GROUPS.get(arch, {}).values()
    return {**CONSTANTS, **{name: value for one in groups for name, value in one.items()}}


def names_by_value(prefix: str, arch: str = "") -> Mapping[int, str]:
    """Value → name for one group of GROUPS on `arch`, in ascending order; {} for a prefix without
    one."""
    group = _OTHER_GROUPS.get(arch, {}).get(prefix) or GROUPS.get(prefix, {})
    names: dict[int, str] = {}
    for name, value in sorted(group.items(), key=lambda item: item[1]):
        if value not in names or name in _PREFERRED:
            names[value] = name
    return names


def errno_name(value: int) -> str | None:
    """The name of an errno, given as the kernel returns it (-2) or as user space has it (2)."""
    return _ERRNO_NAMES.get(abs(value))


def flag_names(prefix: str, value: int, arch: str = "") -> tuple[str, ...]:
    """The flags that make up a value on `arch`, ascending; what none covers comes last, as
    hexadecimal.

    A flag of several bits (O_SYNC, O_TMPFILE) counts when all are set, and then hides its parts.
    The access mode of `O_` is a number in its low two bits, and always shown. Bits beyond a 32-bit
    int's are a sign extension and dropped for a negative value.
    """
    left, flags = value & 0xFFFFFFFF if value < 0 else value, []
    if prefix == "O_":
        flags.append((left & 3, names_by_value(prefix, arch).get(left & 3, "O_ACCMODE")))
        left &= ~3
    by_width = sorted(names_by_value(prefix, arch).items(), key=lambda item: -item[0].bit_count())
    for bits, name in by_width:
        if bits > 0 and bits & left == bits:
            flags.append((bits, name))
            left &= ~bits
    rest = (hex(left),) if left else ()
    return (*(name for _, name in sorted(flags)), *rest)


_ERRNO_NAMES = names_by_value("E")
