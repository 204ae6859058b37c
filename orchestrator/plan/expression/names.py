"""The names that a plan's expressions may use: builtins, units, functions, types."""

import re
from collections.abc import Mapping

#: Names that are known at every probe.
BUILTINS: tuple[str, ...] = (
    "args",
    "retval",
    "elapsed",
    "pid",
    "tid",
    "uid",
    "gid",
    "comm",
    "cpu",
    "cgroup",
    "container",
    "compat",
    "ppid",
    "since_run",
    "task",
    "now",
    "func",
    "probe",
    "kstack",
    "ustack",
    "params",
    "note",
)
#: Builtins that describe a task; errors under `task: none`.
OF_TASK = frozenset(
    {
        *("pid", "tid", "uid", "gid", "comm", "cgroup", "container", "ppid", "since_run", "task"),
        "ustack",
    }
)
#: Builtins that are functions, too: a stack of so many frames.
STACKS = ("kstack", "ustack")
#: The longest name of a task: TASK_COMM_LEN is 16 with its NUL (include/linux/sched.h).
COMM_BYTES = 15
ARGUMENT = re.compile(r"arg[0-9]")
CONSTANT = re.compile(r"_*[A-Z][A-Z0-9_]*|[A-Z]\w*_\w*", re.ASCII)
UNITS: Mapping[str, int] = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "KiB": 1 << 10,
    "MiB": 1 << 20,
    "GiB": 1 << 30,
}

#: The heads of names that refer to the values of a span's probes: `start.pid`.
SPAN_PROBES: tuple[str, ...] = ("start", "via", "end")
#: The head of names that refer to the sums of a span: `sum.bytes`.
SPAN_SUMS = "sum"

#: Functions and how many arguments they take: fewest and most (None: any number).
FUNCTIONS: Mapping[str, tuple[int, int | None]] = {
    "str": (1, 2),
    "load": (2, 2),
    "cast": (2, 2),
    "user": (1, 1),
    "either": (2, None),
    "entry": (1, 1),
    "seen": (1, 1),
    "noted": (1, 1),
    "ntohs": (1, 1),
    "ntohl": (1, 1),
    "ipv4": (1, 1),
    "ipv6": (1, 1),
    "min": (2, 2),
    "max": (2, 2),
    "glob": (2, 2),
    "startswith": (2, 2),
    "endswith": (2, 2),
    "under": (2, 2),
    "buf": (2, 2),
    "text": (1, 1),
    "strs": (1, 2),
    "path": (1, 2),
    "local": (1, 1),
    "remote": (1, 1),
    "sockaddr": (1, 2),
    "packet": (1, 1),
    "argv": (0, 1),
    "kstack": (1, 1),
    "ustack": (1, 1),
    "label": (1, 2),
    "flags": (2, 2),
    "errno": (1, 1),
    "ksym": (1, 1),
    "usym": (1, 1),
    "symbol": (1, 2),
    "devname": (1, 1),
    "cgname": (1, 2),
    "hash": (1, 1),
}
#: Functions that name numbers; their second argument may be a name among the plan's `labels`.
NAMING: frozenset[str] = frozenset({"label", "flags"})
#: The numbers of C by the names that plans may give them: bits, and whether they are signed.
C_NUMBERS: Mapping[str, tuple[int, bool]] = {
    **{f"{sign}{bits}": (bits, sign == "s") for sign in "us" for bits in (8, 16, 32, 64)},
    "char": (8, True),
    "short": (16, True),
    "int": (32, True),
    "unsigned int": (32, False),
    "unsigned": (32, False),
    "long": (64, True),
    "unsigned long": (64, False),
    "long long": (64, True),
    "unsigned long long": (64, False),
    "size_t": (64, False),
    "ssize_t": (64, True),
    "pid_t": (32, True),
    "uid_t": (32, False),
}
#: Functions that take a type, which may be written without quotes, and which argument it is.
TYPE_ARGUMENTS: Mapping[str, int] = {"load": 0, "cast": 1}
#: The types that are written so.
BARE_TYPES: tuple[str, ...] = (
    *("u8", "u16", "u32", "u64"),
    *("s8", "s16", "s32", "s64"),
    *("bool", "pointer"),
)


def find_stack(name: str) -> str:
    """`kstack` or `ustack` where the dotted name of a value is one of them, also of so many frames;
    "" of other names."""
    last = name.rpartition(".")[2].partition("(")[0]
    return last if last in STACKS else ""
