"""What a bundle of the other recorded kernels does not serve on one of them, and why.

A kernel that was never recorded is like one that is left out: its numbers are filled into programs
that were made for others, and what is in this table needs a separate recording.
tests/unit/shipped/test_left_out.py says that nothing else is refused, and that all of this is; in
booted kernels tests/recipes does.
"""

from collections.abc import Mapping

from tests.support.recorded import recorded
from tests.support.shipped import PLANS, lacking

_OLD_STATE = "task_struct.state is a long; later it is __state, an unsigned int"
_NO_KPROBES = "without kprobes another alternative is taken"
#: By kernel and plan, the difference in shape.
REFUSED: Mapping[str, Mapping[str, str]] = {
    "5.10": {
        "block-latency": "a request has its disk itself; later its queue has it",
        "function-calls": "a function of the glob is a fragment, and no trampoline fits it",
        "futex-waits": "there is no futex_waitv",
        "kernel-outstanding": "kmalloc_node and kmem_cache_alloc_node are other events",
        "lock-contention": "there are no events of lock contention, and mutexes are followed",
        "packet-drops": "kfree_skb says no reason",
        "preemptions": _OLD_STATE,
        "run-queue-latency": _OLD_STATE,
        "slow-wakeups": _OLD_STATE,
        "stuck-tasks": _OLD_STATE,
        "wakers": _OLD_STATE,
    },
    "6.1": {
        "function-calls": "the glob matches fewer functions than on others: no vfs_remove_acl",
        "futex-waits": "there is futex_waitv and no futex_wait",
    },
    "6.12": {},
    "6.18-no-kprobes": {
        "06-alternatives": _NO_KPROBES,
        "oom-kills": _NO_KPROBES,
        "vfs-reads": _NO_KPROBES,
    },
    "7.x": {},
}

#: Types were left out of the recordings, to keep them small: a kernel itself has a trampoline where
#: its recording has none. By plan, the kernels that therefore refuse a bundle of such recordings.
REFUSED_WITH_ALL_TYPES: Mapping[str, tuple[str, ...]] = {
    "file-life": ("5.10", "6.1", "6.12", "7.x"),
}


def is_refused(plan: str, kernel: str) -> bool:
    """Whether a bundle of the other kernels lacks the plan's program for this one."""
    return plan in REFUSED[kernel]


def percent_served(kernel: str) -> float:
    """Of the shipped plans that can run on this kernel, those that a bundle of others serves."""
    able = {name for name in PLANS if not lacking(name, recorded(kernel))}
    return 100 * len(able - set(REFUSED[kernel])) / len(able)
