"""Attach points that a busy host may hit a hundred thousand times a second or more, each with the
reason. Before a plan is attached to one of them in full, a second of counting is worthwhile.

How often a point is hit follows from what it is: once a context switch, an allocation, a packet, a
system call or an interrupt (Documentation/trace/events*.rst, and the callers in the kernel's
sources).
"""

from collections.abc import Mapping
from typing import TYPE_CHECKING

from orchestrator.compile.program import Hook, Program

if TYPE_CHECKING:  # it would bring the reading of types into each start
    from orchestrator.compile.point import Point

__all__ = ["HOT_EVENTS", "HOT_FUNCTIONS", "HOT_SYSCALLS", "HOT_USER_FUNCTIONS", "find_hot_points"]
__all__ += ["why_hot"]

_SWITCH = "it runs at every context switch or wake-up"
_CALL = "it runs at every system call of every process"
_MEMORY = "it runs at every allocation or release of memory"
_PACKET = "it runs at every packet"
_INTERRUPT = "it runs at every interrupt, timer or deferred work"
_FILE = "it runs at every read, write or lookup of a file"
_WAIT = "programs call it constantly to wait or to read the clock"
_LOCK = "it runs whenever a lock is taken or a critical section is entered"

#: Tracepoints, as CATEGORY:EVENT or CATEGORY:*.
HOT_EVENTS: Mapping[str, str] = {
    **dict.fromkeys(
        (
            *("sched:sched_switch", "sched:sched_waking", "sched:sched_wakeup"),
            *("sched:sched_stat_runtime", "sched:sched_migrate_task"),
        ),
        _SWITCH,
    ),
    **dict.fromkeys(("raw_syscalls:sys_enter", "raw_syscalls:sys_exit"), _CALL),
    **dict.fromkeys(("kmem:*", "percpu:*", "page_ref:*", "vmscan:mm_lru_insertion"), _MEMORY),
    **dict.fromkeys(("net:*", "skb:*", "napi:*", "tcp:tcp_probe", "xdp:*"), _PACKET),
    **dict.fromkeys(
        ("irq:*", "irq_vectors:*", "timer:*", "hrtimer:*", "workqueue:*", "rcu:*", "ipi:*"),
        _INTERRUPT,
    ),
    **dict.fromkeys(("lock:*", "preemptirq:*"), _LOCK),
    **dict.fromkeys(("filemap:*", "exceptions:*", "tlb:*"), _MEMORY),
}
#: System calls, without sys_.
HOT_SYSCALLS: Mapping[str, str] = {
    **dict.fromkeys(
        (
            *("read", "write", "readv", "writev", "pread64", "pwrite64", "lseek", "fstat"),
            *("newfstatat", "recvfrom", "sendto", "recvmsg", "sendmsg", "io_uring_enter"),
        ),
        _FILE,
    ),
    **dict.fromkeys(
        (
            *("futex", "epoll_wait", "epoll_pwait", "poll", "ppoll", "select", "pselect6"),
            *("clock_gettime", "gettimeofday", "sched_yield", "nanosleep", "clock_nanosleep"),
        ),
        _WAIT,
    ),
}
#: Kernel functions.
HOT_FUNCTIONS: Mapping[str, str] = {
    **dict.fromkeys(
        (
            *("schedule", "__schedule", "try_to_wake_up", "finish_task_switch", "ttwu_do_activate"),
            *("enqueue_task_fair", "dequeue_task_fair", "pick_next_task_fair", "update_curr"),
        ),
        _SWITCH,
    ),
    **dict.fromkeys(("do_syscall_64", "syscall_trace_enter", "el0_svc"), _CALL),
    **dict.fromkeys(
        (
            *("kmalloc", "__kmalloc", "__kmalloc_noprof", "kfree", "kmem_cache_free"),
            *("kmem_cache_alloc", "kmem_cache_alloc_noprof", "kmem_cache_alloc_node"),
            *("__alloc_pages", "__alloc_pages_noprof", "__free_pages", "free_unref_page"),
            *("get_page_from_freelist", "handle_mm_fault", "exc_page_fault", "do_user_addr_fault"),
        ),
        _MEMORY,
    ),
    **dict.fromkeys(
        (
            *("ip_rcv", "ip_output", "__netif_receive_skb_core", "netif_receive_skb"),
            *("dev_queue_xmit", "__dev_queue_xmit", "consume_skb", "kfree_skb", "tcp_v4_rcv"),
            *("tcp_sendmsg", "tcp_recvmsg", "tcp_ack", "__tcp_transmit_skb", "napi_poll"),
        ),
        _PACKET,
    ),
    **dict.fromkeys(
        (
            *("tick_sched_timer", "hrtimer_interrupt", "handle_irq_event", "__do_softirq"),
            *("rcu_core", "process_one_work", "ktime_get", "ktime_get_ts64"),
        ),
        _INTERRUPT,
    ),
    **dict.fromkeys(
        (
            *("vfs_read", "vfs_write", "ksys_read", "ksys_write", "new_sync_read", "fput"),
            *("new_sync_write", "rw_verify_area", "security_file_permission", "fget"),
            *("lookup_fast", "link_path_walk", "path_lookupat", "filemap_get_pages", "dput"),
            *("copy_page_to_iter", "_copy_to_user", "_copy_from_user", "copy_user_generic"),
        ),
        _FILE,
    ),
    **dict.fromkeys(
        ("mutex_lock", "mutex_unlock", "down_read", "up_read", "futex_wake", "do_futex"), _LOCK
    ),
}
#: Functions of libraries and programs.
HOT_USER_FUNCTIONS: Mapping[str, str] = {
    **dict.fromkeys(
        ("malloc", "calloc", "realloc", "free", "posix_memalign", "aligned_alloc"), _MEMORY
    ),
    **dict.fromkeys(("pthread_mutex_lock", "pthread_mutex_unlock"), _LOCK),
    **dict.fromkeys(("read", "write", "recv", "send"), _FILE),
    **dict.fromkeys(("clock_gettime", "gettimeofday", "time"), _WAIT),
    **dict.fromkeys(
        ("memcpy", "memmove", "memset", "memcmp", "strlen", "strcmp", "memchr"),
        "programs call it for almost everything they do",
    ),
}
#: From so many attach points of one plan on, no one can judge them all beforehand.
_MANY = 16


def find_hot_points(program: Program) -> Mapping[str, str]:
    """The attach points that may be hit very often, by label (KIND:TARGET), each with the reason.
    All of them where there are many, and none is known to be hot."""
    hooks = program.hooks
    hot = {hook.label: why for hook in hooks if (why := why_hot(hook))}
    if not hot and len(hooks) >= _MANY:
        return {hook.label: f"one of {len(hooks)} attach points" for hook in hooks}
    return hot


def why_hot(hook: "Hook | Point") -> str | None:
    """Why an attach point may be hit very often; None where it is not known to be."""
    if hook.path:
        return HOT_USER_FUNCTIONS.get(hook.symbol)
    if hook.traits.site == "raw tracepoint":
        event = hook.event
        return next((why for name, why in HOT_EVENTS.items() if name.endswith(f":{event}")), None)
    if hook.tracepoint is None:
        return HOT_FUNCTIONS.get(hook.symbol)
    category, event = hook.tracepoint.category, hook.tracepoint.event
    if category == "syscalls":
        return HOT_SYSCALLS.get(event.removeprefix("sys_enter_").removeprefix("sys_exit_"))
    return HOT_EVENTS.get(f"{category}:{event}", HOT_EVENTS.get(f"{category}:*"))
