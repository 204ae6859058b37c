"""The attach kinds, one row each: what a target names, when a probe fires, what is known there.

Everything that depends on an attach kind asks this table. How a target is found on a kernel is in
`compile/points.py` (`_FINDERS`); how a backend attaches it is in the backend's mechanism table.
"""

from collections.abc import Mapping
from typing import Literal, get_args

from orchestrator.plan.naming import perf_events
from orchestrator.values import dataclass

__all__ = ["ATTACH_KINDS", "ITERATORS_OF_TASKS", "KINDS", "PAIRED_KINDS", "PATH", "RETURNING_KINDS"]
__all__ += ["SYMBOL_OR_OFFSET", "AttachKind", "KindTraits"]

AttachKind = Literal[
    "function",
    "entry",
    "kprobe",
    "kretprobe",
    "fentry",
    "fexit",
    "syscall",
    "tracepoint",
    "rawtracepoint",
    "ufunction",
    "uprobe",
    "uretprobe",
    "usdt",
    "profile",
    "interval",
    "iter",
    "perf",
]
ATTACH_KINDS: tuple[AttachKind, ...] = get_args(AttachKind)

#: What a target names.
AttachSite = Literal[
    "kernel function",
    "system call",
    "tracepoint",
    "raw tracepoint",
    "user code",
    "timer",
    "iterator",
    "counter",
]
#: When a probe fires: at one side of a call, at both sides as one event, or at an event.
FiringTime = Literal["entry", "return", "entry and return", "event"]


@dataclass(frozen=True, slots=True, kw_only=True)
class KindTraits:
    """One attach kind. `pattern` is the regular expression of its targets; `form` and `example`
    show them to people. `has_arguments`: `args` or `argN` are known when the probe fires.
    `has_task`: an event belongs to the running task unless the plan names another; else to none."""

    site: AttachSite
    moment: FiringTime
    pattern: str
    form: str
    example: str
    has_arguments: bool = True
    has_task: bool = True

    @property
    def space(self) -> Literal["kernel", "user", "any"]:
        """Which code the probe interrupts; timers and counters interrupt either."""
        match self.site:
            case "user code":
                return "user"
            case "timer" | "counter":
                return "any"
            case _:
                return "kernel"

    @property
    def has_return(self) -> bool:
        """Whether `retval` is known."""
        return self.moment in ("return", "entry and return")

    @property
    def is_paired(self) -> bool:
        """Whether entry and return are one event, so that `elapsed` is known."""
        return self.moment == "entry and return"

    @property
    def takes_user_pointers(self) -> bool:
        """Whether every pointer among the arguments is of user memory."""
        return self.site in ("user code", "system call")


# ---------------------------------------------------------------- grammar of targets

_SYMBOL = r"[A-Za-z_.$*?][\w.$*?]{0,254}"
_EXACT = r"[A-Za-z_.$][\w.$]{0,254}"
_VERSION = r"(?:@@?[A-Za-z_][\w.]{0,63})?"  # of a function of a shared library
_OFFSET = r"(?:\+(?:0x[0-9a-fA-F]{1,8}|[0-9]{1,9}))?"
_WORD = r"[A-Za-z_*?][\w*?]{0,63}"
#: Events and their categories may begin with a digit: 9p:9p_client_req.
_EVENT = r"[\w*?]{1,64}"
_SYSTEM = r"[\w*?][\w*?-]{0,63}"
#: A symbol, with globs or with an offset.
SYMBOL_OR_OFFSET = rf"{_SYMBOL}|{_EXACT}{_OFFSET}"
#: A path or library name.
PATH = r"[\w./+,@%=~^-]{1,400}"


def _kernel_function(
    moment: FiringTime, *, has_offset: bool = False, has_arguments: bool = True
) -> KindTraits:
    return KindTraits(
        site="kernel function",
        moment=moment,
        pattern=SYMBOL_OR_OFFSET if has_offset else _SYMBOL,
        form="SYMBOL or SYMBOL+OFFSET" if has_offset else "SYMBOL",
        example="vfs_read+0x10" if has_offset else "vfs_read",
        has_arguments=has_arguments,
    )


def _user_function(
    moment: FiringTime, *, has_offset: bool = False, has_arguments: bool = True
) -> KindTraits:
    exact = rf"{_EXACT}{_VERSION}{_OFFSET if has_offset else ''}"
    symbol = rf"{_SYMBOL}|{exact}"
    return KindTraits(
        site="user code",
        moment=moment,
        pattern=rf"{PATH}:(?:{symbol})",
        form="PATH:SYMBOL or PATH:SYMBOL+OFFSET" if has_offset else "PATH:SYMBOL",
        example="libc.so.6:malloc",
        has_arguments=has_arguments,
    )


KINDS: Mapping[AttachKind, KindTraits] = {
    "function": _kernel_function("entry and return"),
    "entry": _kernel_function("entry"),
    "kprobe": _kernel_function("entry", has_offset=True),
    "kretprobe": _kernel_function("return", has_arguments=False),
    "fentry": _kernel_function("entry"),
    "fexit": _kernel_function("return"),  # the trampoline still has the arguments
    "syscall": KindTraits(
        site="system call",
        moment="entry and return",
        pattern=_WORD,
        form="NAME",
        example="openat",
    ),
    "tracepoint": KindTraits(
        site="tracepoint",
        moment="event",
        pattern=rf"{_SYSTEM}:{_EVENT}",
        form="CATEGORY:EVENT",
        example="sched:sched_switch",
    ),
    "rawtracepoint": KindTraits(
        site="raw tracepoint",
        moment="event",
        pattern=_EVENT,
        form="EVENT",
        example="sched_switch",
    ),
    "ufunction": _user_function("entry and return"),
    "uprobe": _user_function("entry", has_offset=True),
    "uretprobe": _user_function("return", has_arguments=False),
    "usdt": KindTraits(
        site="user code",
        moment="event",
        pattern=rf"{PATH}:{_WORD}:[A-Za-z_*?][\w*?-]{{0,127}}",
        form="PATH:PROVIDER:NAME",
        example="/usr/bin/python3:python:gc__start",
    ),
    "profile": KindTraits(
        site="timer",
        moment="event",
        pattern=r"[1-9][0-9]{0,3}hz",
        form="FREQUENCY in hz, 1hz to 9999hz",
        example="99hz",
        has_arguments=False,
    ),
    "interval": KindTraits(
        site="timer",
        moment="event",
        pattern=r"[1-9][0-9]{0,3}(?:ms|s|m)",
        form="TIME in ms, s or m, 1ms to 9999m",
        example="1s",
        has_arguments=False,
        has_task=False,
    ),
    "iter": KindTraits(
        site="iterator",
        moment="event",
        pattern=r"[a-z][a-z0-9_]{0,62}",
        form="OBJECTS",
        example="task",
        has_task=False,
    ),
    "perf": KindTraits(
        site="counter",
        moment="event",
        pattern=perf_events.TARGET,
        form="EVENT or EVENT/PERIOD",
        example="page-faults/1",
        has_arguments=False,
    ),
}

#: The iterators whose objects belong to a task: their argument `task`.
ITERATORS_OF_TASKS = frozenset({"task", "task_file", "task_vma"})

#: Where `retval`, and where `elapsed` is known.
RETURNING_KINDS = frozenset(kind for kind, traits in KINDS.items() if traits.has_return)
PAIRED_KINDS = frozenset(kind for kind, traits in KINDS.items() if traits.is_paired)
